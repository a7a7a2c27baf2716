"""The kernels of global averages against NumPy in float64."""

import numpy as np
import pytest

from tests.kernels.direct import call, variants

pytestmark = pytest.mark.skipif(not variants(), reason="the kernels are not compiled: that needs a C compiler at installation")


@pytest.mark.parametrize("variant", variants())
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 3, 2, 3), (3, 70, 7, 7), (1, 129, 8, 9), (2, 3, 56, 56)], ids=str)
def test_global_average(variant, shape):
    rng = np.random.default_rng(0)
    x, dy = rng.standard_normal(shape, np.float32) + 1, rng.standard_normal(shape[:2], np.float32)
    y = call(variant, "global_average_forward", [x], [shape[:2]])[0]
    np.testing.assert_allclose(y, x.astype(np.float64).mean((2, 3)), rtol=0, atol=3e-6)
    dx = call(variant, "global_average_backward", [x, dy], [shape])[0]
    np.testing.assert_allclose(dx, np.broadcast_to(dy[:, :, None, None] / np.float64(shape[2] * shape[3]), shape), rtol=1e-6)
