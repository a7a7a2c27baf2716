"""How to tell images of no class from those of the classes: four scores, and what the threshold of a run does to both.

    python benchmarks/not_sure.py            # writes results/tables/not_sure.json; what it computes once is stored in the cache

A head is solved on MobileNetV2's ImageNet features of a data set, as `mindclf train FOLDER` does; the others' images are unknown
to it. The garbage sorter that comes with mindclf meets flowers and Caltech's classes. Scores, each of which is larger for what is
known:
- probability: the largest, of calibrated logits;
- energy: T logsumexp(logits / T) at T = 1 (arXiv:2010.03759);
- mahalanobis: minus the least squared distance to a class mean, by the covariance within classes (arXiv:1807.03888), which is
  shrunk towards its diagonal by SHRINKAGE, for there are more features than some sets have images;
- cosine: of the features to the nearest class mean, both less the mean of all.
Means and covariance are those of training images. AUROC is that of test images of the data set against all images of the unknown
one, at most MOST of each, spread evenly. Nothing is chosen here by test images: thresholds
are those of out-of-fold, or validation, predictions, in "thresholds" by mindclf's rule, in "kept" those that such a fraction of
these reach. "right_auroc" is that of correct against wrong predictions, on the test images.
"""

import argparse
import statistics

import numpy as np
from common import TABLES, provenance, write_result
from own_folder_head import Part, divided, parts_of  # which needs scikit-learn

from mindclf.calibration import Calibration, calibrated, fit_temperature
from mindclf.checkpoint import GARBAGE_SORTER, load_net
from mindclf.config import merge
from mindclf.dataset.draws import Draws
from mindclf.dataset.folder import read_folder
from mindclf.dataset.layout import class_folders
from mindclf.dataset.registry import DATA_SETS
from mindclf.device import describe_device, use_device
from mindclf.metrics import auroc
from mindclf.train.features import stored_features
from mindclf.train.softmax_regression import DenseLayer, solve
from mindclf.train.tuning import Rows, choose_weight_decay

SETS = ("caltech16", "garbage26", "flower_photos", "flowers102")
KNOWN = SETS[:3]  # a head of 102 classes takes longest
TARGETS = (0.01, 0.02, 0.05)
KEPT = (0.99, 0.98, 0.95, 0.9)
SHRINKAGE = 0.1
MOST = 1000
SEED = 1


class Scores:
    """The four scores, {name: (n,)}, of features (n, C) and logits (n, classes), by the images that a head was solved on."""

    def __init__(self, train, classes, temperature):
        self.temperature = temperature
        self.middle = train.features.mean(0, dtype=np.float64)
        centred = train.features - self.middle
        self.means = np.stack([centred[train.labels == label].mean(0) for label in range(classes)])
        within = centred - self.means[train.labels]
        covariance = within.T @ within / len(within)
        covariance = (1 - SHRINKAGE) * covariance + SHRINKAGE * np.eye(len(covariance)) * np.trace(covariance) / len(covariance)
        self.precision = np.linalg.inv(covariance)

    def of(self, features, logits):
        rows = features - self.middle
        top = logits.max(1, keepdims=True)
        turned = self.means @ self.precision
        distances = ((rows @ self.precision) * rows).sum(1)[:, None] - 2 * rows @ turned.T + (turned * self.means).sum(1)
        lengths = np.linalg.norm(rows, axis=1)[:, None] * np.linalg.norm(self.means, axis=1)
        return {"probability": Calibration(self.temperature).probabilities(logits).max(1),
                "energy": top[:, 0] + np.log(np.exp(logits - top).sum(1)),
                "mahalanobis": -distances.min(1),
                "cosine": (rows @ self.means.T / lengths).max(1)}


def spread(part):
    """At most MOST of the images, spread evenly."""
    return part.take(np.linspace(0, len(part.labels) - 1, min(MOST, len(part.labels))).round().astype(int))


def everything(parts):
    whole = Part(*map(np.concatenate, zip(*parts.values())))
    return spread(whole)


