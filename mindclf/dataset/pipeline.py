"""Batches of pictures for training and evaluation."""

import os
from functools import partial
from pathlib import Path

from mindclf.config import DEFAULTS, VARIATION_FIELDS, pixel_statistics
from mindclf.dataset.folder import read_folder
from mindclf.dataset.pictures import small_picture
from mindclf.dataset.transforms import (
    eval_box,
    eval_transforms,
    padded_crop_transforms,
    pixel_transforms,
    shorter_side,
    train_transforms,
)


def create_dataset(dataset_path, config, training=True):
    """The pipeline over `dataset_path`/train or, with training=False, `dataset_path`/test: (image, label) batches.

    `config` needs `class_index`; what else it does not set is taken from mindclf.config.DEFAULTS. Images are float32
    (batch, 3, image_height, image_width), normalised; labels int32 (batch,). Only training shuffles, augments and drops an
    incomplete last batch; evaluation counts every picture. Raises ValueError for a folder that is missing, or pictures that
    cannot be used (see `read_folder`).
    """
    config = {**DEFAULTS, **config}
    folder = Path(dataset_path) / ("train" if training else "test")
    pictures = read_folder(folder, config["class_index"], config["on_bad_image"])
    return train_pipeline(pictures, config) if training else eval_pipeline(pictures, config)


def train_pipeline(pictures, config, shuffle=True):
    """Augmented, whole batches of `pictures`, shuffled or in their order."""
    batch_size = config["batch_size"]
    if len(pictures) < batch_size:
        raise ValueError(f"batch_size={batch_size} is more than the {len(pictures)} training pictures")
    operations = _train_operations(pictures, config)
    return _pipeline(pictures, operations, batch_size, shuffle, drop_remainder=True)


def augmented_pipeline(pictures, config):
    """All of `pictures` in their order, each as one random training view: what the feature cache stores."""
    operations = _train_operations(pictures, config)
    return _pipeline(pictures, operations, config["eval_batch_size"], shuffle=False, drop_remainder=False)


def eval_pipeline(pictures, config):
    """All of `pictures` in their order, the last batch as short as it comes. A card will do for `config`.

    If the card says that the net was trained on pictures of one `raw_size`, files are brought to that size first.
    """
    config = {**DEFAULTS, **config}
    raw_size = _raw_size(pictures, config)
    return _eval_pipeline(pictures, eval_transforms(*_size_and_statistics(config), config["crop_share"], raw_size), config)


def pixel_pipeline(pictures, config):
    """The batches of `eval_pipeline` before they are normalised: uint8 (batch, height, width, 3), for nets that do so inside."""
    config = {**DEFAULTS, **config}
    size, *_ = _size_and_statistics(config)
    return _eval_pipeline(pictures, pixel_transforms(size, config["crop_share"], _raw_size(pictures, config)), config)


def preprocessing_of(card):
    """What `eval_pipeline` does to a picture for the net that `card` describes, as JSON can hold it, for other programs to do.

    In this order: bring to raw_size by averaging the centre that has its shape, bring the shorter side to shorter_side by
    bilinear interpolation, take the central crop (each of them unless it is null), subtract mean, divide by std, both on the
    scale of the pixels, 0 to 255.
    """
    config = {**DEFAULTS, **card}
    size, mean, std = _size_and_statistics(config)
    raw_size = list(config.get("raw_size", ()))
    side = shorter_side(size, config["crop_share"], raw_size)
    return {"colours": "RGB", "raw_size": raw_size or None, "shorter_side": side, "crop": list(size) if side else None,
            "mean": list(mean), "std": list(std)}


def _eval_pipeline(pictures, operations, config):
    raw_size = _raw_size(pictures, config)
    if raw_size and not pictures.raw_size:
        operations = [partial(small_picture, size=raw_size), *operations]
    return _pipeline(pictures, operations, config["eval_batch_size"], shuffle=False, drop_remainder=False)


def seen_box(pictures, config, size):
    """The part of one of `pictures`, of `size` (height, width), that `eval_pipeline` shows to a net: see `eval_box`."""
    config = {**DEFAULTS, **config}
    image_size, *_ = _size_and_statistics(config)
    return eval_box(size, image_size, config["crop_share"], _raw_size(pictures, config))


def _pipeline(pictures, operations, batch_size, shuffle, drop_remainder):
    workers = min(os.cpu_count(), 8)  # MindSpore refuses more workers than cores
    rows = pictures.source(shuffle)
    if operations:
        rows = rows.map(operations, "image", num_parallel_workers=workers)
    return rows.batch(batch_size, drop_remainder)


def _train_operations(pictures, config):
    variations = {field: config[field] for field in VARIATION_FIELDS}
    image_size, mean, std = _size_and_statistics(config)
    share = config["size_share"]
    image_size = tuple(round(side * share) for side in image_size)
    if config["augment"] == "padded_crop":
        padding = config["crop_padding"] if pictures.raw_size else round(config["crop_padding"] * share)
        return padded_crop_transforms(image_size, mean, std, padding, round(config["cutout"] * share), pictures.raw_size,
                                      **variations)
    return train_transforms(image_size, mean, std, config["scale"], config["ratio"], pictures.raw_size, **variations)


def _raw_size(pictures, config):
    return pictures.raw_size or tuple(config.get("raw_size", ()))


def _size_and_statistics(config):
    return (config["image_height"], config["image_width"]), *pixel_statistics(config)
