"""Training with products in bfloat16 beside float32: the loss of each of the first steps, and accuracy after a few epochs.

    python benchmarks/bfloat16.py                # 20 minutes on two cores; writes results/tables/bfloat16.json
    python benchmarks/bfloat16.py epochs=1       # a trial: any fields of the config; writes outputs/bfloat16.json

MobileNetV1 on CIFAR-10's own pixels, SGD with momentum and flips, the same seed, images and batches for both. Where the curves
part, the reason is rounding alone. Needs a processor with AMX or AVX512_BF16.
"""

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile

import numpy as np
from common import ROOT, TABLES, provenance, write_result
from mindspore.train import Callback

from mindclf.config import merge
from mindclf.device import describe_device
from mindclf.report.history import HISTORY, HistoryFile
from mindclf.train import fit

CONFIG = dict(dataset="cifar10", valid_fraction=0.02, image_height=32, image_width=32, crop_pct=1.0, augment="padded_crop",
              color_adjust=0.0, net="mobilenet_v1", net_options=dict(stem="cifar"), batch_size=128, optimizer="sgd",
              nesterov=True, schedule="one_cycle", weight_decay=5e-4, label_smoothing=0.1, epochs=5, lr_max=0.1, seed=1)
WAYS = {"float32": {}, "bfloat16": {"MINDCLF_KERNELS": "bf16"}}  # what the environment says
STEPS = 300  # whose losses are kept
WINDOW = 20  # steps whose mean loss is compared


class Losses(Callback):
    """Keeps the loss of each of the first STEPS steps."""

    def __init__(self):
        super().__init__()
        self.values = []

    def on_train_step_end(self, run_context):
        if len(self.values) < STEPS:
            self.values.append(round(float(run_context.original_args().net_outputs.asnumpy()), 6))


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)  # the process of one way
    parser.add_argument("fields", nargs="*", metavar="field=value")
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(trained(arguments.fields)))
        return
    runs = {}
    for way, environment in WAYS.items():
        kept = {name: value for name, value in os.environ.items() if name != "MINDCLF_KERNELS"}
        output = subprocess.run([sys.executable, __file__, "--one", *arguments.fields], check=True, stdout=subprocess.PIPE,
                                env={**kept, **environment}, encoding="utf-8").stdout
        runs[way] = json.loads(output.splitlines()[-1])
        print(way, {name: value for name, value in runs[way].items() if name != "losses"}, flush=True)
    first, second = (np.array(run["losses"]) for run in runs.values())
    windows = np.abs((first - second)[:len(first) // WINDOW * WINDOW].reshape(-1, WINDOW).mean(1))
    figures = {"first_step": abs(first[0] - second[0]), "largest_of_windows": windows.max()}
    print(figures)
    target = ROOT / "outputs" / "bfloat16.json" if arguments.fields else TABLES / "bfloat16.json"
    write_result(target, {**provenance(describe_device("CPU")), "config": CONFIG, "difference_of_losses":
                          {**{name: round(float(value), 6) for name, value in figures.items()}, "window": WINDOW}, "runs": runs})


def trained(fields):
    """What one way gives: kernels, losses, and accuracy by epoch and on the test images."""
    logging.getLogger("mindclf").setLevel(logging.WARNING)
    losses = Losses()
    with tempfile.TemporaryDirectory() as folder:
        config = merge(merge({}, CONFIG), [*fields, f"output={folder}/run"])
        fitted = fit(config, callbacks=[losses])
        rows = HistoryFile(fitted.checkpoint.parent / HISTORY).rows()
    return {"kernels": describe_device("CPU")["kernels"], "valid_top1": [row["top1"] for row in rows],
            "test_images": fitted.report.images, "test_top1": round(fitted.report.top1, 4),
            "seconds": [round(row["seconds"], 1) for row in rows], "losses": losses.values}


if __name__ == "__main__":
    main()
