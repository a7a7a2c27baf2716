"""CIFAR-10 in its official binary layout: 50,000 training and 10,000 test images of 32 x 32 pixels in 10 classes.

Each file holds 10,000 records: a byte with the label, then 3,072 with the red, green and blue plane (Krizhevsky, Learning
Multiple Layers of Features from Tiny Images, 2009).
"""

import hashlib
import io
import logging
from dataclasses import dataclass, replace
from pathlib import Path

import mindspore as ms
import numpy as np
from mindspore import dataset as ds
from mindspore.dataset import transforms
from PIL import Image

from mindclf.dataset.cifar10_files import FILES, MD5
from mindclf.dataset.download import check_new
from mindclf.dataset.folder import ImageSet
from mindclf.dataset.statistics import histogram, mean_and_std
from mindclf.labels import CIFAR10
from mindclf.utils.files import first_line, md5, new_folder

log = logging.getLogger(__name__)

SIZE = 32          # pixels, height and width
RECORDS = 10_000   # in a file
RECORD_BYTES = 1 + 3 * SIZE * SIZE
FILE_BYTES = RECORDS * RECORD_BYTES
# SHA-256 of the 60,000 labels of the JPEG copy, in the order of its files. It has an order of its own, which tells it from the
# official files; its pixels would not do, for they depend on the JPEG decoder that unpacked them.
COPY_LABELS = "136f906f37e2b992738dfa63e94314d44a81cab3d2c8875be4223e9d86a67ef8"


@dataclass(frozen=True)
class Cifar10ImageSet(ImageSet):
    """Images of CIFAR-10: `paths` are their pixels, uint8 (32, 32, 3), and `indices` their places in the files of `usage`."""

    folder: str = ""
    usage: str = "train"
    indices: tuple = ()

    raw_size = (SIZE, SIZE)

    def take(self, indices):
        return replace(super().take(indices), indices=tuple(self.indices[i] for i in indices))

    def joined(self, others):
        return replace(super().joined(others), indices=(*self.indices, *others.indices))

    def first_copies(self):
        """Its own index for each image: CIFAR-10 is taken as it is."""
        return range(len(self))

    def digests(self):
        """The SHA-256 of each image's pixels in hexadecimal."""
        return [hashlib.sha256(pixels).hexdigest() for pixels in self.paths]

    def source(self):
        """Rows of (image, label) in their order, read by MindSpore's Cifar10Dataset."""
        sampler = ds.SubsetSampler(list(self.indices))
        rows = ds.Cifar10Dataset(self.folder, self.usage, sampler=sampler, num_parallel_workers=1)
        return rows.map(transforms.TypeCast(ms.int32), "label")


def read_cifar10(folder, usage):
    """The `Cifar10ImageSet` of `usage`, "train" or "test", in `folder`.

    Raises ValueError that names the file which is missing, of another length, one too many, or holds a label that is none.
    """
    strangers = sorted(file.name for file in Path(folder).glob("*_batch*.bin") if file.name not in MD5)
    if strangers:
        raise ValueError(f"{folder} has {strangers[0]} besides the files of CIFAR-10, and MindSpore would read it too: remove it")
    records = np.concatenate([_read(Path(folder) / name) for name in FILES[usage]])
    pixels = np.ascontiguousarray(records[:, 1:].reshape(-1, 3, SIZE, SIZE).transpose(0, 2, 3, 1))
    return Cifar10ImageSet(tuple(pixels), tuple(records[:, 0].tolist()), CIFAR10, str(folder), usage,
                           tuple(range(len(records))))


def origin_of(folder):
    """In words what the files in `folder` are: "CIFAR-10", "CIFAR-10, JPEG copy", or that they are neither.

    Raises ValueError as `read_cifar10` does.
    """
    folder = Path(folder)
    labels = np.concatenate([_read(folder / name)[:, 0] for name in MD5])
    others = [name for name, digest in MD5.items() if md5(folder / name) != digest]
    if not others:
        return "CIFAR-10"
    if hashlib.sha256(labels.tobytes()).hexdigest() == COPY_LABELS:
        return "CIFAR-10, JPEG copy"
    log.warning("%s: these files are laid out as CIFAR-10, but %s", folder,
                f"{', '.join(others)} is not the official one" if len(others) < len(MD5) else "none is the official one")
    return "files laid out as CIFAR-10, but not the official ones"


