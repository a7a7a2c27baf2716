"""Images in class folders: what is there, what is wrong with it, and how to divide it."""

import functools
import hashlib
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from mindclf.config import merge
from mindclf.dataset.images import Facts, check_image, encoded_image
from mindclf.dataset.layout import NAMES_SHOWN, class_folders, entries, listed
from mindclf.dataset.names import say_ignored
from mindclf.dataset.ranges import problem_of, remarks_of, white_of
from mindclf.labels import NOT_SURE, alike, check_distinct, composed, escaped, number_classes
from mindclf.preprocessing import DEFAULT_READING, Reading
from mindclf.utils.cores import usable_cores
from mindclf.utils.files import one_line, sha256

log = logging.getLogger(__name__)

ODDITIES = {  # by the kind of `Facts`: what to say of images
    "broken EXIF": "with broken EXIF, used as they lie in their files",
    "one colour": "of one colour, without anything to see",
    "constant channel": "with a channel of colour that has one value throughout",
}

@dataclass(frozen=True)
class ImageSet:
    """Paths of images, the index of the class of each, the class names in the order of their indices, and how to read them."""

    paths: tuple
    labels: tuple
    classes: tuple
    reading: Reading = field(default=DEFAULT_READING, kw_only=True)

    raw_size = None  # encoded files, each of its own size

    def __len__(self):
        return len(self.paths)

    def source(self, prepared=lambda encoded: encoded):
        """Rows of (`prepared` encoded image, label), in their order."""
        from mindspore import dataset as ds  # files that ONNX Runtime runs need no MindSpore

        return ds.GeneratorDataset(_Reader(self, prepared), ["image", "label"], shuffle=False, num_parallel_workers=1,
                                   python_multiprocessing=False)

    def take(self, indices):
        """The images at `indices`."""
        return replace(self, paths=tuple(self.paths[i] for i in indices), labels=tuple(self.labels[i] for i in indices))

    def joined(self, others):
        """These images, then those of `others`, which are read in the same way."""
        return replace(self, paths=(*self.paths, *others.paths), labels=(*self.labels, *others.labels))

    def digests(self):
        """The SHA-256 of each image's file in hexadecimal, which no name changes."""
        return digests_of(self.paths)

    def divided(self, chosen):
        """(the images that are not `chosen`, those that are), by a truth value for each."""
        sides = [[index for index, own in enumerate(chosen) if bool(own) == side] for side in (False, True)]
        return self.take(sides[0]), self.take(sides[1])

    def hold_out(self, fraction, seed):
        """(the part kept, the part held out): `fraction` of each class, rounded, drawn by `seed`; one at least is kept.

        Files that are the same byte for byte stay together: the first of them is drawn, and the others follow it.
        """
        firsts = self.first_copies()
        distinct = [index for index, first in enumerate(firsts) if first == index]
        held_out = {distinct[place] for place in draw([self.labels[index] for index in distinct], fraction, seed)}
        return self.divided([first in held_out for first in firsts])

    def first_copies(self):
        """For each image the index of the first one whose file is the same byte for byte: mostly its own."""
        return first_places(self.digests())


def first_places(texts):
    """For each of `texts` the place of the first one that is the same."""
    first = {}
    return [first.setdefault(text, place) for place, text in enumerate(texts)]


def draw(labels, fraction, seed):
    """The places of `fraction` of each class, rounded, drawn by `seed`; at least one of each is left over."""
    rng = np.random.default_rng(seed)
    labels, drawn = np.asarray(labels), []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        drawn.extend(rng.permutation(members)[:min(round(len(members) * fraction), len(members) - 1)].tolist())
    return sorted(drawn)


def digests_of(paths):
    """`digest_of` each of `paths`, in their order; several files are read at once."""
    with ThreadPoolExecutor(usable_cores()) as pool:
        return list(pool.map(digest_of, paths))


def digest_of(path):
    """The SHA-256 of a file in hexadecimal; of what cannot be read, which is reported elsewhere, that of its path."""
    try:
        state = os.stat(path)
        return _sha256_of(str(path), state.st_size, state.st_mtime_ns)
    except OSError:
        return hashlib.sha256(os.fsencode(path)).hexdigest()


@functools.cache
def _sha256_of(path, size, modified):
    """The SHA-256 of a file, read once while it does not change: a folder may be divided several times."""
    return sha256(path)


class _Reader:
    """Random access to the encoded bytes and the label of each image, as GeneratorDataset wants it."""

    def __init__(self, images, prepared):
        self.images, self.prepared = images, prepared

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        encoded = encoded_image(self.images.paths[index], reading=self.images.reading)
        return self.prepared(encoded), np.int32(self.images.labels[index])


@dataclass(frozen=True)
class Scan:
    """What `scan_folder` found: usable images, their `Facts`, and a line for each file or class folder that is not usable."""

    images: ImageSet
    facts: tuple
    problems: tuple

    @property
    def remarks(self):
        """A line for each thing that is odd about usable images, with their number and the first names."""
        named = {name: [one_line(path) for path, facts in zip(self.images.paths, self.facts) if kind in facts.kinds]
                 for kind, name in ODDITIES.items()}
        for path, facts in zip(self.images.paths, self.facts):
            for remark in remarks_of(facts.range, self.images.reading.white) if facts.range else ():
                named.setdefault(remark, []).append(one_line(path))
        return tuple(f"{len(paths):,} image{'s' if len(paths) > 1 else ''} {name}: {listed(paths)}"
                     for name, paths in named.items() if paths)


