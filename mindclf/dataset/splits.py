"""The training, validation and test images of one run."""

import functools
import hashlib
import logging
import os
from dataclasses import dataclass, replace
from pathlib import Path

from mindclf.config import DEFAULTS, merge
from mindclf.dataset.cifar10 import pixel_statistics_of
from mindclf.dataset.content import chosen_for_test, chosen_for_validation
from mindclf.dataset.duplicates import equal_images, warnings_of
from mindclf.dataset.folder import ImageSet, check_class_index, read_folder
from mindclf.dataset.layout import check_divided, say_unused, split_folders, unwrapped
from mindclf.dataset.registry import DATA_SETS, class_names
from mindclf.dataset.seen import seen_by, warn_of_seen
from mindclf.dataset.split_folder import divide_files
from mindclf.drawings.generate import ORIGIN, is_drawn
from mindclf.labels import number_classes
from mindclf.preprocessing import Reading

log = logging.getLogger(__name__)

EVERY = 5  # of a named data set that is not divided every 5th image of a class is for testing, as recorded figures have it


@dataclass(frozen=True)
class Splits:
    """Images of one run; `origin` says in words where they come from, `path` is their folder."""

    train: ImageSet
    valid: ImageSet
    test: ImageSet
    origin: str
    path: str

    @property
    def classes(self):
        return self.train.classes

    @property
    def monitored(self):
        """(images, "held out" or "test"): those that show the progress of training after each epoch.

        Held-out images choose the best epoch. Test images, monitored when none are held out, choose nothing, but that
        schedule="plateau" then follows them.
        """
        return (self.valid, "held out") if len(self.valid) else (self.test, "test")

    @functools.cached_property
    def digests(self):
        """{"train", "validation", "test": the SHA-256 of each image in hexadecimal}."""
        return {"train": self.train.digests(), "validation": self.valid.digests(), "test": self.test.digests()}

    def changed(self):
        """{"train", "validation", "test": {path: SHA-256 now}} of the files whose content is no longer that of `digests`.

        Only files whose size or time has changed are read again. What is gone is left out: whoever reads it is told.
        """
        return {side: {path: now for path, now, before in zip(images.paths, images.digests(), self.digests[side])
                       if now != before and os.path.exists(path)}
                for side, images in (("train", self.train), ("validation", self.valid), ("test", self.test))
                if not images.raw_size}

    def digest(self):
        """A text that changes with the contents, the labels and the order of the images."""
        digest = hashlib.sha256()
        for images, digests in zip((self.train, self.valid, self.test), self.digests.values()):
            digest.update(repr(list(zip(images.labels, digests))).encode())
        return digest.hexdigest()[:16]


def read_splits(config):
    """The `Splits` that a full config asks for, every image checked.

    A folder that has valid/ besides train/ and test/ holds out the images in it, others the part config.valid_fraction of the
    training images: of a person's own by content, of a data set with a name drawn by config.seed. The log warns of images that
    are on two sides or in two classes. Raises ValueError if no data set is named, or for whatever is wrong with its images.
    """
    folder, origin = find_folder(config)
    check_divided(folder)
    say_unused(folder)
    if _is_own_and_undivided(folder, config):
        train, test = _divided_by_content(folder, read_images(folder, "all", config, find_white=True))
    else:
        train = read_images(folder, "train", config, find_white=True)
        config = merge(config, {"white": train.reading.white or 0})
        test = read_images(folder, "test", config)
    if not _has_reader(config) and "valid" in split_folders(folder):
        if config.valid_fraction != DEFAULTS.valid_fraction:
            raise ValueError(f"valid_fraction={config.valid_fraction} means nothing to {folder}: its folder "
                             f"{split_folders(folder)['valid'].name}/ has the images that are held out")
        valid = read_images(folder, "valid", config)
    elif config.dataset:
        train, valid = train.hold_out(config.valid_fraction, config.seed)
    else:
        train, valid = train.divided(chosen_for_validation(train.digests(), train.labels, config.valid_fraction, config.seed))
    warn_of_copies({"train": train, "validation": valid, "test": test})
    return Splits(train, valid, test, origin, folder.as_posix())


def read_images(folder, split, config, by_name=False, find_white=False):
    """The `ImageSet` of `split`, "train", "test", "valid" or "all", in the `folder` that `find_folder` gave.

    With `find_white` they also say what is white in images of more than 8 bits, where config.white does not.

    They are labelled by config.class_index. Their classes have the names that people use, which in "flowers102" are not those
    of its folders. A folder that has class folders instead of train/ and test/ is divided here, and not changed: about a fifth of
    each class is for testing, by content (see mindclf.dataset.content), so that images that are added move no other. With
    `by_name` it is every 5th by file name, and so it is in a data set with a name. Images that are the same byte for byte stay
    together. Only of a person's own undivided folder "all" has a meaning, all of them.
    Raises ValueError for whatever is wrong with them, and for another class_index than the files of "cifar10" have.
    """
    classes = check_class_index(config.class_index)
    if _has_reader(config):
        images = DATA_SETS[config.dataset].read(folder, split)
        if classes != images.classes:
            raise ValueError(f"the classes of dataset={config.dataset} are {', '.join(images.classes)}, in this order, not "
                             f"{', '.join(classes[:10])}{', ...' if len(classes) > 10 else ''}")
        return images
    check_divided(folder, [split])
    places = split_folders(folder)
    if places:
        part = None
        folder = places[split]
    else:
        part = functools.partial(_by_name, split) if by_name or config.dataset else None
    images = read_folder(folder, config.class_index, config.on_bad_image, part, reading=Reading.of(config),
                           find_white=find_white)
    if not places and not part and split != "all":
        images = _divided_by_content(folder, images)[split == "test"]
    return replace(images, classes=class_names(config.dataset, classes))


