"""The files of CIFAR-10, by which a folder is known. Nothing here imports MindSpore: `mindclf` alone looks for data sets."""

from pathlib import Path

FILES = {"train": tuple(f"data_batch_{number}.bin" for number in range(1, 6)), "test": ("test_batch.bin",)}

MD5 = {  # of the official files
    "data_batch_1.bin": "5dd7e06a14cb22eb9f671a540d1b7c25", "data_batch_2.bin": "5ea93a67294ea407fff1d09f752e9692",
    "data_batch_3.bin": "942cd6a4bcdd0dd3c604fbe906cb4421", "data_batch_4.bin": "ae636b3ba5c66a11e91e8cb52e771fcb",
    "data_batch_5.bin": "53f37980c15c3d472c316c40844f3f0d", "test_batch.bin": "803d5f7f4d78ea53de84dbe85f74fb6d",
}


def is_folder(folder):
    """Whether `folder` holds a file of CIFAR-10. If others are missing, reading it says which."""
    return any((Path(folder) / name).is_file() for name in MD5)
