"""A folder of class folders, divided into train/ and test/: the same division wherever and whenever it is made."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path

from mindclf import __version__
from mindclf.config import merge
from mindclf.dataset.content import chosen_for_test
from mindclf.dataset.duplicates import equal_images, warnings_of
from mindclf.dataset.folder import ImageSet, draw, first_places, read_folder
from mindclf.dataset.layout import index_of_folders, split_folders, unwrapped
from mindclf.preprocessing import DEFAULT_READING
from mindclf.utils.files import command_line, link_or_copy, new_folder, write_json

log = logging.getLogger(__name__)

MANIFEST = "split.json"


@dataclass(frozen=True)
class Division:
    """What `split_folder` made: the images in train/ and test/, how many are hard links, and groups of equal files.

    A group has the paths, below the source, of two or more images that are the same byte for byte.
    """

    train: ImageSet
    test: ImageSet
    linked: int
    duplicates: tuple


def split_folder(source, destination, every=None, fraction=None, seed=None, on_bad_image="stop", reading=DEFAULT_READING):
    """The `Division` of `source`/<class>/<image> into the new folder `destination`, with train/ and test/ as training reads it.

    By default the content of an image decides, as it does when `source` is trained on as it is (see mindclf.dataset.content):
    about a fifth of each class goes to test/, and images that are added later, renamed or moved move no other. With `every`=5 it
    is the 5th, 10th ... image of each class, in the order of the names; with `fraction` a fraction of each class, rounded, drawn
    by `seed` (1). Files that are the same byte for byte go to the same side: the first of them is counted or drawn, in its class,
    and the others follow it; files that cannot be used count too, so that one of them moves no other. Images become hard links,
    or copies where the disk has none, and are nowhere overwritten. split.json, written last, says what went where; the folder
    appears whole or not at all.

    Raises ValueError for a `destination` that is not empty or lies in `source`, for a class that would have no image in train/
    or in test/, and for what cannot be used in `source` (see `read_folder`).
    """
    source, destination = unwrapped(source), Path(destination)
    seed = _check_rule(every, fraction, seed)
    _check_places(source, destination)
    everything = []

    def note(files):
        everything.append(files)
        return [True] * len(files)

    images = read_folder(source, index_of_folders(source), on_bad_image, note, skip_with="--on-bad-image skip",
                           reading=reading, find_white=True)
    [files] = everything
    names = [_name_below(path, source) for path in images.paths]
    digests = images.digests()
    groups = equal_images({"": images})
    for line in warnings_of(groups):
        log.warning(line)
    duplicates = tuple(tuple(copy.name for copy in group) for group in groups)
    if every is None and fraction is None:
        in_test = chosen_for_test(digests, images.labels)
    else:
        side_of = dict(zip(map(str, files.paths), divide_files(files, every, fraction, seed)))
        in_test = [side_of[path] for path in images.paths]
    _check_sides(images, digests, in_test, every, fraction)

    sides = {side: [index for index, chosen in enumerate(in_test) if chosen == (side == "test")] for side in ("train", "test")}
    linked, files = 0, []
    with new_folder(destination.resolve()) as unfinished:
        for side, indices in sides.items():
            for index in indices:
                (unfinished / side / names[index]).parent.mkdir(parents=True, exist_ok=True)  # spelled as in the source
                linked += link_or_copy(images.paths[index], unfinished / side / names[index])
                files.append({"file": f"{side}/{names[index]}", "class": images.classes[images.labels[index]], "split": side,
                              "sha256": digests[index]})
        write_json(unfinished / MANIFEST, {
            "mindclf": __version__, "command": command_line(), "source": source.as_posix(), "rule": _rule(every, fraction),
            "every": every, "fraction": fraction, "seed": seed, "classes": list(images.classes),
            **{side: len(indices) for side, indices in sides.items()}, "duplicates": duplicates, "files": files})
    train, test = (ImageSet(tuple(str(destination / side / names[i]) for i in indices), images.take(indices).labels,
                            images.classes) for side, indices in sides.items())
    return Division(train, test, linked, duplicates)


def divide_files(images, every=None, fraction=None, seed=None):
    """What `divide` says of `images`, of which some classes may have none and some files may not be readable."""
    present = sorted(set(images.labels))  # a class without images is reported elsewhere
    labels = tuple(present.index(label) for label in images.labels)
    some = replace(images, labels=labels, classes=tuple(images.classes[label] for label in present))
    return divide(some, some.digests(), every, fraction, seed)


def divide(images, digests, every=None, fraction=None, seed=None):
    """For each of `images`, whose files have the SHA-256 `digests`, whether it goes to test/; see `split_folder`.

    Raises ValueError that names the class which would have no image on one side.
    """
    first = {}
    for digest, label in zip(digests, images.labels):
        first.setdefault(digest, label)
    if fraction is None:
        of_class = [[digest for digest, label in first.items() if label == own] for own in range(len(images.classes))]
        test = {digest for members in of_class for digest in members[every - 1::every]}
    else:
        distinct = list(first)
        test = {distinct[place] for place in draw(list(first.values()), fraction, seed)}
    in_test = [digest in test for digest in digests]
    _check_sides(images, digests, in_test, every, fraction)
    return in_test


def _check_sides(images, digests, in_test, every, fraction):
    copies_of = first_places(digests)
    for label, name in enumerate(images.classes):
        sides = [chosen for chosen, own in zip(in_test, images.labels) if own == label]
        if all(sides) or not any(sides):
            copies = sum(images.labels[index] == label and index != original for index, original in enumerate(copies_of))
            hint = f", for {copies} of its files are copies of another, whose side they take" if copies else ""
            hint += "; add images, or divide with mindclf split by another rule"
            raise ValueError(f"class {name!r} has too few images for both sides: {_rule(every, fraction)}, "
                             f"{len(sides) - sum(sides)} would go to train/ and {sum(sides)} to test/{hint}")


def _rule(every, fraction):
    """The rule in words."""
    if every is None and fraction is None:
        return "by content"
    return f"with every={every}" if fraction is None else f"with fraction={fraction}"


def _check_rule(every, fraction, seed):
    """The seed to draw by, None where nothing is drawn."""
    if every is not None and fraction is not None:
        raise ValueError(f"every={every} and fraction={fraction} exclude each other: give one")
    if fraction is None:
        if every is not None and every < 2:
            raise ValueError(f"every={every} must be at least 2: the images between go to train/")
        if seed is not None:
            raise ValueError(f"seed={seed} means nothing without a fraction, which is drawn: give one")
        return None
    if not 0 < fraction < 1:
        raise ValueError(f"fraction={fraction} must lie between 0 and 1, as in 0.2 for a fifth")
    return merge({}, {} if seed is None else {"seed": seed}).seed


def _check_places(source, destination):
    divided = [f"{place.name}/" for place in split_folders(source).values()]
    if divided:
        raise ValueError(f"{source} is divided already: it has {', '.join(divided)}")
    if destination.exists() and not (destination.is_dir() and not any(destination.iterdir())):
        raise ValueError(f"{destination} exists and is not an empty folder: nothing is overwritten, name another")
    if destination.resolve().is_relative_to(source.resolve()):
        raise ValueError(f"{destination} lies in {source}, where it would be taken for a class: name a folder outside")


def _name_below(path, source):
    name = Path(path).relative_to(source).as_posix()
    try:
        name.encode()
    except UnicodeEncodeError:
        raise ValueError(f"the name of {path!a} is no UTF-8 and cannot be written to {MANIFEST}: rename it") from None
    return name

