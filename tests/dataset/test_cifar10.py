"""CIFAR-10 from its binary files: every record once, labels that stay with their images, the customary transforms."""

import hashlib
import io

import numpy as np
import pytest
from mindspore.dataset import vision
from PIL import Image

from mindclf.config import DEFAULTS
from mindclf.dataset import cifar10, pixel_pipeline, train_pipeline
from mindclf.dataset.cifar10 import MD5, origin_of, pixel_statistics_of, read_cifar10, unpack_copy
from mindclf.labels import CIFAR10, class_labels
from mindclf.utils.files import md5
from tests.support.pipelines import evaluated, preprocessing_of

UNCHANGED = dict(DEFAULTS, image_height=32, image_width=32, mean=(0, 0, 0), std=(1, 1, 1), crop_pct=1.0, augment="padded_crop",
                 crop_padding=0, flip_prob=0.0, color_adjust=0.0, batch_size=10, eval_batch_size=7)


@pytest.fixture(scope="module")
def folder(cifar10_folder):
    return cifar10_folder


@pytest.fixture(scope="module")
def train(folder):
    return read_cifar10(folder, "train")


def place(images):
    """The number of the record, counted through all six files, that each of the images (N, 32, 32, 3) shows."""
    red, green, blue = np.asarray(images)[:, 0, 0].astype(int).T
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


def test_evaluation_shows_every_image_once_and_unchanged(folder):
    test = read_cifar10(folder, "test")
    images, labels = joined(evaluated(test, {**UNCHANGED, "eval_batch_size": 128}))
    np.testing.assert_array_equal(images.transpose(0, 2, 3, 1), np.stack(test.paths))
    assert labels.tolist() == list(test.labels) and labels.dtype == np.int32


def test_training_shuffles_whole_batches_and_labels_stay_with_their_images(train):
    few = train.take(range(9_980, 10_035))
    batches = train_pipeline(few, UNCHANGED)
    orders = []
    for images, labels in (joined(batches), joined(batches)):
        places = place(images.transpose(0, 2, 3, 1))
        assert len(places) == 50 == len(set(places)) and (labels == label(places)).all()
        assert set(places) <= set(range(9_980, 10_035))
        orders.append(places.tolist())
    assert orders[0] != sorted(orders[0])


def test_held_out_images_are_read_from_their_places(train):
    kept, held_out = train.hold_out(0.1, seed=1)
    assert (len(kept), len(held_out)) == (45_000, 5_000)
    assert sorted([*place(kept.paths), *place(held_out.paths)]) == list(range(50_000))
    images, labels = joined(evaluated(held_out.take(range(4_000, 4_050)), UNCHANGED))
    assert place(images.transpose(0, 2, 3, 1)).tolist() == place(held_out.paths[4_000:4_050]).tolist()
    assert labels.tolist() == list(held_out.labels[4_000:4_050])


def test_a_padded_crop_shifts_the_image_over_black(train):
    """Each training image is the original, shifted by at most 4 pixels each way, with black where nothing is."""
    train = train.take(range(10))  # of ten classes, in their order
    images, labels = joined(train_pipeline(train, {**UNCHANGED, "crop_padding": 4}))
    shifts = set()
    for image, index in zip(images.transpose(0, 2, 3, 1), labels):
        padded = np.pad(train.paths[index], ((4, 4), (4, 4), (0, 0)))
        found = [(y, x) for y in range(9) for x in range(9) if np.array_equal(padded[y:y + 32, x:x + 32], image)]
        assert len(found) == 1
        shifts.update(found)
    assert len(shifts) > 3


@pytest.mark.parametrize("fields", [
    {"cutout": 8}, {"image_height": 64, "image_width": 64, "train_scale": 0.5, "cutout": 16}], ids=["whole", "train_scale"])
def test_cutout_puts_the_mean_colour_into_a_square(train, fields):
    train = train.take(range(10))
    images, labels = joined(train_pipeline(train, {**UNCHANGED, "mean": (5, 5, 5), **fields}))
    areas = []
    for image, index in zip(images.transpose(0, 2, 3, 1), labels):
        changed = (image != train.paths[index].astype(np.float32) - 5).any(axis=2)
        rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
        areas.append(len(rows) * len(columns))
        assert len(rows) <= 8 and len(columns) <= 8
        assert (image[changed] == 0).all() and changed.sum() == areas[-1]
    assert max(areas) == 64 and np.mean(areas) > 20  # at the edge less of it is in the image


