"""Whether memory grows in a long training and in a long series of predictions.

    python benchmarks/memory.py               # some minutes on two cores; writes results/tables/memory.json
    python benchmarks/memory.py --share 0.1   # a tenth as many steps and images; writes outputs/memory.json

Training: the garbage recipe's net at half width on drawn images of 64 pixels, all layers, with held-out images evaluated and
checkpoints written after each epoch of 58 steps. Prediction: `Predictor.predict` with the sorter that comes with mindclf, a drawn
image at a time, encoded, as a service gets them. Each is a process of its own. The figure is the resident memory of the process
after each part; the first quarter is warm-up, and growth is the slope of a line through the rest.
"""

import argparse
import json
import logging
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from common import ROOT, TABLES, provenance, write_result

STEPS = 2000     # of training
IMAGES = 5000  # to predict
EVERY = 100      # images between two looks at the memory
WARM_UP = 0.25   # of the looks
MEBIBYTE = 2**20


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--share", type=float, default=1.0, help="of the steps and images, to try it out (1.0)")
    parser.add_argument("--task", choices=TASKS, help=argparse.SUPPRESS)  # of the processes that this one starts
    arguments = parser.parse_args(argv)
    if arguments.task:
        print(json.dumps(TASKS[arguments.task](arguments.share)))
        return

    from mindclf.device import describe_device

    result = {}
    for task in TASKS:
        command = [sys.executable, __file__, "--task", task, "--share", str(arguments.share)]
        output = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, encoding="utf-8", check=True).stdout
        result[task] = summary(**json.loads(output.splitlines()[-1]))
        print(task, {name: value for name, value in result[task].items() if name != "mib"})
    destination = (TABLES if arguments.share == 1 else ROOT / "outputs") / "memory.json"
    write_result(destination, {**provenance(describe_device("CPU")), **result})


def train(share):
    """Trains for STEPS steps; one look at the memory after each epoch."""
    from mindclf.drawings.generate import draw_garbage26
    from mindclf.train import fit

    looks = []

    class AtEachEpoch(logging.Handler):
        def emit(self, record):
            if hasattr(record, "row"):  # of an epoch, see mindclf.train.epoch_table
                looks.append(resident())

    logging.getLogger("mindclf").addHandler(AtEachEpoch())
    logging.getLogger("mindclf").setLevel(logging.INFO)
    batch_size, per_class = 16, 40
    with tempfile.TemporaryDirectory() as folder:
        drawn = draw_garbage26(Path(folder) / "drawn", per_class, 4, size=64)
        steps = 26 * (per_class - round(per_class * 0.1)) // batch_size
        epochs = max(4, round(share * STEPS / steps + 0.5))
        fit(dict(dataset="garbage26", dataset_path=str(drawn), image_height=64, image_width=64, net="mobilenet_v2",
                 net_options={"width_mult": 0.5}, batch_size=batch_size, epochs=epochs, output=str(Path(folder) / "run")))
    return {"unit": "step", "counts": [(number + 1) * steps for number in range(len(looks))], "looks": looks}


def predict(share):
    """Predicts IMAGES images, one at a time."""
    from mindclf.device import use_device
    from mindclf.drawings.generate import draw_garbage26
    from mindclf.predict import Predictor

    use_device("CPU")
    looks, counts = [], []
    with tempfile.TemporaryDirectory() as folder:
        drawn = draw_garbage26(Path(folder) / "drawn", 1, 1)
        images = [path.read_bytes() for path in sorted(drawn.rglob("*.jpg"))]
    predictor = Predictor()
    for number in range(1, max(8 * EVERY, round(share * IMAGES)) + 1):
        predictor.predict([images[number % len(images)]])
        if number % EVERY == 0:
            looks.append(resident())
            counts.append(number)
    return {"unit": "image", "counts": counts, "looks": looks}


TASKS = {"train": train, "predict": predict}


def resident():
    """Bytes of memory that this process has in use."""
    for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise OSError("/proc/self/status has no VmRSS: this benchmark needs Linux")


def summary(unit, counts, looks):
    """The growth in KiB a unit after the warm-up, by least squares, and what it was computed from."""
    kept = slice(int(len(looks) * WARM_UP), None)
    slope = np.polyfit(counts[kept], looks[kept], 1)[0]
    return {"unit": unit, "count": counts[-1], "growth_kib": round(float(slope) / 1024, 3),
            "first_mib": round(looks[kept][0] / MEBIBYTE, 1), "last_mib": round(looks[-1] / MEBIBYTE, 1),
            "mib": [round(look / MEBIBYTE, 1) for look in looks]}


if __name__ == "__main__":
    main()
