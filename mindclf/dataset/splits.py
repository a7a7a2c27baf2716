"""The training, held-out and test pictures of one run."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

from mindclf.config import DEFAULTS, merge
from mindclf.dataset.cifar10 import origin_of, pixel_statistics_of, read_cifar10
from mindclf.dataset.drawn import ORIGIN, is_drawn
from mindclf.dataset.folder import Pictures, check_class_index, check_divided, read_folder, split_folders
from mindclf.dataset.locate import find_caltech16, find_cifar10, find_flower_photos, find_flowers102, find_garbage26
from mindclf.dataset.pictures import Reading
from mindclf.dataset.split_folder import DEFAULT_EVERY, divide_files
from mindclf.labels import class_names, number_classes

FIND = {"garbage26": find_garbage26, "cifar10": find_cifar10, "flowers102": find_flowers102, "caltech16": find_caltech16,
        "flower_photos": find_flower_photos}


@dataclass(frozen=True)
class Splits:
    """Pictures of one run; `origin` says in words where they come from, `path` is their folder."""

    train: Pictures
    valid: Pictures
    test: Pictures
    origin: str
    path: str

    @property
    def classes(self):
        return self.train.classes

    @property
    def watched(self):
        """(pictures, "held out" or "test"): those that show the progress of training after each epoch.

        Held-out pictures choose the best epoch. Test pictures, watched when none are held out, choose nothing, but that
        schedule="plateau" then follows them.
        """
        return (self.valid, "held out") if len(self.valid) else (self.test, "test")

    def digest(self):
        """A text that changes with the labels and the order of the pictures, and with the names of their files."""
        digest = hashlib.sha256()
        for pictures in (self.train, self.valid, self.test):
            names = [Path(path).name if isinstance(path, str) else "" for path in pictures.paths]
            digest.update(repr(list(zip(pictures.labels, names))).encode())
        return digest.hexdigest()[:16]


def read_splits(config):
    """The `Splits` that a full config asks for, every picture checked.

    A folder that has valid/ besides train/ and test/ holds out the pictures in it, others the part config.valid_fraction of the
    training pictures. Raises ValueError if no data set is named, or for whatever is wrong with its pictures.
    """
    folder, origin = find_folder(config)
    check_divided(folder)
    train = read_pictures(folder, "train", config, find_white=True)
    config = merge(config, {"white": train.reading.white or 0})
    test = read_pictures(folder, "test", config)
    if config.dataset != "cifar10" and "valid" in split_folders(folder):
        if config.valid_fraction != DEFAULTS.valid_fraction:
            raise ValueError(f"valid_fraction={config.valid_fraction} means nothing to {folder}: its folder "
                             f"{split_folders(folder)['valid'].name}/ has the pictures that are held out")
        valid = read_pictures(folder, "valid", config)
    else:
        train, valid = train.hold_out(config.valid_fraction, config.seed)
    return Splits(train, valid, test, origin, folder.as_posix())


def read_pictures(folder, split, config, find_white=False):
    """The `Pictures` of `split`, "train", "test", "valid" or "all", in the `folder` that `find_folder` gave.

    With `find_white` they also say what is white in images of more than 8 bits, where config.white does not.

    They are labelled by config.class_index. Their classes have the names that people use, which in "flowers102" are not those
    of its folders. A folder that has class folders instead of train/ and test/ is divided here, and not changed: every 5th
    picture of a class, by file name, is for testing, and pictures that are the same byte for byte stay together (see `divide`);
    only there "all" has a meaning, all of them.
    Raises ValueError for whatever is wrong with them, and for a class_index that is not that of "cifar10".
    """
    classes = check_class_index(config.class_index)
    if config.dataset == "cifar10":
        pictures = read_cifar10(folder, split)
        if classes != pictures.classes:
            raise ValueError(f"the classes of dataset=cifar10 are {', '.join(pictures.classes)}, in this order, not "
                             f"{', '.join(classes[:10])}{', ...' if len(classes) > 10 else ''}")
        return pictures
    places = split_folders(folder)
    if places:
        pictures = read_folder(places[split], config.class_index, config.on_bad_image, reading=Reading.of(config),
                               find_white=find_white)
    else:
        part = {"train": _train_part, "test": _test_part, "all": None}[split]
        pictures = read_folder(folder, config.class_index, config.on_bad_image, part, reading=Reading.of(config),
                               find_white=find_white)
    return replace(pictures, classes=class_names(config.dataset, classes))


def labelled_for(card, folder, split, config):
    """The `Pictures` that `read_pictures` finds, labelled as the net that `card` describes has its classes.

    What is white in images of more than 8 bits is what its training found, unless the config says otherwise.
    """
    class_index = number_classes(card.get("class_folders") or card["classes"])
    white = config.white or card.get("white", 0)
    pictures = read_pictures(folder, split, merge(config, {"class_index": class_index, "white": white}))
    return replace(pictures, classes=tuple(card["classes"]))


def pictures_to_measure(card, folder, config):
    """(pictures, whether they are all of `folder`) to measure the net that `card` describes with, labelled for it.

    They are the test pictures, also those of the folder that the net was trained on, wherever it lies now: one with as many
    pictures counts as that. Of any other folder of a person's own that is not divided they are all.
    """
    seen = card.get("data", {})
    is_new = not config.dataset and not split_folders(folder) and Path(seen.get("path", "")).resolve() != folder.resolve()
    if is_new:
        everything = labelled_for(card, folder, "all", config)
        if len(everything) != sum(seen.get(part, 0) for part in ("train", "held_out", "test")):
            return everything, True
    return labelled_for(card, folder, "test", config), False


def with_statistics(config, train):
    """The config with mean and std of the training pictures `train`, if it leaves them open and asks for no pretrained weights.

    For pictures that are pixels of one size, as those of CIFAR-10; of others the config is returned as it is.
    """
    if config.mean or config.pretrained or not train.raw_size:
        return config
    mean, std = pixel_statistics_of(train)
    return merge(config, {"mean": mean, "std": std})


def find_folder(config):
    """(folder, origin) of the data set that the config names."""
    if config.dataset_path:
        folder = Path(config.dataset_path)
        if config.dataset == "cifar10":
            return folder, origin_of(folder)
        return folder, ORIGIN if is_drawn(folder) else "your folder"
    if config.dataset:
        found = FIND[config.dataset]()
        return found.path, found.origin
    raise ValueError("dataset and dataset_path are empty: name a folder of pictures, as in dataset_path=my_pictures, or a data "
                     f"set with dataset={', '.join(FIND)}")


def _test_part(pictures):
    return divide_files(pictures, every=DEFAULT_EVERY)


def _train_part(pictures):
    return [not in_test for in_test in _test_part(pictures)]
