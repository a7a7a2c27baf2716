"""The head of one's own folder beside logistic regression on the same features: accuracy on the test images, three seeds.

    python -m pip install scikit-learn
    python benchmarks/own_folder_head.py            # writes results/tables/own_folder_head.json

Of each data set a head gets all the training images, or 8, 15 or 30 of each class, which the seed draws. The test images are
those that `mindclf train FOLDER` takes, the same for all. The features are those of MobileNetV2 with ImageNet's weights:
- solved: what optimizer=lbfgs does, by the same functions: the weight decay is tuned, then all images are solved on;
- descended: what `mindclf train FOLDER` did before: momentum for 40 epochs, the best of them on a tenth of the images;
- logistic_regression: scikit-learn's, as it comes but for max_iter, on all images;
- logistic_regression_scaled: the same after StandardScaler.
With --sets only those are measured, and the others stay in the table. Where a head gets all images, the seed changes what tunes
it, but nothing of logistic regression.
"""

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import NamedTuple

import mindspore as ms
import numpy as np
import sklearn
from common import TABLES, provenance, write_result
from mindspore.train import Callback
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mindclf.config import merge
from mindclf.dataset.content import chosen_for_test, chosen_for_validation
from mindclf.dataset.draws import Draws
from mindclf.dataset.folder import read_folder
from mindclf.dataset.layout import class_folders, split_folders
from mindclf.dataset.registry import DATA_SETS
from mindclf.device import describe_device, use_device
from mindclf.metrics import compute_metrics, score_of
from mindclf.nets.layers import DenseHead
from mindclf.own_images import own_images
from mindclf.pretrained import start_net
from mindclf.train.batches import EpochBatches
from mindclf.train.features import feature_batches, stored_features
from mindclf.train.model import create_model
from mindclf.train.schedules import Schedule
from mindclf.train.softmax_regression import DenseLayer, solve
from mindclf.train.tuning import Rows, choose_weight_decay

SETS = ("caltech16", "flower_photos", "flowers102", "garbage26")
SIZES = (8, 15, 30, 0)  # images of each class; 0 is all
SEEDS = (1, 2, 3)


class Part(NamedTuple):
    """Features (n, C), labels (n,) and digests (n,) of images."""

    features: np.ndarray
    labels: np.ndarray
    digests: np.ndarray

    def take(self, chosen):
        """The images that `chosen`, indices or truth values, names."""
        return Part(*(values[chosen] for values in self))

    def and_(self, other):
        """These images, then those of `other`."""
        return Part(*map(np.concatenate, zip(self, other)))


def parts_of(name):
    """(classes, {"train", "valid", "test": Part}) of a data set; "valid" where it has a folder of such."""
    folder = DATA_SETS[name].find(only_on_disk=True).path
    places = split_folders(folder) or {"all": folder}
    config = merge(own_images(str(folder)), {})
    parts = {}
    for split, place in places.items():
        images = read_folder(place, sorted(class_folders(place)))
        net, config, origin = start_net(config, len(images.classes), None)
        if "ImageNet" not in origin:
            raise ValueError(f"this result is about ImageNet's weights, and these are {origin}: set MINDCLF_DATA")
        features, labels = stored_features(net, images, config)
        parts[split] = Part(features, labels, np.array(images.digests()))
    if "all" in parts:
        everything = parts.pop("all")
        is_test = np.array(chosen_for_test(everything.digests.tolist(), everything.labels.tolist()))
        parts = {"train": everything.take(~is_test), "test": everything.take(is_test)}
    return len(images.classes), parts


def drawn(part, size, seed):
    """`size` images of each class, drawn by `seed`."""
    rng = np.random.default_rng(seed)
    members = (rng.permutation(np.flatnonzero(part.labels == label))[:size] for label in np.unique(part.labels))
    return part.take(np.concatenate(list(members)))


def divided(parts, size, seed):
    """(training, validation) images: of all those that are not for testing, or `size` of each class."""
    if not size and "valid" in parts:
        return parts["train"], parts["valid"]
    everything = parts["train"].and_(parts["valid"]) if "valid" in parts else parts["train"]
    chosen = drawn(everything, size, seed) if size else everything
    is_valid = np.array(chosen_for_validation(chosen.digests.tolist(), chosen.labels.tolist(), 0.1, seed))
    return chosen.take(~is_valid), chosen.take(is_valid)


def solved(train, valid, classes, seed):
    """(the layer that optimizer=lbfgs makes, how its weight decay was chosen)."""
    both = train.and_(valid)
    rows = Rows(len(train.labels), 1, len(valid.labels), both.digests)
    choice = choose_weight_decay(both.features, both.labels, classes, rows, Draws(seed, 1, 0).generator("folds"))
    return solve(both.features, both.labels, classes, choice.weight_decay).layer, f"{choice.weight_decay:g}, {choice.how}"


