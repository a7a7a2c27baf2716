"""Operators: MindSpore operators that call the C functions of csrc/, with their gradients.

The functions that make them return (operator, settings), where `settings` is a tensor that the operator takes as an input:
numbers such as the stride, in the order of SETTINGS. Layers (mindclf.nets.layers) ask `in_use` when they are made and then get
their operators here; where the kernels are not in use they take MindSpore's own operators, which compute the same.
"""

import functools

import mindspore as ms
from mindspore import Tensor, ops
from mindspore.ops import signature as sig

from mindclf.kernels.dispatch import library, status

# tests/kernels/test_constants.py holds these equal to the headers of csrc/.
ACTIVATIONS = {None: 0, "relu": 1, "relu6": 2, "hswish": 3}  # as in activation.h
MAX_KERNEL_ELEMENTS = 128  # as in im2col.h
PACKED_ROWS, PACKED_DEPTH = 16, 32  # as in gemm.h
SAME = -1  # stands for the padding of TensorFlow, as in custom_op.h
SETTINGS = {  # as in settings.h
    "convolution": ("stride", "padding", "activation"),
    "pack": ("groups",),
    "depthwise": ("stride", "padding", "activation", "shuffled_groups"),
    "separable": ("stride", "padding", "expand_activation", "depthwise_activation", "project_activation", "residual"),
    "pool": ("kernel_size", "stride", "padding"),
    "add": ("activation",),
    "batch_norm": ("epsilon", "momentum", "activation"),
    "momentum": ("momentum", "scale"),
}


def _values(kind, **named):
    """The values of the input `settings`, a tuple in the order of SETTINGS[kind]. An activation is a name or None."""
    named = {name: ACTIVATIONS[value] if name.endswith("activation") else value for name, value in named.items()}
    assert set(named) == set(SETTINGS[kind])
    return tuple(named[name] for name in SETTINGS[kind])


def _operator(name, values, shape, outputs, bprop=None):
    """The MindSpore operator of the C function `name`, with so many float32 outputs.

    `shape` makes the output shapes from the input shapes. The operator raises ValueError for inputs or outputs without values,
    such as a batch of 0 or a map smaller than the kernel. MindSpore takes operators of equal attributes for one and the same,
    with the same shapes: so the `values` of the settings are an attribute too.
    """
    in_use, variant, reason = status()
    if not in_use:
        raise RuntimeError(f"no kernels are in use: {reason}")
    types = ms.float32 if outputs == 1 else (ms.float32,) * outputs
    operator = ops.Custom(f"{library(variant)}:{name}", _refusing_empty(name, shape), types, "aot", bprop=bprop)
    operator.add_prim_attr("settings", str(values))
    return operator


def _refusing_empty(name, shape):
    """The function `shape`, which raises ValueError where an input or an output of the operator `name` has an axis of 0."""
    @functools.wraps(shape)
    def checked(*inputs):
        outputs = shape(*inputs)
        for sizes in (*inputs, *(outputs if isinstance(outputs[0], (list, tuple)) else (outputs,))):
            if 0 in sizes:
                raise ValueError(f"{name}: there is nothing to compute with, or nothing left, of shape {tuple(sizes)}")
        return outputs

    return checked


def _cached(make):
    """`make` with its results kept, for each variant apart."""
    kept = functools.cache(lambda variant, *arguments: make(*arguments))
    return functools.wraps(make)(lambda *arguments: kept(status()[1], *arguments))


def can_convolve(kernel_size, stride, padding):
    """Whether `convolution` computes such a convolution: one stride for both axes, and not too large a kernel."""
    height, width = kernel_size
    return stride[0] == stride[1] and height * width <= MAX_KERNEL_ELEMENTS and padding < min(height, width)


def can_convolve_depthwise(kernel_size, stride):
    """Whether `convolution` with `depthwise` computes such a convolution: 3 x 3 or 5 x 5, stride 1 or 2."""
    return kernel_size in ((3, 3), (5, 5)) and stride in ((1, 1), (2, 2))


