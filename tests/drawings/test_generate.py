"""The drawn garbage set: whole, repeatable, no image twice, and its classes can be told apart."""

import json

import numpy as np
import pytest
from PIL import Image

from mindclf.config import merge
from mindclf.dataset.splits import find_folder
from mindclf.drawings import generate
from mindclf.labels import class_en

IMAGES = 26 * (2 + 1)  # of `small_set`


@pytest.fixture(scope="module")
def small_set(tmp_path_factory):
    return generate.draw_garbage26(tmp_path_factory.mktemp("drawn") / "set", train_per_class=2, test_per_class=1)


def contents(folder):
    """The bytes of every file below `folder`, by its relative path."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def describe(path):
    """A 16 x 16 thumbnail and a histogram of 4 x 4 x 4 colours of the middle, each of unit length, in one vector."""
    with Image.open(path) as image:
        thumbnail = np.asarray(image.resize((16, 16)), float) - 128
        middle = np.asarray(image.resize((64, 64)))[16:48, 16:48] // 64
    histogram = np.bincount((middle @ [16, 4, 1]).ravel(), minlength=64) ** 0.5
    return np.concatenate([thumbnail.ravel() / np.linalg.norm(thumbnail), histogram / np.linalg.norm(histogram)])


def test_every_class_has_an_artist_and_no_other():
    assert list(generate.ARTISTS) == class_en


def test_folders_and_counts(small_set):
    for split, count in (("train", 2), ("test", 1)):
        assert {entry.name for entry in (small_set / split).iterdir()} == set(class_en)
        for name in class_en:
            assert sorted(path.name for path in (small_set / split / name).iterdir()) == ["000.jpg", "001.jpg"][:count]


def test_every_image_is_rgb_224(small_set):
    for path in small_set.rglob("*.jpg"):
        with Image.open(path) as image:
            image.load()
            assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (224, 224)), path


def test_no_image_twice_within_or_across_splits(small_set):
    images = [data for name, data in contents(small_set).items() if name.endswith(".jpg")]
    assert len(images) == len(set(images)) == IMAGES


def test_same_seed_same_bytes(small_set, tmp_path):
    again = generate.draw_garbage26(tmp_path / "again", train_per_class=2, test_per_class=1)
    assert contents(again) == contents(small_set)


def test_another_seed_changes_every_image(small_set, tmp_path):
    other = contents(generate.draw_garbage26(tmp_path / "other", train_per_class=1, test_per_class=1, seed=1))
    first = contents(small_set)
    assert all(other[name] != first[name] for name in other)


def test_an_image_does_not_depend_on_how_many_there_are(small_set, tmp_path):
    fewer = contents(generate.draw_garbage26(tmp_path / "fewer", train_per_class=1, test_per_class=1))
    more = contents(small_set)
    assert all(data == more[name] for name, data in fewer.items() if name.endswith(".jpg"))


def test_classes_differ(tmp_path):
    """The nearest class mean of a coarse descriptor is right far more often than by chance, which is 1 in 26."""
    folder = generate.draw_garbage26(tmp_path / "set", train_per_class=8, test_per_class=2)
    images = {split: [[describe(path) for path in sorted((folder / split / name).iterdir())] for name in class_en]
                for split in ("train", "test")}
    means = np.mean(images["train"], axis=1)  # (26, descriptor)
    right = [label == np.argmin(np.linalg.norm(means - image, axis=1))
             for label, of_class in enumerate(images["test"]) for image in of_class]
    assert len(right) == 26 * 2
    assert np.mean(right) > 3 / 26


def test_a_set_that_is_there_is_not_drawn_again(small_set):
    times = {path: path.stat().st_mtime_ns for path in small_set.rglob("*")}
    assert generate.draw_garbage26(small_set, train_per_class=2, test_per_class=1) == small_set
    assert {path: path.stat().st_mtime_ns for path in small_set.rglob("*")} == times


@pytest.mark.parametrize("change", [{"seed": 1}, {"size": 64}, {"train_per_class": 3}, {"test_per_class": 2}])
def test_a_set_drawn_otherwise_is_refused(small_set, change):
    before = contents(small_set)
    with pytest.raises(ValueError, match="exists and is not the drawn set asked for") as refusal:
        generate.draw_garbage26(small_set, **{"train_per_class": 2, "test_per_class": 1, **change})
    assert str(small_set) in str(refusal.value)
    assert contents(small_set) == before


SOME = ("Cans", "Battery")


def test_classes_of_any_data_set_s_layout(tmp_path):
    folder = generate.draw_classes(tmp_path / "set", SOME, {"train": 3, "valid": 1, "test": 2}, size=32)
    counts = {name: len(list((folder / name).iterdir())) for name in ("train/Cans", "valid/Cans", "test/Cans", "test/Battery")}
    assert counts == {"train/Cans": 3, "valid/Cans": 1, "test/Cans": 2, "test/Battery": 2}
    assert {Image.open(path).size for path in folder.rglob("*.jpg")} == {(32, 32)}
    undivided = generate.draw_classes(tmp_path / "undivided", SOME, {"": 2}, size=32)
    assert {entry.name for entry in undivided.iterdir()} == {*SOME, "drawn.json"}
    images = [data for folder in (folder, undivided) for name, data in contents(folder).items() if name.endswith(".jpg")]
    assert len(images) == len(set(images)) == 2 * (3 + 1 + 2 + 2)  # no image twice, in whatever split


def test_the_same_image_in_a_set_of_fewer_classes(small_set, tmp_path):
    few = contents(generate.draw_classes(tmp_path / "few", SOME, {"test": 1, "train": 2}, size=224))
    whole = contents(small_set)
    assert all(whole[name] == data for name, data in few.items() if name.endswith(".jpg"))


@pytest.mark.parametrize("change", [{"classes": ("Cat",)}, {"classes": ()}, {"classes": ("Cans", "Cans")}, {"counts": {"dev": 1}},
                                    {"counts": {}}, {"counts": {"train": 0}}, {"size": 8}, {"seed": -1}])
def test_classes_and_counts_that_cannot_be_drawn_are_refused(tmp_path, change):
    with pytest.raises(ValueError, match="must be"):
        generate.draw_classes(tmp_path / "set", **{"classes": SOME, "counts": {"train": 1}, **change})
    assert list(tmp_path.iterdir()) == []


def test_another_set_of_classes_in_the_folder_is_refused(tmp_path):
    folder = generate.draw_classes(tmp_path / "set", SOME, {"": 1}, size=32)
    assert generate.draw_classes(folder, SOME, {"": 1}, size=32) == folder
    with pytest.raises(ValueError, match="exists and is not the drawn set"):
        generate.draw_classes(folder, SOME[::-1], {"": 1}, size=32)


def test_a_drawn_folder_is_known_as_one(small_set, tmp_path):
    assert generate.is_drawn(small_set) and not generate.is_drawn(tmp_path) and not generate.is_drawn(tmp_path / "nowhere")
    (tmp_path / "drawn.json").write_text("[]")
    assert not generate.is_drawn(tmp_path)
    assert find_folder(merge({}, {"dataset_path": str(small_set)})) == (small_set, "drawings made by mindclf, no photos")
    assert find_folder(merge({}, {"dataset_path": str(tmp_path)})) == (tmp_path, "your folder")


@pytest.mark.parametrize("files", [{}, {"mine.txt": "keep"}, {"drawn.json": "not JSON"}, {"drawn.json": "[]"}])
def test_a_foreign_folder_is_refused_and_left_alone(tmp_path, files):
    folder = tmp_path / "mine"
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    with pytest.raises(ValueError, match="exists and is not the drawn set") as refusal:
        generate.draw_garbage26(folder)
    assert str(folder) in str(refusal.value)
    assert contents(folder) == {name: text.encode() for name, text in files.items()}
    assert list(tmp_path.iterdir()) == [folder]


def test_a_failure_half_way_leaves_nothing_behind(tmp_path, monkeypatch):
    def clumsy(surface, rng):
        raise RuntimeError("the pencil broke")

    monkeypatch.setitem(generate.ARTISTS, "Broom", clumsy)
    with pytest.raises(RuntimeError, match="the pencil broke"):
        generate.draw_garbage26(tmp_path / "set", train_per_class=1, test_per_class=1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("change", [{"train_per_class": 0}, {"test_per_class": 0}, {"seed": -1}, {"size": 8}])
def test_impossible_numbers_are_refused_by_name(tmp_path, change):
    with pytest.raises(ValueError, match=next(iter(change))):
        generate.draw_garbage26(tmp_path / "set", **change)
    assert list(tmp_path.iterdir()) == []


def test_the_manifest_tells_how_the_set_was_made(small_set):
    manifest = json.loads((small_set / "drawn.json").read_text())
    assert manifest == {"drawing_version": generate.DRAWING_VERSION, "train_per_class": 2, "test_per_class": 1, "seed": 0,
                        "size": 224}