def row(known, unknown, layer, scores, test, others, calibrations=(), of_valid=()):
    """What is measured of a head, a `DenseLayer`, and of one set of unknown images; `of_valid` are confidences of validation."""
    logits, logits_of_others = layer.logits(test.features), layer.logits(others.features)
    of_known, of_unknown = scores.of(test.features, logits), scores.of(others.features, logits_of_others)
    correct = logits.argmax(1) == test.labels
    found = {"known": known, "unknown": unknown, "test_images": len(test.labels), "unknown_images": len(others.labels),
             "top1": round(float(correct.mean()), 6),
             "auroc": {name: round(auroc(of_known[name], of_unknown[name]), 4) for name in of_known},
             "right_auroc": {name: round(auroc(values[correct], values[~correct]), 4) for name, values in of_known.items()}}
    confidence, of_others = of_known["probability"], of_unknown["probability"]
    found["thresholds"] = [
        {"target_error": record["target_error"], "threshold": record["threshold"], "coverage": round(float(sure.mean()), 4),
         "error": round(float((~correct)[sure].mean()), 4) if sure.any() else None,
         "unknown_taken_for_a_class": round(float((of_others >= record["threshold"]).mean()), 4)}
        for record in calibrations if record["threshold"] is not None for sure in [confidence >= record["threshold"]]]
    found["kept"] = [
        {"fraction_of_validation_images": kept, "threshold": round(threshold, 4),
         "coverage": round(float((confidence >= threshold).mean()), 4),
         "unknown_taken_for_a_class": round(float((of_others >= threshold).mean()), 4)}
        for kept in KEPT if len(of_valid) for threshold in [float(np.quantile(of_valid, 1 - kept))]]
    if calibrations:
        found["ece_validation"] = [calibrations[0]["ece_before"], calibrations[0]["ece_after"]]
    print(known, unknown, *(f"{name} {value:.3f}" for name, value in found["auroc"].items()), found["thresholds"], flush=True)
    return found


def heads(parts):
    """The rows of the heads of KNOWN, each against the other data sets."""
    for name in KNOWN:
        classes, own = parts[name]
        train, valid = divided(own, 0, SEED)
        both = train.and_(valid)
        choice = choose_weight_decay(both.features, both.labels, classes, Rows(len(train.labels), 1, len(valid.labels),
                                     both.digests), Draws(SEED, 1, 0).generator("folds"))
        layer = solve(both.features, both.labels, classes, choice.weight_decay).layer
        logits, labels = choice.best.logits, both.labels[choice.measured]
        calibrations = [calibrated(logits, labels, target, choice.how) for target in TARGETS]
        temperature = fit_temperature(logits, labels)
        scores, confidence = Scores(both, classes, temperature), Calibration(temperature).probabilities(logits).max(1)
        for other in SETS:
            if other != name and {name, other} != {"flower_photos", "flowers102"}:  # which share kinds of flowers
                yield row(name, other, layer, scores, spread(own["test"]), everything(parts[other][1]), calibrations,
                          confidence)


def sorter():
    """The rows of the garbage sorter, with the threshold that comes with it."""
    net, card = load_net(GARBAGE_SORTER)
    dense = {parameter.name: parameter.asnumpy().astype(np.float64) for parameter in net.head.get_parameters()}
    layer = DenseLayer(*dense.values())
    config = merge({**card["config"], "phases": ()}, {"pretrained": "", "cached_views": 1, "trainable": "head"})

    def part(name, split=""):
        folder = DATA_SETS[name].find(only_on_disk=True).path / split
        images = read_folder(folder, card["classes"] if name == "garbage26" else sorted(class_folders(folder)))
        chosen = np.linspace(0, len(images) - 1, min(MOST, len(images))).round().astype(int)
        images = images.take(chosen) if split != "train" else images
        features, labels = stored_features(net, images, config)
        return Part(features, labels, np.array(images.digests()))

    scores = Scores(part("garbage26", "train"), len(card.classes), card["calibration"]["temperature"])
    test = part("garbage26", "test")
    for name in ("flower_photos", "caltech16"):
        yield row("garbage sorter", name, layer, scores, test, part(name), [card["calibration"]])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--to", default=str(TABLES / "not_sure.json"), help="another JSON file")
    arguments = parser.parse_args()
    device = use_device("CPU")
    rows = [*heads({name: parts_of(name) for name in SETS}), *sorter()]
    means = {name: round(statistics.mean(entry["auroc"][name] for entry in rows), 4) for name in rows[0]["auroc"]}
    right = {name: round(statistics.mean(entry["right_auroc"][name] for entry in rows), 4) for name in rows[0]["auroc"]}
    write_result(arguments.to, {**provenance(describe_device(device)), "features": "mobilenet_v2, ImageNet weights",
                                "mean_auroc": means, "mean_right_auroc": right, "rows": rows})


if __name__ == "__main__":
    main()
