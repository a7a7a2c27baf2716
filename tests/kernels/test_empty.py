"""Arrays without values: every kernel refuses them, in each variant; none divides by their number or writes anything."""

import re

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor

from mindclf import device, kernels
from mindclf.nets.layers import Add, BatchNorm, GlobalAvgPooling, MaxPool, conv2d
from tests.kernels.direct import run, variants
from tests.kernels.headers import CSRC, constants

pytestmark = pytest.mark.skipif(not variants(), reason="the kernels are not compiled: that needs a C compiler at installation")
BAD_SHAPE = constants("custom_op.h")["BAD_SHAPE"]
SIZES = {"n": 2, "c": 3, "h": 4, "w": 5, "o": 6, "e": 7, "y": 12, "k": 3, "1": 1,
         "p": 16 * 32, "q": 16 * 64}  # packed weights: of 16 rows and a multiple of 32 in depth
CONVOLUTION, DEPTHWISE, POOL, ADD = (np.array(values, np.int32) for values in ([1, 1, 0], [1, 1, 0, 1], [3, 1, 1], [1]))
BLOCK = np.array([1, 1, 2, 2, 0, 0], np.int32)
NORM = np.array([1e-5, 0.9, 1], np.float32)
# The axes of each input and output, of maps n images x c channels x h x w; outputs of convolutions and pools are as large.
CALLS = {
    "add_forward": (["nchw", "nchw", ADD], ["nchw"]),
    "relu_backward": (["nchw", "nchw"], ["nchw"]),
    "gate_forward": (["nchw", "nc11"], ["nchw"]),
    "gate_backward": (["nchw", "nc11", "nchw"], ["nchw", "nc11"]),
    "global_average_forward": (["nchw"], ["nc"]),
    "global_average_backward": (["nchw", "nc"], ["nchw"]),
    "average_pool_forward": (["nchw", POOL], ["nchw"]),
    "average_pool_backward": (["nchw", POOL, "nchw"], ["nchw"]),
    "max_pool_forward": (["nchw", POOL], ["nchw"]),
    "max_pool_backward": (["nchw", POOL, "nchw"], ["nchw"]),
    "convolution_forward": (["nchw", "ockk", CONVOLUTION], ["nohw"]),
    "convolution_activated": (["nchw", "ockk", "p", "o", CONVOLUTION], ["nohw"]),
    "pack_weights": (["nchw", np.array([1], np.int32)], ["q"]),
    "convolution_input_gradient": (["nchw", "ockk", CONVOLUTION, "nohw"], ["nchw"]),
    "convolution_weight_gradient": (["nchw", "ockk", CONVOLUTION, "nohw"], ["ockk"]),
    "depthwise_forward": (["nchw", "c1kk", DEPTHWISE], ["nchw"]),
    "depthwise_activated": (["nchw", "c1kk", "c", DEPTHWISE], ["nchw"]),
    "depthwise_backward": (["nchw", "c1kk", DEPTHWISE, "nchw"], ["nchw", "c1kk"]),
    "separable": (["nchw", "c1kk", "c", "p", "o", BLOCK], ["nohw"]),
    "inverted_residual": (["nchw", "p", "e", "e1kk", "e", "p", "o", BLOCK], ["nohw"]),
    "batch_norm_train": (["nchw", "c", "c", "c", "c", NORM], ["nchw", "c", "c", "c", "c"]),
    "batch_norm_infer": (["nchw", "c", "c", "c", "c", NORM], ["nchw"]),
    "batch_norm_train_backward": (["nchw", "c", "c", "c", "c", NORM, "nchw"], ["nchw", "c", "c"]),
    "batch_norm_infer_backward": (["nchw", "c", "c", "c", "c", NORM, "nchw"], ["nchw", "c", "c"]),
    "concat_forward": (["nchw", "nohw", np.array([0, 1, 0], np.int32)], ["nyhw"]),
    "concat_backward": (["nchw", "nohw", np.array([0, 1, 0], np.int32), "nyhw"], ["nchw", "nohw"]),
    "momentum_step": (["nchw", "nchw", "nchw", "1", "1", np.array([0.9, 1], np.float32)], ["1"]),
}


def test_every_kernel_is_tried():
    sources = "".join(file.read_text(encoding="utf-8") for file in sorted(CSRC.glob("*.c")))
    assert set(re.findall(r"^KERNEL(?:_OF_MANY)?\((\w+)\)", sources, re.MULTILINE)) == set(CALLS)


def outcome(variant, name, sizes):
    inputs, outputs = CALLS[name]
    arrays = [np.ones([sizes[axis] for axis in array], np.float32) if isinstance(array, str) else array for array in inputs]
    return run(variant, name, arrays, [tuple(sizes[axis] for axis in array) for array in outputs])


@pytest.mark.parametrize("variant", variants())
@pytest.mark.parametrize("name", CALLS)
def test_an_axis_of_zero_is_refused_and_nothing_written(variant, name):
    assert outcome(variant, name, SIZES)[0] == 0
    axes = set("".join(array for array in CALLS[name][0] + CALLS[name][1] if isinstance(array, str))) - {"1"}
    assert axes >= set("nchw")
    for axis in sorted(axes):
        status, outputs = outcome(variant, name, {**SIZES, axis: 0})
        assert status == BAD_SHAPE, axis
        assert all((output == 77).all() for output in outputs)


LAYERS = {
    "convolution": lambda: conv2d(3, 4, 3), "depthwise": lambda: conv2d(3, 3, 3, groups=3), "max pool": lambda: MaxPool(3, 2),
    "batch norm": lambda: BatchNorm(3, activation="relu"), "global average": GlobalAvgPooling,
    "sum": lambda: lambda x: Add("relu")(x, x),
}


@pytest.mark.skipif(not kernels.status()[0], reason=f"the kernels are not in use: {kernels.status()[2]}")
@pytest.mark.parametrize("shape", [(0, 3, 8, 8), (2, 3, 0, 8), (2, 3, 8, 0)], ids=str)
@pytest.mark.parametrize("layer", LAYERS)
def test_a_layer_says_which_shape_it_cannot_take(layer, shape):
    with device.pynative(), pytest.raises(ValueError, match=re.escape(f"of shape {shape}")) as error:
        LAYERS[layer]()(Tensor(np.zeros(shape), ms.float32))
    assert "\n" not in str(error.value)


@pytest.mark.skipif(not kernels.status()[0], reason=f"the kernels are not in use: {kernels.status()[2]}")
@pytest.mark.parametrize("size", [(2, 9), (4, 4)], ids=str)
def test_a_window_that_does_not_fit_is_refused(size):
    with device.pynative(), pytest.raises(ValueError, match=r"nothing left, of shape \(1, 4, 0, [02]\)"):
        conv2d(3, 4, 7, 2, padding=0)(Tensor(np.zeros((1, 3, *size)), ms.float32))
