"""Arrays in files: .npz files that are whole or not there."""

import zipfile

import numpy as np

from mindclf.utils.files import replacing


def write_arrays(path, **arrays):
    """Writes the file that np.savez would, in one step. On a full disk np.savez itself prints a traceback besides its error."""
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, value in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, value, allow_pickle=False)
