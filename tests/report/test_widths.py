"""report.html at the width of a laptop and of a phone, in Chromium: nothing is cut off at the right."""

import shutil

import numpy as np
import pytest
from PIL import Image

from docs.look_at_site import CUT_OFF
from mindclf.card import Card
from mindclf.dataset import ImageSet
from mindclf.metrics import compute_metrics
from mindclf.report.cross_validation import CrossValidation
from mindclf.report.history import HISTORY_FIELDS
from mindclf.report.html import Measured, page
from tests.support.browser import Browser

COUNT = 102
CLASSES = tuple(f"class_{number}_with_a_name_that_is_long" for number in range(COUNT))


def measured(folder):
    """An exported net with many classes and long names, at random logits; with a history and folds."""
    rng, labels = np.random.default_rng(0), np.arange(2 * COUNT) % COUNT
    images = ImageSet((np.zeros((40, 60, 3), np.uint8),) * len(labels), tuple(labels.tolist()), CLASSES)
    logits = rng.normal(size=(len(labels), COUNT)).astype(np.float32)
    logits[np.arange(len(labels)), labels] += 2
    card = Card({"net": "mobilenet_v2", "net_options": {}, "classes": list(CLASSES), "image_height": 32, "image_width": 32,
                 "mean": [0, 0, 0], "std": [255, 255, 255], "command": "x" * 300, "classes_chinese": ["很长的类别名称"] * COUNT,
                 "categories": [""] * COUNT, "categories_chinese": [""] * COUNT})
    return Measured(folder / ("a" * 200) / "net.onnx", None, card, "photos_" * 20, images, logits,
                    compute_metrics(logits, labels, COUNT), [dict.fromkeys(HISTORY_FIELDS, 0.5)],
                    folds=CrossValidation(images, np.arange(len(labels)) // COUNT, logits))


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    if shutil.which("chromium") is None:
        pytest.skip("needs Debian's Chromium: apt-get install chromium")
    browser = Browser(shutil.which("chromium"), tmp_path_factory.mktemp("chromium"))
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The page, with plots as wide as those of so many classes."""
    folder = tmp_path_factory.mktemp("report")
    for name in ("confusion", "coverage", "curves"):
        Image.new("L", (4000, 300)).save(folder / f"{name}.png")
    (folder / "report.html").write_text(page(measured(folder), folder), encoding="utf-8")
    return folder / "report.html"


@pytest.mark.parametrize("width", [1280, 1200, 390, 320])
def test_nothing_is_cut_off(browser, written, width):
    browser.resize(width, 900, mobile=width < 500)
    browser.open("about:blank")
    browser.open(written.as_uri())
    browser.wait_for("document.readyState === 'complete' && document.querySelectorAll('section').length > 5")
    assert browser.script("document.documentElement.scrollWidth") == width
    assert browser.script(CUT_OFF.replace("article *", "body *")) == []
    assert browser.script("[...document.querySelectorAll('.plot img')].every(plot => plot.naturalWidth == 4000)")