def _shape_of_output(out_channels, kernel_size, stride, padding):
    """The function that tells MindSpore the output's shape from the inputs'; `out_channels` None stands for those of x."""
    height, width = kernel_size

    def extent(size, kernel):
        return -(-size // stride) if padding == SAME else max((size + 2 * padding - kernel) // stride + 1, 0)

    def shape(x, *others):
        return x[0], x[1] if out_channels is None else out_channels, extent(x[2], height), extent(x[3], width)

    return shape


def _convolution_values(stride, padding, depthwise, shuffled_groups, activation=None):
    if depthwise:
        return _values("depthwise", stride=stride, padding=padding, activation=activation, shuffled_groups=shuffled_groups)
    assert shuffled_groups == 1
    return _values("convolution", stride=stride, padding=padding, activation=activation)


@_cached
def convolution(out_channels, kernel_size, stride, padding, depthwise=False, shuffled_groups=1):
    """(operator, settings): operator(x, weight, settings) is the convolution of (N, C, H, W) without bias.

    `stride` is an int; `padding` counts the zeros on each side, or is SAME. The number of groups follows from the shapes.
    `depthwise` takes the C functions for one channel a group: see `can_convolve_depthwise`. They can shuffle the channels first,
    as `channel_shuffle` of so many groups does.
    """
    values = _convolution_values(stride, padding, depthwise, shuffled_groups)
    settings = Tensor(values, ms.int32)
    output_shape = _shape_of_output(out_channels, kernel_size, stride, padding)

    def shape_of_x(x, weight, settings, dy):
        return x

    def shape_of_weight(x, weight, settings, dy):
        return weight

    def shape_of_both(x, weight, settings, dy):
        return x, weight

    if depthwise:
        backward = _operator("depthwise_backward", values, shape_of_both, 2)

        def bprop(x, weight, settings, out, dout):
            dx, dweight = backward(x, weight, settings, dout)
            return dx, dweight, ops.zeros_like(settings)

        return _operator("depthwise_forward", values, output_shape, 1, bprop), settings

    # Two operators: MindSpore then leaves out a gradient that nobody asks for, such as that of the images.
    input_gradient = _operator("convolution_input_gradient", values, shape_of_x, 1)
    weight_gradient = _operator("convolution_weight_gradient", values, shape_of_weight, 1)

    def bprop(x, weight, settings, out, dout):
        return (input_gradient(x, weight, settings, dout), weight_gradient(x, weight, settings, dout),
                ops.zeros_like(settings))

    return _operator("convolution_forward", values, output_shape, 1, bprop), settings


@_cached
def activated_convolution(out_channels, kernel_size, stride, padding, depthwise, shuffled_groups, activation):
    """(operator, settings): a convolution with bias and then an activation of ACTIVATIONS.

    operator(x, weight, packed, bias, settings) takes the weight also as `pack_weights` gives it, unless it is `depthwise`:
    operator(x, weight, bias, settings). It is for inference and has no gradient. The other arguments are those of `convolution`.
    """
    values = _convolution_values(stride, padding, depthwise, shuffled_groups, activation)
    shape = _shape_of_output(out_channels, kernel_size, stride, padding)
    name = "depthwise_activated" if depthwise else "convolution_activated"
    return _operator(name, values, shape, 1), Tensor(values, ms.int32)


@_cached
def pack_weights(groups=1):
    """(operator, settings): operator(weight, settings) puts weights into the order in which kernels for inference read them.

    It takes those of a convolution, (O, I / groups, height, width), and gives (n,). The order is that of the library in use, and
    what it rounds is rounded; see csrc/gemm.h.
    """
    def shape(weight, settings):
        rows, depth = weight[0] // groups, weight[1] * weight[2] * weight[3]
        return (groups * (-rows // PACKED_ROWS * -PACKED_ROWS) * (-depth // PACKED_DEPTH * -PACKED_DEPTH),)

    values = _values("pack", groups=groups)
    return _operator("pack_weights", values, shape, 1), Tensor(values, ms.int32)


@_cached
def separable(out_channels, kernel_size, stride, padding, activations, residual):
    """(operator, settings): a depthwise convolution and then a 1 x 1 convolution in one pass; plus x, if it is `residual`.

    operator(x, weight, bias, projecting weight, bias, settings) takes (N, C, H, W) and gives (N, out_channels, ...). Both
    convolutions have a bias and one of the two `activations`; the projecting weight is as `pack_weights` gives it. It is for
    inference and has no gradient. The other arguments are those of a depthwise `convolution`.
    """
    return _separable("separable", out_channels, kernel_size, stride, padding, (None, *activations), residual)


@_cached
def inverted_residual(out_channels, kernel_size, stride, padding, activations, residual):
    """(operator, settings): a 1 x 1 convolution and then what `separable` computes, in one pass.

    operator(x, expanding weight, bias, weight, bias, projecting weight, bias, settings); there are three `activations`, and the
    expanding weight is packed like the projecting one.
    """
    return _separable("inverted_residual", out_channels, kernel_size, stride, padding, activations, residual)


def _separable(name, out_channels, kernel_size, stride, padding, activations, residual):
    expand, depthwise, project = activations
    values = _values("separable", stride=stride, padding=padding, expand_activation=expand, depthwise_activation=depthwise,
                     project_activation=project, residual=int(residual))
    shape = _shape_of_output(out_channels, kernel_size, stride, padding)
    return _operator(name, values, shape, 1), Tensor(values, ms.int32)


def can_pool(kernel_size, stride, padding):
    """Whether `max_pool` and `average_pool` compute such a pool."""
    return stride in (1, 2) and padding < kernel_size


@_cached
def max_pool(kernel_size, stride, padding):
    """(operator, settings): operator(x, settings) is the largest value of each window of kernel_size x kernel_size.

    `stride` is 1 or 2; `padding` counts the values outside of the map on each side, which are never the largest, or is SAME.
    """
    return _pool("max_pool", kernel_size, stride, padding)


@_cached
def average_pool(kernel_size, stride, padding):
    """(operator, settings): operator(x, settings) is the mean of each window of kernel_size x kernel_size.

    The arguments are those of `max_pool`. What is outside of the map does not count: at the border the mean is of fewer values.
    """
    return _pool("average_pool", kernel_size, stride, padding)


def _pool(name, kernel_size, stride, padding):
    values = _values("pool", kernel_size=kernel_size, stride=stride, padding=padding)
    settings = Tensor(values, ms.int32)

    def shape_of_x(x, settings, dy):
        return x

    backward = _operator(f"{name}_backward", values, shape_of_x, 1)

    def bprop(x, settings, out, dout):
        return backward(x, settings, dout), ops.zeros_like(settings)

    shape = _shape_of_output(None, (kernel_size, kernel_size), stride, padding)
    return _operator(f"{name}_forward", values, shape, 1, bprop), settings


@_cached
def add(activation):
    """(operator, settings): operator(a, b, settings) is a + b, both (N, C, H, W), and then an activation: None or "relu"."""
    values = _values("add", activation=activation)
    settings = Tensor(values, ms.int32)

    def shape_of_a(a, b, *settings):
        return a

    relu_backward = _operator("relu_backward", (), shape_of_a, 1)

    def bprop(a, b, settings, out, dout):
        gradient = relu_backward(out, dout) if activation else dout
        return gradient, gradient, ops.zeros_like(settings)

    return _operator("add_forward", values, shape_of_a, 1, bprop), settings


@_cached
def global_average():
    """operator(x): the mean of each plane, (N, C, H, W) -> (N, C)."""
    def shape_of_y(x):
        return x[0], x[1]

    def shape_of_x(x, dy):
        return x

    backward = _operator("global_average_backward", (), shape_of_x, 1)

    def bprop(x, out, dout):
        return (backward(x, dout),)

    return _operator("global_average_forward", (), shape_of_y, 1, bprop)


@_cached
def gate():
    """operator(x, gates): each plane of (N, C, H, W) times clip(g + 3, 0, 6) / 6, the hard sigmoid of its g in (N, C, 1, 1)."""
    def shape_of_x(x, gates):
        return x

    def shape_of_both(x, gates, dy):
        return x, gates

    backward = _operator("gate_backward", (), shape_of_both, 2)

    def bprop(x, gates, out, dout):
        return backward(x, gates, dout)

    return _operator("gate_forward", (), shape_of_x, 1, bprop)


def can_concat(order):
    """Whether `concat` has room for so many places: MOST in csrc/concat.c."""
    return len(order) <= 16


@_cached
def concat(*order):
    """(operator, order as a tensor): operator(x, y, order) has x and y (N, C, H, W) after one another along the channels.

    `order` has 0 for x and 1 for y, see `can_concat`; each has a place or several.
    """
    def shape_of_whole(x, y, order_shape):
        return x[0], sum((x, y)[part][1] for part in order), x[2], x[3]

    def shapes_of_parts(x, y, order_shape, dwhole):
        return x, y

    backward = _operator("concat_backward", order, shapes_of_parts, 2)

    def bprop(x, y, order, out, dout):
        dx, dy = backward(x, y, order, dout)
        return dx, dy, ops.zeros_like(order)

    return _operator("concat_forward", order, shape_of_whole, 1, bprop), Tensor(order, ms.int32)


@_cached
def batch_norm(eps, momentum, activation):
    """(train, infer, settings): two operators for batch norm and then an activation of ACTIVATIONS.

    train(x, gamma, beta, moving_mean, moving_variance, settings) gives y, the mean and the inverse standard deviation of the
    batch, and the new moving mean and variance, to which the old ones contribute the fraction `momentum`. infer takes the same
    inputs and gives y.
    """
    values = _values("batch_norm", epsilon=eps, momentum=momentum, activation=activation)
    settings = Tensor(values, ms.float32)

    def shape_of_x(x, gamma, beta, mean, variance, settings):
        return x

    def shapes_of_training(x, gamma, beta, mean, variance, settings):
        return x, gamma, gamma, gamma, gamma

    def shapes_of_gradients(x, gamma, beta, mean, variance, settings, dy):
        return x, gamma, beta

    train_backward = _operator("batch_norm_train_backward", values, shapes_of_gradients, 3)
    infer_backward = _operator("batch_norm_infer_backward", values, shapes_of_gradients, 3)

    def train_bprop(x, gamma, beta, mean, variance, settings, out, dout):
        dx, dgamma, dbeta = train_backward(x, gamma, beta, out[1], out[2], settings, dout[0])
        return dx, dgamma, dbeta, ops.zeros_like(mean), ops.zeros_like(variance), ops.zeros_like(settings)

    def infer_bprop(x, gamma, beta, mean, variance, settings, out, dout):
        dx, dgamma, dbeta = infer_backward(x, gamma, beta, mean, variance, settings, dout)
        return dx, dgamma, dbeta, ops.zeros_like(mean), ops.zeros_like(variance), ops.zeros_like(settings)

    return (_operator("batch_norm_train", values, shapes_of_training, 5, train_bprop),
            _operator("batch_norm_infer", values, shape_of_x, 1, infer_bprop), settings)


def momentum_step(count, momentum, scale):
    """(operator, settings): a step of gradient descent with `momentum`, of so many weights in one call, in place.

    operator(*weights, *moments, *gradients, decays, rate, settings) takes parameters of float32 and their gradients, which it
    multiplies by `scale`; `decays` (count,) are weight decays, and `rate` is the learning rate. It computes moment = momentum x
    moment + scale x gradient + decay x weight and weight = weight - rate x moment, and gives a tensor (1,) when all is done.
    """
    def shape(*inputs):
        return (1,)

    values = _values("momentum", momentum=momentum, scale=scale)
    operator = _operator("momentum_step", values, shape, 1)
    written = [sig.make_sig(f"written{i}", sig.sig_rw.RW_WRITE) for i in range(2 * count)]
    operator.set_signatures((*written, *(sig.make_sig(f"read{i}") for i in range(count + 3))))
    operator.add_prim_attr("side_effect_mem", True)  # MindSpore then runs it after whatever reads the weights before it
    return operator, Tensor(values, ms.float32)
