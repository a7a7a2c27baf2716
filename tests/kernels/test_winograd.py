"""Winograd's convolutions against the definition in float64: how exact they are, and that no value is left out.

Their sums carry larger numbers than those of the definition: the tolerance is twice that of tests/kernels/test_convolution.py,
where sums are in the definition's order."""

import numpy as np
import pytest
from mindspore import Tensor

from mindclf import device, kernels
from mindclf.kernels.variants import FLOAT32
from mindclf.nets import create_net
from tests.kernels.direct import activate, call, convolve, packed, variants

VARIANTS = [variant for variant in variants() if variant in FLOAT32]  # the others take the other way
pytestmark = pytest.mark.skipif(not VARIANTS, reason="the kernels are not compiled: that needs a C compiler at installation")
SHAPES = [  # images, channels, height, width, outputs: large enough for winograd_pays
    (1, 32, 56, 40, 32),   # whole tiles
    (9, 33, 13, 15, 35),   # a part of a tile in both directions, and a part of a panel
    (33, 40, 7, 9, 40),    # rows of few tiles
    (1, 32, 9, 300, 32),   # rows of more tiles than a block has
]


@pytest.mark.parametrize("padding", [1, 0, 2])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("variant", VARIANTS)
def test_forward_and_input_gradient_are_those_of_the_definition(variant, shape, padding):
    images, channels, height, width, outs = shape
    rng = np.random.default_rng(0)
    x = rng.standard_normal((images, channels, height, width), np.float32)
    weight = rng.standard_normal((outs, channels, 3, 3), np.float32)
    bias = rng.standard_normal(outs, np.float32)
    y, backward = convolve(x, weight, 1, padding)
    dy = rng.standard_normal(y.shape, np.float32)
    numbers = np.array([1, padding, kernels.ACTIVATIONS["relu"]], np.int32)
    assert_close(call(variant, "convolution_forward", [x, weight, numbers], [y.shape])[0], y)
    assert_close(call(variant, "convolution_activated", [x, weight, packed(variant, weight), bias, numbers], [y.shape])[0],
                 activate(y + bias.reshape(1, -1, 1, 1), "relu")[0])
    assert_close(call(variant, "convolution_input_gradient", [x, weight, numbers, dy], [x.shape])[0], backward(dy)[0])


def assert_close(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=0, atol=6e-6 * np.abs(expected).max())


@pytest.mark.skipif(not kernels.in_use(), reason=f"the kernels are not in use: {kernels.status()[2]}")
def test_the_logits_of_a_net_are_those_of_mindspores_operators():
    """ResNet18 on 8 images of 64 pixels: its first four 3 x 3 convolutions have 128 tiles each."""
    batch = Tensor(np.random.default_rng(0).standard_normal((8, 3, 64, 64), np.float32))
    with device.pynative():
        net = create_net("resnet18", 5).set_train(False)
        with kernels.off():
            other = create_net("resnet18", 5).set_train(False)
        for own, same in zip(net.get_parameters(), other.get_parameters()):
            same.set_data(Tensor(own.asnumpy()))
        logits, expected = net(batch).asnumpy(), other(batch).asnumpy()
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