class BestEpoch(Callback):
    """Keeps the `layer` of the epoch that is best on the `valid` images."""

    def __init__(self, head, valid, classes):
        super().__init__()
        self.head, self.valid, self.classes, self.score, self.layer = head, valid, classes, None, None

    def on_train_epoch_end(self, run_context):
        weights = (parameter.asnumpy().astype(np.float64) for parameter in self.head.get_parameters())
        layer = DenseLayer(*weights)
        metrics = compute_metrics(layer.logits(self.valid.features), self.valid.labels, self.classes)
        score = score_of(metrics.scalars(), "top1")
        if self.score is None or score > self.score:
            self.score, self.layer = score, layer


def descended(train, valid, classes, seed):
    """The layer that the default of own folders was before it was solved: momentum, and the best epoch."""
    config = merge(own_images("folder", ["epochs=40"]), {"batch_size": min(16, len(train.labels)), "seed": seed})
    ms.set_seed(seed)
    head = DenseHead(train.features.shape[1], classes)
    batches = EpochBatches(lambda _, indices: feature_batches(train.features, train.labels, config.batch_size, indices),
                           len(train.labels), config.batch_size, seed, 1)
    model = create_model(head, config, Schedule(config, batches.get_dataset_size()).rates)
    best = BestEpoch(head, valid, classes)
    model.train(config.epochs, batches, callbacks=[best], dataset_sink_mode=False)
    return best.layer


def regressed(train, valid, test, scale):
    """The accuracy of scikit-learn's logistic regression."""
    both = train.and_(valid)
    model = LogisticRegression(max_iter=1000)
    return float((make_pipeline(StandardScaler(), model) if scale else model).fit(both.features, both.labels).score(
        test.features, test.labels))


def measured(parts, classes, size, seed, before):
    """The row of one head: accuracy by method, seconds, and how the weight decay was chosen."""
    (train, valid), test = divided(parts, size, seed), parts["test"]
    seconds, top1 = {}, {}

    def clocked(name, run):
        started = time.perf_counter()
        result = run()
        seconds[name] = round(time.perf_counter() - started, 2)
        return result

    def accuracy(layer):
        return compute_metrics(layer.logits(test.features), test.labels, classes).top1

    layer, how = clocked("solved", lambda: solved(train, valid, classes, seed))
    top1["solved"] = accuracy(layer)
    top1["descended"] = accuracy(clocked("descended", lambda: descended(train, valid, classes, seed)))
    for name, scale in (("logistic_regression", False), ("logistic_regression_scaled", True)):
        if before and not size:  # the same images again
            top1[name], seconds[name] = before["top1"][name], before["seconds"][name]
        else:
            top1[name] = clocked(name, lambda: regressed(train, valid, test, scale))  # noqa: B023
    return {"seed": seed, "images": len(train.labels) + len(valid.labels), "weight_decay": how,
            "top1": {name: round(value, 6) for name, value in top1.items()}, "seconds": seconds}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--sets", nargs="+", default=SETS, choices=SETS)
    parser.add_argument("--to", help="another JSON file")
    arguments = parser.parse_args()
    device = use_device("CPU")
    target = Path(arguments.to) if arguments.to else TABLES / f"{Path(__file__).stem}.json"
    for name in arguments.sets:
        before = json.loads(target.read_text(encoding="utf-8"))["cells"] if target.is_file() else []
        cells = [cell for cell in before if cell["dataset"] != name] + cells_of(name)
        write_result(target, {**provenance(describe_device(device)), "features": "mobilenet_v2, ImageNet weights",
                              "scikit_learn": sklearn.__version__, "cells": sorted(cells, key=lambda cell: cell["dataset"])})


def cells_of(name):
    """The cells of a data set, one for each size."""
    cells, (classes, parts) = [], parts_of(name)
    for size in SIZES:
        runs = []
        for seed in SEEDS:
            runs.append(measured(parts, classes, size, seed, runs and runs[0]))
        means = {method: round(statistics.mean(run["top1"][method] for run in runs), 6) for method in runs[0]["top1"]}
        cells.append({"dataset": name, "images_per_class": size or "all", "test_images": len(parts["test"].labels),
                      "mean_top1": means, "runs": runs})
        print(name, size or "all", *(f"{method} {100 * value:.2f}" for method, value in means.items()),
              *(f"{run['seconds']['solved']} s" for run in runs), flush=True)
        print("   ", "; ".join(run["weight_decay"] for run in runs), flush=True)
    return cells


if __name__ == "__main__":
    main()
