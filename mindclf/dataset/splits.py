"""The training, held-out and test pictures of one run."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

from mindclf.config import OWN_VALID, merge
from mindclf.dataset.cifar10 import origin_of, pixel_statistics_of, read_cifar10
from mindclf.dataset.folder import Pictures, check_class_index, read_folder
from mindclf.dataset.locate import find_caltech16, find_cifar10, find_flowers102, find_garbage26
from mindclf.labels import class_names

TEST_EVERY = 5  # of the sorted pictures of a class, where a data set leaves it to its users to put some aside


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

    Raises ValueError if no data set is named, or for whatever is wrong with its pictures.
    """
    check_class_index(config.class_index)
    folder, origin = find_folder(config)
    train = read_pictures(folder, "train", config)
    if config.dataset in OWN_VALID:
        valid = read_pictures(folder, "valid", config)
    else:
        train, valid = train.hold_out(config.valid_fraction, config.seed)
    return Splits(train, valid, read_pictures(folder, "test", config), origin, folder.as_posix())


def read_pictures(folder, split, config):
    """The `Pictures` of `split`, "train" or "test", in the `folder` that `find_folder` gave, labelled as config.class_index says.

    Their classes have the names that people use, which in "flowers102" are not those of its folders; it also has a split "valid".
    "caltech16" is divided here: every 5th picture of a class, in the order of file names, is for testing.
    Raises ValueError for whatever is wrong with them, and for a class_index that is not that of "cifar10".
    """
    classes = check_class_index(config.class_index)
    if config.dataset == "caltech16":
        return read_folder(folder, config.class_index, config.on_bad_image, _test_part if split == "test" else _train_part)
    if config.dataset != "cifar10":
        pictures = read_folder(folder / split, config.class_index, config.on_bad_image)
        return replace(pictures, classes=class_names(config.dataset, classes))
    pictures = read_cifar10(folder, split)
    if classes != pictures.classes:
        raise ValueError(f"the classes of dataset=cifar10 are {', '.join(pictures.classes)}, in this order, not "
                         f"{', '.join(classes[:10])}{', ...' if len(classes) > 10 else ''}")
    return pictures


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
        return folder, origin_of(folder) if config.dataset == "cifar10" else "your folder"
    if config.dataset:
        find = {"garbage26": find_garbage26, "cifar10": find_cifar10, "flowers102": find_flowers102, "caltech16": find_caltech16}
        found = find[config.dataset]()
        return found.path, found.origin
    raise ValueError("dataset_path is empty: give the folder that has train/ and test/, as in dataset_path=my_pictures")


def _test_part(files):
    return files[TEST_EVERY - 1::TEST_EVERY]


def _train_part(files):
    return [file for number, file in enumerate(files, start=1) if number % TEST_EVERY]
