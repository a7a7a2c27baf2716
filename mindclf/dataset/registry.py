"""Registry of data sets: a row for each one that mindclf knows by name.

To add a data set, add a row here and the function that the row names as its finder. Nothing here imports NumPy or MindSpore:
the config and `mindclf --help` read these rows.
"""

import pkgutil
from typing import NamedTuple

from mindclf.labels import CALTECH16, CIFAR10, FLOWER_PHOTOS, FLOWERS102, ClassIndex, index_en, number_classes


class DataSet(NamedTuple):
    """A row of the registry. Its functions are named as "module:function", and imported at the first call.

    class_index   {class folder: label}, the labels from 0
    finder        finder(only_on_disk=False) returns a `Found` (see mindclf.dataset.locate). It downloads what is not on disk, or
                  raises ValueError that says what to do. With only_on_disk it opens no file, and returns None if nothing is there
    title         what `mindclf doctor` calls it
    download      what `mindclf doctor` says of a data set that is not on disk; "" if mindclf cannot download it
    division      which images are for training, for validation and for testing, in words
    note          what else a user should know, in words
    class_names   what people call the classes, in the order of class_index, where it is not the names of the folders
    raw_size      (height, width) in pixels of a data set whose images all have this size, and are no image files; else ()
    reader        reader(folder, split) returns the `ImageSet` of "train" or "test", for files that are no class folders of images
    origin_of     origin_of(folder) says in words what the files in a folder are, for a data set with a reader
    """

    class_index: ClassIndex
    finder: str
    title: str
    download: str = ""
    division: str = ""
    note: str = ""
    class_names: tuple = ()
    raw_size: tuple = ()
    reader: str = ""
    origin_of: str = ""

    def find(self, only_on_disk=False):
        """What the finder returns."""
        return pkgutil.resolve_name(self.finder)(only_on_disk)

    def read(self, folder, split):
        """What the reader returns."""
        return pkgutil.resolve_name(self.reader)(folder, split)

    def describe_files(self, folder):
        """What `origin_of` returns."""
        return pkgutil.resolve_name(self.origin_of)(folder)


EVERY_FIFTH = "every 5th image of a class, by file name, is for testing"

DATA_SETS = {
    "garbage26": DataSet(
        class_index=number_classes(index_en),
        finder="mindclf.dataset.locate:find_garbage26",
        title="garbage photos",
        download="they will be downloaded, or drawn offline",
        division="train/ and test/",
        note="waste in 26 classes of four sorting categories, of MindSpore's course; where there is no network, drawings",
    ),
    "cifar10": DataSet(
        class_index=number_classes(CIFAR10),
        finder="mindclf.dataset.locate:find_cifar10",
        title="CIFAR-10",
        download="it will be downloaded",
        division="50,000 training and 10,000 test images, in files of their own",
        note="the binary version, or a copy with JPEG images, cifar10_jpeg.npz, which is unpacked once",
        raw_size=(32, 32),
        reader="mindclf.dataset.cifar10:read_cifar10",
        origin_of="mindclf.dataset.cifar10:origin_of",
    ),
    "flowers102": DataSet(
        class_index=number_classes(str(number) for number in range(1, 103)),
        finder="mindclf.dataset.locate:find_flowers102",
        title="102 flowers",
        division="train/, valid/ and test/",
        note="Oxford's flowers; the class folders are called '1' to '102'",
        class_names=FLOWERS102,
    ),
    "caltech16": DataSet(
        class_index=number_classes(CALTECH16),
        finder="mindclf.dataset.locate:find_caltech16",
        title="16 Caltech classes",
        division=EVERY_FIFTH,
        note="the 16 largest classes of Caltech-101 without airplanes, motorbikes and faces",
    ),
    "flower_photos": DataSet(
        class_index=number_classes(FLOWER_PHOTOS),
        finder="mindclf.dataset.locate:find_flower_photos",
        title="flower photos",
        division=EVERY_FIFTH,
        note="five kinds of flowers; the folders of TensorFlow's archive have to be renamed to the singular",
    ),
}


def class_names(dataset, folders):
    """The names of the classes in `folders`, in the same order: in most data sets those of the folders.

    Raises ValueError for a folder that the data set cannot have.
    """
    row = DATA_SETS.get(dataset)
    names = dict(zip(row.class_index, row.class_names)) if row else {}
    for folder in folders:
        if names and folder not in names:
            raise ValueError(f"class_index has {folder!r}, but the class folders of dataset={dataset} are called "
                             f"{next(iter(names))!r} to {list(names)[-1]!r}")
    return tuple(names.get(folder, folder) for folder in folders)
