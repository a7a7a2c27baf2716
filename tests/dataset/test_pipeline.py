"""create_dataset: evaluation shows every image once, unchanged but for its size; training shuffles, augments, drops."""

import shutil

import numpy as np
import pytest
from easydict import EasyDict
from mindspore import dataset as ds
from mindspore.dataset import vision
from PIL import Image

from mindclf.config import DEFAULTS
from mindclf.dataset import ImageSet, augmented_pipeline, create_dataset, decode_image, read_folder, train_pipeline
from mindclf.dataset.draws import STORED_VIEWS, Draws
from mindclf.preprocessing import Preprocessing
from tests.support.pipelines import evaluated

CLASS_INDEX = {"red": 2, "green": 0, "blue": 1}  # of colour_folder: 10 images a class in train/, 3 in test/
MEAN = np.array([0.485, 0.456, 0.406]) * 255     # of ImageNet, RGB
STD = np.array([0.229, 0.224, 0.225]) * 255
UNCHANGED = dict(scale=(1.0, 1.0), ratio=(1.0, 1.0), flip_prob=0.0, color_adjust=0.0, mean=(0, 0, 0), std=(1, 1, 1))
AUGMENTS = ({"augment": "resized_crop"}, {"augment": "padded_crop", "crop_padding": 0})  # with UNCHANGED: of all the image


VIEW = Draws(7, STORED_VIEWS, 1)


def small(**fields):
    return {**DEFAULTS, "image_height": 32, "image_width": 32, "class_index": CLASS_INDEX, **fields}


def batches(dataset):
    return list(dataset.create_tuple_iterator(num_epochs=1, output_numpy=True))


def joined(dataset):
    """All images and all labels of one epoch."""
    return map(np.concatenate, zip(*batches(dataset)))


@pytest.fixture(scope="module")
def greys(tmp_path_factory):
    """14 images, each of one grey; `shades` reads off which is which."""
    folder = tmp_path_factory.mktemp("greys")
    for index in range(14):
        Image.new("RGB", (40, 40), (10 * index,) * 3).save(folder / f"{index:02}.png")
    return ImageSet(tuple(map(str, sorted(folder.iterdir()))), tuple(index % 3 for index in range(14)), ("a", "b", "c"))


def shades(images):
    """The index of the image of `greys` that each of `images` shows; made with UNCHANGED."""
    assert (images == images[:, :1, :1, :1]).all()
    return np.rint(images[:, 0, 0, 0] / 10).astype(int).tolist()


@pytest.mark.parametrize("training", [True, False])
def test_the_call_of_the_tutorial(colour_folder, training):
    config = EasyDict(class_index=CLASS_INDEX, image_height=224, image_width=224, batch_size=8, eval_batch_size=4)
    found = batches(create_dataset(str(colour_folder), config, training=training))
    assert [len(images) for images, _ in found] == ([8, 8, 8] if training else [4, 4, 1])  # of 30 and 9 images
    for images, labels in found:
        assert images.shape == (len(labels), 3, 224, 224)
        assert (images.dtype, labels.dtype) == (np.float32, np.int32)


def test_height_stands_before_width(colour_folder):
    for training in (True, False):
        config = small(image_height=32, image_width=48)
        [images, _], *_ = batches(create_dataset(colour_folder, config, training))
        assert images.shape[1:] == (3, 32, 48)


@pytest.mark.parametrize("augment", AUGMENTS)
def test_size_share_makes_training_images_smaller_and_no_others(colour_folder, augment):
    config = small(image_height=32, image_width=48, train_scale=0.75, **augment)
    shapes = [next(iter(create_dataset(colour_folder, config, training)))[0].shape for training in (True, False)]
    assert shapes == [(16, 3, 24, 36), (9, 3, 32, 48)]


def test_evaluation_counts_every_image_in_its_order(greys):
    images, labels = joined(evaluated(greys, small(eval_batch_size=4, **UNCHANGED)))
    assert shades(images) == list(range(14))
    assert labels.tolist() == [index % 3 for index in range(14)]


