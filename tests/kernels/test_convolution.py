"""The convolution kernels against the definition in float64, and against MindSpore's operator.

In bfloat16 products of numbers that it holds are exact, and sums are float32: rounded inputs have to give what float32 gives."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mindclf import kernels
from tests.kernels.direct import activate, call, convolve, exact, out_size, packed, variants

pytestmark = pytest.mark.skipif(not variants(), reason="the kernels are not compiled: that needs a C compiler at installation")


def shuffled(x, groups):
    """ShuffleNet's channel shuffle, as MindSpore's tutorial has it: the channels as (C / groups, groups), transposed."""
    return x.reshape(len(x), -1, groups, *x.shape[2:]).swapaxes(1, 2).reshape(x.shape)


def unshuffled(x, groups):
    return shuffled(x, x.shape[1] // groups)


def check(variant, x_shape, weight_shape, stride, padding, depthwise, seed=0, groups=1):
    """Forward and both gradients within float32's rounding of the definition; depthwise perhaps of shuffled `groups`."""
    rng = np.random.default_rng(seed)
    x, weight = exact(variant, *(rng.standard_normal(shape, np.float32) for shape in (x_shape, weight_shape)))
    y_shape = (x_shape[0], weight_shape[0], out_size(x_shape[2], weight_shape[2], stride, padding),
               out_size(x_shape[3], weight_shape[3], stride, padding))
    dy, = exact(variant, rng.standard_normal(y_shape, np.float32))
    geometry = np.array([stride, padding, 0, groups], np.int32)
    expected, backward = convolve(shuffled(x, groups), weight, stride, padding)
    expected_dx, expected_dweight = backward(dy)
    expected_dx = unshuffled(expected_dx, groups)
    name = "depthwise" if depthwise else "convolution"
    assert_close(call(variant, f"{name}_forward", [x, weight, geometry], [y_shape])[0], expected)
    if depthwise:
        dx, dweight = call(variant, "depthwise_backward", [x, weight, geometry, dy], [x_shape, weight_shape])
    else:
        dx = call(variant, "convolution_input_gradient", [x, weight, geometry, dy], [x_shape])[0]
        dweight = call(variant, "convolution_weight_gradient", [x, weight, geometry, dy], [weight_shape])[0]
    assert_close(dx, expected_dx)
    assert_close(dweight, expected_dweight)


def assert_close(actual, expected):
    scale = max(1, np.abs(expected).max(initial=0))
    np.testing.assert_allclose(actual, expected, rtol=0, atol=3e-6 * scale)


@pytest.mark.parametrize("variant", variants())
@pytest.mark.parametrize("padding", [None, kernels.SAME, 0], ids=["half", "same", "none"])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel_size", [3, 5])
@pytest.mark.parametrize("shape", [
    (1, 1, 1, 1), (2, 3, 2, 3), (2, 17, 4, 4), (1, 5, 7, 7), (3, 16, 7, 8), (1, 33, 8, 7), (2, 3, 14, 15), (1, 2, 16, 16),
    (2, 3, 17, 19), (1, 1, 33, 40), (2, 2, 31, 64), (1, 1280, 7, 7), (1, 2, 5, 300), (1, 2, 40, 3), (2, 1, 112, 112),
], ids=str)
def test_depthwise(variant, shape, kernel_size, stride, padding):
    padding = (kernel_size - 1) // 2 if padding is None else padding
    if padding == 0 and min(shape[2:]) < kernel_size:
        padding = kernel_size - 1  # the kernel has to fit
    check(variant, shape, (shape[1], 1, kernel_size, kernel_size), stride, padding, depthwise=True)


