"""MindSpore's compile cache: seconds to the end of the first training step without it and with it, and what it confuses.

    python benchmarks/compile_cache.py          # writes results/tables/compile_cache.json

Each row is a process of its own, from the made net to the end of its first step. The last rows train a tiny net three steps with
and without label smoothing: the cache knows a graph by the source files and by how many were compiled before it, so that the
second run gets the graph of the first, and with it its loss. mindclf therefore leaves it off.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time

from common import ROOT, provenance, write_result
from speed_case import CASES

from mindclf.device import describe_device, use_device

STEPS, SMOOTHING = 3, 0.3


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--work", nargs=3, metavar=("WHAT", "SMOOTHING", "FOLDER"), help="what each process does")
    options = parser.parse_args()
    if options.work:
        what, smoothing, folder = options.work
        print(json.dumps(worked(what, float(smoothing), folder)))
        return
    rows = []
    for name in CASES:
        with tempfile.TemporaryDirectory() as folder:
            seconds = [started(name, 0, place)["seconds"] for place in ("", folder, folder)]
        rows.append({"net": name, "seconds": dict(zip(("without", "first run with it", "second run with it"), seconds))})
        print(rows[-1], flush=True)
    with tempfile.TemporaryDirectory() as folder:
        losses = {title: started("tiny", smoothing, place)["losses"] for title, smoothing, place in (
            ("label_smoothing=0", 0, ""), (f"label_smoothing={SMOOTHING}", SMOOTHING, ""),
            ("label_smoothing=0, cached", 0, folder), (f"label_smoothing={SMOOTHING}, cached after it", SMOOTHING, folder))}
    print(losses)
    write_result(__file__, {**provenance(describe_device("CPU")), "steps": rows, "losses": losses})


def started(what, smoothing, folder):
    """What a process prints that works with the cache in `folder`, or without one."""
    command = [sys.executable, __file__, "--work", what, str(smoothing), folder]
    output = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True, encoding="utf-8").stdout
    return json.loads(output.splitlines()[-1])


def worked(what, smoothing, folder):
    """{"seconds" of the first step} of a net of CASES, or {"losses"} of a tiny one."""
    import mindspore as ms
    from speed_mindspore import training

    use_device("CPU")
    if folder:
        ms.set_context(enable_compile_cache=True, compile_cache_path=folder)
    if what == "tiny":
        return {"losses": tiny_losses(smoothing)}
    step, _ = training(CASES[what])
    before = time.perf_counter()
    step()
    return {"seconds": round(time.perf_counter() - before, 2)}


def tiny_losses(smoothing):
    """Losses of a tiny net from given weights on one batch."""
    import numpy as np
    from mindspore import Tensor

    from mindclf.config import merge
    from mindclf.nets import create_net
    from mindclf.train import create_model

    net, rng = create_net("mobilenet_v2", 5, last_channel=32, inverted_residual_setting=[[1, 8, 1, 2]]), np.random.default_rng(0)
    for parameter in net.get_parameters():
        if parameter.ndim > 1:
            parameter.set_data(Tensor(0.1 * rng.standard_normal(parameter.shape, np.float32)))
    network = create_model(net, merge({}, {"label_smoothing": smoothing}), [0.01] * STEPS).train_network
    images, labels = Tensor(rng.standard_normal((4, 3, 32, 32), np.float32)), Tensor(np.arange(4, dtype=np.int32))
    return [round(float(network(images, labels).asnumpy()), 6) for _ in range(STEPS)]


if __name__ == "__main__":
    main()
