"""How the garbage sorter is trained: ways to train all layers, compared by five-fold cross-validation on the training photos.

    MINDCLF_KERNELS=bf16 python benchmarks/garbage_folds.py --ways recipe "momentum 0.004"
    MINDCLF_KERNELS=bf16 python benchmarks/garbage_folds.py --ways cutmix --folds 1 2      # two folds only: a first look

Writes results/tables/garbage_folds.json. "recipe" is recipes/garbage_mobilenet_v2_all_layers.py, and the other ways change it.
Each row is a way with one seed: accuracy on the photos of each fold by the net that has seen none of them, alone and as the
mean over an image and its mirror image, and the loss at the temperature that suits these photos best. Photos that show the same
share a fold; the test photos take no part. What is trained already is not trained again, and a run that is killed goes on with
the same command.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from common import ROOT, add_rows, require_photos

from mindclf.calibration import Calibration, fit_temperature
from mindclf.config import merge
from mindclf.dataset.splits import read_splits
from mindclf.device import use_device
from mindclf.inference.runner import Runner
from mindclf.report.history import HISTORY, HistoryFile
from mindclf.train import fit
from mindclf.train.folds import Folds

sys.path.append(str(ROOT / "recipes"))

from garbage_mobilenet_v2_all_layers import config

OUTPUTS = ROOT / "outputs" / "garbage_folds"
FOLDS, BATCH = 5, 64
WAYS = {  # what differs from the recipe: fields of the run, fields of its second phase
    "recipe": ({}, {}),
    "momentum 0.004": ({}, dict(optimizer="momentum", lr_max=0.004, weight_decay=1e-4)),
    "before": ({}, dict(optimizer="momentum", lr_max=0.004, weight_decay=1e-4, mixup_alpha=0.0, epochs=8)),  # the earlier recipe
    "lr_max=0.001": ({}, dict(lr_max=0.001)),
    "lr_max=0.0005": ({}, dict(lr_max=0.0005)),
    "lr_max=0.00025": ({}, dict(lr_max=0.00025)),
    "no mixup": ({}, dict(mixup_alpha=0.0)),
    "cutmix": ({}, dict(mixup_alpha=0.0, cutmix_alpha=1.0)),
    "trivial_augment": (dict(policy="trivial_augment"), {}),
    "vertical flips": (dict(vertical_flip_prob=0.5), {}),
    "256 pixels": (dict(image_height=256, image_width=256), {}),
    "ema": ({}, dict(ema_decay=0.995)),
    "sam": ({}, dict(sam_rho=0.05)),
}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=["recipe"])
    parser.add_argument("--folds", nargs="+", type=int, choices=range(1, FOLDS + 1), default=list(range(1, FOLDS + 1)))
    parser.add_argument("--seeds", nargs="+", type=int, default=[1])
    options = parser.parse_args()
    use_device("CPU")
    whole = merge(config, {"folds": FOLDS})
    splits = read_splits(whole)
    require_photos(splits.origin)
    folds = Folds.of(whole, splits)
    add_rows("garbage_folds", [
        (lambda way=way, seed=seed: measured(folds, way, seed, options.folds), {"way": way, "seed": seed, "folds": options.folds})
        for way in options.ways for seed in options.seeds], recipe={
            name: value for name, value in config.items() if name not in ("class_index", "output")})


def measured(folds, way, seed, numbers):
    """The row of a way with a seed, over the folds `numbers`."""
    labels, by_fold, plain, mirrored, seconds = [], [], [], [], 0.0
    for number in numbers:
        folder = trained(folds, way, seed, number)
        images = folds.splits[number - 1].test
        logits = {mirror: Runner(folder / "last.ckpt", mirror=mirror).logits(images, BATCH)[0] for mirror in (False, True)}
        seconds += sum(row["seconds"] for row in HistoryFile(folder / HISTORY).rows())
        labels.append(images.labels)
        plain.append(logits[False])
        mirrored.append(logits[True])
        by_fold.append(accuracy(plain[-1], labels[-1]))
        print(f"{way}, seed {seed}, fold {number}: {by_fold[-1]:.2%}", flush=True)
    labels, plain, mirrored = map(np.concatenate, (labels, plain, mirrored))
    temperature = fit_temperature(plain, labels)
    probabilities = Calibration(temperature).probabilities(plain)[np.arange(len(labels)), labels]
    return {"images": len(labels), "top1": accuracy(plain, labels), "top1_mirror": accuracy(mirrored, labels), "by_fold": by_fold,
            "loss": round(float(-np.log(probabilities).mean()), 4), "temperature": round(temperature, 3),
            "seconds": round(seconds)}


def trained(folds, way, seed, number):
    """The folder of the run of a fold, trained in a `way`."""
    folder = OUTPUTS / f"{way}-{seed}-{number}".replace(" ", "_").replace("=", "-")
    run, phase = WAYS[way]
    head, all_layers = config["phases"]
    fit({**config, "dataset": "", "dataset_path": str(links(folds, number)), **run, "phases": (head, {**all_layers, **phase}),
         "seed": seed, "grid_rows": 1, "feature_cache": "", "output": str(folder), "resume": True}, verbose=False)
    return folder


def accuracy(logits, labels):
    return round(float((logits.argmax(1) == np.asarray(labels)).mean()), 5)


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
