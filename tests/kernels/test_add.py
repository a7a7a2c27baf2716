"""The kernels of a residual block's end, against NumPy: the very same bits, for one sum has one rounding."""

import numpy as np
import pytest

from mindclf import kernels
from tests.kernels.direct import call, variants

pytestmark = pytest.mark.skipif(not variants(), reason="the kernels are not compiled: that needs a C compiler at installation")
SHAPES = [(1, 1, 1, 1), (2, 3, 5, 7), (1, 24, 56, 56), (3, 160, 7, 7), (6, 64, 64, 64)]  # the last: non-temporal stores


@pytest.mark.parametrize("variant", variants())
@pytest.mark.parametrize("behind", [0, 3, 4, 15])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_add(variant, shape, behind):
    a, b = np.random.default_rng(0).standard_normal((2, *shape), np.float32)
    for activation, expected in ((None, a + b), ("relu", np.maximum(a + b, 0))):
        settings = np.array([kernels.ACTIVATIONS[activation]], np.int32)
        np.testing.assert_array_equal(call(variant, "add_forward", [a, b, settings], [shape], behind)[0], expected)
    np.testing.assert_array_equal(call(variant, "relu_backward", [a, b], [shape], behind)[0], np.where(a > 0, b, 0))


@pytest.mark.parametrize("variant", variants())
@pytest.mark.parametrize("activation", [None, "relu"])
def test_a_nan_stays(variant, activation):
    a = np.array([np.nan, np.inf, -1, 2], np.float32).reshape(1, 1, 2, 2)
    settings = np.array([kernels.ACTIVATIONS[activation]], np.int32)
    y = call(variant, "add_forward", [a, np.ones_like(a), settings], [a.shape])[0].ravel()
    assert np.isnan(y[0]) and y[1] == np.inf and y[3] == 3
