"""Test photos of the garbage set that have a near-duplicate in train/, and the sorter's accuracy without them.

    python benchmarks/near_duplicates.py               # seconds; writes results/tables/near_duplicates.json

No file is the same byte for byte, but some test photos show the same object of the same series as a training photo. They are
found as cross-validation finds them, which keeps them in one fold: mindclf.dataset.near_duplicates.
"""

import numpy as np
from common import provenance, require_photos, write_result

from mindclf.dataset import read_folder
from mindclf.dataset.locate import find_garbage26
from mindclf.dataset.near_duplicates import content_groups
from mindclf.device import describe_device, use_device
from mindclf.labels import index_en
from mindclf.predict import Predictor


def main():
    use_device("CPU")
    found = find_garbage26()
    require_photos(found.origin)
    train, test = (read_folder(found.path / split, index_en) for split in ("train", "test"))
    of_train, of_test = np.split(content_groups(train.joined(test)), [len(train)])
    fresh = ~np.isin(of_test, of_train)
    right = Predictor().logits(test.paths).argmax(1) == np.array(test.labels)
    result = {**provenance(describe_device("CPU")), "data": found.origin, "test_images": len(test),
              "near_duplicates": int((~fresh).sum()), "top1": round(float(right.mean()), 6),
              "top1_without_near_duplicates": round(float(right[fresh].mean()), 6)}
    print(result)
    write_result(__file__, result)


if __name__ == "__main__":
    main()