def test_labels_are_those_of_class_index(colour_folder):
    images, labels = joined(create_dataset(colour_folder, small(), training=False))
    assert labels.tolist() == [0] * 3 + [1] * 3 + [2] * 3
    brightest_channel = (images.transpose(0, 2, 3, 1) * STD + MEAN).mean((1, 2)).argmax(1)
    assert brightest_channel.tolist() == [1] * 3 + [2] * 3 + [0] * 3  # green, blue, red


def test_a_tutorials_data_set_finds_its_folders_by_name_in_any_case(colour_folder, tmp_path):
    for name in ("train", "test"):
        shutil.copytree(colour_folder / name, tmp_path / "photos" / "photos" / f"{name}ing".upper())
    for training, count in ((True, 30), (False, 9)):
        batches = create_dataset(tmp_path / "photos", small(batch_size=3, eval_batch_size=3), training)
        assert batches.get_dataset_size() == count // 3


def test_training_drops_an_incomplete_batch_and_doubles_no_image(greys):
    images, labels = joined(train_pipeline(greys, small(batch_size=4, **UNCHANGED)))
    seen = shades(images)
    assert len(set(seen)) == len(seen) == 12
    assert labels.tolist() == [index % 3 for index in seen]


def test_training_shuffles_anew_in_each_epoch_and_in_each_iterator(greys):
    dataset = train_pipeline(greys, small(batch_size=14, **UNCHANGED))
    plain = train_pipeline(greys, small(batch_size=14, **UNCHANGED))
    asked = (dataset.get_dataset_size(), dataset.get_batch_size(), dataset.output_shapes(), dataset.output_types())
    assert asked == (1, 14, [[14, 3, 32, 32], [14]], [np.dtype("float32"), np.dtype("int32")])
    orders = [tuple(shades(images)) for images, _ in plain.create_tuple_iterator(num_epochs=1, output_numpy=True)]
    assert orders == [tuple(shades(images)) for images, _ in dataset.create_tuple_iterator(num_epochs=1, output_numpy=True)]
    for _ in range(2):
        iterator = dataset.create_tuple_iterator(num_epochs=2, output_numpy=True)
        orders += [tuple(shades(images)) for _ in range(2) for images, _ in iterator]
    assert all(sorted(order) == list(range(14)) for order in orders)
    assert len({*orders, tuple(range(14))}) == 6


def one_image(colour_folder, **fields):
    """Training views of one image, 6 times."""
    path = str(colour_folder / "train" / "red" / "0.png")
    images, _ = joined(train_pipeline(ImageSet((path,) * 6, (0,) * 6, ("red",)), small(batch_size=6, **fields)))
    return images


@pytest.mark.parametrize(("field", "value"), [
    ("scale", (0.1, 0.9)), ("flip_prob", 0.5), ("vertical_flip_prob", 0.5), ("rotation", 20), ("color_adjust", 0.4),
    ("hue_adjust", 0.2), ("grey_prob", 0.5)])
def test_training_augments(colour_folder, field, value):
    same = one_image(colour_folder, **UNCHANGED)
    assert (same == same[:1]).all()
    varied = one_image(colour_folder, **{**UNCHANGED, field: value})
    assert len(np.unique(varied.reshape(6, -1), axis=0)) > 1


@pytest.fixture(scope="module")
def wedge(tmp_path_factory):
    """One image 64 times, of the net's size: dark red with a bright blue bar from the centre straight up."""
    pixels = np.full((32, 32, 3), (90, 20, 30), np.uint8)
    pixels[:16, 14:18] = (10, 20, 250)
    path = tmp_path_factory.mktemp("wedge") / "0.png"
    Image.fromarray(pixels).save(path)
    return ImageSet((str(path),) * 64, (0,) * 64, ("a",))


def views(image_set, augment, **fields):
    """Training views of `image_set` in their order, as pixels (N, H, W, 3), with nothing changed but `fields`."""
    images, _ = joined(augmented_pipeline(image_set, small(**{**UNCHANGED, **augment, **fields}), VIEW))
    return images.transpose(0, 2, 3, 1)


