"""A few pictures to check a net with: of the data that its card names where they are on disk, else drawn."""

from pathlib import Path

import numpy as np

from mindclf.dataset import locate
from mindclf.dataset.cifar10 import is_folder, read_cifar10
from mindclf.dataset.drawn import draw_picture
from mindclf.dataset.folder import Pictures
from mindclf.dataset.layout import files_below, split_folders
from mindclf.dataset.pictures import Reading, whole_picture
from mindclf.labels import class_en

ON_DISK = {"garbage26": locate.garbage26_on_disk, "cifar10": locate.cifar10_on_disk, "flowers102": locate.flowers102_on_disk,
           "caltech16": locate.caltech16_on_disk, "flower_photos": locate.flower_photos_on_disk}
DRAWN = "drawings made by mindclf, no photos"


def sample_pictures(card, count):
    """(`Pictures`, in words what they are): `count` pictures as the net that `card` describes was tested on. Labels mean nothing.

    Nothing is downloaded. Where the data of the card is not on disk, or has fewer pictures that can be read, they are drawn.
    """
    folder = _folder_of(card)
    pictures = _from_folder(folder, count, Reading.of(card)) if folder else ()
    if len(pictures) == count:
        return pictures, card.get("data", {}).get("origin") or "pictures of the data set"
    images = (draw_picture(class_en[number % len(class_en)], np.random.default_rng(number)) for number in range(count))
    return _unlabelled(map(whole_picture, images)), DRAWN


def _folder_of(card):
    """The folder of the data that the card names: where the run had it, or where its data set is found."""
    path = card.get("data", {}).get("path")
    dataset = card.get("config", {}).get("dataset")
    if path and Path(path).is_dir():
        return Path(path)
    found = ON_DISK[dataset]() if dataset in ON_DISK else None
    return found if found and found.is_dir() else None


def _from_folder(folder, count, reading):
    """Up to `count` pictures from all over the test pictures in `folder`, or over all where it is not divided."""
    if is_folder(folder):
        try:
            pictures = read_cifar10(folder, "test")
        except ValueError:  # no matter here: training and evaluation say what is wrong with them
            return ()
        return pictures.take(range(0, len(pictures), len(pictures) // count)[:count])
    place = split_folders(folder).get("test") or folder
    files = [file for file in files_below(place) if file.is_file()]
    found = []
    for file in files[::max(1, len(files) // count)]:
        if len(found) < count:
            try:
                found.append(whole_picture(file, reading=reading))
            except ValueError:  # another one will do
                continue
    return _unlabelled(found)


def _unlabelled(pictures):
    pictures = tuple(pictures)
    return Pictures(pictures, (0,) * len(pictures), ("unknown",))
