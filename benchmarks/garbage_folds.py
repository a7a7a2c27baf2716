"""How the garbage sorter is trained: ways to train all layers, compared by five-fold cross-validation on the training photos.

    MINDCLF_KERNELS=bf16 python benchmarks/garbage_folds.py --ways recipe epochs=20    # 15 minutes for 8 epochs on two cores;
                                                                                       # writes results/tables/garbage_folds.json
    python benchmarks/garbage_folds.py --ways mixup --folds 1 2                        # two folds only: a first look

Each row is a way with one seed: accuracy on the photos of each fold by the net that has seen none of them, alone and as the mean
over an image and its mirror image, and the loss at the temperature that suits these photos best. Photos that show the same share
a fold; the test photos take no part. Logits are kept in outputs/garbage_folds/. What is trained already is not trained again, and
a run that is killed goes on with the same command.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from common import ROOT, TABLES, provenance, require_photos, write_result

from mindclf.calibration import Calibration, fit_temperature
from mindclf.checkpoint import read_card
from mindclf.config import merge
from mindclf.dataset.splits import read_splits
from mindclf.device import describe_device, use_device
from mindclf.inference.runner import Runner
from mindclf.labels import index_en
from mindclf.report.history import HISTORY, HistoryFile
from mindclf.train import fit
from mindclf.train.folds import Folds

OUTPUTS = ROOT / "outputs" / "garbage_folds"
FOLDS, BATCH = 5, 64
RECIPE = dict(class_index=index_en, net="mobilenet_v2", pretrained="imagenet", valid_fraction=0.0, scale=(0.35, 1.0),
              label_smoothing=0.1, grid_rows=1, feature_cache="")
HEAD = dict(trainable="head", cached_views=1, epochs=40, batch_size=64, lr_max=0.1, weight_decay=4e-3)
ALL_LAYERS = dict(trainable="all", cached_views=0, epochs=8, batch_size=32, lr_max=0.004, warmup_epochs=1, weight_decay=1e-4)
WAYS = {  # what differs from the recipe: fields of the run, fields of its second phase
    "recipe": ({}, {}),
    "lr_max=0.008": ({}, dict(lr_max=0.008)),
    "lr_max=0.002": ({}, dict(lr_max=0.002)),
    "epochs=20": ({}, dict(epochs=20)),
    "ema": ({}, dict(ema_decay=0.995)),
    "mixup": ({}, dict(mixup_alpha=0.2)),
    "cutmix": ({}, dict(cutmix_alpha=1.0)),
    "trivial_augment": (dict(policy="trivial_augment"), {}),
    "256 pixels": (dict(image_height=256, image_width=256), {}),
    "whole crop": (dict(crop_pct=1.0), {}),
    "scale=0.2": (dict(scale=(0.2, 1.0)), {}),
    "layer_decay=0.8": ({}, dict(layer_decay=0.8)),
    "epochs=20 mixup": ({}, dict(epochs=20, mixup_alpha=0.2)),
    "epochs=20 trivial_augment": (dict(policy="trivial_augment"), dict(epochs=20)),
}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=["recipe"])
    parser.add_argument("--folds", nargs="+", type=int, choices=range(1, FOLDS + 1), default=list(range(1, FOLDS + 1)))
    parser.add_argument("--seeds", nargs="+", type=int, default=[1])
    options = parser.parse_args()
    use_device("CPU")
    config = merge({}, dict(RECIPE, dataset="garbage26", folds=FOLDS))
    splits = read_splits(config)
    require_photos(splits.origin)
    folds = Folds.of(config, splits)
    for way in options.ways:
        for seed in options.seeds:
            rows = [measured(folds, way, seed, number) for number in options.folds]
            add_row(folds, way, seed, options.folds, rows)


def measured(folds, way, seed, number):
    """{"top1", ...} of a fold's net, trained in `way`; its logits are kept in a file."""
    folder = OUTPUTS / f"{way}-{seed}-{number}".replace(" ", "_").replace("=", "-")
    run, phase = WAYS[way]
    fit({**RECIPE, "dataset_path": str(links(folds, number)), **run, "phases": (HEAD, {**ALL_LAYERS, **phase}), "seed": seed,
         "output": str(folder), "resume": True}, verbose=False)
    logits = {}
    for name, mirror in (("plain", False), ("mirror", True)):
        logits[name] = Runner(folder / "last.ckpt", mirror=mirror).logits(folds.splits[number - 1].test, BATCH)[0]
    np.savez(folder / "logits.npz", indices=np.flatnonzero(folds.fold == number - 1), **logits)
    rows = HistoryFile(folder / HISTORY).rows()
    card = read_card(folder / "last.ckpt")
    print(f"{way}, seed {seed}, fold {number}: {card['metrics']['test']['top1']:.4f}", flush=True)
    return {"seconds": sum(row["seconds"] for row in rows), "folder": folder}


def add_row(folds, way, seed, numbers, rows):
    """Puts the figures of a way, with a seed, over the folds `numbers`, into the table."""
    path = TABLES / "garbage_folds.json"
    table = json.loads(path.read_text(encoding="utf-8"))["rows"] if path.is_file() else []
    key = {"way": way, "seed": seed}
    parts = [dict(np.load(row["folder"] / "logits.npz")) for row in rows]
    plain, mirror, indices = (np.concatenate([part[name] for part in parts]) for name in ("plain", "mirror", "indices"))
    labels = np.asarray(folds.images.labels)[indices]
    temperature = fit_temperature(plain, labels)
    probabilities = Calibration(temperature).probabilities(plain)
    row = {**key, "folds": numbers, "images": len(labels),
           "top1": accuracy(plain, labels), "top1_mirror": accuracy(mirror, labels),
           "by_fold": [accuracy(part["plain"], np.asarray(folds.images.labels)[part["indices"]]) for part in parts],
           "loss": round(float(-np.log(probabilities[np.arange(len(labels)), labels] + 1e-12).mean()), 4),
           "temperature": round(float(temperature), 3), "seconds": round(sum(row["seconds"] for row in rows)),
           "kernels": describe_device("CPU").get("kernels")}
    print(row, flush=True)
    table = [one for one in table if not key.items() <= one.items()] + [row]
    write_result(path, {**provenance(describe_device("CPU")), "recipe": {"head": HEAD, "all layers": ALL_LAYERS},
                        "rows": sorted(table, key=lambda one: (list(WAYS).index(one["way"]), one["seed"]))})


def accuracy(logits, labels):
    return round(float((logits.argmax(1) == labels).mean()), 5)


def links(folds, number):
    """A folder of links: train/ has the photos of all folds but `number`, test/ those of that fold."""
    folder = OUTPUTS / "images" / str(number)
    splits = folds.splits[number - 1]
    for side, images in (("train", splits.train), ("test", splits.test)):
        for path in map(Path, images.paths):
            link = folder / side / path.parent.name / path.name
            if not link.is_symlink():
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(path.resolve())
    return folder


if __name__ == "__main__":
    main()