def bar_angles(pixels):
    """Degrees by which the bar of `wedge` is turned to the left in each of `pixels`."""
    rows, columns = np.indices((32, 32)) - 15.5
    weights = np.clip(pixels[..., 2] - pixels[..., 0], 0, None)  # of blue
    return np.degrees(np.arctan2(-(weights * columns).sum((1, 2)), -(weights * rows).sum((1, 2))))


@pytest.mark.parametrize("augment", AUGMENTS)
def test_a_mirror_image_is_mirrored_left_to_right(colour_folder, augment):
    image = ImageSet((str(colour_folder / "train" / "red" / "0.png"),), (0,), ("red",))
    straight, mirrored = (views(image, augment, flip_prob=prob) for prob in (0.0, 1.0))
    assert np.array_equal(mirrored, straight[:, :, ::-1])
    assert not np.array_equal(mirrored, straight)


@pytest.mark.parametrize("augment", AUGMENTS)
def test_a_vertical_flip_turns_the_top_down(wedge, augment):
    straight, flipped = (views(wedge.take([0]), augment, vertical_flip_prob=prob) for prob in (0.0, 1.0))
    assert np.array_equal(flipped, straight[:, ::-1])
    assert not np.array_equal(flipped, straight)


@pytest.mark.parametrize("augment", AUGMENTS)
def test_a_rotation_is_by_up_to_so_many_degrees_to_either_side(wedge, augment):
    angles = bar_angles(views(wedge, augment, rotation=30))
    assert -32 < angles.min() < -20 and 20 < angles.max() < 32
    assert len(set(angles.round(3))) > 30
    assert abs(bar_angles(views(wedge.take([0]), augment))) < 0.1


@pytest.mark.parametrize("augment", AUGMENTS)
def test_corners_that_a_rotation_bares_have_the_mean_colour(wedge, augment):
    corners = views(wedge, augment, rotation=45, mean=(100, 150, 200))[:, 0, 0]  # after normalisation: the mean is 0
    bare = (abs(corners - (90 - 100, 20 - 150, 30 - 200)) > 1).any(1)
    assert bare.sum() > 30
    assert abs(corners).max(1)[bare].min() == 0


@pytest.mark.parametrize("augment", AUGMENTS)
def test_grey_images_have_equal_channels_and_come_as_often_as_said(wedge, augment):
    pixels = views(wedge, augment, grey_prob=0.25)
    grey = (pixels == pixels[..., :1]).all((1, 2, 3))
    assert 6 <= grey.sum() <= 28  # 16 expected; all but 1 in 1,000 draws of 64
    luma = np.array([90, 20, 30]) @ [0.299, 0.587, 0.114]  # ITU-R BT.601
    assert abs(pixels[grey][:, 31, 31, 0] - luma).max() < 1
    assert np.array_equal(pixels[~grey], np.broadcast_to(views(wedge.take([0]), augment), pixels[~grey].shape))


@pytest.mark.parametrize("augment", AUGMENTS)
def test_hue_changes_alone(wedge, augment):
    colours = views(wedge, augment, hue_adjust=0.5)[:, 31, 31]
    assert len(np.unique(colours, axis=0)) > 30
    assert {int(channel) for channel in colours.argmax(1)} == {0, 1, 2}
    grey = np.mean([90, 20, 30])  # the mean of the channels and the distance from grey stay
    np.testing.assert_allclose(colours.mean(1), grey, atol=0.01)
    np.testing.assert_allclose(np.linalg.norm(colours - grey, axis=1), np.linalg.norm(np.array([90, 20, 30]) - grey), atol=0.01)


def test_evaluation_varies_nothing(wedge):
    everything = dict(rotation=90, flip_prob=1.0, vertical_flip_prob=1.0, color_adjust=1.0, hue_adjust=0.5, grey_prob=1.0)
    plain, asked = (next(joined(evaluated(wedge, small(**{**UNCHANGED, **fields})))) for fields in ({}, everything))
    assert np.array_equal(plain, asked)
    assert not (plain == plain[:, :1]).all()


def test_augmented_pipeline_keeps_order_and_counts_every_image(greys):
    images, labels = joined(augmented_pipeline(greys, small(eval_batch_size=4, **UNCHANGED), VIEW))
    assert shades(images) == list(range(14))
    assert labels.tolist() == [index % 3 for index in range(14)]


