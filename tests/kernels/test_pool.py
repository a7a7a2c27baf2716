"""The kernels of max and average pooling against the definition."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mindclf import kernels
from tests.kernels.direct import call, out_size, variants, zeros_before

pytestmark = pytest.mark.skipif(not variants(), reason="the kernels are not compiled: that needs a C compiler at installation")


def pooled(x, kernel_size, stride, padding):
    """(y, backward) by the definition, window by window; backward(dy) gives dx. Of equal values the first gets the gradient."""
    images, channels, height, width = x.shape
    rows, columns = out_size(height, kernel_size, stride, padding), out_size(width, kernel_size, stride, padding)
    top, left = zeros_before(height, kernel_size, stride, padding), zeros_before(width, kernel_size, stride, padding)
    padded = np.full((images, channels, height + top + kernel_size + stride, width + left + kernel_size + stride), -np.inf)
    padded[:, :, top:top + height, left:left + width] = x
    y, positions = np.empty((images, channels, rows, columns)), []
    for row in range(rows):
        for column in range(columns):
            window = padded[:, :, row * stride:row * stride + kernel_size, column * stride:column * stride + kernel_size]
            y[:, :, row, column] = window.max((2, 3))
            first = window.reshape(images, channels, -1).argmax(2)
            positions.append((row * stride + first // kernel_size, column * stride + first % kernel_size))

    def backward(dy):
        gradient = np.zeros_like(padded)
        n, c = np.indices((images, channels))
        for index, (down, right) in enumerate(positions):
            np.add.at(gradient, (n, c, down, right), dy[:, :, index // columns, index % columns])
        return gradient[:, :, top:top + height, left:left + width]

    return y, backward


def check(variant, shape, kernel_size, stride, padding, lowest=0):
    rng = np.random.default_rng(0)
    x = np.maximum(rng.standard_normal(shape, np.float32), lowest)  # 0: with ties, as behind a ReLU
    y, backward = pooled(x, kernel_size, stride, padding)
    dy = rng.standard_normal(y.shape, np.float32)
    geometry = np.array([kernel_size, stride, padding], np.int32)
    np.testing.assert_array_equal(call(variant, "max_pool_forward", [x, geometry], [y.shape])[0], y)
    dx = call(variant, "max_pool_backward", [x, geometry, dy], [shape])[0]
    np.testing.assert_allclose(dx, backward(dy), rtol=0, atol=2e-6)


@pytest.mark.parametrize("variant", variants())
@pytest.mark.parametrize(("shape", "kernel_size", "stride", "padding"), [
    ((2, 3, 32, 32), 3, 2, 1), ((1, 2, 112, 112), 3, 2, kernels.SAME), ((2, 3, 15, 33), 3, 2, 1), ((1, 3, 8, 8), 2, 2, 0),
    ((1, 1, 1, 1), 3, 2, 1), ((2, 1, 5, 70), 3, 1, 1),
], ids=str)
def test_max_pool(variant, shape, kernel_size, stride, padding):
    check(variant, shape, kernel_size, stride, padding)
    check(variant, shape, kernel_size, stride, padding, lowest=-9)


@pytest.mark.parametrize("variant", variants())
@settings(max_examples=40, deadline=None, derandomize=True)
@given(size=st.tuples(st.integers(3, 40), st.integers(3, 40)), kernel_size=st.integers(1, 3), stride=st.integers(1, 2),
       data=st.data())
def test_any_max_pool(variant, size, kernel_size, stride, data):
    padding = data.draw(st.sampled_from([kernels.SAME, *range(kernel_size)]))
    check(variant, (2, 3, *size), kernel_size, stride, padding)


@pytest.mark.parametrize("variant", variants())
def test_nan_and_infinity_stay(variant):
    x = np.ones((1, 1, 8, 40), np.float32)
    x[0, 0, 2, 3], x[0, 0, 2, 4], x[0, 0, 7, 39] = np.nan, np.inf, np.nan
    y = call(variant, "max_pool_forward", [x, np.array([2, 2, 0], np.int32)], [(1, 1, 4, 20)])[0][0, 0]
    assert np.isnan(y[1, 1]) and y[1, 2] == np.inf and np.isnan(y[3, 19]) and np.isnan(y).sum() == 2


def averaged(x, kernel_size, stride, padding):
    """(y, backward) by the definition in float64, window by window."""
    height, width = x.shape[2:]
    rows, columns = out_size(height, kernel_size, stride, padding), out_size(width, kernel_size, stride, padding)
    top, left = zeros_before(height, kernel_size, stride, padding), zeros_before(width, kernel_size, stride, padding)
    windows = [(slice(max(row * stride - top, 0), row * stride - top + kernel_size),
                slice(max(column * stride - left, 0), column * stride - left + kernel_size))
               for row in range(rows) for column in range(columns)]
    y = np.stack([x[:, :, down, right].astype(np.float64).mean((2, 3)) for down, right in windows], 2)

    def backward(dy):
        gradient = np.zeros(x.shape)
        for index, (down, right) in enumerate(windows):
            part = gradient[:, :, down, right]
            part += dy[:, :, index // columns, index % columns, None, None] / (part.shape[2] * part.shape[3])
        return gradient

    return y.reshape(*x.shape[:2], rows, columns), backward


@pytest.mark.parametrize("variant", variants())
@pytest.mark.parametrize(("shape", "kernel_size", "stride", "padding"), [
    ((2, 3, 56, 56), 3, 2, kernels.SAME), ((2, 3, 7, 7), 3, 2, kernels.SAME), ((1, 2, 15, 33), 3, 2, 1), ((1, 3, 8, 8), 2, 2, 0),
    ((1, 1, 1, 1), 3, 2, kernels.SAME), ((2, 1, 5, 70), 3, 1, 1), ((1, 2, 9, 40), 5, 1, kernels.SAME),
], ids=str)
def test_average_pool(variant, shape, kernel_size, stride, padding):
    rng = np.random.default_rng(0)
    x = rng.standard_normal(shape, np.float32)
    y, backward = averaged(x, kernel_size, stride, padding)
    geometry, dy = np.array([kernel_size, stride, padding], np.int32), rng.standard_normal(y.shape, np.float32)
    np.testing.assert_allclose(call(variant, "average_pool_forward", [x, geometry], [y.shape])[0], y, rtol=1e-5, atol=1e-6)
    dx = call(variant, "average_pool_backward", [x, geometry, dy], [shape])[0]
    np.testing.assert_allclose(dx, backward(dy), rtol=1e-5, atol=1e-6)
