"""Fusion: depthwise separable convolutions and inverted residuals as one CPU kernel each, for inference.

The kernel (mindclf/kernels/csrc/separable.c) keeps what is between the convolutions in the processor's cache.
"""

from typing import NamedTuple

import numpy as np
from mindspore import nn

from mindclf import kernels
from mindclf.device import pynative
from mindclf.nets.fold import replace_cell, trace_images
from mindclf.nets.layers import Add, Conv2d, HasKernel


class Block(NamedTuple):
    """The layers of a block; `expand` and `add` are None where it has none."""

    expand: Conv2d | None
    depthwise: Conv2d
    project: Conv2d
    add: Add | None

    @property
    def convolutions(self):
        return [conv for conv in (self.expand, self.depthwise, self.project) if conv is not None]


class FusedBlock(HasKernel, nn.Cell):
    """The layers of a `Block` in one CPU kernel: (N, C, H, W) -> (N, out_channels, H / stride, W / stride), rounded up."""

    def __init__(self, block):
        super().__init__()
        self.convolutions = nn.CellList(block.convolutions)
        self.residual = block.add is not None
        _, kernel_size, stride, padding, *_ = block.depthwise.geometry
        activations = tuple(conv.activation_name for conv in block.convolutions)
        make = kernels.separable if block.expand is None else kernels.inverted_residual
        self.kernel, self.settings = make(block.project.out_channels, kernel_size, stride, padding, activations, self.residual)

    def construct(self, x):
        if self.takes(x):
            weights = ()
            for conv in self.convolutions:
                weights += (conv.packed if conv.packs else conv.weight, conv.bias)
            return self.kernel(x, *weights, self.settings)
        y = x
        for conv in self.convolutions:
            y = conv(y)
        return x + y if self.residual else y


class Second(nn.Cell):
    """(a, b) -> b: what is left of the addition that a `FusedBlock` does."""

    def construct(self, a, b):
        return b


def fuse_separable(net: nn.Cell) -> nn.Cell:
    """`net`, from `fold_batch_norm`, whose depthwise separable blocks now run as one CPU kernel each; changed in place.

    A block is a depthwise convolution of 3 x 3 or 5 x 5 and the 1 x 1 convolution that reads it, with the 1 x 1 convolution
    before it and the addition of its input after it, where they exist. Logits stay as they are. Without kernels nothing changes.
    """
    if not kernels.in_use():
        return net
    images, names = trace_images(net), [(parameter, parameter.name) for parameter in net.get_parameters()]
    with pynative():
        blocks, logits = find_blocks(net, images)
        undo = [step for block in blocks for step in _fuse(net, block)]
        if undo and not _equal(net(images), logits):
            _revert(net, undo)
            for block in blocks:  # somebody else reads what is inside of one of them
                undo = _fuse(net, block)
                if not _equal(net(images), logits):
                    _revert(net, undo)
    for parameter, name in names:  # cells that move rename what they have, and names must be unique
        parameter.name = name
    return net


def find_blocks(net, images):
    """([Block], logits): found by running the net outside graph mode and looking who reads which tensor."""
    calls = []  # (cell, inputs, output) of each convolution and addition
    hooks = [cell.register_forward_hook(lambda cell, inputs, output: calls.append((cell, inputs, output)))
             for _, cell in net.cells_and_names() if isinstance(cell, (Conv2d, Add))]
    try:
        logits = net(images).asnumpy()
    finally:
        for hook in hooks:
            hook.remove()
    once = [call for call in calls if sum(call[0] is other for other, _, _ in calls) == 1]
    pairs = [(call, reader) for call in once if _is_depthwise(call[0])
             for reader in once if _is_pointwise(reader[0]) and reader[1][0] is call[2]]
    taken = [project for _, (project, _, _) in pairs]  # in MobileNetV1 it also stands before the next depthwise convolution
    free = [call for call in once if not any(call[0] is project for project in taken)]
    return [_block_of(*pair, free) for pair in pairs], logits


def _block_of(filtering, projecting, calls):
    """The Block around the calls of a depthwise convolution and of the 1 x 1 convolution that reads it."""
    depthwise, (x,), _ = filtering
    project, _, y = projecting
    expand, x = next(((cell, inputs[0]) for cell, inputs, output in calls if output is x and _is_pointwise(cell)), (None, x))
    add = next((cell for cell, inputs, _ in calls if isinstance(cell, Add) and cell.activation_name is None
                and inputs[0] is x and inputs[1] is y), None)
    return Block(expand, depthwise, project, add)


def _is_depthwise(cell):
    return isinstance(cell, Conv2d) and cell.activated and cell.geometry[4] and cell.shuffled_groups == 1


def _is_pointwise(cell):
    return isinstance(cell, Conv2d) and cell.activated and cell.geometry[1:4] == ((1, 1), 1, 0) and cell.group == 1


def _fuse(net, block):
    """Puts a FusedBlock into the place of the block's first layer. Returns [(old cell, new cell)], the FusedBlock last."""
    first, *others = block.convolutions
    changes = [(cell, nn.Identity()) for cell in others]
    if block.add is not None:
        changes.append((block.add, Second()))
    changes.append((first, FusedBlock(block)))
    for old, new in changes:
        replace_cell(net, old, new.set_train(False))
    return changes


def _revert(net, changes):
    for old, new in reversed(changes):
        replace_cell(net, new, old)


def _equal(actual, logits):
    return np.allclose(actual.asnumpy(), logits, rtol=1e-4, atol=1e-4 * np.abs(logits).max())
