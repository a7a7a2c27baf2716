"""Test photos of the garbage set whose label is probably wrong, by the sorter that comes with mindclf and has not seen them.

    python benchmarks/garbage_labels.py                # seconds; writes results/tables/garbage_labels.json

They stay in the test set. The like list of the training photos, by nets that had not seen them, is label_issues.csv in
results/runs/garbage26_mobilenet_v2/: training with folds=5 writes it.
"""

from pathlib import Path

import numpy as np
from common import provenance, require_photos, write_result

from mindclf.dataset import read_folder
from mindclf.dataset.locate import find_garbage26
from mindclf.device import describe_device, use_device
from mindclf.label_issues import find_label_issues
from mindclf.labels import index_en
from mindclf.metrics import softmax
from mindclf.predict import Predictor


def main():
    use_device("CPU")
    found = find_garbage26()
    require_photos(found.origin)
    test = read_folder(found.path / "test", index_en)
    logits = Predictor().logits(test.paths)
    issues = [{"file": "/".join(Path(test.paths[issue.index]).parts[-2:]), "label": test.classes[issue.given],
               "suggested": test.classes[issue.suggested], "probability_of_label": round(issue.given_probability, 4),
               "probability_of_suggested": round(issue.suggested_probability, 4)}
              for issue in find_label_issues(softmax(logits), np.array(test.labels))]
    result = {**provenance(describe_device("CPU")), "data": found.origin, "test_images": len(test), "issues": issues}
    print(*issues, sep="\n")
    write_result(__file__, result)


if __name__ == "__main__":
    main()
