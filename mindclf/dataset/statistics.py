"""What is in a folder of pictures: how many of each class, of which sizes and kinds, and the statistics of their pixels."""

import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

import numpy as np
from PIL import Image, ImageMode

from mindclf.dataset.duplicates import equal_images, warnings_of
from mindclf.dataset.folder import scan_folder
from mindclf.dataset.layout import index_of_folders, listed, say_unused, split_folders, unwrapped
from mindclf.dataset.pictures import EXIF_ORIENTATION, decode_picture

VALUES = np.arange(256)


@dataclass(frozen=True)
class FolderStatistics:
    """What `folder_statistics` found.

    `counts` is {split: {class: pictures}}, the split of an undivided folder being "all". Widths and heights are (smallest,
    median, largest), in pixels, of pictures turned upright. `formats` and `modes` count by Pillow's names, such as "JPEG" and
    "RGB"; `grey`, `transparent` and `turned` count pictures with one channel of colour, with transparent parts, and those that
    EXIF says do not stand upright in their file. `mean` and `std` are per channel, RGB, on the 0 to 255 scale, over all pixels
    of the pictures of the split `pixels_of`. `problems` is {split: a line for each file or class that is not usable}, and
    `copies` a line for each kind of harm that files do which are the same byte for byte (see mindclf.dataset.duplicates).
    """

    counts: dict
    widths: tuple
    heights: tuple
    formats: dict
    modes: dict
    grey: int
    transparent: int
    turned: int
    pixels_of: str
    mean: tuple
    std: tuple
    problems: dict
    copies: tuple

    def as_dict(self):
        """The same as a dict that JSON can hold."""
        return asdict(self)


def folder_statistics(folder):
    """The `FolderStatistics` of `folder`: of its class folders, or of those in train/, valid/ and test/ (`split_folders`).

    Pixels are those that the nets see before resizing (see `encoded_picture`), of the training pictures in a divided folder, and
    a large picture counts for more than a small one. Raises ValueError if the folder is missing, has no class folders, or has no
    picture that can be used to take them from.
    """
    folder = unwrapped(folder)
    say_unused(folder)
    places = {place.name: place for place in split_folders(folder).values()} or {"all": folder}
    class_index = index_of_folders(*places.values())
    scans = {split: scan_folder(place, class_index) for split, place in places.items()}
    pixels_of = next(iter(places))
    if not scans[pixels_of].pictures:
        raise ValueError(f"{places[pixels_of]} holds no picture that can be used: {listed(scans[pixels_of].problems)}")

    sizes, formats, modes, kinds, pixels = [], Counter(), Counter(), Counter(), 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for split, scan in scans.items():
            for facts in pool.map(_facts, scan.pictures.paths):
                sizes.append(facts.size)
                formats[facts.format] += 1
                modes[facts.mode] += 1
                kinds.update(facts.kinds)
                pixels = pixels + facts.histogram if split == pixels_of else pixels
    widths, heights = (_range(side) for side in zip(*sizes))
    mean, std = mean_and_std(pixels)
    counts = {split: dict(zip(class_index, np.bincount(scan.pictures.labels, minlength=len(class_index)).tolist()))
              for split, scan in scans.items()}
    return FolderStatistics(counts, widths, heights, dict(formats.most_common()), dict(modes.most_common()), kinds["grey"],
                            kinds["transparent"], kinds["turned"], pixels_of, mean, std,
                            {split: scan.problems for split, scan in scans.items()},
                            tuple(warnings_of(equal_images({split: scan.pictures for split, scan in scans.items()}))))


def histogram(image):
    """How often each value occurs in an RGB PIL image: integers (3, 256). Those of several images may be added up."""
    return np.array(image.histogram(), np.int64).reshape(3, 256)


def mean_and_std(counts):
    """(mean, std) of each channel, on the 0 to 255 scale, of the pixels that a `histogram`, (3, 256), counts."""
    count, total, squares = counts[0].sum(), counts @ VALUES, counts @ VALUES ** 2
    mean = total / count
    return tuple(mean.tolist()), tuple(np.sqrt(np.maximum(squares / count - mean ** 2, 0)).tolist())  # rounding: not below 0


@dataclass(frozen=True)
class _Facts:
    """Of one picture: (width, height) upright, Pillow's format and mode, which of three kinds it is, and its histogram."""

    size: tuple
    format: str
    mode: str
    kinds: tuple
    histogram: np.ndarray


def _facts(path):
    with Image.open(path) as image:
        if image.mode == "P":
            image.load()  # only then is all known about its palette
        kinds = {"grey": ImageMode.getmode(image.mode).basemode == "L", "transparent": image.has_transparency_data,
                 "turned": image.getexif().get(EXIF_ORIENTATION, 1) in range(2, 9)}
        kind, mode = image.format, image.mode
    upright = decode_picture(path)
    return _Facts(upright.size, kind, mode, tuple(name for name, holds in kinds.items() if holds), histogram(upright))


def _range(side):
    return min(side), float(np.median(side)), max(side)
