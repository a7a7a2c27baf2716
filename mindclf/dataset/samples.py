"""Samples: a few images to check a net with, of the data that its card names where they are on disk, else drawn."""

from pathlib import Path

import numpy as np

from mindclf.dataset.folder import ImageSet
from mindclf.dataset.images import whole_image
from mindclf.dataset.layout import files_below, split_folders
from mindclf.dataset.registry import DATA_SETS
from mindclf.drawings.generate import draw_image
from mindclf.labels import class_en

DRAWN = "drawings made by mindclf, no photos"


def sample_images(card, count):
    """(`ImageSet`, in words what they are): `count` images as the net of the `Card` was tested on. Labels mean nothing.

    Nothing is downloaded. Where the data of the card is not on disk, or has fewer images that can be read, they are drawn.
    """
    data_set = DATA_SETS.get(card.dataset)
    folder = _folder_of(card, data_set)
    if folder is None:
        image_set = ()
    elif data_set and data_set.reader:
        image_set = _read(data_set, folder, count)
    else:
        image_set = _from_folder(folder, count, card.preprocessing.reading)
    if len(image_set) == count:
        return image_set, card.data.get("origin") or "images of the data set"
    images = (draw_image(class_en[number % len(class_en)], np.random.default_rng(number)) for number in range(count))
    return _unlabelled(map(whole_image, images)), DRAWN


def _folder_of(card, data_set):
    """The folder of the data that the card names: where the run had it, or where its data set is found."""
    path = card.data.get("path")
    if path and Path(path).is_dir():
        return Path(path)
    found = data_set and data_set.find(only_on_disk=True)
    return found.path if found and found.path.is_dir() else None


def _read(data_set, folder, count):
    """Up to `count` images from all over the test images in `folder`, whose files are those of `data_set`."""
    try:
        images = data_set.read(folder, "test")
    except ValueError:  # no matter here: training and evaluation say what is wrong with them
        return ()
    return images.take(range(0, len(images), max(1, len(images) // count))[:count])


def _from_folder(folder, count, reading):
    """Up to `count` images from all over the test images in `folder`, or over all where it is not divided."""
    place = split_folders(folder).get("test") or folder
    files = [file for file in files_below(place) if file.is_file()]
    found = []
    for file in files[::max(1, len(files) // count)]:
        if len(found) < count:
            try:
                found.append(whole_image(file, reading=reading))
            except ValueError:  # another one will do
                continue
    return _unlabelled(found)


def _unlabelled(images):
    images = tuple(images)
    return ImageSet(images, (0,) * len(images), ("unknown",))
