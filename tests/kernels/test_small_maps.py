"""Convolutions of small maps against the definition in float64; where batch norm was folded with their bias and activation."""

import numpy as np
import pytest

from mindclf import kernels
from mindclf.kernels.variants import FLOAT32
from tests.kernels.direct import activate, call, convolve, packed, variants

VARIANTS = [variant for variant in variants() if variant in FLOAT32]  # the others take the other way
pytestmark = pytest.mark.skipif(not VARIANTS, reason="the kernels are not compiled: that needs a C compiler at installation")
CASES = [  # images, channels, height, width, outputs, kernel height and width, stride, padding: such as small_maps_pay takes
    (128, 64, 2, 2, 48, 3, 3, 1, 1),           # whole tiles, and of AVX-512 a part of one
    (50, 33, 2, 2, 35, 3, 3, 1, 1),            # a part of a vector of images, and of a panel
    (30, 70, 4, 4, 33, 3, 3, 2, 1),            # positions of the input that fewer elements meet
    (46, 32, 3, 5, 50, 5, 5, 1, 2),
    (31, 40, 7, 8, 34, 3, 3, 2, kernels.SAME),
    (16, 33, 4, 3, 32, 3, 1, 1, 1),            # more positions in the result than in x
    (64, 35, 5, 5, 32, 3, 3, 2, 0),            # all elements count everywhere
    (250, 32, 8, 8, 32, 3, 3, 2, 1),           # sums of a weight gradient that are cut into several
    (33, 32, 1, 1, 32, 3, 3, 1, 1),            # one position, one element
]


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("variant", VARIANTS)
def test_all_three_products_are_those_of_the_definition(variant, case):
    images, channels, height, width, outs, kernel_height, kernel_width, stride, padding = case
    rng = np.random.default_rng(0)
    x = rng.standard_normal((images, channels, height, width), np.float32)
    weight = rng.standard_normal((outs, channels, kernel_height, kernel_width), np.float32)
    bias = rng.standard_normal(outs, np.float32)
    y, backward = convolve(x, weight, stride, padding)
    dy = rng.standard_normal(y.shape, np.float32)
    dx, dweight = backward(dy)
    numbers = np.array([stride, padding, kernels.ACTIVATIONS["hswish"]], np.int32)
    for name, inputs, expected in (
            ("convolution_forward", [x, weight, numbers], y),
            ("convolution_activated", [x, weight, packed(variant, weight), bias, numbers],
             activate(y + bias.reshape(1, -1, 1, 1), "hswish")[0]),
            ("convolution_input_gradient", [x, weight, numbers, dy], dx),
            ("convolution_weight_gradient", [x, weight, numbers, dy], dweight)):
        for behind in (4, 15):
            actual, = call(variant, name, inputs, [expected.shape], behind)
            np.testing.assert_allclose(actual, expected, rtol=0, atol=3e-6 * np.abs(expected).max(), err_msg=name)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_number_that_is_not_finite_stays_in_its_image(variant):
    x = np.ones((40, 32, 2, 2), np.float32)
    x[17, 3, 1, 0] = np.inf
    y, = call(variant, "convolution_forward", [x, np.ones((32, 32, 3, 3), np.float32), np.array([1, 1], np.int32)], [x.shape])
    assert np.isinf(y[17]).all()
    assert (np.delete(y, 17, 0) == 128).all()  # of each channel four ones
