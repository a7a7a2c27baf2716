"""What test-time augmentation (horizontal flip, `--mirror`) gains: the checkpoints that come with mindclf, on their test images.

    python benchmarks/mirror.py                # five minutes on two cores; writes results/tables/mirror.json
"""

from common import provenance, require_photos, write_result

from mindclf.config import merge
from mindclf.dataset.splits import find_folder, images_to_measure
from mindclf.device import describe_device, use_device
from mindclf.inference.runner import Runner
from mindclf.metrics import compute_metrics

CHECKPOINTS = {"garbage26_mobilenet_v2": "garbage26", "cifar10_mobilenet_v1": "cifar10", "cifar10_shufflenet_v1": "cifar10"}
BATCH_SIZE = 128


def main():
    device = describe_device(use_device("CPU"))
    result = {}
    for name, dataset in CHECKPOINTS.items():
        config = merge({"dataset": dataset}, {})
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
