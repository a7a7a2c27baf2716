"""The training, held-out and test pictures of one run."""

from dataclasses import dataclass
from pathlib import Path

from mindclf.dataset.folder import Pictures, check_class_index, read_folder
from mindclf.dataset.locate import find_garbage26


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

        Held-out pictures choose the best epoch. Test pictures, watched when none are held out, choose nothing.
        """
        return (self.valid, "held out") if len(self.valid) else (self.test, "test")


def read_splits(config):
    """The `Splits` that a full config asks for, every picture checked.

    Raises ValueError if no data set is named, or for whatever is wrong with its pictures.
    """
    check_class_index(config.class_index)
    folder, origin = find_folder(config)
    everything = read_folder(folder / "train", config.class_index, config.on_bad_image)
    train, valid = everything.hold_out(config.valid_fraction, config.seed)
    return Splits(train, valid, read_folder(folder / "test", config.class_index, config.on_bad_image), origin, folder.as_posix())


def find_folder(config):
    """(folder, origin) of the data set that the config names."""
    if config.dataset_path:
        return Path(config.dataset_path), "your folder"
    if config.dataset == "garbage26":
        found = find_garbage26()
        return found.path, found.origin
    raise ValueError("dataset_path is empty: give the folder that has train/ and test/, as in dataset_path=my_pictures")
