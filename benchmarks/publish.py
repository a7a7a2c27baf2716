"""Puts the best weights of a run into checkpoints/, as float16, measured again, and the run's log into benchmarks/.

    python benchmarks/publish.py outputs/garbage_mobilenet_v2_all_layers garbage26_mobilenet_v2

Kernels become float16, which halves the file; if that costs a single test picture, nothing is written.
"""

import shutil
import sys
from pathlib import Path

from common import ROOT

from mindclf.checkpoint import load_net, save_checkpoint
from mindclf.dataset import eval_pipeline, read_folder
from mindclf.device import use_device
from mindclf.evaluate import evaluate


def main(run, name):
    use_device("CPU")
    run = Path(run)
    net, card = load_net(run / "best.ckpt")
    for parameter in net.get_parameters():
        if parameter.ndim > 1:
            parameter.set_data(parameter.astype("float16").astype("float32"))
    pictures = read_folder(Path(card["data"]["path"]) / "test", {name: index for index, name in enumerate(card["classes"])})
    report = evaluate(net, eval_pipeline(pictures, card), len(card["classes"]))
    before = card["metrics"]["test"]["top1"]
    print(f"top-1 {before:.4f} in float32, {report.top1:.4f} in float16")
    if report.top1 < before - 1e-6:
        raise ValueError("float16 loses accuracy: not published")
    card["metrics"]["test"] = report.metrics()
    card["stored_as"] = "float16 kernels, float32 vectors"
    save_checkpoint(net, ROOT / "checkpoints" / f"{name}.ckpt", card, half=True)
    log = ROOT / "benchmarks" / name
    log.mkdir(exist_ok=True)
    for file in ("history.csv", "report.json", "curves.png", "confusion.png"):
        shutil.copy(run / file, log / file)


if __name__ == "__main__":
    main(*sys.argv[1:])
