"""What a config's data set becomes: training, held-out and test pictures, all counted, and the pixel statistics."""

import numpy as np
import pytest

from mindclf.config import IMAGENET_MEAN, merge, pixel_statistics
from mindclf.dataset import splits
from mindclf.dataset.locate import Found
from mindclf.dataset.splits import find_folder, read_splits, with_statistics
from mindclf.labels import CIFAR10


@pytest.fixture(scope="module")
def cifar(cifar10_folder):
    return merge({"dataset": "cifar10", "dataset_path": str(cifar10_folder)}, {})


def pixels_of(pictures):
    """The first pixel of each picture, which in `cifar10_folder` is another for each."""
    return {tuple(pixels[0, 0].tolist()) for pixels in pictures.paths}


def test_every_picture_of_cifar10_has_one_place(cifar):
    found = read_splits(cifar)
    assert (len(found.train), len(found.valid), len(found.test), found.classes) == (45_000, 5_000, 10_000, CIFAR10)
    assert len(pixels_of(found.train) | pixels_of(found.valid) | pixels_of(found.test)) == 60_000
    assert np.bincount(found.valid.labels).tolist() == [500] * 10
    assert found.watched[1] == "held out"
    assert found.origin == "files laid out as CIFAR-10, but not the official ones"


def test_the_seed_draws_the_held_out_pictures(cifar):
    first, again, other = (pixels_of(read_splits(merge(cifar, {"seed": seed})).valid) for seed in (1, 1, 2))
    assert first == again != other


def test_with_nothing_held_out_all_are_trained_on(cifar):
    found = read_splits(merge(cifar, {"valid_fraction": 0}))
    assert (len(found.train), len(found.valid), len(found.test)) == (50_000, 0, 10_000)
    assert found.watched[1] == "test"


def test_without_a_path_cifar10_is_looked_for(monkeypatch):
    monkeypatch.setattr(splits, "find_cifar10", lambda: Found("a folder", "an origin"))
    assert find_folder(merge({"dataset": "cifar10"}, {})) == ("a folder", "an origin")


@pytest.mark.parametrize("class_index", [
    {name: index for index, name in enumerate(sorted(CIFAR10, reverse=True))}, {"cat": 0, "dog": 1}])
def test_other_classes_than_those_of_the_files_are_refused(cifar, class_index):
    with pytest.raises(ValueError, match="the classes of dataset=cifar10 are airplane, automobile, .* in this order, not "):
        read_splits(merge(cifar, {"class_index": class_index}))


def test_a_folder_without_the_files_is_named(tmp_path):
    with pytest.raises(ValueError, match="data_batch_1.bin is missing: a folder of CIFAR-10 holds "):
        read_splits(merge({"dataset": "cifar10", "dataset_path": str(tmp_path)}, {}))


def test_statistics_left_open_are_those_of_the_training_pictures(cifar):
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
