"""Old names do what the new ones do, and say so."""

import numpy as np
import pytest
from PIL import Image

from mindclf.explain import Explanation
from mindclf.inference.predictions import Prediction
from mindclf.predict import Predictor
from mindclf.utils.aliases import OLD_NAMES


@pytest.fixture
def explanation():
    top = Prediction("Can", 0.5)
    return Explanation(Image.new("RGB", (6, 4)), top, [top], np.eye(2, dtype=np.float32), (0, 0, 1, 1))


def test_each_old_name_is_the_new_one_and_says_what_that_is(explanation):
    objects = {"Explanation": explanation, "Predictor": Predictor.__new__(Predictor)}
    assert objects.keys() == OLD_NAMES.keys()
    for name, renamed in OLD_NAMES.items():
        for old, new in renamed.items():
            with pytest.warns(DeprecationWarning, match=rf"^{name}\.{old} is called {new} now$") as said:
                value = getattr(objects[name], old)
            assert said[0].filename == __file__
            np.testing.assert_equal(value, getattr(objects[name], new))
            assert new in vars(type(objects[name])) or hasattr(objects[name], new)
