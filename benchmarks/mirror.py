"""What test-time augmentation (horizontal flip, `--mirror`) gains: the checkpoints that come with mindclf, on their test images.

    python benchmarks/mirror.py                # five minutes on two cores; writes results/tables/mirror.json
    python benchmarks/mirror.py --only garbage26_mobilenet_v2        # a new one; the table keeps the others
"""

import argparse
import json

from common import TABLES, provenance, require_photos, write_result

from mindclf.config import merge
from mindclf.dataset.splits import find_folder, images_to_measure
from mindclf.device import describe_device, use_device
from mindclf.inference.runner import Runner
from mindclf.metrics import compute_metrics

CHECKPOINTS = {"garbage26_mobilenet_v2": "garbage26", "cifar10_mobilenet_v1": "cifar10", "cifar10_shufflenet_v1": "cifar10"}
BATCH_SIZE = 128


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="+", choices=CHECKPOINTS, default=list(CHECKPOINTS))
    names = parser.parse_args().only
    device = describe_device(use_device("CPU"))
    table = TABLES / "mirror.json"
    before = json.loads(table.read_text(encoding="utf-8")) if table.is_file() else {}
    result = {name: before[name] for name in CHECKPOINTS if name in before}
    for name in names:
        config = merge({"dataset": CHECKPOINTS[name]}, {})
        folder, origin = find_folder(config)
        require_photos(origin)
        result[name] = {"data": origin}
        for key, mirror in (("plain", False), ("mirror", True)):
            runner = Runner(name, mirror=mirror)
            images, _ = images_to_measure(runner.card, folder, config)
            logits, labels = runner.logits(images, BATCH_SIZE)
            result[name][key] = compute_metrics(logits, labels, len(runner.card.classes)).scalars()
            print(name, key, result[name][key], flush=True)
    write_result(__file__, {**provenance(device), **result})


if __name__ == "__main__":
    main()
