"""Images to check a net with are those of its data where they are on disk, and drawn where not; nothing is downloaded."""

import shutil

import numpy as np
import pytest

from mindclf.card import Card
from mindclf.dataset import decode_image, whole_image
from mindclf.dataset.samples import DRAWN, sample_images
from tests.test_checkpoint import CARD


@pytest.fixture(autouse=True)
def no_data(tmp_path, monkeypatch):
    """An empty working folder, and no $MINDCLF_DATA."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MINDCLF_DATA", "")


def card(**fields):
    return Card({**CARD, **fields})


def card_of(folder):
    return card(data={"path": str(folder), "origin": "your folder"}, config={"dataset_path": str(folder)})


def test_they_are_test_images_of_the_cards_data(colour_folder):
    images, origin = sample_images(card_of(colour_folder), 4)
    test = [bytes(whole_image(path)) for path in (colour_folder / "test").rglob("*.png")]
    assert origin == "your folder" and len(images) == 4
    found = [bytes(image) for image in images.paths]
    assert set(found) <= set(test) and len(set(found)) == 4


def test_they_come_from_more_than_one_class(colour_folder):
    images, _ = sample_images(card_of(colour_folder), 3)
    colours = [np.asarray(decode_image(image)).mean((0, 1)).argmax() for image in images.paths]
    assert len(set(colours)) == 3


def test_a_known_data_set_is_found_where_it_is_now(colour_folder, tmp_path):
    for split in ("train", "test"):
        shutil.copytree(colour_folder / split, tmp_path / "data" / "garbage26" / split)
    found = card(data={"path": "elsewhere", "origin": "photos"}, config={"dataset": "garbage26"})
    assert sample_images(found, 4)[1] == "photos"


@pytest.mark.parametrize("known", [
    card(), card(data={"path": "elsewhere"}, config={"dataset": "flowers102"}), card_of("empty")])
def test_without_data_they_are_drawn(known, tmp_path):
    (tmp_path / "empty").mkdir()
    image_set, origin = sample_images(known, 3)
    assert origin == DRAWN and len(image_set) == 3
    images = [np.asarray(decode_image(photo)) for photo in image_set.paths]
    assert all(image.std() > 1 for image in images) and not np.array_equal(images[0], images[1])


def test_files_that_are_no_images_are_passed_over(colour_folder, tmp_path):
    folder = shutil.copytree(colour_folder / "test", tmp_path / "images")
    for number in range(3):
        (folder / "blue" / f"{number}.png").write_text("text")
    images, origin = sample_images(card_of(folder), 2)
    assert (len(images), origin) == (2, "your folder")
