"""Batch norm folded into the convolutions before it: the same logits from fewer layers, for inference."""

import copy

import numpy as np
from mindspore import Parameter, Tensor, nn, ops

from mindclf.device import pynative
from mindclf.nets.layers import BatchNorm, Convolves
from mindclf.nets.shufflenet_v1 import GroupConv

SMALLEST = 32  # pixels; what the nets that state no min_size are traced with


def fold_batch_norm(net):
    """A copy of `net` for inference, in which each batch norm that follows a convolution is part of that convolution.

    The convolution's weights are multiplied by gamma / sqrt(variance + eps), it gets the bias that belongs to that, and it ends
    with the batch norm's activation; a CPU kernel computes all of it in one pass. A GroupConv becomes one convolution. Logits are
    equal to 1e-4, of the largest logit where that is more than 1; a net without such pairs comes back as a plain copy.
    `backbone`, `head` and `head.pool` are there as before. Weights keep their type: they are computed in float64 and rounded
    once.

    The copy cannot be trained on, nor be given other weights: they are frozen, its statistics are gone, and kernels read them
    from a packed copy. Its keys are not those of the net: save checkpoints from `net`, which stays as it is.
    """
    return fold_in_place(_copied(net))


def fold_in_place(net):
    """What `fold_batch_norm` makes of `net`, without a copy: for a net that nobody else has."""
    net.set_train(False)
    with pynative():
        for convolution, norm in foldable_pairs(net):
            replace_cell(net, norm, nn.Identity())
            if isinstance(convolution, GroupConv) and (convolution.native or convolution.groups == 1):
                joined = convolution.joined().set_train(False)
                replace_cell(net, convolution, joined)
                convolution = joined
            _fold(convolution, norm)
    for parameter in net.get_parameters():
        parameter.requires_grad = False
    return net


def _copied(net):
    """A copy of `net` that shares its operators, of which MindSpore cannot copy all, and none of its weights."""
    operators = {id(value): value for _, cell in net.cells_and_names() for value in vars(cell).values()
                 if isinstance(value, ops.Primitive)}
    copied = copy.deepcopy(net, operators)
    for _, cell in copied.cells_and_names():
        cell.compile_cache.clear()  # graphs that were compiled for `net`
    return copied


def foldable_pairs(net):
    """[(convolution, batch norm)] of `net`, in inference mode: the norm reads what the convolution gave, and nobody else does.

    Found by running the net on noise outside graph mode, where cells can be watched. That nobody else reads it is found by
    giving everybody else something wrong: the logits must stay. A cell that runs twice is in no pair.
    """
    images = trace_images(net)
    with pynative():
        pairs, logits = _neighbours(net, images)
        if not np.isfinite(logits).all():
            return []  # a broken net: nothing can be told from its logits
        if not _changed(net, images, pairs, logits):
            return pairs
        return [pair for pair in pairs if not _changed(net, images, [pair], logits)]


def trace_images(net):
    """A batch of noise by which the layers of `net` can be watched: (1, 3, H, W), as small as the net takes."""
    size = max(SMALLEST, getattr(getattr(net, "backbone", net), "min_size", 0))
    return Tensor(np.random.default_rng(0).standard_normal((1, 3, size, size), np.float32))


def _neighbours(net, images):
    """The pairs in which the norm reads the very tensor that the convolution gave, and the logits."""
    outputs, ran, pairs = [], [], []

    def gave(cell, inputs, output):
        ran.append(cell)
        outputs.append((output, cell))

    def reads(cell, inputs):
        ran.append(cell)
        pairs.extend((giver, cell) for output, giver in outputs if output is inputs[0])

    hooks = [cell.register_forward_hook(gave) for cell in _convolutions(net)]
    hooks += [cell.register_forward_pre_hook(reads) for _, cell in net.cells_and_names() if isinstance(cell, BatchNorm)]
    logits = _run(net, images, hooks)
    return [pair for pair in pairs if all(sum(cell is other for other in ran) == 1 for cell in pair)], logits


def _changed(net, images, pairs, logits):
    """Whether the logits change when of each pair the norm alone gets what the convolution gave."""
    hooks, given = [], {}
    for convolution, norm in pairs:
        def spoil(cell, inputs, output, norm=norm):
            given[norm] = output
            return 1000 - output

        def mend(cell, inputs):
            return (given[cell],)

        hooks += [convolution.register_forward_hook(spoil), norm.register_forward_pre_hook(mend)]
    return not np.allclose(_run(net, images, hooks), logits, rtol=1e-3, atol=1e-3 * np.abs(logits).max())


def _run(net, images, hooks):
    try:
        return net(images).asnumpy()
    finally:
        for hook in hooks:
            hook.remove()


def _convolutions(cell):
    """The convolutions within `cell`; one of joined weights is one."""
    if isinstance(cell, Convolves):
        return [cell]
    return [found for child in cell.cells() for found in _convolutions(child)]


def _fold(convolution, norm):
    scale = _float64(norm.gamma) / np.sqrt(_float64(norm.moving_variance) + norm.eps)
    shift = _float64(norm.beta) - _float64(norm.moving_mean) * scale
    groups = list(convolution.convs) if isinstance(convolution, GroupConv) else [convolution]
    for group, group_scale, group_shift in zip(groups, np.split(scale, len(groups)), np.split(shift, len(groups))):
        if group.has_bias:
            group_shift = group_shift + _float64(group.bias) * group_scale
        weight = group.weight
        weight.set_data(Tensor(_float64(weight) * group_scale[:, None, None, None], weight.dtype))
        group.bias = Parameter(Tensor(group_shift, weight.dtype), name=weight.name.removesuffix("weight") + "bias")
        group.has_bias = True
    convolution.has_bias = True
    convolution.end_with(norm.activation_name)


def _float64(parameter):
    return parameter.asnumpy().astype(np.float64)


def replace_cell(net, old, new):
    """Puts the cell `new` wherever `old` is in `net`."""
    for _, parent in list(net.cells_and_names()):  # a list: `new` may contain `old`
        for index, (name, child) in enumerate(parent.name_cells().items()):
            if child is old and isinstance(parent, nn.SequentialCell):
                parent[index] = new
            elif child is old:
                setattr(parent, name, new)