def test_pixels_of_the_size_that_the_net_takes_are_those_of_the_files(train):
    pixels, labels = joined(pixel_pipeline(train.take(range(10)), preprocessing_of(UNCHANGED), 10))
    assert pixels.dtype == np.uint8 and labels.tolist() == list(train.labels[:10])
    np.testing.assert_array_equal(pixels, np.stack(train.paths[:10]))


def test_images_become_as_large_as_the_net_wants_them(train):
    config = {**UNCHANGED, "image_height": 224, "image_width": 224}
    for batches in (train_pipeline(train.take(range(10)), config), evaluated(train.take(range(10)), config)):
        images, _ = joined(batches)
        assert images.shape == (10, 3, 224, 224)


def test_resizing_comes_after_the_crop_and_is_that_of_evaluation(train):
    """As the ShuffleNet tutorial prepares images: padded crop at 32 pixels, then 224. Evaluation rounds to pixel values."""
    few = train.take(range(10))
    config = {**UNCHANGED, "image_height": 224, "image_width": 224}
    images, labels = joined(train_pipeline(few, config))
    expected, _ = joined(evaluated(few, config))
    np.testing.assert_allclose(images, expected[labels], rtol=0, atol=1.01)  # the labels of the first ten are 0 to 9
    shifted, labels = joined(train_pipeline(few, {**config, "crop_padding": 1}))
    for image, index in zip(shifted.transpose(0, 2, 3, 1), labels):
        padded = np.pad(few.paths[index], ((1, 1), (1, 1), (0, 0)))
        crops = [np.ascontiguousarray(padded[y:y + 32, x:x + 32]) for y in range(3) for x in range(3)]
        assert sum(abs(vision.Resize((224, 224))(crop) - image).max() < 1.01 for crop in crops) == 1


def test_statistics_are_those_of_all_pixels(train):
    few = train.take(range(0, 50_000, 40))  # 1,250
    pixels = np.stack(few.paths).astype(float).reshape(-1, 3)
    mean, std = pixel_statistics_of(few)
    np.testing.assert_allclose(mean, pixels.mean(0))
    np.testing.assert_allclose(std, pixels.std(0))


def test_digests_change_with_pixels(train):
    first, second = train.take([3, 3, 4]), train.take([3])
    digests = first.digests()
    assert digests[0] == digests[1] == second.digests()[0] != digests[2]


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


def test_a_file_that_mindspore_would_read_besides_is_named(folder, tmp_path):
    for name in MD5:
        (tmp_path / name).symlink_to(folder / name)
    read_cifar10(tmp_path, "test")
    (tmp_path / "data_batch_1 (1).bin").symlink_to(folder / "data_batch_1.bin")
    with pytest.raises(ValueError, match=r"has data_batch_1 \(1\).bin besides the files of CIFAR-10"):
        read_cifar10(tmp_path, "train")


def test_classes_have_chinese_names():
    labels = class_labels(CIFAR10, "cifar10")
    assert labels[CIFAR10.index("frog")].chinese == "青蛙" and all(label.chinese for label in labels)


def test_official_files_are_known_by_their_checksums(folder, monkeypatch):
    assert origin_of(folder) == "files laid out as CIFAR-10, but not the official ones"
    monkeypatch.setattr(cifar10, "MD5", {name: md5(folder / name) for name in MD5})
    assert origin_of(folder) == "CIFAR-10"


def test_the_copy_is_known_by_the_order_of_its_labels(folder, monkeypatch):
    labels = label(np.arange(60_000)).astype(np.uint8)
    monkeypatch.setattr(cifar10, "COPY_LABELS", hashlib.sha256(labels.tobytes()).hexdigest())
    assert origin_of(folder) == "CIFAR-10, JPEG copy"


def jpeg(colour, size=(32, 32), kind="JPEG"):
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, kind, quality=95)
    return np.frombuffer(buffer.getvalue(), np.uint8)


def make_copy(path, **changes):
    """A copy of 12 images a file, each of the grey 2 * its number; `changes` replace its arrays."""
    arrays = {}
    for usage, numbers in (("train", range(60)), ("test", range(60, 72))):
        files = [jpeg((2 * number,) * 3) for number in numbers]
        arrays[f"{usage}_bytes"] = np.concatenate(files)
        arrays[f"{usage}_offsets"] = np.cumsum([0, *map(len, files)])
        arrays[f"{usage}_labels"] = np.array(numbers, np.uint8) % 10
    np.savez(path, **{name: value for name, value in {**arrays, **changes}.items() if value is not None})
    return path


