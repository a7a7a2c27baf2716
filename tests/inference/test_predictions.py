"""Predictions: what is shown of them, in a terminal and in a notebook."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from mindclf.inference.predictions import THUMBNAIL, Prediction, Predictions, top_predictions
from mindclf.labels import ClassLabel
from mindclf.preprocessing import Reading

LABELS = (ClassLabel("Can", "易拉罐", "recyclable", "可回收物"), ClassLabel("<b>"), ClassLabel("Paper"))


def test_the_most_probable_classes_come_first_and_of_equals_the_first():
    found = top_predictions(np.array([0.2, 0.4, 0.4]), LABELS, 2)
    assert [(each.name, each.probability) for each in found] == [("<b>", 0.4), ("Paper", 0.4)]
    assert top_predictions(np.array([1.0, 0, 0]), LABELS, 1) == [Prediction("Can", 1.0, "易拉罐", "recyclable", "可回收物")]


def test_a_prediction_reads_as_what_it_is():
    assert repr(Predictions([Prediction("Glass Bottle", 0.9312, "玻璃瓶")])) == "[Prediction('Glass Bottle', 93.1%)]"


def shown(predictions):
    """(the HTML of a notebook without its image, that image or None)."""
    page = predictions._repr_html_()
    image = re.search(r'<img alt="[^"]*" src="data:image/jpeg;base64,([^"]*)">', page)
    if image is None:
        return page, None
    return page.replace(image[0], ""), Image.open(io.BytesIO(base64.b64decode(image[1])))


@pytest.mark.parametrize("kind", ["file", "array", "image"])
def test_a_notebook_shows_the_image_with_its_classes(tmp_path, kind):
    image = Image.new("RGB", (3 * THUMBNAIL, 2 * THUMBNAIL), (250, 10, 10))
    image.save(tmp_path / "a&b.png")
    name = str(tmp_path / "a&b.png") if kind == "file" else ""
    source = {"file": None, "array": np.asarray(image), "image": image}[kind]
    text, thumbnail = shown(Predictions(top_predictions(np.array([0.1, 0.2, 0.7]), LABELS, 3), name, source))
    assert thumbnail.size == (THUMBNAIL, THUMBNAIL * 2 // 3)
    np.testing.assert_allclose(np.asarray(thumbnail)[50, 50], (250, 10, 10), atol=8)
    assert ("a&amp;b.png" in text) == (kind == "file")
    cells = re.findall(r"<td>(.*?)</td>", text)
    assert [cell.strip() for cell in cells] == ["Paper", "", "70.0%", "&lt;b&gt;", "", "20.0%",
                                                "Can 易拉罐", "recyclable 可回收物", "10.0%"]


def test_an_image_that_is_not_at_hand_is_not_shown(tmp_path):
    (tmp_path / "note.png").write_text("not an image any more")
    for name in ("", "https://example.com/can.jpg", str(tmp_path / "gone.png"), str(tmp_path / "note.png")):
        text, thumbnail = shown(Predictions([Prediction("Can", 1.0)], name))
        assert thumbnail is None and "Can" in text


def test_an_image_of_12_bits_is_shown_as_the_net_saw_it(tmp_path):
    Image.fromarray(np.full((9, 9), 2048, np.uint16)).save(tmp_path / "grey.png")
    _, thumbnail = shown(Predictions([], str(tmp_path / "grey.png"), reading=Reading(white=4095)))
    np.testing.assert_allclose(np.asarray(thumbnail), 128, atol=2)
