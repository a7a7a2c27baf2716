"""The kernels of the gate of squeeze-and-excite blocks against NumPy in float64."""

import numpy as np
import pytest

from tests.kernels.direct import call, variants

pytestmark = pytest.mark.skipif(not variants(), reason="the kernels are not compiled: that needs a C compiler at installation")


@pytest.mark.parametrize("variant", variants())
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 3, 2, 3), (3, 70, 7, 7), (1, 129, 8, 9), (2, 3, 56, 56), (1, 2, 130, 130)],
                         ids=str)
def test_gate(variant, shape):
    rng = np.random.default_rng(0)
    x, dy = rng.standard_normal((2, *shape), np.float32)
    gates = 3 * rng.standard_normal((*shape[:2], 1, 1), np.float32)
    factor = np.clip(gates.astype(np.float64) + 3, 0, 6) / 6
    y, = call(variant, "gate_forward", [x, gates], [shape])
    np.testing.assert_allclose(y, x * factor, rtol=1e-6, atol=1e-7)
    dx, dgates = call(variant, "gate_backward", [x, gates, dy], [shape, gates.shape])
    np.testing.assert_allclose(dx, dy * factor, rtol=1e-6, atol=1e-7)
    expected = np.where(abs(gates) < 3, (x.astype(np.float64) * dy).sum((2, 3), keepdims=True) / 6, 0)
    np.testing.assert_allclose(dgates, expected, rtol=1e-5, atol=1e-5)
    assert (dgates[abs(gates) > 3] == 0).all()


@pytest.mark.parametrize("variant", variants())
def test_a_gate_of_another_shape_is_refused(variant):
    from tests.kernels.direct import run

    x = np.ones((2, 3, 4, 4), np.float32)
    for shape in ((2, 4, 1, 1), (1, 3, 1, 1), (2, 3, 4, 4)):
        assert run(variant, "gate_forward", [x, np.ones(shape, np.float32)], [x.shape])[0] == 2