@pytest.fixture
def small_files(monkeypatch):
    """Files of 12 records instead of 10,000."""
    monkeypatch.setattr(cifar10, "RECORDS", 12)
    monkeypatch.setattr(cifar10, "FILE_BYTES", 12 * 3073)


def test_a_copy_becomes_the_official_layout(tmp_path, small_files):
    folder = unpack_copy(make_copy(tmp_path / "copy.npz"), tmp_path / "data" / "new")
    assert sorted(file.name for file in folder.iterdir()) == sorted(MD5)
    assert [entry.name for entry in (tmp_path / "data").iterdir()] == ["new"]
    test = read_cifar10(folder, "test")
    numbers = [*read_cifar10(folder, "train").paths, *test.paths]
    assert [pixels[0, 0, 0] for pixels in numbers] == [2 * number for number in range(72)]
    assert test.labels == tuple(number % 10 for number in range(60, 72))
    with pytest.raises(ValueError, match="new exists"):
        unpack_copy(tmp_path / "copy.npz", folder)


@pytest.mark.parametrize(("changes", "message"), [
    ({"test_labels": None}, "test_labels"),
    ({"test_labels": np.full(12, 10, np.uint8)}, "out of range"),
    ({"test_labels": np.zeros(11, np.uint8)}, "expected 12 labels"),
    ({"test_labels": np.array([None] * 12)}, "pickle"),
    ({"test_offsets": np.arange(13)}, ""),
    ({"test_offsets": np.arange(13) * 10_000}, "out of range"),
    ({"test_bytes": np.tile(jpeg(0, (33, 32)), 12), "test_offsets": np.arange(13) * len(jpeg(0, (33, 32)))}, "33 x 32 pixels"),
    ({"test_bytes": np.tile(jpeg(0, kind="PNG"), 12), "test_offsets": np.arange(13) * len(jpeg(0, kind="PNG"))}, "identify"),
], ids=["no labels", "label 10", "11 labels", "pickle", "wrong offsets", "far offsets", "size", "PNG"])
def test_a_damaged_copy_leaves_nothing_behind(tmp_path, small_files, changes, message):
    copy = make_copy(tmp_path / "copy.npz", **changes)
    with pytest.raises(ValueError, match=rf"^.*copy.npz is damaged, or no JPEG copy of CIFAR-10: .*{message}"):
        unpack_copy(copy, tmp_path / "new")
    assert [entry.name for entry in tmp_path.iterdir()] == ["copy.npz"]


@pytest.mark.parametrize("share", [0, 0.5])
def test_a_truncated_copy_is_refused(tmp_path, small_files, share):
    copy = make_copy(tmp_path / "copy.npz")
    copy.write_bytes(copy.read_bytes()[:int(share * copy.stat().st_size)])
    with pytest.raises(ValueError, match="copy.npz is damaged"):
        unpack_copy(copy, tmp_path / "new")


def test_the_real_copy(shared, tmp_path):
    """All 60,000 images, with the customary statistics of CIFAR-10 (0.4914, 0.4822, 0.4465; 0.2470, 0.2435, 0.2616)."""
    if not (shared / "data" / "cifar10_jpeg.npz").is_file():
        pytest.skip("needs ../shared/data/cifar10_jpeg.npz, which is not beside this clone")
    folder = unpack_copy(shared / "data" / "cifar10_jpeg.npz", tmp_path / "new")
    assert origin_of(folder) == "CIFAR-10, JPEG copy"
    train, test = read_cifar10(folder, "train"), read_cifar10(folder, "test")
    assert np.bincount(train.labels).tolist() == [5_000] * 10 and np.bincount(test.labels).tolist() == [1_000] * 10
    mean, std = pixel_statistics_of(train)
    np.testing.assert_allclose(mean, np.array([0.4914, 0.4822, 0.4465]) * 255, atol=0.3)
    np.testing.assert_allclose(std, np.array([0.2470, 0.2435, 0.2616]) * 255, atol=0.6)


def test_pixels_can_be_cropped_and_resized_too(cifar10_folder):
    image_set = read_cifar10(cifar10_folder, "train").take(range(4))
    batches = train_pipeline(image_set, {**DEFAULTS, "image_height": 48, "image_width": 40, "batch_size": 4})
    images, labels = next(batches.create_tuple_iterator(num_epochs=1, output_numpy=True))
    assert images.shape == (4, 3, 48, 40) and sorted(labels) == sorted(image_set.labels)