def labelled_for(card, folder, split, config, by_name=False):
    """The `ImageSet` that `read_images` finds, labelled as the net that `card` describes has its classes.

    What is white in images of more than 8 bits is what its training found, unless the config says otherwise.
    """
    class_index = number_classes(card.get("class_folders") or card["classes"])
    white = config.white or card.get("white", 0)
    images = read_images(folder, split, merge(config, {"class_index": class_index, "white": white}), by_name)
    return replace(images, classes=tuple(card["classes"]))


@dataclass(frozen=True)
class Chosen:
    """Which images of a folder are measured: whether `whole`, all that there are, but for those that training had.

    `trained_on` counts images left out because the net was trained on them, `validation` those that chose its best epoch.
    """

    whole: bool
    trained_on: int = 0
    validation: int = 0


def images_to_measure(card, folder, config):
    """(images, `Chosen`): what to measure the net that `card` describes with in `folder`, labelled for it.

    Of a data set with a name, and of a folder that is divided, they are the test images; the log warns of those that the net
    was trained on. Of a person's own folder that is not divided they are all but those that training had seen, by their
    contents, wherever the folder lies and whatever its files are called. Raises ValueError where no other is left.

    Where the card, of an older version, does not say what was seen, the log says so. Then they are every 5th of a folder that
    has the path or the number of images of the one trained on, for so it was divided then, and of any other all.
    """
    seen = seen_by(card)
    if not _is_own_and_undivided(folder, config):
        images, chosen = labelled_for(card, folder, "test", config), Chosen(False)
        warn_of_copies({"test": images})
        warn_of_seen(images, seen, "the net")
    elif seen:
        images, chosen = _unseen(labelled_for(card, folder, "all", config), seen, folder)
    else:
        images, chosen = labelled_for(card, folder, "all", config), Chosen(True)
        warn_of_copies({"all": images})
        if is_perhaps_of_training(card, folder, len(images)):
            images, chosen = labelled_for(card, folder, "test", config, by_name=True), Chosen(False)
    if not config.dataset:
        _tell_unknown(seen)
    return images, chosen


def _unseen(everything, seen, folder):
    """(images, `Chosen`) of `everything` without what the net has `seen`."""
    warn_of_copies({"all": everything})
    kinds = seen.of(everything.digests())
    images, _ = everything.divided(kinds)
    chosen = Chosen(True, kinds.count("train"), kinds.count("validation"))
    if not len(images):
        raise ValueError(f"of the {len(everything)} images in {folder} the net was trained on {chosen.trained_on}, and "
                         f"{chosen.validation} chose its best epoch: none is left to measure it with, name others")
    return images, chosen


def is_perhaps_of_training(card, folder, count):
    """Whether `folder`, with `count` images, is perhaps the one that the net of an older `card` was trained on."""
    data = card.get("data", {})
    is_there = "path" in data and Path(data["path"]).resolve() == folder.resolve()
    return is_there or count == sum(data.get(part, 0) for part in ("train", "held_out", "test"))


def _tell_unknown(seen):
    if seen is None:
        log.warning("the card does not say which images the net was trained on, as those of older versions of mindclf do not: "
                    "whether these are among them cannot be known")
    elif seen.unknown:
        log.warning("the card of %s, which the net came from, does not say which images that was trained on: whether these are "
                    "among them cannot be known", ", ".join(seen.unknown))


def warn_of_copies(parts):
    """Logs which images of `parts`, {split: Images}, are the same byte for byte and should not be."""
    for line in warnings_of(equal_images(parts)):
        log.warning(line)


def with_statistics(config, train):
    """The config with mean and std of the training images `train`, if it leaves them open and asks for no pretrained weights.

    For images that are pixels of one size, as those of CIFAR-10; of others the config is returned as it is.
    """
    if config.mean or config.pretrained or not train.raw_size:
        return config
    mean, std = pixel_statistics_of(train)
    return merge(config, {"mean": mean, "std": std})


def find_folder(config):
    """(folder, origin) of the data set that the config names."""
    if config.dataset_path:
        folder = Path(config.dataset_path)
        if _has_reader(config):
            return folder, DATA_SETS[config.dataset].describe_files(folder)
        folder = unwrapped(folder)
        return folder, ORIGIN if is_drawn(folder) else "your folder"
    if config.dataset:
        found = DATA_SETS[config.dataset].find()
        return found.path, found.origin
    raise ValueError("dataset and dataset_path are empty: name a folder of images, as in dataset_path=my_images, or a data "
                     f"set with dataset={', '.join(DATA_SETS)}")


def _has_reader(config):
    """Whether the data set of `config` has files of another kind than images in class folders."""
    return bool(config.dataset and DATA_SETS[config.dataset].reader)


def _is_own_and_undivided(folder, config):
    return not config.dataset and not split_folders(folder)


def _divided_by_content(folder, images):
    """(training, test images) of `images`, all that `folder` has. Raises ValueError if none are for testing."""
    train, test = images.divided(chosen_for_test(images.digests(), images.labels))
    if not len(test):
        raise ValueError(f"{folder} has no class of two different images or more: none is left for testing, add some")
    for part, purpose in ((train, "training"), (test, "testing")):
        without = [repr(images.classes[label]) for label in sorted(set(images.labels) - set(part.labels))]
        if without:
            log.warning("%s: too few images, none is left for %s, of class %s", folder, purpose, ", ".join(without))
    return train, test


def _by_name(split, images):
    """For each of `images` whether it is in `split`, "train" or "test", where every 5th of a class is for testing."""
    return [chosen == (split == "test") for chosen in divide_files(images, EVERY)]
