"""How a folder of images is laid out: class folders, or folders for training and testing with class folders in them."""

import logging
import os
from pathlib import Path

from mindclf.dataset.names import is_ignored, say_ignored, split_of
from mindclf.labels import alike, composed, escaped
from mindclf.utils.files import one_line

log = logging.getLogger(__name__)

IMAGE_SUFFIXES = (".avif", ".bmp", ".gif", ".heic", ".heif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
NAMES_SHOWN = 10  # in a message; the count covers the rest


def class_folders(folder):
    """{class name: its folder} of the class folders in `folder`, in the order of their names, which are `composed`.

    Raises ValueError if there is no such folder, for what may be a class folder and cannot be (a link that leads nowhere, a name
    that no card could hold, or that another one has too), and where all of them have folders in them instead of images.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{one_line(folder)} is a file, not a folder of class folders: unpack it if it is an archive")
    if not folder.is_dir():
        raise ValueError(f"folder {one_line(folder)} does not exist")
    for entry in entries(folder):
        if entry.is_symlink() and not entry.exists():
            raise ValueError(f"{one_line(entry)} is a link that leads nowhere: mend it, or remove it")
    found = {}
    for place in _folders(folder):
        name = composed(place.name)
        if one_line(name) != name:
            raise ValueError(f"class folder {one_line(place)} has a name that is no line of text: rename it")
        if name in found:
            raise ValueError(f"{one_line(folder)} has two class folders of one name, {escaped(found[name].name)} and "
                             f"{escaped(place.name)}: put the images of both into one")
        found[name] = place
    _check_depth(folder, list(found.values()))
    return dict(sorted(found.items()))


def index_of_folders(*folders):
    """A class_index of the class folders that any of `folders` has, in the order of their names.

    For looking at images and for moving them, where a label is only a number, and for a person's own images, whose card
    keeps the order. Names that look alike are logged. Raises ValueError if a folder is missing, or if there are no class folders.
    """
    names = sorted({name for folder in folders for name in class_folders(folder)})
    loose = [file for folder in folders for file in _loose_images(folder)]
    if loose:
        log.warning("%d image%s in no class folder, passed over: %s", len(loose), "s" if len(loose) > 1 else "",
                    listed([one_line(file) for file in loose]))
    for group in alike(names):
        log.warning("class folders that look alike: %s", " and ".join(map(escaped, group)))
    if not names:
        raise ValueError(f"{folders[0]} has no class folders; expected one for each class, with its images")
    return {name: index for index, name in enumerate(names)}


def check_names(folder):
    """Raises ValueError if class folders in `folder` look alike: numbered by name, each would be a class of its own."""
    for group in alike(class_folders(folder)):
        raise ValueError(f"{one_line(folder)} has class folders that look alike, {' and '.join(map(escaped, group))}: put their "
                         f"images into one, rename one, or list all classes in class_index if they are meant to be different")


def unwrapped(folder):
    """`folder`, or the folder of its own name that is all there is in it: archives unpack so, to my_photos/my_photos/<class>."""
    folder = Path(folder)
    name = folder.name if folder.name not in ("", "..") else folder.resolve().name
    while len(inside := _folders(folder)) == 1 and alike([name, inside[0].name]) and not inside[0].is_symlink() \
            and not _loose_images(folder):
        folder = inside[0]
    return folder


def split_folders(folder):
    """{"train", "valid", "test": its folder} for those that `folder` has, or {} where it is not divided.

    They are told by their names (see `split_of`), are `unwrapped`, and have class folders in them: a folder without is a class
    like others, or has images that nobody has labelled. Those whose names are nothing but the word come first; of others the
    affix is the same. Where there is none for training, all folders in `folder` are called after splits. Where there is one for
    validation and none for testing, it is the "test". Raises ValueError where it is not clear which one is meant.
    """
    folder = Path(folder)
    group = _group(folder, {entry: split_of(entry.name) for entry in _folders(folder)})
    for split, places in group.items():
        if len(places) > 1:
            raise _unclear(folder, split, places)
    found = {split: group[split][0] for split in ("train", "valid", "test") if split in group}
    if "valid" in found and "test" not in found:
        found["test"] = found.pop("valid")
    return found


def check_divided(folder, needed=("train", "test")):
    """Raises ValueError if `folder` is divided and lacks one of the splits `needed`."""
    places = split_folders(folder)
    missing = [split for split in needed if places and split not in places]
    if "train" in missing:
        raise ValueError(f"{folder} has {places['test'].name}/ and no train/: mindclf eval can measure with it, but there is "
                         f"nothing to train on")
    if missing:
        told = [_with_images(entry) for entry in _folders(folder) if (split_of(entry.name) or ("",))[0] in ("test", "valid")]
        others = f"{', '.join(told)}, and no class folders to test with: sort them" if told else "neither test/ nor val/: add one"
        raise ValueError(f"{folder} has {places['train'].name}/ and {others}, or give {places['train']}, to be divided")


def say_unused(folder):
    """Logs which folders beside those of `split_folders` are not looked at, with how many images lie in them."""
    places = split_folders(folder)
    unused = [entry for entry in _folders(Path(folder)) if not any(place.is_relative_to(entry) for place in places.values())]
    if places and unused:
        log.warning("not used in %s: %s", one_line(folder), ", ".join(map(_with_images, unused[:NAMES_SHOWN])))


def entries(folder):
    """What lies in `folder`, in the order of the names, but for what is ignored; nothing where it is no folder."""
    return sorted(entry for entry in folder.iterdir() if not is_ignored(entry.name)) if folder.is_dir() else []


def files_below(folder):
    """Paths of what is below `folder`, in order: files, links to folders, and folders that cannot be read.

    Without what is ignored, and what is in ignored folders; what of it people see is logged (see `say_ignored`).
    """
    found, unreadable, ignored = [], [], []
    for place, folders, files in os.walk(folder, onerror=lambda error: unreadable.append(Path(error.filename))):
        ignored += filter(is_ignored, folders + files)
        folders[:] = [name for name in folders if not is_ignored(name)]
        links = [name for name in folders if os.path.islink(os.path.join(place, name))]
        found += [Path(place, name) for name in files + links if not is_ignored(name)]
    say_ignored(folder, ignored)
    return sorted(found + unreadable)


def listed(texts):
    """The first NAMES_SHOWN of `texts` in one line."""
    return "; ".join(texts[:NAMES_SHOWN]) + ("; ..." if len(texts) > NAMES_SHOWN else "")


def _group(folder, meanings):
    """{split: its folders} of those in `folder` that belong together; `meanings` is what `split_of` says of each folder in it."""
    groups = {}  # affix -> split -> folders
    for entry, meaning in meanings.items():
        if meaning and _folders(place := unwrapped(entry)):
            split, affix = meaning
            groups.setdefault(affix, {}).setdefault(split, []).append(place)
    plain, to_train = groups.get((None,), {}), [group for group in groups.values() if "train" in group]
    if "train" in plain:
        return plain
    if len(to_train) > 1:
        raise _unclear(folder, "train", [place for group in to_train for place in group["train"]])
    if to_train:
        return to_train[0]
    return next(iter(groups.values())) if len(groups) == 1 and all(meanings.values()) else {}


def _folders(folder):
    return [entry for entry in entries(folder) if entry.is_dir()]


def _loose_images(folder):
    """Images that lie in `folder` itself, by their names."""
    return [file for file in entries(Path(folder)) if file.suffix.lower() in IMAGE_SUFFIXES and not file.is_dir()]


def _check_depth(folder, places):
    """Raises ValueError if the class folders `places` in `folder` have folders in them, and none of them a file."""
    if any(not entry.is_dir() for place in places for entry in place.iterdir() if not is_ignored(entry.name)):
        return
    deeper = [place for place in places if _folders(place)]
    if deeper:
        raise ValueError(f"{one_line(folder)} has {_few(places)}, with folders in it instead of images: give the one that has "
                         f"the class folders, such as {one_line(deeper[0])}; folders to train and to test with are called train "
                         f"and test, or training, testing, val, valid, validation, dev")


def _unclear(folder, split, places):
    return ValueError(f"{one_line(folder)} has {_few(places)}, and it is not clear which one is for {split}: rename or move the "
                      f"others")


def _few(places):
    shown = [f"{one_line(place.name)}/" for place in places[:NAMES_SHOWN]]
    return ", ".join(shown + ["..."] * (len(places) > NAMES_SHOWN))


def _with_images(folder):
    """A folder and how many images lie in it, in no class folder, for a message."""
    count = len(_loose_images(unwrapped(folder)))
    return f"{one_line(folder.name)}/" + (f" with {count:,} images in no class folder" if count else "")