def read_folder(folder, class_index, on_bad_image="stop", part=None, skip_with="on_bad_image=skip", reading=DEFAULT_READING,
                find_white=False):
    """The `ImageSet` below `folder`, one folder a class, after every one of them has been decoded once.

    `part` is for images that are not divided into train/ and test/: called with all of them, as `ImageSet` that nobody has
    looked into, it says of each whether to read it.
    What is not usable (damaged, not an image, an empty class) stops with its names, or with on_bad_image="skip" is left out
    and counted in the log. `skip_with` is how the user asks for that, for the message. What is odd about images that are used
    (broken EXIF, one colour) is logged too. `reading` and `find_white` are those of `scan_folder`.
    """
    merge({}, {"on_bad_image": on_bad_image})  # refuses another word
    scan = scan_folder(folder, class_index, part, reading, find_white)
    if scan.problems:
        count = f"{len(scan.problems)} problem{'s' if len(scan.problems) > 1 else ''} in {folder}"
        names = listed(scan.problems)
        if on_bad_image == "stop":
            raise ValueError(f"{count}: {names} (mend them, or skip them with {skip_with})")
        log.warning("skipped %s: %s", count, names)
    if not scan.images.paths:
        raise ValueError(f"{folder} holds no image that can be used")
    for remark in scan.remarks:
        log.warning("%s", remark)
    if scan.images.reading != reading:
        log.info("%s: white=%g in images of more than 8 bits", folder, scan.images.reading.white)
    without = [repr(name) for label, name in enumerate(scan.images.classes) if label not in scan.images.labels]
    if without:
        log.warning("%s: no image is left%s of class %s", folder, " for training or for testing" if part else "",
                    ", ".join(without))
    return scan.images


def scan_folder(folder, class_index, part=None, reading=DEFAULT_READING, find_white=False):
    """A `Scan` of `folder`/<class>/<image>, or of the `part` of the images that `read_folder` tells of.

    `class_index` maps each class folder's name to its label, 0 to n - 1, or lists the folders in the order of their labels. Names
    are compared in their `composed` form. `reading` says how images are read; with `find_white` those found also say what is
    white among them, unless `reading` does. Raises ValueError if the folder is missing, or if its class folders are not those of
    class_index: that is a wrong folder or a wrong list, and skipping would train something else than was asked for.
    """
    folder = Path(folder)
    found = class_folders(folder)
    classes = check_class_index(class_index)
    strangers = sorted(set(found) - set(map(composed, classes)))
    if strangers:
        told = ", ".join(_stranger(name, classes) for name in strangers[:NAMES_SHOWN])
        raise ValueError(f"{folder} has class folders that are not in class_index: {told}")
    if not found:
        raise ValueError(f"{folder} has no class folders; expected {classes[0]!r} and so on, each with its images")
    say_ignored(folder, (entry.name for place in (folder, *found.values()) for entry in place.iterdir()))

    problems, candidates = [], []
    for label, name in enumerate(classes):
        place = found.get(composed(name))
        files = entries(place) if place else []
        if not files:
            problems.append(f"class {name!r} is empty" if place else f"class {name!r} has no folder")
        candidates.extend((file, label) for file in files)
    if part and candidates:
        chosen = part(ImageSet(*zip(*candidates), classes))  # of a folder in a class folder too: it has its turn, and is reported
        candidates = [candidate for candidate, wanted in zip(candidates, chosen) if wanted]

    with ThreadPoolExecutor(usable_cores()) as pool:
        verdicts = list(pool.map(partial(_verdict, reading=reading), (file for file, _ in candidates)))
    if find_white and reading.white is None:
        ranges = [verdict.range for verdict in verdicts if isinstance(verdict, Facts) and verdict.range]
        reading = replace(reading, white=white_of(ranges))
    verdicts = [_in_range(file, verdict, reading) for (file, _), verdict in zip(candidates, verdicts)]
    problems.extend(verdict for verdict in verdicts if isinstance(verdict, str))
    usable = [(str(file), label, facts) for (file, label), facts in zip(candidates, verdicts) if isinstance(facts, Facts)]
    paths, labels, facts = zip(*usable) if usable else ((), (), ())
    return Scan(ImageSet(paths, labels, classes, reading=reading), facts, tuple(problems))


def check_class_index(class_index):
    """The class names in the order of their indices. Raises ValueError unless the indices are 0 to n - 1, each once."""
    if not class_index:
        raise ValueError("class_index is empty: give the class names with their indices, as in class_index={'cat': 0, 'dog': 1}")
    if NOT_SURE in class_index:
        raise ValueError(f"a class cannot be called {NOT_SURE!r}, which is what an answer below the threshold says: rename it")
    if isinstance(class_index, (list, tuple)):
        return tuple(number_classes(class_index))
    class_index = dict(class_index)  # an EasyDict trips over a class called "get"
    check_distinct(class_index)
    classes = sorted(class_index, key=lambda name: str(class_index[name]).zfill(9))
    if [class_index[name] for name in classes] != list(range(len(classes))):
        raise ValueError(f"class_index must number its {len(classes)} classes 0 to {len(classes) - 1}, each number once")
    return tuple(classes)


def _stranger(name, classes):
    """The class folder `name`, which is none of `classes`, for a message: with the class that it looks like."""
    twin = next((own for own in classes if alike([own, name])), None)
    return name if twin is None else f"{escaped(name)} (looks like {escaped(twin)}: rename one)"


def _verdict(path, reading):
    """The `Facts` of the image at `path`, or a line that says why it is not usable."""
    if path.is_dir():
        return f"{one_line(path)} is a folder inside a class folder"
    try:
        return check_image(path, reading)
    except ValueError as error:
        return str(error)


def _in_range(path, verdict, reading):
    """The verdict, once it is known what is white."""
    if isinstance(verdict, Facts) and verdict.range and (problem := problem_of(verdict.range, reading.white)):
        return f"{one_line(path)} {problem}"
    return verdict