@pytest.mark.parametrize("variant", variants())
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel_size", [3, 5])
@pytest.mark.parametrize(("shape", "groups"), [
    ((2, 6, 4, 4), 3), ((2, 6, 4, 4), 2), ((1, 60, 7, 7), 3), ((2, 32, 28, 29), 8), ((1, 4, 33, 40), 4), ((3, 34, 14, 14), 2),
], ids=str)
def test_depthwise_of_shuffled_groups(variant, shape, groups, kernel_size, stride):
    check(variant, shape, (shape[1], 1, kernel_size, kernel_size), stride, kernel_size // 2, depthwise=True, groups=groups)


@pytest.mark.parametrize("variant", variants())
@pytest.mark.parametrize(("shape", "outs", "kernel_size", "stride", "padding", "groups"), [
    ((1, 1, 1, 1), 1, (1, 1), 1, 0, 1),
    ((2, 3, 2, 3), 5, (1, 1), 1, 0, 1),
    ((5, 16, 4, 4), 24, (1, 1), 1, 0, 1),
    ((3, 32, 7, 7), 17, (1, 1), 1, 0, 1),
    ((1, 320, 7, 7), 1280, (1, 1), 1, 0, 1),
    ((2, 24, 14, 13), 144, (1, 1), 1, 0, 1),
    ((1, 8, 112, 112), 16, (1, 1), 1, 0, 1),
    ((2, 960, 1, 1), 240, (1, 1), 1, 0, 1),
    ((2, 12, 9, 10), 30, (1, 1), 1, 0, 3),
    ((2, 60, 7, 7), 240, (1, 1), 1, 0, 3),
    ((2, 6, 9, 8), 10, (1, 1), 2, 0, 1),
    ((2, 6, 9, 8), 10, (1, 1), 2, kernels.SAME, 2),
    ((2, 3, 32, 32), 32, (3, 3), 1, 1, 1),
    ((2, 3, 33, 32), 8, (3, 3), 2, 1, 1),
    ((2, 3, 32, 32), 8, (3, 3), 2, kernels.SAME, 1),
    ((1, 3, 40, 41), 9, (7, 7), 2, 3, 1),
    ((1, 3, 40, 41), 9, (11, 11), 4, 2, 1),
    ((3, 64, 4, 4), 64, (3, 3), 1, 1, 1),
    ((2, 5, 8, 8), 6, (1, 7), 1, kernels.SAME, 1),
    ((2, 5, 8, 8), 6, (7, 1), 1, kernels.SAME, 1),
    ((2, 5, 8, 9), 6, (3, 3), 3, 0, 1),
    ((2, 8, 5, 5), 8, (7, 7), 1, 3, 8),
    ((1, 512, 6, 6), 24, (3, 3), 1, 1, 1),
    ((6, 4, 112, 112), 64, (1, 1), 1, 0, 1),  # large enough for non-temporal stores: see vector.h
    ((6, 64, 112, 112), 4, (1, 1), 1, 0, 2),
    ((2, 2, 32, 32), 546, (3, 3), 2, 1, 1),  # the parts of dx have less depth, and so more columns, than the whole
], ids=str)
def test_convolution(variant, shape, outs, kernel_size, stride, padding, groups):
    check(variant, shape, (outs, shape[1] // groups, *kernel_size), stride, padding, depthwise=False)


@pytest.mark.parametrize("variant", variants())
@pytest.mark.parametrize(("shape", "outs", "kernel_size", "stride"), [
    ((3, 20, 8, 8), 24, 1, 1), ((2, 5, 16, 16), 9, 3, 1), ((2, 5, 16, 16), 9, 3, 2), ((6, 4, 112, 112), 64, 1, 1),
], ids=str)
def test_where_memory_begins_changes_no_bit(variant, shape, outs, kernel_size, stride):
    rng = np.random.default_rng(0)
    x = rng.standard_normal(shape, np.float32)
    weight = rng.standard_normal((outs, shape[1], kernel_size, kernel_size), np.float32)
    geometry, y_shape = np.array([stride, kernel_size // 2], np.int32), (shape[0], outs, shape[2] // stride, shape[3] // stride)
    dy = rng.standard_normal(y_shape, np.float32)
    for name, inputs, out_shape in (("convolution_forward", [x, weight, geometry], y_shape),
                                    ("convolution_input_gradient", [x, weight, geometry, dy], shape)):
        results = [call(variant, name, inputs, [out_shape], behind)[0] for behind in (0, 1, 4, 15)]
        for result in results[1:]:
            np.testing.assert_array_equal(result, results[0])


@pytest.mark.parametrize("variant", variants())
@pytest.mark.parametrize("activation", kernels.ACTIVATIONS)
@pytest.mark.parametrize(("shape", "outs", "groups", "kernel_size", "stride"), [
    ((2, 17, 20, 21), 17, 17, 3, 1), ((2, 17, 7, 6), 17, 17, 5, 2), ((2, 6, 9, 10), 26, 2, 1, 1), ((2, 3, 33, 32), 8, 1, 3, 2),
], ids=str)
def test_bias_and_activation(variant, activation, shape, outs, groups, kernel_size, stride):
    rng = np.random.default_rng(0)
    weight_shape = (outs, shape[1] // groups, kernel_size, kernel_size)
    x, weight = exact(variant, rng.standard_normal(shape, np.float32), rng.standard_normal(weight_shape, np.float32))
    bias = 3 * rng.standard_normal(outs, np.float32)
    expected = activate(convolve(x, weight, stride, kernel_size // 2)[0] + bias.astype(np.float64)[:, None, None], activation)[0]
    name = "depthwise_activated" if groups == shape[1] == outs else "convolution_activated"
    geometry = np.array([stride, kernel_size // 2, kernels.ACTIVATIONS[activation], 1], np.int32)
    weights = [weight] if name == "depthwise_activated" else [weight, packed(variant, weight, groups)]
    assert_close(call(variant, name, [x, *weights, bias, geometry], [expected.shape])[0], expected)


@st.composite
def geometries(draw):
    kernel_size, stride = draw(st.sampled_from([1, 3, 5])), draw(st.integers(1, 3))
    padding = draw(st.sampled_from([kernels.SAME, *range(kernel_size)]))
    smallest = 1 if padding == kernels.SAME else max(1, kernel_size - 2 * padding)
    height, width = draw(st.integers(smallest, 40)), draw(st.integers(smallest, 40))
    return draw(st.integers(1, 4)), height, width, kernel_size, stride, padding


@pytest.mark.parametrize("variant", variants())
@settings(max_examples=60, deadline=None, derandomize=True)
@given(geometry=geometries(), groups=st.integers(1, 4), group_in=st.integers(1, 9), group_out=st.integers(1, 20))
def test_any_convolution(variant, geometry, groups, group_in, group_out):
    images, height, width, kernel_size, stride, padding = geometry
    check(variant, (images, groups * group_in, height, width), (groups * group_out, group_in, kernel_size, kernel_size), stride,
          padding, depthwise=False)


@pytest.mark.parametrize("variant", variants())
@settings(max_examples=60, deadline=None, derandomize=True)
@given(geometry=geometries(), channels=st.integers(1, 40))
def test_any_depthwise(variant, geometry, channels):
    images, height, width, kernel_size, stride, padding = geometry
    shape = (images, channels, height, width)
    if kernel_size > 1:
        check(variant, shape, (channels, 1, kernel_size, kernel_size), min(stride, 2), padding, depthwise=True)


@pytest.mark.parametrize("variant", variants())
@pytest.mark.parametrize("depthwise", [False, True])
def test_what_is_not_finite_stays_where_it_belongs(variant, depthwise):
    """NaN and infinity reach the outputs whose receptive fields hold them, and no other, at borders and vector ends too."""
    x = np.ones((2, 17, 9, 20), np.float32)
    x[0, 3, 8, 19], x[1, 16, 0, 0], x[0, 0, 4, 9] = np.nan, np.inf, -np.inf
    weight = np.random.default_rng(0).uniform(0.5, 1, (17, 1 if depthwise else 17, 3, 3)).astype(np.float32)
    expected = convolve(x, weight, 1, 1)[0]
    y = call(variant, "depthwise_forward" if depthwise else "convolution_forward", [x, weight, np.array([1, 1, 0, 1], np.int32)],
             [expected.shape])[0]
    np.testing.assert_array_equal(np.isnan(y), np.isnan(expected))
    np.testing.assert_array_equal(np.isinf(y), np.isinf(expected))