def unpack_copy(archive, folder):
    """Writes the images of the JPEG copy `archive`, an .npz, as the new folder `folder` of binary files. Returns the folder.

    For "train" and "test" the archive has the arrays `_bytes`, JPEG files one after another, `_offsets`, where each of them
    begins and the last one ends, and `_labels`. Raises ValueError that names the archive if it does not hold 50,000 and 10,000
    images of 32 x 32 pixels with labels from 0 to 9, and if the folder exists.
    """
    archive, folder = Path(archive), Path(folder)
    check_new(folder, archive)
    with new_folder(folder) as unfinished:
        try:
            with np.load(archive, allow_pickle=False) as arrays:
                for usage, names in FILES.items():
                    data, offsets, labels = (arrays[f"{usage}_{part}"] for part in ("bytes", "offsets", "labels"))
                    records = _decode(data, offsets, labels, len(names) * RECORDS)
                    for name, part in zip(names, np.split(records, len(names))):
                        (unfinished / name).write_bytes(part.tobytes())
        except OSError as error:
            if error.errno:  # such as a full disk: not the archive's fault
                raise
            raise _no_copy(archive, error) from None
        except Exception as error:  # what zipfile, NumPy and PIL raise for damaged files is of many kinds
            raise _no_copy(archive, error) from None
    return folder


def _decode(data, offsets, labels, count):
    """Records, uint8 (count, 3073), of the JPEG images in `data`."""
    if (labels.shape, offsets.shape, data.ndim) != ((count,), (count + 1,), 1) or data.dtype != np.uint8:
        raise ValueError(f"expected {count} labels with their images, received {len(labels)}")
    if not (np.isin(labels, range(len(CIFAR10))).all() and offsets[0] >= 0 and offsets[-1] <= len(data)):
        raise ValueError("labels or offsets are out of range")
    records = np.empty((count, RECORD_BYTES), np.uint8)
    records[:, 0] = labels
    for record, start, end in zip(records, offsets, offsets[1:]):
        image = Image.open(io.BytesIO(data[start:end].tobytes()), formats=["JPEG"])
        if image.size != (SIZE, SIZE):
            raise ValueError(f"an image has {image.width} x {image.height} pixels")
        record[1:] = np.asarray(image.convert("RGB")).transpose(2, 0, 1).ravel()
    return records


def _no_copy(archive, error):
    return ValueError(f"{archive} is damaged, or no JPEG copy of CIFAR-10: {first_line(error)}")


def _read(path):
    if path.parent.is_file():
        raise ValueError(f"{path.parent} is a file: name the folder with the .bin files of CIFAR-10; a JPEG copy is found in "
                         f"data/ or $MINDCLF_DATA, without a dataset_path")
    if not path.is_file():
        raise ValueError(f"{path} is missing: a folder of CIFAR-10 holds {', '.join(MD5)}")
    size = path.stat().st_size
    if size != FILE_BYTES:
        raise ValueError(f"{path} has {size:,} bytes, not {FILE_BYTES:,}: it is damaged, or no binary version")
    records = np.fromfile(path, np.uint8).reshape(RECORDS, RECORD_BYTES)
    if records[:, 0].max() >= len(CIFAR10):
        raise ValueError(f"{path} holds the label {records[:, 0].max()}; those of CIFAR-10 are 0 to {len(CIFAR10) - 1}")
    return records


def pixel_statistics_of(images):
    """(mean, std) of each channel over all pixels of `images`, RGB, on the 0 to 255 scale."""
    chunks = (images.paths[start:start + 1000] for start in range(0, len(images), 1000))  # not one copy of them all
    return mean_and_std(sum(histogram(Image.fromarray(np.concatenate(chunk))) for chunk in chunks))