def test_augmented_pipeline_augments(greys):
    images, _ = joined(augmented_pipeline(greys.take([13] * 6), small(**{**UNCHANGED, "color_adjust": 0.4}), VIEW))
    assert len(np.unique(images[:, 0, 0, 0])) > 1


def test_the_seed_decides_everything(colour_folder):
    def run(seed):
        config = small(seed=seed, batch_size=8, rotation=20, vertical_flip_prob=0.5, hue_adjust=0.1, grey_prob=0.5)
        ds.config.set_seed(99 + len(made))  # changes nothing
        made.append([array for batch in batches(create_dataset(colour_folder, config)) for array in batch])
        return made[-1]

    made, before = [], ds.config.get_seed()

    first, again, other = run(1), run(1), run(2)
    assert all(map(np.array_equal, first, again))
    assert not any(np.array_equal(a, b) for a, b in zip(first[::2], other[::2]))
    ds.config.set_seed(before)


@pytest.mark.parametrize(("height", "width"), [(256, 300), (300, 256), (256, 256)])
def test_evaluation_sees_the_centre_pixel_by_pixel(tmp_path, height, width):
    """The shorter side is 256 already, so that nothing is resampled and NumPy knows each value."""
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    config = small(image_height=224, image_width=224)
    images, _ = joined(evaluated(ImageSet((tmp_path / "a.png",), (0,), ("a",)), config))
    top, left = (height - 224) // 2, (width - 224) // 2
    centre = pixels[top:top + 224, left:left + 224]
    assert np.array_equal(Preprocessing((224, 224), mean=MEAN, std=STD).unnormalize(images)[0], centre)
    np.testing.assert_allclose(images[0], ((centre - MEAN) / STD).transpose(2, 0, 1), rtol=0, atol=1e-5)


def test_evaluation_brings_the_shorter_side_to_256(tmp_path):
    """Of an image twice as large: its edge at column 160 comes to 80, and the crop begins at 16."""
    pixels = np.zeros((512, 512, 3), np.uint8)
    pixels[:, 160:] = 200
    Image.fromarray(pixels).save(tmp_path / "a.png")
    config = small(image_height=224, image_width=224, mean=(0, 0, 0), std=(1, 1, 1))
    images, _ = joined(evaluated(ImageSet((tmp_path / "a.png",), (0,), ("a",)), config))
    assert (images[..., :63] == 0).all()
    assert (images[..., 65:] == 200).all()


def test_a_padded_crop_of_a_photo_keeps_its_shape(tmp_path):
    """A wide photo with a square in its middle: training sees a square, as evaluation does."""
    photo = Image.new("RGB", (96, 64))
    photo.paste((255, 255, 255), (32, 16, 64, 48))
    photo.save(tmp_path / "wide.png")
    images = ImageSet((str(tmp_path / "wide.png"),) * 2, (0, 0), ("a",))
    config = small(augment="padded_crop", crop_padding=0, flip_prob=0.0, color_adjust=0.0, batch_size=2, crop_pct=1.0)
    views, seen = (next(joined(pipeline(images, config))) for pipeline in (train_pipeline, evaluated))
    np.testing.assert_allclose(views, seen, rtol=0, atol=1e-5)


def test_shifts_shrink_with_the_images(greys):
    """Half an image is shifted half as far: by at most 4 of 16 pixels, for 8 of 32."""
    config = small(**{**UNCHANGED, "augment": "padded_crop", "crop_padding": 8, "train_scale": 0.5, "batch_size": 8})
    images, _ = joined(train_pipeline(greys.take([9] * 64), config))
    shifts = [16 - np.count_nonzero(image[0].any(axis=axis)) for image in images for axis in (0, 1)]
    assert (images.shape, min(shifts), max(shifts)) == ((64, 3, 16, 16), 0, 4)


def test_statistics_of_the_config_hold(greys):
    config = small(**{**UNCHANGED, "mean": (10, 20, 30), "std": (1, 2, 4)})
    images, _ = joined(evaluated(greys.take([5]), config))  # grey 50
    assert images[0, :, 0, 0].tolist() == [40, 15, 5]


