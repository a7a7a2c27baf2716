"""The CPU kernels of mindclf: which library of them is in use and why, and MindSpore operators that call it.

setup.py compiles the C sources beside this file once for each instruction set. `status` says what this process uses. Layers
(mindclf.nets.layers) ask `in_use` when they are made and then get their operators here; where kernels are not in use they take
MindSpore's own, which compute the same.

MINDCLF_KERNELS=0 turns the kernels off; avx512, avx2, portable or amx asks for that variant. "amx" multiplies bfloat16 numbers
in its convolutions, with float32 sums: faster, less exact, and never chosen unasked.
"""

import contextlib
import ctypes
import functools
import hashlib
import os
import platform
from pathlib import Path

import mindspore as ms
from mindspore import Tensor, ops

from mindclf.utils.cores import usable_cores

# Variant: the flags in /proc/cpuinfo that a processor must have to run it; the fastest first.
AVX512 = {"avx512f", "avx512bw", "avx512dq", "avx512vl", "avx2", "fma"}
VARIANTS = {"amx": {*AVX512, "avx512_bf16", "amx_tile", "amx_bf16"}, "avx512": AVX512, "avx2": {"avx2", "fma"}, "portable": set()}
UNASKED = ("avx512", "avx2", "portable")  # those that compute in float32
ACTIVATIONS = {None: 0, "relu": 1, "relu6": 2, "hswish": 3}  # as in activation.h
MAX_TAPS = 128  # as in windows.h
NEWEST = "limit_threads"  # the C function that was added last
SAME = -1  # stands for the padding of TensorFlow, as in entry.h

_off = 0


@contextlib.contextmanager
def off():
    """Layers that are made or folded inside the block use MindSpore's own operators. Exported files need that."""
    global _off
    _off += 1
    try:
        yield
    finally:
        _off -= 1


def in_use():
    """Whether layers that are made now use the kernels."""
    return status()[0]


def status():
    """(in use, instruction set, reason): True, one of VARIANTS, why that one; or False, "", why not."""
    if _off:
        return False, "", "turned off for now, as for export"
    target = ms.get_context("device_target")
    if target != "CPU":
        return False, "", f"the device is {target}; the kernels are for CPU"
    variant, reason = _choose(os.environ.get("MINDCLF_KERNELS", ""))
    return bool(variant), variant, reason


@functools.cache
def _choose(wanted):
    """(variant, why) that MINDCLF_KERNELS=wanted gives on this machine; ("", why) if none."""
    if wanted == "0":
        return "", "turned off by MINDCLF_KERNELS=0"
    if wanted not in ("", "1", *VARIANTS):
        raise ValueError(f"MINDCLF_KERNELS={wanted!r} is not known; expected one of 0, 1, {', '.join(VARIANTS)}")
    if platform.system() != "Linux":
        return "", "MindSpore has operators of one's own on Linux only"
    if not any(map(library, VARIANTS)):
        return "", "they are not compiled; that needs a C compiler, GCC or Clang, when mindclf is installed"
    flags = _processor_flags()
    reasons = []
    for variant, needed in VARIANTS.items():
        if variant not in ((wanted,) if wanted in VARIANTS else UNASKED):
            continue
        if not needed <= flags:
            reasons.append(f"{variant}: this processor lacks {', '.join(sorted(needed - flags))}")
        elif (problem := _problem_of(variant)) is not None:
            reasons.append(f"{variant}: {problem}")
        else:
            reasons.insert(0, "asked for by MINDCLF_KERNELS" if wanted == variant else "the fastest that fits")
            return variant, "; ".join(reasons)
    return "", "; ".join(reasons)


def _processor_flags(cpuinfo=Path("/proc/cpuinfo")):
    if platform.machine().lower() not in ("x86_64", "amd64") or not cpuinfo.exists():
        return set()
    lines = (line for line in cpuinfo.read_text(encoding="utf-8").splitlines() if line.startswith("flags"))
    return set(next(lines, "").split())


def available(variant):
    """Whether a variant is compiled and runs on this processor."""
    return VARIANTS[variant] <= _processor_flags() and _problem_of(variant) is None


def library(variant):
    """The path of the compiled library of a variant, or None if it was not compiled."""
    return next(iter(sorted(Path(__file__).parent.glob(f"_{variant}.*so"))), None)


@functools.cache
def digest(variant):
    """The SHA-256 of the library of a variant, in hexadecimal: another one may compute in another order or precision."""
    return hashlib.sha256(library(variant).read_bytes()).hexdigest()


def _problem_of(variant):
    path = library(variant)
    if path is None:
        return "not compiled"
    try:
        loaded = ctypes.CDLL(str(path))
    except OSError as error:
        return f"cannot be loaded: {error}"
    if not hasattr(loaded, NEWEST):
        return "compiled for an older mindclf: install it again"
    loaded.limit_threads(ctypes.c_long(usable_cores()))
    return None if loaded.permitted() else "the system does not let programs use this part of the processor"


def render_views():
    """The C function of that name in view.c, called with a count and three addresses, or None where it is not compiled.

    It needs no MindSpore. MINDCLF_KERNELS chooses its variant as for nets; the device does not matter, for the processor makes
    the data of any.
    """
    return _render_views(os.environ.get("MINDCLF_KERNELS", ""))


