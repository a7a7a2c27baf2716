"""CIFAR-10 in its official binary layout: 50,000 training and 10,000 test pictures of 32 x 32 pixels in 10 classes.

Each file holds 10,000 records: a byte with the label, then 3,072 with the red, green and blue plane (Krizhevsky, Learning
Multiple Layers of Features from Tiny Images, 2009).
"""

from dataclasses import dataclass
from pathlib import Path

import mindspore as ms
import numpy as np
from mindspore import dataset as ds
from mindspore.dataset import transforms

from mindclf.dataset.folder import Pictures
from mindclf.labels import CIFAR10

SIZE = 32          # pixels, height and width
RECORDS = 10_000   # in a file
RECORD_BYTES = 1 + 3 * SIZE * SIZE
FILES = {"train": tuple(f"data_batch_{number}.bin" for number in range(1, 6)), "test": ("test_batch.bin",)}


@dataclass(frozen=True)
class Cifar10Pictures(Pictures):
    """Pictures of CIFAR-10: `paths` are their pixels, uint8 (32, 32, 3), and `indices` their places in the files of `usage`."""

    folder: str = ""
    usage: str = "train"
    indices: tuple = ()

    raw_size = (SIZE, SIZE)

    def take(self, indices):
        taken = super().take(indices)
        return Cifar10Pictures(taken.paths, taken.labels, self.classes, self.folder, self.usage,
                               tuple(self.indices[i] for i in indices))

    def source(self, shuffle):
        """Rows of (image, label), read by MindSpore's Cifar10Dataset; with shuffle=True in a new order each epoch."""
        indices = list(self.indices)
        sampler = ds.SubsetRandomSampler(indices) if shuffle else ds.SubsetSampler(indices)
        rows = ds.Cifar10Dataset(self.folder, self.usage, sampler=sampler, num_parallel_workers=1)
        return rows.map(transforms.TypeCast(ms.int32), "label")


def read_cifar10(folder, usage):
    """The `Cifar10Pictures` of `usage`, "train" or "test", in `folder`.

    Raises ValueError that names the file which is missing, of another length, or holds a label that is none.
    """
    records = np.concatenate([_read(Path(folder) / name) for name in FILES[usage]])
    pixels = np.ascontiguousarray(records[:, 1:].reshape(-1, 3, SIZE, SIZE).transpose(0, 2, 3, 1))
    return Cifar10Pictures(tuple(pixels), tuple(records[:, 0].tolist()), CIFAR10, str(folder), usage,
                           tuple(range(len(records))))


def _read(path):
    if not path.is_file():
        names = [name for group in FILES.values() for name in group]
        raise ValueError(f"{path} is missing: a folder of CIFAR-10 holds {', '.join(names)}")
    size = path.stat().st_size
    if size != RECORDS * RECORD_BYTES:
        raise ValueError(f"{path} has {size:,} bytes, not {RECORDS * RECORD_BYTES:,}: it is damaged, or no binary version")
    records = np.fromfile(path, np.uint8).reshape(RECORDS, RECORD_BYTES)
    if records[:, 0].max() >= len(CIFAR10):
        raise ValueError(f"{path} holds the label {records[:, 0].max()}; those of CIFAR-10 are 0 to {len(CIFAR10) - 1}")
    return records


def pixel_statistics_of(pictures):
    """(mean, std) of each channel over all pixels of `pictures`, RGB, on the 0 to 255 scale."""
    pixels = np.stack(pictures.paths)
    return tuple(pixels.mean((0, 1, 2), dtype=np.float64).tolist()), tuple(pixels.std((0, 1, 2), dtype=np.float64).tolist())