def test_gif_and_turned_jpeg_in_class_folders(tmp_path):
    upright = np.zeros((36, 36, 3), np.uint8)  # the size to which evaluation brings an image for a crop of 32
    upright[:, :18], upright[:, 18:] = (200, 0, 0), (0, 0, 200)
    for split in ("train", "test"):
        (tmp_path / split / "a").mkdir(parents=True)
        Image.fromarray(upright).save(tmp_path / split / "a" / "1.gif")
        exif = Image.Exif()
        exif[0x0112] = 6  # the camera stored it turned to the left
        turned = Image.fromarray(np.ascontiguousarray(np.rot90(upright)))
        turned.save(tmp_path / split / "a" / "2.jpg", quality=95, subsampling=0, exif=exif)
    config = small(class_index={"a": 0}, batch_size=2, **UNCHANGED)
    images, _ = joined(create_dataset(tmp_path, config, training=False))
    for image in images:
        assert np.abs(image[:, :, :15].transpose(1, 2, 0) - (200, 0, 0)).max() <= 3
        assert np.abs(image[:, :, 17:].transpose(1, 2, 0) - (0, 0, 200)).max() <= 3
    images, _ = joined(create_dataset(tmp_path, config))
    assert images.shape == (2, 3, 32, 32)


def test_too_few_images_for_a_batch_are_named(colour_folder):
    with pytest.raises(ValueError, match="batch_size=31 is more than the 30 training images"):
        create_dataset(colour_folder, small(batch_size=31))
    assert len(batches(create_dataset(colour_folder, small(batch_size=30)))) == 1


def test_a_folder_without_train_is_named(tmp_path):
    with pytest.raises(ValueError, match="folder .*train does not exist"):
        create_dataset(tmp_path, small())


def test_bad_images_stop_or_are_skipped(tmp_path):
    (tmp_path / "test" / "a").mkdir(parents=True)
    (tmp_path / "test" / "a" / "bad.jpg").write_bytes(b"text")
    Image.new("RGB", (9, 9)).save(tmp_path / "test" / "a" / "good.png")
    config = small(class_index={"a": 0})
    with pytest.raises(ValueError, match=r"bad\.jpg is not an image"):
        create_dataset(tmp_path, config, training=False)
    _, labels = joined(create_dataset(tmp_path, {**config, "on_bad_image": "skip"}, training=False))
    assert labels.tolist() == [0]


def test_transforms_of_ones_own_take_the_place_of_ours(colour_folder):
    """Each image twice as bright, and mirrored or not: every image once an epoch, and never another value."""
    def halved(image):
        return (image[:32, :32] / 2).astype(np.float32).transpose(2, 0, 1)

    config = {"class_index": CLASS_INDEX, "batch_size": 6, "eval_batch_size": 4}
    images, labels = joined(create_dataset(colour_folder, config, training=False, transforms=[halved]))
    plain = [np.asarray(decode_image(path)) for path in read_folder(colour_folder / "test", CLASS_INDEX).paths]
    np.testing.assert_array_equal(images, [halved(image) for image in plain])
    flips = [vision.RandomHorizontalFlip(0.5), vision.RandomVerticalFlip(0.5), halved]
    dataset = create_dataset(colour_folder, config, transforms=flips)
    _, labels = joined(dataset)
    assert sorted(labels) == sorted(read_folder(colour_folder / "train", CLASS_INDEX).labels)
    with pytest.raises(ValueError, match="^batch_size=31 is more than the 30 training images$"):
        create_dataset(colour_folder, {**config, "batch_size": 31}, transforms=flips)


def test_older_names_of_fields_are_taken(colour_folder):
    config = {"class_index": CLASS_INDEX, "image_height": 32, "image_width": 32, "eval_batch_size": 4}

    def seen(**crop):
        images, _ = joined(create_dataset(colour_folder, {**config, **crop}, training=False))
        return images

    now, then, whole = seen(crop_pct=0.5), seen(crop_share=0.5), seen(crop_pct=1.0)
    assert np.array_equal(now, then) and not np.array_equal(now, whole)
