"""What a config's data set becomes: training, validation and test images, all counted, and the pixel statistics."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mindclf.config import IMAGENET_MEAN, merge, pixel_statistics
from mindclf.dataset import locate
from mindclf.dataset.locate import Found
from mindclf.dataset.splits import find_folder, read_splits, with_statistics
from mindclf.labels import CIFAR10


@pytest.fixture(scope="module")
def cifar(cifar10_folder):
    return merge({"dataset": "cifar10", "dataset_path": str(cifar10_folder)}, {})


def pixels_of(images):
    """The first pixel of each image, which in `cifar10_folder` is another for each."""
    return {tuple(pixels[0, 0].tolist()) for pixels in images.paths}


def test_every_image_of_cifar10_has_one_place(cifar):
    found = read_splits(cifar)
    assert (len(found.train), len(found.valid), len(found.test), found.classes) == (45_000, 5_000, 10_000, CIFAR10)
    assert len(pixels_of(found.train) | pixels_of(found.valid) | pixels_of(found.test)) == 60_000
    assert np.bincount(found.valid.labels).tolist() == [500] * 10
    assert found.monitored[1] == "held out"
    assert found.origin == "files laid out as CIFAR-10, but not the official ones"


def test_the_seed_draws_the_held_out_images(cifar):
    first, again, other = (pixels_of(read_splits(merge(cifar, {"seed": seed})).valid) for seed in (1, 1, 2))
    assert first == again != other


def test_with_nothing_held_out_all_are_trained_on(cifar):
    found = read_splits(merge(cifar, {"valid_fraction": 0}))
    assert (len(found.train), len(found.valid), len(found.test)) == (50_000, 0, 10_000)
    assert found.monitored[1] == "test"


def test_without_a_path_cifar10_is_looked_for(monkeypatch):
    monkeypatch.setattr(locate, "find_cifar10", lambda only_on_disk: Found("a folder", "an origin"))
    assert find_folder(merge({"dataset": "cifar10"}, {})) == ("a folder", "an origin")


@pytest.mark.parametrize("class_index", [
    {name: index for index, name in enumerate(sorted(CIFAR10, reverse=True))}, {"cat": 0, "dog": 1}])
def test_other_classes_than_those_of_the_files_are_refused(cifar, class_index):
    with pytest.raises(ValueError, match="the classes of dataset=cifar10 are airplane, automobile, .* in this order, not "):
        read_splits(merge(cifar, {"class_index": class_index}))


def test_a_folder_without_the_files_is_named(tmp_path):
    with pytest.raises(ValueError, match="data_batch_1.bin is missing: a folder of CIFAR-10 holds "):
        read_splits(merge({"dataset": "cifar10", "dataset_path": str(tmp_path)}, {}))


def test_statistics_left_open_are_those_of_the_training_images(cifar):
    train = read_splits(cifar).train.take(range(100))
    pixels = np.stack(train.paths).astype(float).reshape(-1, 3)
    mean, std = pixel_statistics(with_statistics(cifar, train))
    np.testing.assert_allclose(mean, pixels.mean(0))
    np.testing.assert_allclose(std, pixels.std(0))


def test_statistics_that_something_says_stay(cifar, colour_folder):
    train = read_splits(cifar).train
    for config in (merge(cifar, {"mean": (1, 2, 3), "std": (4, 5, 6)}), merge(cifar, {"pretrained": "some.ckpt"})):
        assert with_statistics(config, train) is config
    photos = merge({"dataset_path": str(colour_folder), "class_index": {"red": 2, "green": 0, "blue": 1}}, {})
    assert pixel_statistics(with_statistics(photos, read_splits(photos).train))[0] == IMAGENET_MEAN


def fill(folder, names, seed=0):
    """Small images of these names in a new `folder`, each another in each class."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng([seed, *folder.name.encode()])
    for name in names:
        Image.fromarray(rng.integers(0, 256, (8, 8, 3)).astype(np.uint8)).save(folder / name)


def names_of(images):
    """(class, file) of each image, by its path."""
    return [(Path(path).parent.name, Path(path).name) for path in images.paths]


@pytest.fixture
def flowers(tmp_path):
    """A config of three flowers whose folders sort '1', '10', '2', with another number of images in each split."""
    for split, count in (("train", 4), ("valid", 3), ("test", 2)):
        for folder in ("1", "2", "10"):
            fill(tmp_path / split / folder, [f"{split}{number}.png" for number in range(count)])
    return merge({"dataset": "flowers102", "dataset_path": str(tmp_path), "class_index": ("1", "10", "2")}, {})


def test_flowers_hold_out_the_folder_that_is_meant_for_it(flowers):
    found = read_splits(flowers)
    for images, split, count in ((found.train, "train", 4), (found.valid, "valid", 3), (found.test, "test", 2)):
        assert names_of(images) == [(folder, f"{split}{n}.png") for folder in ("1", "10", "2") for n in range(count)]
        assert images.classes == ("pink primrose", "globe thistle", "hard-leaved pocket orchid")
    assert found.monitored == (found.valid, "held out")


