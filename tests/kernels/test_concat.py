"""The kernels that put two inputs after one another, each at one place or several, against NumPy."""

import numpy as np
import pytest

from tests.kernels.direct import call, run, variants
from tests.kernels.headers import constants

pytestmark = pytest.mark.skipif(not variants(), reason="the kernels are not compiled: that needs a C compiler at installation")
ORDERS = [(0, 1), (1, 0), (0, 1, 0), (0, 0, 1, 0, 0), (1, 0, 0)]
SHAPES = [((1, 1, 1, 1), (1, 1, 1, 1)), ((2, 3, 5, 7), (2, 4, 5, 7)), ((3, 9, 40, 41), (3, 21, 40, 41)),
          ((2, 2, 150, 120), (2, 1, 150, 120))]  # of the last two a place is several tasks


@pytest.mark.parametrize("variant", variants())
@pytest.mark.parametrize("shapes", SHAPES, ids=str)
@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_concat(variant, order, shapes):
    rng = np.random.default_rng(0)
    parts = [rng.standard_normal(shape, np.float32) for shape in shapes]
    expected = np.concatenate([parts[number] for number in order], axis=1)
    order = np.array(order, np.int32)
    whole, = call(variant, "concat_forward", [*parts, order], [expected.shape])
    assert (whole == expected).all()
    gradient = rng.standard_normal(expected.shape, np.float32)
    found = call(variant, "concat_backward", [*parts, order, gradient], shapes)
    pieces = np.split(gradient.astype(np.float64), np.cumsum([shapes[number][1] for number in order])[:-1], axis=1)
    for number, part in enumerate(found):
        right = sum(piece for place, piece in zip(order, pieces) if place == number)
        np.testing.assert_allclose(part, right, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("variant", variants())
@pytest.mark.parametrize(("order", "shapes", "whole"), [
    ((0, 2), ((1, 2, 3, 3), (1, 2, 3, 3)), (1, 4, 3, 3)),            # there is no third part
    ((0, -1), ((1, 2, 3, 3), (1, 2, 3, 3)), (1, 4, 3, 3)),
    ((0, 0), ((1, 2, 3, 3), (1, 2, 3, 3)), (1, 4, 3, 3)),            # the second part has no place
    ((0, 1), ((1, 2, 3, 3), (1, 2, 3, 4)), (1, 4, 3, 3)),            # maps of different sizes
    ((0, 1), ((1, 2, 3, 3), (2, 2, 3, 3)), (1, 4, 3, 3)),
    ((0, 1), ((1, 2, 3, 3), (1, 2, 3, 3)), (1, 5, 3, 3)),            # more channels than there are
    ((0, 1) * 9, ((1, 1, 1, 1), (1, 1, 1, 1)), (1, 18, 1, 1)),       # more places than fit
])
def test_parts_that_do_not_fit_are_refused_and_nothing_written(variant, order, shapes, whole):
    parts, order = [np.ones(shape, np.float32) for shape in shapes], np.array(order, np.int32)
    refused = constants("custom_op.h")["BAD_SHAPE"]
    status, outputs = run(variant, "concat_forward", [*parts, order], [whole])
    assert status == refused and (outputs[0] == 77).all()
    status, outputs = run(variant, "concat_backward", [*parts, order, np.ones(whole, np.float32)], shapes)
    assert status == refused and all((output == 77).all() for output in outputs)
