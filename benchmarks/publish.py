"""Puts the best weights of a run into checkpoints/, measured again, and the run's log into benchmarks/results/runs/.

    python benchmarks/publish.py outputs/garbage26_seed1 garbage26_mobilenet_v2
    python benchmarks/publish.py outputs/cifar10_mobilenet_v1_as_written cifar10_mobilenet_v1_as_written --log
    python benchmarks/publish.py outputs/caltech16_compare-compared caltech16_compare
    python benchmarks/publish.py outputs/cifar10_mobilenet_v1 cifar10_mobilenet_v1 --plot curves.png --plot confusion.png

Kernels become float16, which halves the file; if that costs a single test image, they stay float32. With --log the weights stay
where they are, and the card goes beside the log; a run that wrote outside the clone is told as if it had written into outputs/.
Plots are for pages that show them. Of a comparison there is the log only: the table, and in runs/ each run's history and card.
Variants that were published before, and that this comparison lacks, stay: the runs of one can be spread over machines and days.
"""

import argparse
import json
import re
import runpy
import shutil
import statistics
from pathlib import Path

from common import ROOT, RUNS

from mindclf.checkpoint import load_net, read_card, save_checkpoint
from mindclf.config import DEFAULTS, merge
from mindclf.dataset import eval_pipeline
from mindclf.dataset.splits import read_images
from mindclf.device import use_device
from mindclf.inference.logits import evaluate_net
from mindclf.report.history import HISTORY, HistoryFile
from mindclf.utils.files import write_json, write_text

LOG_FILES = (HISTORY, "report.json")
CROSS_VALIDATION, LABEL_ISSUES = "cross_validation.json", "label_issues.csv"  # of a run with folds


def main():
    parser = argparse.ArgumentParser(description="Puts a run's weights into checkpoints/ and its log into results/.")
    parser.add_argument("run", type=Path)
    parser.add_argument("name")
    parser.add_argument("--log", action="store_true")
    parser.add_argument("--plot", action="append", default=[], metavar="FILE.png", help="which a page shows")
    arguments = parser.parse_args()
    log = RUNS / arguments.name
    log.mkdir(exist_ok=True)
    if (arguments.run / "compare.json").is_file():
        publish_comparison(arguments.run, log)
        return
    card = read_card(arguments.run / "best.ckpt")
    has_folds = (arguments.run / CROSS_VALIDATION).is_file()
    for file in (*LOG_FILES, *([CROSS_VALIDATION] if has_folds else []), *arguments.plot):
        shutil.copy(arguments.run / file, log / file)
    if has_folds:
        issues = (arguments.run / LABEL_ISSUES).read_text(encoding="utf-8")
        write_text(log / LABEL_ISSUES, issues.replace(f"{card['data']['path']}/", ""))
    if arguments.log:
        write_json(log / "card.json", without_machine(card, arguments.name))
    else:
        publish_weights(arguments.run, arguments.name)


def without_machine(card, name):
    """The card without folders of this machine, and without the word by which the run went on when it was interrupted."""
    output, images = card["config"]["output"], card["data"]["path"]
    if Path(output).is_absolute():
        card["config"]["output"] = f"outputs/{name}"
        card["command"] = card["command"].replace(output, f"outputs/{name}")
    if Path(images).is_absolute():
        card["data"]["path"] = Path(images).name
    card["command"] = re.sub(r" resume=\w+", "", card["command"])
    return card


def publish_comparison(compared, log):
    table, published = json.loads((compared / "compare.json").read_text(encoding="utf-8")), log / "compare.json"
    (log / "runs").mkdir(exist_ok=True)
    for row in table["rows"]:
        runs = [compared / f"{row['variant']}-seed{seed}" for seed in row["seeds"]]
        for run in runs:
            shutil.copy(run / HISTORY, log / "runs" / f"{run.name}.csv")
            write_json(log / "runs" / f"{run.name}.json", read_card(run / "best.ckpt"))
        for name in ("seconds", "mean_seconds"):  # of the clock
            row.pop(name, None)
        row["seconds_without_pauses"] = [round(seconds_without_pauses(HistoryFile(run / HISTORY).rows())) for run in runs]
    before = json.loads(published.read_text(encoding="utf-8")) if published.is_file() else table
    rows = {row["variant"]: row for each in (before, table) if each["config"] == table["config"] for row in each["rows"]}
    order = list(runpy.run_path(str(ROOT / "recipes" / f"{log.name}.py"))["variants"])
    write_json(published, {**table, "rows": sorted(rows.values(), key=lambda row: order.index(row["variant"]))})


def seconds_without_pauses(history):
    """Of all epochs, had each taken the median of its phase: runs of a comparison are stopped for other work, and go on."""
    phases = [epoch["phase"] for epoch in history]
    return sum(phases.count(phase) * statistics.median(epoch["seconds"] for epoch in history if epoch["phase"] == phase)
               for phase in set(phases))


def publish_weights(run, name):
    use_device("CPU")
    net, card = load_net(run / "best.ckpt")
    config = merge(card["config"], {"class_index": card.class_folders})
    images = read_images(Path(card.data["path"]), "test", config)
    full = {parameter.name: parameter.value() for parameter in net.get_parameters()}
    for parameter in net.get_parameters():
        if parameter.ndim > 1:
            parameter.set_data(parameter.astype("float16").astype("float32"))
    report = evaluate_net(net, eval_pipeline(images, card.preprocessing, DEFAULTS.eval_batch_size), len(card.classes))
    before = card["metrics"]["test"]["top1"]
    half = report.top1 > before - 1e-6
    print(f"top-1 {before:.4f} in float32, {report.top1:.4f} in float16: stored as {'float16' if half else 'float32'}")
    if half:
        card["metrics"]["test"] = report.scalars()
        card["stored_as"] = "float16 kernels, float32 vectors"
    else:
        for parameter in net.get_parameters():
            parameter.set_data(full[parameter.name])
    save_checkpoint(net, ROOT / "checkpoints" / f"{name}.ckpt", without_machine(card, name), half=half)


if __name__ == "__main__":
    main()