@pytest.mark.parametrize("folders", [("1", "10", "2"), ("2", "1", "10"), ("10", "2", "1")])
def test_label_folder_and_flower_stay_together_in_any_order(flowers, folders):
    flower_of = {"1": "pink primrose", "2": "hard-leaved pocket orchid", "10": "globe thistle"}
    train = read_splits(merge(flowers, {"class_index": folders})).train
    for label, (folder, _) in zip(train.labels, names_of(train)):
        assert (folders[label], train.classes[label]) == (folder, flower_of[folder])


@pytest.mark.parametrize("name", ["valid", "val", "validation"])
def test_a_valid_folder_beside_a_test_folder_is_held_out_and_alone_is_for_testing(flowers, tmp_path, name):
    (tmp_path / "valid").rename(tmp_path / name)
    found = read_splits(flowers)
    assert [len(images) for images in (found.train, found.valid, found.test)] == [12, 9, 6]
    with pytest.raises(ValueError, match=f"valid_fraction=0.25 means nothing to .*: its folder {name}/ has the images"):
        read_splits(merge(flowers, {"valid_fraction": 0.25}))
    (tmp_path / "test").rename(tmp_path / "elsewhere")
    found = read_splits(merge(flowers, {"valid_fraction": 0.25}))
    assert [len(images) for images in (found.train, found.valid, found.test)] == [9, 3, 9]
    assert {Path(path).parts[-3] for path in found.test.paths} == {name}
    (tmp_path / name).rename(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="has train/ and neither test/ nor val/: add one, or give .*/train, to be divided"):
        read_splits(flowers)


def test_of_caltech_every_fifth_image_of_a_class_is_for_testing(tmp_path):
    """The 5th, the 10th ... by file name: whatever the order of the file system, the seed, or another class's images."""
    fill(tmp_path / "watch", [f"image_{number:04}.png" for number in range(12, 0, -1)])
    fill(tmp_path / "ketch", [f"image_{number:04}.png" for number in (7, 1, 5, 3, 9, 11, 2)])
    before = sorted(tmp_path.rglob("*"))
    config = merge({"dataset": "caltech16", "dataset_path": str(tmp_path), "class_index": ("watch", "ketch"),
                    "valid_fraction": 0.25}, {})
    found, again = read_splits(config), read_splits(merge(config, {"seed": 2}))
    assert names_of(found.test) == names_of(again.test) == [
        ("watch", "image_0005.png"), ("watch", "image_0010.png"), ("ketch", "image_0007.png")]
    assert found.test.labels == (0, 0, 1)
    assert (len(found.train), len(found.valid)) == (12, 4)  # of 10 and 6 images a quarter, rounded, is 2 and 2
    assert len({*names_of(found.train), *names_of(found.valid), *names_of(found.test)}) == 19
    assert sorted(tmp_path.rglob("*")) == before


def test_a_damaged_image_moves_no_other_between_training_and_testing(tmp_path):
    fill(tmp_path / "watch", [f"{number:02}.png" for number in range(1, 11)])
    (tmp_path / "watch" / "02.png").write_bytes(b"text")
    config = merge({"dataset": "caltech16", "dataset_path": str(tmp_path), "class_index": ["watch"], "on_bad_image": "skip"}, {})
    found = read_splits(config)
    assert [name for _, name in names_of(found.test)] == ["05.png", "10.png"] and len(found.train) + len(found.valid) == 7


def test_equal_images_of_a_named_set_stay_together(tmp_path):
    """The 5th is again the 6th of its class and the 1st of the other: all three follow the first of them, in testing."""
    fill(tmp_path / "a", [f"{number:02}.png" for number in range(1, 11)])
    fill(tmp_path / "b", [f"{number:02}.png" for number in range(1, 8)])
    for copy in ("a/06.png", "b/01.png"):
        shutil.copy(tmp_path / "a" / "05.png", tmp_path / copy)
    found = read_splits(merge({"dataset": "caltech16", "dataset_path": str(tmp_path), "class_index": ["a", "b"]}, {}))
    assert names_of(found.test) == [("a", "05.png"), ("a", "06.png"), ("b", "01.png"), ("b", "06.png")]
    assert len(found.train) + len(found.valid) == 13


@pytest.fixture
def own(tmp_path):
    """A config of a person's own undivided folder."""
    for name in ("a", "b"):
        fill(tmp_path / "own" / name, [f"{number:02}.png" for number in range(40)])
    return merge({"dataset_path": str(tmp_path / "own"), "class_index": ["a", "b"]}, {})


def contents_of(found):
    """{the bytes of each image: its side}."""
    return {Path(path).read_bytes(): side for side, images in
            (("train", found.train), ("validation", found.valid), ("test", found.test)) for path in images.paths}


