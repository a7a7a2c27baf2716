"""MindSpore's mixed precision on a CPU: what a training step costs at each level, and what it computes.

    python benchmarks/mixed_precision.py               # writes results/tables/mixed_precision.json

A MobileNetV2 with three blocks, 16 images of 96 x 96 pixels, the same five steps at each level. Processor seconds, which other
work on the machine changes less than those of a clock.
"""

import os
import resource
import tempfile
from pathlib import Path

import numpy as np
from common import TABLES, provenance, write_result
from mindspore import Tensor, amp

from mindclf.config import merge
from mindclf.device import describe_device, set_seeds, use_device
from mindclf.nets import create_net
from mindclf.train import create_model

LEVELS, STEPS = ("O0", "O1", "O2", "O3"), 5
BLOCKS = [[1, 16, 1, 1], [6, 24, 2, 2]]  # as in MobileNetV2's Table 2, without the later rows


def main():
    use_device("CPU")
    facts = provenance(describe_device("CPU"))
    rows = [measure(level) for level in LEVELS]
    write_result(str(TABLES / "mixed_precision.json"), {**facts, "batch_size": 16, "pixels": 96, "rows": rows})


def measure(level):
    """The row of a level: processor seconds of a step after the first, all losses, and files that MindSpore wrote."""
    rng = np.random.default_rng(0)
    batch = (Tensor(rng.standard_normal((16, 3, 96, 96)).astype(np.float32)), Tensor(rng.integers(0, 5, 16).astype(np.int32)))
    set_seeds(1)
    net = create_net("mobilenet_v2", 5, inverted_residual_setting=BLOCKS, last_channel=64)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)  # O1 writes source files of the net into the current folder
        if level != "O0":
            net = amp.auto_mixed_precision(net, level)
        step = create_model(net, merge({}, {}), [0.01] * STEPS).train_network.set_train()
        losses, seconds = [], []
        for _ in range(STEPS):
            before = resource.getrusage(resource.RUSAGE_SELF)
            losses.append(float(step(*batch).asnumpy()))
            after = resource.getrusage(resource.RUSAGE_SELF)
            seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        written = sorted(path.relative_to(folder).parts[0] for path in Path(folder).iterdir())
        os.chdir("/")
    row = {"level": level, "processor_seconds": round(sorted(seconds[1:])[(STEPS - 1) // 2], 3), "losses": losses,
           "writes": written}
    print(row, flush=True)
    return row


if __name__ == "__main__":
    main()
