"""CIFAR-10 from its binary files: every record once, labels that stay with their pictures, the customary transforms."""

import numpy as np
import pytest

from mindclf.config import DEFAULTS
from mindclf.dataset import eval_pipeline, train_pipeline
from mindclf.dataset.cifar10 import FILES, pixel_statistics_of, read_cifar10
from mindclf.labels import CIFAR10, describe

UNCHANGED = dict(DEFAULTS, image_height=32, image_width=32, mean=(0, 0, 0), std=(1, 1, 1), crop_share=1.0, augment="padded_crop",
                 crop_padding=0, flip_prob=0.0, color_adjust=0.0, batch_size=10, eval_batch_size=7)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The six files, full size, for MindSpore reads no others. `place` tells from a picture's first pixel which record it is."""
    folder = tmp_path_factory.mktemp("cifar")
    noise = np.random.default_rng(0).integers(0, 256, (100, 3073), dtype=np.uint8)
    for number, name in enumerate([*FILES["train"], *FILES["test"]]):
        records = np.tile(noise, (100, 1))
        index = np.arange(10_000)
        records[:, 1], records[:, 1 + 1024], records[:, 1 + 2048] = number, index // 256, index % 256
        records[:, 0] = (number + index) % 10
        records.tofile(folder / name)
    return folder


@pytest.fixture(scope="module")
def train(folder):
    return read_cifar10(folder, "train")


def place(pictures):
    """The number of the record, counted through all six files, that each of the pictures (N, 32, 32, 3) shows."""
    red, green, blue = np.asarray(pictures)[:, 0, 0].astype(int).T
    return red * 10_000 + green * 256 + blue


def label(places):
    return (places // 10_000 + places % 10_000) % 10


def joined(dataset):
    return map(np.concatenate, zip(*dataset.create_tuple_iterator(num_epochs=1, output_numpy=True)))


def test_planes_become_pixels_in_the_order_of_the_files(folder, train):
    test = read_cifar10(folder, "test")
    assert (len(train), len(test), train.classes) == (50_000, 10_000, CIFAR10)
    assert (place(train.paths) == np.arange(50_000)).all() and (place(test.paths) == np.arange(50_000, 60_000)).all()
    assert (np.array(train.labels) == label(np.arange(50_000))).all()
    record = np.fromfile(folder / "data_batch_2.bin", np.uint8).reshape(-1, 3073)[3]
    red, green, blue = record[1:].reshape(3, 32, 32)
    np.testing.assert_array_equal(train.paths[10_003], np.stack([red, green, blue], axis=-1))


def test_evaluation_shows_every_picture_once_and_unchanged(folder):
    test = read_cifar10(folder, "test")
    images, labels = joined(eval_pipeline(test, {**UNCHANGED, "eval_batch_size": 128}))
    np.testing.assert_array_equal(images.transpose(0, 2, 3, 1), np.stack(test.paths))
    assert labels.tolist() == list(test.labels) and labels.dtype == np.int32


def test_training_shuffles_whole_batches_and_labels_stay_with_their_pictures(train):
    few = train.take(range(9_980, 10_035))
    batches = train_pipeline(few, UNCHANGED)
    orders = []
    for images, labels in (joined(batches), joined(batches)):
        places = place(images.transpose(0, 2, 3, 1))
        assert len(places) == 50 == len(set(places)) and (labels == label(places)).all()
        assert set(places) <= set(range(9_980, 10_035))
        orders.append(places.tolist())
    assert orders[0] != sorted(orders[0])


def test_held_out_pictures_are_read_from_their_places(train):
    kept, held_out = train.hold_out(0.1, seed=1)
    assert (len(kept), len(held_out)) == (45_000, 5_000)
    assert sorted([*place(kept.paths), *place(held_out.paths)]) == list(range(50_000))
    images, labels = joined(eval_pipeline(held_out.take(range(4_000, 4_050)), UNCHANGED))
    assert place(images.transpose(0, 2, 3, 1)).tolist() == place(held_out.paths[4_000:4_050]).tolist()
    assert labels.tolist() == list(held_out.labels[4_000:4_050])


def test_a_padded_crop_shifts_the_picture_over_black(train, seeded):
    """Each training picture is the original, shifted by at most 4 pixels each way, with black where nothing is."""
    train = train.take(range(10))  # of ten classes, in their order
    images, labels = joined(train_pipeline(train, {**UNCHANGED, "crop_padding": 4}))
    shifts = set()
    for image, index in zip(images.transpose(0, 2, 3, 1), labels):
        padded = np.pad(train.paths[index], ((4, 4), (4, 4), (0, 0)))
        found = [(y, x) for y in range(9) for x in range(9) if np.array_equal(padded[y:y + 32, x:x + 32], image)]
        assert len(found) == 1
        shifts.update(found)
    assert len(shifts) > 3


def test_cutout_puts_the_mean_colour_into_a_square(train, seeded):
    train = train.take(range(10))
    images, labels = joined(train_pipeline(train, {**UNCHANGED, "mean": (5, 5, 5), "cutout": 8}))
    areas = []
    for image, index in zip(images.transpose(0, 2, 3, 1), labels):
        changed = (image != train.paths[index].astype(np.float32) - 5).any(axis=2)
        rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
        areas.append(len(rows) * len(columns))
        assert len(rows) <= 8 and len(columns) <= 8
        assert (image[changed] == 0).all() and changed.sum() == areas[-1]
    assert max(areas) == 64 and np.mean(areas) > 20  # at the edge less of it is in the picture


def test_pictures_become_as_large_as_the_net_wants_them(train):
    config = {**UNCHANGED, "image_height": 224, "image_width": 224}
    for batches in (train_pipeline(train.take(range(10)), config), eval_pipeline(train.take(range(10)), config)):
        images, _ = joined(batches)
        assert images.shape == (10, 3, 224, 224)


def test_statistics_are_those_of_all_pixels(train):
    few = train.take(range(100))
    pixels = np.stack(few.paths).astype(float).reshape(-1, 3)
    mean, std = pixel_statistics_of(few)
    np.testing.assert_allclose(mean, pixels.mean(0))
    np.testing.assert_allclose(std, pixels.std(0))


def test_damaged_folders_are_named(folder, tmp_path):
    with pytest.raises(ValueError, match="data_batch_1.bin is missing: a folder of CIFAR-10 holds data_batch_1.bin, "):
        read_cifar10(tmp_path, "train")
    (tmp_path / "test_batch.bin").write_bytes(b"x" * 5)
    with pytest.raises(ValueError, match=r"test_batch.bin has 5 bytes, not 30,730,000: it is damaged"):
        read_cifar10(tmp_path, "test")
    records = np.fromfile(folder / "test_batch.bin", np.uint8)
    records[0] = 10
    records.tofile(tmp_path / "test_batch.bin")
    with pytest.raises(ValueError, match=r"test_batch.bin holds the label 10; those of CIFAR-10 are 0 to 9"):
        read_cifar10(tmp_path, "test")


def test_classes_have_chinese_names():
    assert describe("frog") == {"chinese": "青蛙"} and all(describe(name)["chinese"] for name in CIFAR10)
