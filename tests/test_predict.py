"""Prediction sees each picture as evaluation does, whatever kind of file or object it comes as."""

import io

import numpy as np
import pytest
from PIL import Image

from mindclf.checkpoint import load_net
from mindclf.dataset import eval_pipeline, read_folder
from mindclf.evaluate import predict_logits
from mindclf.predict import Predictor

from .conftest import CLASS_INDEX


@pytest.fixture(scope="module")
def predictor(fitted):
    return Predictor(fitted.checkpoint)


def test_prediction_and_evaluation_preprocess_identically(predictor, fitted, colour_folder):
    """Picture by picture: the logits of evaluation, in batches, are those of prediction, one at a time."""
    net, card = load_net(fitted.checkpoint)
    pictures = read_folder(colour_folder / "test", CLASS_INDEX)
    evaluated, _ = predict_logits(net, eval_pipeline(pictures, card))
    for path, logits in zip(pictures.paths, evaluated):
        np.testing.assert_allclose(predictor.logits([path])[0], logits, atol=1e-5)


def test_a_picture_is_the_same_as_path_bytes_image_and_array(predictor, colour_folder):
    path = next((colour_folder / "test" / "red").iterdir())
    image = Image.open(path)
    ways = predictor.predict([str(path), path, path.read_bytes(), image, np.asarray(image)])
    assert len(ways) == 5 and all(guesses == ways[0] for guesses in ways)


def test_guesses_are_sorted_probabilities(predictor, colour_folder):
    [guesses] = predictor.predict([next((colour_folder / "test" / "blue").iterdir())], top_k=3)
    probabilities = [guess.probability for guess in guesses]
    assert probabilities == sorted(probabilities, reverse=True) and sum(probabilities) == pytest.approx(1)
    assert {guess.name for guess in guesses} == set(CLASS_INDEX)


@pytest.mark.parametrize(("mode", "file_format"), [("RGBA", "PNG"), ("CMYK", "JPEG"), ("L", "PNG"), ("P", "GIF"), ("RGB", "WEBP"),
                                                   ("RGB", "TIFF"), ("1", "PNG"), ("LA", "PNG")])
def test_any_mode_that_pillow_opens_is_taken(predictor, mode, file_format):
    buffer = io.BytesIO()
    Image.new("RGB", (50, 60), (200, 40, 40)).convert(mode).save(buffer, file_format)
    [guesses] = predictor.predict([buffer.getvalue()])
    assert 0 < guesses[0].probability <= 1


def test_what_is_asked_wrongly_is_said(predictor, tmp_path):
    with pytest.raises(ValueError, match="top_k=4 must lie between 1 and the number of classes, 3"):
        predictor.predict([], top_k=4)
    with pytest.raises(ValueError, match="takes a list of pictures"):
        predictor.predict("photo.jpg")
    (tmp_path / "note.jpg").write_text("not a picture")
    with pytest.raises(ValueError, match="note.jpg is not a picture"):
        predictor.predict([tmp_path / "note.jpg"])
    assert predictor.predict([]) == []


def test_the_garbage_sorter_comes_along_and_knows_chinese():
    from mindclf.labels import class_cn, class_en

    [guesses] = Predictor().predict([Image.new("RGB", (300, 200), "white")], top_k=26)
    assert {guess.name: guess.chinese for guess in guesses} == dict(zip(class_en, class_cn))
    assert {guess.category for guess in guesses} == {"residual", "recyclable", "food", "hazardous"}


def test_the_garbage_sorter_sorts_the_tutorials_photos(shared):
    """The figure of its card, from the photos."""
    predictor = Predictor()
    pictures = read_folder(shared / "data" / "garbage26" / "test", {name: i for i, name in enumerate(predictor.classes)})
    right = (predictor.logits(pictures.paths).argmax(1) == np.array(pictures.labels)).mean()
    assert right == pytest.approx(predictor.card["metrics"]["test"]["top1"], abs=1.5 / 130)  # one photo, on another processor