def test_what_is_added_renamed_or_moved_moves_no_image_of_ones_own(own, tmp_path):
    before = contents_of(read_splits(own))
    folder = (tmp_path / "own").rename(tmp_path / "elsewhere")
    for number, file in enumerate(sorted((folder / "a").iterdir())):
        file.rename(file.with_name(f"IMG_{99 - number}.png"))
    for name in ("a", "b"):
        fill(tmp_path / "more" / name, [f"IMG_{number:02}x.png" for number in range(9)], seed=1)
        for file in (tmp_path / "more" / name).iterdir():
            file.rename(folder / name / file.name)
    after = contents_of(read_splits(merge(own, {"dataset_path": str(folder)})))
    assert len(before) == 80 and len(after) == 98
    assert before.items() <= after.items() and set(before.values()) == {"train", "validation", "test"}


def test_what_is_added_to_the_train_folder_moves_no_image_to_or_from_validation(tmp_path):
    for split, count in (("train", 40), ("test", 3)):
        for name in ("a", "b"):
            fill(tmp_path / split / name, [f"{split}{number:02}.png" for number in range(count)], seed=len(split))
    config = merge({"dataset_path": str(tmp_path), "class_index": ["a", "b"]}, {})
    before = contents_of(read_splits(config))
    fill(tmp_path / "more" / "a", [f"a{number:02}.png" for number in range(9)], seed=9)
    for file in (tmp_path / "more" / "a").iterdir():
        file.rename(tmp_path / "train" / "a" / file.name)
    assert before.items() <= contents_of(read_splits(config)).items()


def test_the_digest_changes_with_contents_labels_and_order_and_not_with_names_that_keep_it(own, tmp_path):
    folder, first = tmp_path / "own", read_splits(own).digest()
    assert read_splits(own).digest() == first
    for file in sorted((folder / "a").iterdir()):
        file.rename(file.with_name(f"x{file.name}"))
    assert read_splits(own).digest() == first
    assert read_splits(merge(own, {"class_index": ["b", "a"]})).digest() != first
    victim = next((folder / "b").iterdir())
    modified = victim.stat().st_mtime_ns
    content = victim.read_bytes() + b"x"  # still the same image, of other bytes
    victim.write_bytes(content)
    assert read_splits(own).digest() != first
    os.utime(victim, ns=(modified, modified))
    assert read_splits(own).digest() != first


@pytest.mark.parametrize("part", ["train", "valid", "test"])
def test_the_digest_changes_with_one_label(own, part):
    found = read_splits(own)
    images = getattr(found, part)
    other = replace(images, labels=(1 - images.labels[0], *images.labels[1:]))
    assert replace(found, **{part: other}).digest() != replace(found).digest() == found.digest()


def test_the_digest_of_cifar10_changes_with_its_pixels(cifar, cifar10_folder):
    found = read_splits(cifar)
    pixels = list(found.test.paths)
    pixels[17] = pixels[17] ^ 1
    other = replace(found, test=replace(found.test, paths=tuple(pixels)))
    assert found.digest() == read_splits(cifar).digest() != other.digest()


def test_a_class_of_one_image_is_trained_on_and_said_to_have_no_test(own, tmp_path, caplog):
    fill(tmp_path / "own" / "c", ["only.png"])
    with caplog.at_level("WARNING"):
        found = read_splits(merge(own, {"class_index": ["a", "b", "c"]}))
    assert found.train.labels.count(2) == 1 and 2 not in found.test.labels + found.valid.labels
    assert caplog.messages == [f"{tmp_path / 'own'}: too few images, none is left for testing, of class 'c'"]


def test_a_folder_of_which_nothing_is_left_for_testing_is_refused(tmp_path):
    for name in ("a", "b"):
        fill(tmp_path / name, ["only.png"])
        shutil.copy(tmp_path / name / "only.png", tmp_path / name / "again.png")
    with pytest.raises(ValueError, match="has no class of two different images or more: none is left for testing, add some"):
        read_splits(merge({"dataset_path": str(tmp_path), "class_index": ["a", "b"]}, {}))


@pytest.mark.parametrize("count", [2, 3, 5])
def test_small_classes_have_images_on_both_sides(tmp_path, count):
    for name in "abcdefgh":
        fill(tmp_path / name, [f"{number}.png" for number in range(count)])
    found = read_splits(merge({"dataset_path": str(tmp_path), "class_index": list("abcdefgh")}, {}))
    assert set(found.train.labels) == set(found.test.labels) == set(range(8))


@pytest.mark.parametrize(("dataset", "counts"), [
    ("flowers102", (6552, 818, 819)), ("caltech16", (1314, 146, 357)), ("flower_photos", (3113, 344, 860))])
def test_the_real_images(shared, monkeypatch, dataset, counts):
    folder = {"flower_photos": "flower_photos_128"}.get(dataset, dataset)
    if not (shared / "data" / folder).is_dir():
        pytest.skip(f"needs ../shared/data/{folder}, which is not beside this clone")
    monkeypatch.setenv("MINDCLF_DATA", str(shared))
    found = read_splits(merge({"dataset": dataset}, {}))
    assert (len(found.train), len(found.valid), len(found.test)) == counts
    for images in (found.train, found.valid, found.test):
        assert set(images.labels) == set(range(len(found.classes)))
    assert Path(found.path) == shared / "data" / folder