@functools.cache
def _render_views(wanted):
    variant, _ = _choose(wanted)
    if not variant:
        return None
    function = ctypes.CDLL(str(library(variant))).render_views
    function.argtypes, function.restype = [ctypes.c_int64] + [ctypes.c_void_p] * 3, ctypes.c_int
    return function


def _operator(name, settings, shape, outputs, bprop=None):
    """The MindSpore operator of a C function; `shape` makes the output shapes from the input shapes. All outputs are float32.

    It raises ValueError for inputs or outputs without values, such as a batch of 0 or a map that a window does not fit into.
    MindSpore takes operators of equal attributes for one, and then their shapes too: the settings have to be an attribute.
    """
    in_use, variant, reason = status()
    if not in_use:
        raise RuntimeError(f"no kernels are in use: {reason}")
    function = f"{library(variant)}:{name}"
    types = ms.float32 if outputs == 1 else (ms.float32,) * outputs
    operator = ops.Custom(function, _refusing_empty(name, shape), types, "aot", bprop=bprop)
    operator.add_prim_attr("settings", str(settings))
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


def _made_once(make):
    """`make` with its results kept, for each variant by itself."""
    kept = functools.cache(lambda variant, *arguments: make(*arguments))
    return functools.wraps(make)(lambda *arguments: kept(status()[1], *arguments))


def can_convolve(kernel_size, stride, padding):
    """Whether `convolution` computes such a convolution: one stride for both axes, and not too large a window."""
    height, width = kernel_size
    return stride[0] == stride[1] and height * width <= MAX_TAPS and padding < min(height, width)


def _shape_of_output(out_channels, kernel_size, stride, padding):
    """The function that tells MindSpore the output's shape from the inputs'; `out_channels` None stands for those of x."""
    height, width = kernel_size

    def extent(size, window):
        return -(-size // stride) if padding == SAME else max((size + 2 * padding - window) // stride + 1, 0)

    def shape(x, *others):
        return x[0], x[1] if out_channels is None else out_channels, extent(x[2], height), extent(x[3], width)

    return shape


@_made_once
def convolution(out_channels, kernel_size, stride, padding, depthwise=False):
    """(operator, settings): operator(x, weight, settings) is the convolution of (N, C, H, W) without bias.

    `stride` is an int; `padding` counts the zeros on each side, or is SAME. The number of groups follows from the shapes.
    `depthwise` takes the kernels for a group a channel, which have 3 x 3 and 5 x 5 windows and strides 1 and 2.
    """
    values = (stride, padding)
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

    # Two operators: MindSpore then leaves out the gradient that nobody asks for, as that of the images.
    input_gradient = _operator("convolution_input_gradient", values, shape_of_x, 1)
    weight_gradient = _operator("convolution_weight_gradient", values, shape_of_weight, 1)

    def bprop(x, weight, settings, out, dout):
        return (input_gradient(x, weight, settings, dout), weight_gradient(x, weight, settings, dout),
                ops.zeros_like(settings))

    return _operator("convolution_forward", values, output_shape, 1, bprop), settings


@_made_once
def activated_convolution(out_channels, kernel_size, stride, padding, depthwise, activation):
    """(operator, settings): operator(x, weight, bias, settings) is the activation, of ACTIVATIONS, of a convolution with bias.

    For inference: it has no gradient. The other arguments are those of `convolution`.
    """
    values = (stride, padding, ACTIVATIONS[activation])
    shape = _shape_of_output(out_channels, kernel_size, stride, padding)
    name = "depthwise_activated" if depthwise else "convolution_activated"
    return _operator(name, values, shape, 1), Tensor(values, ms.int32)


def can_pool(kernel_size, stride, padding):
    """Whether `max_pool` computes such a pool."""
    return stride in (1, 2) and padding < kernel_size


@_made_once
def max_pool(kernel_size, stride, padding):
    """(operator, settings): operator(x, settings) is the largest value of each window of kernel_size x kernel_size.

    `stride` is an int; `padding` counts the values outside of the map on each side, which never are the largest, or is SAME.
    """
    values = (kernel_size, stride, padding)
    settings = Tensor(values, ms.int32)

    def shape_of_x(x, settings, dy):
        return x

    backward = _operator("max_pool_backward", values, shape_of_x, 1)

    def bprop(x, settings, out, dout):
        return backward(x, settings, dout), ops.zeros_like(settings)

    shape = _shape_of_output(None, (kernel_size, kernel_size), stride, padding)
    return _operator("max_pool_forward", values, shape, 1, bprop), settings


@_made_once
def add(activation):
    """(operator, settings): operator(a, b, settings) is a + b and then the activation, None or "relu"; (N, C, H, W) each."""
    values = (ACTIVATIONS[activation],)
    settings = Tensor(values, ms.int32)

    def shape_of_a(a, b, *settings):
        return a

    relu_backward = _operator("relu_backward", (), shape_of_a, 1)

    def bprop(a, b, settings, out, dout):
        gradient = relu_backward(out, dout) if activation else dout
        return gradient, gradient, ops.zeros_like(settings)

    return _operator("add_forward", values, shape_of_a, 1, bprop), settings


@_made_once
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


@_made_once
def batch_norm(eps, momentum, activation):
    """(train, infer, settings) for batch norm and then an activation of ACTIVATIONS.

    train(x, gamma, beta, moving_mean, moving_variance, settings) gives y, the mean and the inverse deviation of the batch, and
    the new moving mean and variance, `momentum` of which is the old one; infer(the same) gives y.
    """
    values = (eps, momentum, ACTIVATIONS[activation])
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
