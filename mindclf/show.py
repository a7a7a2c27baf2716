"""Augmented training images, to look at before training: those that training makes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from mindclf.config import phases_of
from mindclf.dataset import ImageSet, augmented_pipeline
from mindclf.dataset.draws import STORED_VIEWS, Draws
from mindclf.dataset.splits import Splits, read_splits, with_statistics
from mindclf.device import use_device
from mindclf.pretrained import config_of_weights
from mindclf.train.batches import images_in_step
from mindclf.train.phase_batches import phase_batches


class Shown(NamedTuple):
    """Training images, uint8 (N, height, width, 3) in RGB, their `titles`, and the full `config` and `splits` they come from."""

    images: np.ndarray
    titles: list[str]
    config: Mapping
    splits: Splits


def augmented_images(config: Mapping, count: int, phase: int | None = None, epoch: int = 1) -> Shown:
    """The first `count` images that epoch `epoch` of phase `phase` trains on, with the names of their classes.

    `config` is a full one, as `merge` makes it. Both numbers begin at 1; without `phase` it is the last. The images are those of
    a run of this config to the bit, but that here they are pixels: the same crops, operations and boxes, in the same batches.
    An image that is mixed with another has both names, and fractions. Where a phase trains on stored views, `epoch` is the
    number of the view, and the images are spread evenly over the data set; what mixes features is not to be seen.

    Raises ValueError for a phase or epoch that there is not, for a phase that trains on nothing but the centre of each image,
    and as `fit` does for images that cannot be used.
    """
    phases = phases_of(config)
    number = len(phases) if phase is None else phase
    if not 1 <= number <= len(phases):
        raise ValueError(f"phase {number} is none of the config's {len(phases)}")
    views = phases[number - 1].cached_views
    if views == 1:
        raise ValueError(f"phase {number} has cached_views=1: it trains on the centre of each image, which nothing changes; take "
                         f"cached_views of 2 or more, or trainable=all cached_views=0")
    most, unit = (views - 1, "stored view") if views else (phases[number - 1].epochs, "epoch")
    if not 1 <= epoch <= most:
        raise ValueError(f"{unit} {epoch} is none of the {most} of phase {number}")
    use_device(config.device_target)
    splits = read_splits(config)
    config = config_of_weights(with_statistics(config, splits.train))
    own = phases_of(config)[number - 1]
    own.batch_size, own.accumulation_steps = min(images_in_step(own), len(splits.train)), 1
    make = _stored if views else _trained
    images, labels = make(splits.train, own, min(count, len(splits.train)), number, epoch)
    pixels = images * np.array(own.std, np.float32)[:, None, None] + np.array(own.mean, np.float32)[:, None, None]
    return Shown(np.rint(pixels).clip(0, 255).astype(np.uint8).transpose(0, 2, 3, 1),
                 [title_of(label, splits.classes) for label in labels], own, splits)


def title_of(label: np.integer | np.ndarray, classes: tuple) -> str:
    """The class of a label; of a mixed one, (classes,), a line for each class in it, with its fraction."""
    if np.ndim(label) == 0:
        return classes[label]
    parts = [index for index in np.argsort(-label, kind="stable") if label[index] > 0]
    return "\n".join(classes[index] + (f" {label[index]:.0%}" if len(parts) > 1 else "") for index in parts)


def _trained(images: ImageSet, config: Mapping, count: int, number: int, epoch: int) -> tuple:
    """(images, labels) of the first batches of an epoch, as many as there are whole ones up to `count`."""
    batches = phase_batches(None, images, config, number)
    batches.resume(epoch - 1, 0)
    taken = []
    for _ in range(min(-(-count // config.batch_size), batches.get_dataset_size())):
        taken.append([array.asnumpy() for array in next(batches)])
    shown, labels = map(np.concatenate, zip(*taken))
    return shown[:count], labels[:count]


def _stored(images: ImageSet, config: Mapping, count: int, number: int, view: int) -> tuple:
    """(images, labels) of so many images in the stored view of that number."""
    indices = np.linspace(0, len(images) - 1, count).round().astype(int)
    rows = augmented_pipeline(images, config, Draws(config.seed, STORED_VIEWS, view), indices)
    return tuple(map(np.concatenate, zip(*rows.create_tuple_iterator(num_epochs=1, output_numpy=True))))
