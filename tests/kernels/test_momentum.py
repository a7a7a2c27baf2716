"""The kernel of a step of gradient descent with momentum against NumPy in float64."""

import numpy as np
import pytest

from tests.kernels import emulator
from tests.kernels.direct import run, variants
from tests.kernels.headers import constants

pytestmark = [pytest.mark.skipif(not variants(), reason="the kernels are not compiled: that needs a C compiler at installation"),
              pytest.mark.skipif(bool(emulator.COMMAND), reason="the emulator does not give back what is changed in place")]
SHAPES = {"one number": [(1,)], "a vector": [(37,)], "a net": [(8, 3, 3, 3), (8,), (5, 8), (5,), (1,)],
          "several tasks a weight": [(70, 30, 5, 5), (16_384,), (16_385,), (3, 16_384)]}
MOMENTUM, SCALE, RATE = 0.9, 1 / 1024, 0.02


def arrays_of(shapes, seed=0):
    """(weights, moments, gradients, weight decays) of such shapes."""
    rng = np.random.default_rng(seed)
    kinds = [[size * rng.standard_normal(shape, np.float32) for shape in shapes] for size in (1, 0.1, 1024)]
    return *kinds, np.where(np.arange(len(shapes)) % 2, 0, 0.01).astype(np.float32)


def step(variant, weights, moments, gradients, decays):
    settings, rate = np.array([MOMENTUM, SCALE], np.float32), np.array(RATE, np.float32)
    return run(variant, "momentum_step", [*weights, *moments, *gradients, decays, rate, settings], [(1,)])[0]


@pytest.mark.parametrize("variant", variants())
@pytest.mark.parametrize("shapes", SHAPES.values(), ids=SHAPES)
def test_two_steps(variant, shapes):
    weights, moments, gradients, decays = arrays_of(shapes)
    expected, speeds = [[array.astype(np.float64) for array in arrays] for arrays in (weights, moments)]
    given = [array.copy() for array in gradients]
    for _ in range(2):
        assert step(variant, weights, moments, gradients, decays) == 0
        for number, (speed, gradient, decay) in enumerate(zip(speeds, given, decays)):
            speeds[number] = MOMENTUM * speed + SCALE * gradient + float(decay) * expected[number]
            expected[number] = expected[number] - RATE * speeds[number]
    for found, right in zip((*weights, *moments), (*expected, *speeds)):
        np.testing.assert_allclose(found, right, rtol=2e-6, atol=2e-6)
    assert all((gradient == before).all() for gradient, before in zip(gradients, given))


@pytest.mark.parametrize("variant", variants())
def test_arrays_that_do_not_belong_together_are_refused_and_nothing_is_changed(variant):
    for wrong in ("moment", "gradient", "decays", "count"):
        weights, moments, gradients, decays = arrays_of([(4, 3), (4,)])
        if wrong == "moment":
            moments[1] = np.zeros(3, np.float32)
        elif wrong == "gradient":
            gradients[0] = np.zeros((4, 4), np.float32)
        elif wrong == "decays":
            decays = np.zeros(3, np.float32)
        else:
            gradients.pop()
        before = [array.copy() for array in (*weights, *moments)]
        assert step(variant, weights, moments, gradients, decays) == constants("custom_op.h")["BAD_SHAPE"], wrong
        assert all((array == old).all() for array, old in zip((*weights, *moments), before))
