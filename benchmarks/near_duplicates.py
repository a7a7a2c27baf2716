"""Test photos of the garbage set that have a near-duplicate in train/, and the sorter's accuracy without them.

    python benchmarks/near_duplicates.py               # seconds; writes results/tables/near_duplicates.json

No file is the same byte for byte, but some test photos show the same object of the same series as a training photo. Two
photos count as near-duplicates if their 64-bit difference hashes (Krawetz, 2013) differ in at most 4 bits.
"""

import numpy as np
from common import provenance, require_photos, write_result
from PIL import Image

from mindclf.dataset import decode_image, read_folder
from mindclf.dataset.locate import find_garbage26
from mindclf.device import describe_device, use_device
from mindclf.labels import index_en
from mindclf.predict import Predictor

MOST_BITS = 4


def main():
    use_device("CPU")
    found = find_garbage26()
    require_photos(found.origin)
    train, test = (read_folder(found.path / split, index_en) for split in ("train", "test"))
    known = np.array([difference_hash(path) for path in train.paths])
    nearest = np.array([(known != difference_hash(path)).sum(1).min() for path in test.paths])
    right = Predictor().logits(test.paths).argmax(1) == np.array(test.labels)
    fresh = nearest > MOST_BITS
    result = {**provenance(describe_device("CPU")), "data": found.origin, "test_images": len(test),
              "near_duplicates": int((~fresh).sum()), "top1": round(float(right.mean()), 6),
              "top1_without_near_duplicates": round(float(right[fresh].mean()), 6)}
    print(result)
    write_result(__file__, result)


def difference_hash(path):
    """64 bits: whether each of 8 x 8 grey pixels is darker than its right neighbour."""
    grey = np.asarray(decode_image(path).convert("L").resize((9, 8), Image.Resampling.BILINEAR), int)
    return (grey[:, 1:] > grey[:, :-1]).ravel()


if __name__ == "__main__":
    main()
