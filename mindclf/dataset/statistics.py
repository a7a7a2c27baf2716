"""What is in a folder of images: how many of each class, of which sizes and kinds, and the statistics of their pixels."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial

import numpy as np

from mindclf.dataset.duplicates import equal_images, warnings_of
from mindclf.dataset.folder import scan_folder
from mindclf.dataset.images import opened_image
from mindclf.dataset.layout import index_of_folders, listed, say_unused, split_folders, unwrapped
from mindclf.preprocessing import DEFAULT_READING
from mindclf.utils.cores import usable_cores

VALUES = np.arange(256)


@dataclass(frozen=True)
class FolderStatistics:
    """What `folder_statistics` found.

    `counts` is {split: {class: images}}, the split of an undivided folder being "all". Widths and heights are (smallest,
    median, largest), in pixels, of images turned upright. `formats` and `modes` count by Pillow's names, such as "JPEG" and
    "RGB"; `grey`, `transparent` and `turned` count images with one channel of colour, with transparent parts, and those that
    EXIF says do not stand upright in their file; `broken_exif`, `one_colour` and `constant_channel` those whose EXIF does not say
    it, and those without contrast in all channels or in one. `deep` counts images of more than 8 bits, in which `white` is white
    (None without them). `mean` and `std` are per channel, RGB, on the 0 to 255 scale, over all pixels of the images of the
    split `pixels_of`. `problems` is {split: a line for each file or class that is not usable}, `remarks` is the same for what is
    odd, and `copies` a line for each kind of harm that files do which are the same byte for byte (mindclf.dataset.duplicates).
    """

    counts: dict
    widths: tuple
    heights: tuple
    formats: dict
    modes: dict
    grey: int
    transparent: int
    turned: int
    broken_exif: int
    one_colour: int
    constant_channel: int
    deep: int
    white: float | None
    pixels_of: str
    mean: tuple
    std: tuple
    problems: dict
    remarks: dict
    copies: tuple

    def as_dict(self):
        """The same as a dict that JSON can hold."""
        return asdict(self)


def folder_statistics(folder, reading=DEFAULT_READING):
    """The `FolderStatistics` of `folder`: of its class folders, or of those in train/, valid/ and test/ (`split_folders`).

    Pixels are those that the nets see before resizing (see `encoded_image`), of the training images in a divided folder, and
    a large image counts for more than a small one; `reading` says how they are read. Raises ValueError if the folder is
    missing, has no class folders, or has no image that can be used to take them from.
    """
    folder = unwrapped(folder)
    say_unused(folder)
    places = {place.name: place for place in split_folders(folder).values()} or {"all": folder}
    class_index = index_of_folders(*places.values())
    scans = {}
    for split, place in places.items():  # the first one, of training, says what is white in all
        scans[split] = scan_folder(place, class_index, reading=reading, find_white=not scans)
        reading = scans[split].images.reading
    pixels_of = next(iter(places))
    if not scans[pixels_of].images:
        raise ValueError(f"{places[pixels_of]} holds no image that can be used: {listed(scans[pixels_of].problems)}")

    facts = [entry for scan in scans.values() for entry in scan.facts]
    widths, heights = (_range(side) for side in zip(*(entry.size for entry in facts)))
    formats, modes, kinds = (Counter(names) for names in (
        (entry.format for entry in facts), (entry.mode for entry in facts), (kind for entry in facts for kind in entry.kinds)))
    with ThreadPoolExecutor(usable_cores()) as pool:
        mean, std = mean_and_std(sum(pool.map(partial(_histogram_of, reading=reading), scans[pixels_of].images.paths)))
    counts = {split: dict(zip(class_index, np.bincount(scan.images.labels, minlength=len(class_index)).tolist()))
              for split, scan in scans.items()}
    return FolderStatistics(counts, widths, heights, dict(formats.most_common()), dict(modes.most_common()), kinds["grey"],
                            kinds["transparent"], kinds["turned"], kinds["broken EXIF"], kinds["one colour"],
                            kinds["constant channel"], sum(entry.range is not None for entry in facts), reading.white,
                            pixels_of, mean, std, {split: scan.problems for split, scan in scans.items()},
                            {split: scan.remarks for split, scan in scans.items()},
                            tuple(warnings_of(equal_images({split: scan.images for split, scan in scans.items()}))))


def histogram(image):
    """How often each value occurs in an RGB PIL image: integers (3, 256). Those of several images may be added up."""
    return np.array(image.histogram(), np.int64).reshape(3, 256)


def mean_and_std(counts):
    """(mean, std) of each channel, on the 0 to 255 scale, of the pixels that a `histogram`, (3, 256), counts."""
    count, total, squares = counts[0].sum(), counts @ VALUES, counts @ VALUES ** 2
    mean = total / count
    return tuple(mean.tolist()), tuple(np.sqrt(np.maximum(squares / count - mean ** 2, 0)).tolist())  # rounding: not below 0


def _histogram_of(path, reading):
    with opened_image(path, reading=reading) as image:
        return histogram(image.decoded().convert("RGB"))


def _range(side):
    return min(side), float(np.median(side)), max(side)
