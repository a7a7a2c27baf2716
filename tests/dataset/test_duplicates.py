"""Images that are the same byte for byte, in two classes and on two sides."""

import logging

import pytest

from mindclf.config import merge
from mindclf.dataset.duplicates import equal_images, warnings_of
from mindclf.dataset.folder import ImageSet
from mindclf.dataset.splits import read_splits
from mindclf.dataset.statistics import folder_statistics
from tests.dataset.test_split_folder import grow


def images_of(root, classes=("a", "b")):
    """`ImageSet` of the files below `root`."""
    files = [(str(file), label) for label, name in enumerate(classes) for file in sorted((root / name).iterdir())]
    return ImageSet(*zip(*files), classes)


def test_groups_are_files_with_the_same_bytes_whatever_their_names(tmp_path):
    grow(tmp_path / "train", {"a": {"1.ppm": 1, "2.ppm": 2, "again.ppm": 1}, "b": {"1.ppm": 3}})
    grow(tmp_path / "test", {"a": {"1.ppm": 4}, "b": {"one.ppm": 1, "three.ppm": 3}})
    groups = equal_images({split: images_of(tmp_path / split) for split in ("train", "test")})
    assert [[(copy.split, copy.class_name, copy.name) for copy in group] for group in groups] == [
        [("train", "a", "train/a/1.ppm"), ("train", "a", "train/a/again.ppm"), ("test", "b", "test/b/one.ppm")],
        [("train", "b", "train/b/1.ppm"), ("test", "b", "test/b/three.ppm")]]


def test_each_kind_of_harm_is_a_line_with_count_and_examples(tmp_path):
    grow(tmp_path / "train", {"a": {f"{n:02}.ppm": n for n in range(12)}, "b": {"1.ppm": 99, "2.ppm": 99, "3.ppm": 3}})
    grow(tmp_path / "test", {"a": {f"{n:02}.ppm": n for n in range(12)}, "b": {"4.ppm": 50}})
    lines = warnings_of(equal_images({split: images_of(tmp_path / split) for split in ("train", "test")}))
    assert lines[0].startswith("the same image is in train and in test, 12 times: train/a/00.ppm = test/a/00.ppm; train/a/01.ppm")
    assert lines[0].endswith("; ...") and lines[0].count(";") == 3
    assert lines[1:] == ["the same image is in more than one class, 1 time: train/a/03.ppm = train/b/3.ppm = test/a/03.ppm"]


def test_copies_on_one_side_in_one_class_do_no_harm(tmp_path):
    grow(tmp_path, {"a": {"1.ppm": 1, "2.ppm": 1}, "b": {"1.ppm": 2}})
    groups = equal_images({"": images_of(tmp_path)})
    assert len(groups) == 1 and warnings_of(groups) == []


def test_a_name_that_would_break_the_line_is_escaped(tmp_path):
    grow(tmp_path, {"a": {"x\ny.ppm": 1}, "b": {"1.ppm": 1}})
    assert warnings_of(equal_images({"": images_of(tmp_path)})) == [
        "the same image is in more than one class, 1 time: a/x\\ny.ppm = b/1.ppm"]


CONTRADICTION = "the same image is in more than one class, 1 time: a/04.ppm = b/other.ppm"


@pytest.fixture
def leaky(tmp_path):
    """A divided folder whose test/ is its train/, but for one class of its own images."""
    for split in ("train", "test"):
        grow(tmp_path / "leaky" / split, {"a": {f"{n}.ppm": n for n in range(5)},
                                          "b": {f"{n}.ppm": 100 + n + 50 * (split == "test") for n in range(5)}})
    return tmp_path / "leaky"


@pytest.fixture
def contradictory(tmp_path):
    """An undivided folder with one image in both classes."""
    return grow(tmp_path / "two", {"a": {f"{n:02}.ppm": n for n in range(15)},
                                   "b": {**{f"{n:02}.ppm": 100 + n for n in range(15)}, "other.ppm": 4}})


def test_reading_to_train_warns_of_both(leaky, contradictory, caplog):
    with caplog.at_level(logging.WARNING):
        read_splits(merge({"dataset_path": str(leaky), "class_index": ["a", "b"], "valid_fraction": 0}, {}))
        read_splits(merge({"dataset_path": str(contradictory), "class_index": ["a", "b"]}, {}))
    assert [message.split(": ")[0] for message in caplog.messages] == [
        "the same image is in train and in test, 5 times", "the same image is in more than one class, 1 time"]
    assert caplog.messages[1] == CONTRADICTION


def test_statistics_have_both(leaky, contradictory):
    [line] = folder_statistics(leaky).copies
    assert line.startswith("the same image is in train and in test, 5 times: ")
    assert folder_statistics(contradictory).copies == (CONTRADICTION,)
