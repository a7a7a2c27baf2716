"""Metrics of classification: loss, top-k accuracy, macro recall, confusion matrix, calibration, error over coverage, AUROC."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

WORST_SHOWN = 3
MUCH = 0.05             # between top-1 and balanced accuracy
MUCH_OF_A_CLASS = 0.25  # between top-1 and the accuracy of a class
CALIBRATION_BINS = 15


@dataclass(frozen=True)
class Metrics:
    """How good a net is over a data set. `confusion[t][p]` counts the images of class t that were predicted as class p."""

    loss: float            # mean cross-entropy, without label smoothing
    top1: float            # 0 to 1
    top5: float            # 0 to 1
    images: int
    confusion: np.ndarray  # (classes, classes) int

    @property
    def per_class(self) -> np.ndarray:
        """The recall of each class (classes,), 0 to 1: its fraction of correct predictions. NaN for a class without images."""
        images = self.confusion.sum(1)
        return _ratio(self.confusion.diagonal(), images, images > 0)

    @property
    def balanced_accuracy(self) -> float:
        """Macro recall, 0 to 1: the mean recall of the classes that have images, as scikit-learn defines balanced accuracy."""
        return float(np.nanmean(self.per_class))

    @property
    def precision(self) -> np.ndarray:
        """Of the predictions of each class (classes,) the fraction that is correct, 0 to 1. NaN for what was never predicted."""
        predictions = self.confusion.sum(0)
        return _ratio(self.confusion.diagonal(), predictions, predictions > 0)

    @property
    def f1(self) -> np.ndarray:
        """The harmonic mean of precision and recall of each class (classes,), 0 to 1.

        It is 2 x correct / (images + predictions), so 0 for a class that has images and is never predicted. NaN for a class
        without images.
        """
        images = self.confusion.sum(1)
        return _ratio(2 * self.confusion.diagonal(), images + self.confusion.sum(0), images > 0)

    @property
    def macro_f1(self) -> float:
        """The mean F1 of the classes that have images, 0 to 1: as scikit-learn's macro average over them."""
        return float(np.nanmean(self.f1))

    def worst_classes(self, count: int = WORST_SHOWN) -> list[int]:
        """Up to `count` indices of the classes of least recall, the least first, of those below top-1."""
        per_class = self.per_class
        below = np.flatnonzero(per_class < self.top1)
        return below[np.argsort(per_class[below], kind="stable")][:count].tolist()

    def by_f1(self) -> list[int]:
        """The indices of all classes, that of the least F1 first; classes without images last."""
        return np.argsort(self.f1, kind="stable").tolist()  # NaN comes last

    def imbalance(self, classes: Sequence[str]) -> str:
        """What top-1 hides, in words: balanced accuracy and the worst of `classes`; "" where they differ little from top-1."""
        drop = self.top1 - min((self.per_class[label] for label in self.worst_classes()), default=self.top1)
        if abs(self.top1 - self.balanced_accuracy) < MUCH and drop < MUCH_OF_A_CLASS:
            return ""
        if worst := self.worst(classes):
            return f"{self.balanced_accuracy:.2%}, the mean over the classes; the worst: {worst}"
        return f"{self.balanced_accuracy:.2%}, the mean over the classes"

    def worst(self, classes: Sequence[str]) -> str:
        """The worst of `classes` in words, with their recall and their images; "" where none is below top-1."""
        return ", ".join(f"{classes[label]} {self.per_class[label]:.0%} of {self.confusion[label].sum()}"
                         for label in self.worst_classes())

    def scalars(self) -> dict:
        """The metrics that are one number each, rounded: what a card keeps."""
        return {"top1": round(self.top1, 6), "top5": round(self.top5, 6), "balanced_accuracy": round(self.balanced_accuracy, 6),
                "macro_f1": round(self.macro_f1, 6), "loss": round(self.loss, 6), "images": self.images}

    def as_dict(self) -> dict:
        """Everything, as JSON can hold it."""
        return {**asdict(self), **self.scalars(), "confusion": self.confusion.tolist(),
                **{name: [None if np.isnan(value) else round(float(value), 6) for value in values] for name, values in (
                    ("per_class", self.per_class), ("precision", self.precision), ("f1", self.f1))}}


def _ratio(numerators, denominators, where):
    """The quotients (classes,), NaN but `where` they are defined."""
    return np.divide(numerators, denominators, out=np.full(len(denominators), np.nan), where=where)


def score_of(scalars: Mapping, monitor: str) -> list[float]:
    """How good weights are whose metrics are `scalars` (see `Metrics.scalars`), for comparison: the metric, then -loss.

    `monitor` names the metric: "top1", "balanced_accuracy", "macro_f1" or "loss". Of two scores the larger is the better one.
    """
    return [-scalars["loss"] if monitor == "loss" else scalars[monitor], -scalars["loss"]]


def standard_error(top1: float, images: int) -> float:
    """The standard error of an accuracy `top1` on so many images, both 0 to 1; not 0 where all are correct, or none.

    Agresti and Coull, The American Statistician 1998: that of two correct and two wrong images more.
    """
    fraction = (top1 * images + 2) / (images + 4)
    return float(np.sqrt(fraction * (1 - fraction) / (images + 4)))


def compute_metrics(logits: np.ndarray, labels: np.ndarray, num_classes: int) -> Metrics:
    """The `Metrics` of logits (n, classes) against labels (n,), for n > 0."""
    probabilities = softmax(logits)[np.arange(len(labels)), labels]
    confusion = np.zeros((num_classes, num_classes), int)
    np.add.at(confusion, (labels, logits.argmax(1)), 1)
    return Metrics(loss=float(-np.log(probabilities.clip(1e-30)).mean()), top1=top_k_accuracy(logits, labels, 1),
                   top5=top_k_accuracy(logits, labels, 5), images=len(labels), confusion=confusion)


def top_k_accuracy(logits: np.ndarray, labels: np.ndarray, k: int) -> float:
    """The fraction of n images whose label is among the `k` classes of the largest logits (n, classes); labels are (n,).

    It is, if fewer than `k` other classes score as high. Ties count against it, and so does NaN, so that neither constant nor
    broken logits win anything.
    """
    own = logits[np.arange(len(labels)), labels][:, None]
    return float(((~(logits < own)).sum(1) <= k).mean())


def wilson_interval(correct: int, images: int, z: float = 1.959964) -> tuple[float, float]:
    """(low, high), the interval in which an accuracy lies with 95 %, given `correct` of so many independent images.

    Wilson, Probable Inference, JASA 1927: the accuracies p with |correct / images - p| <= z x the root of p (1 - p) / images.
    """
    middle = (correct + z * z / 2) / (images + z * z)
    half = z / (images + z * z) * float(np.sqrt(correct * (images - correct) / images + z * z / 4))
    return middle - half, middle + half


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities (n, classes) of logits (n, classes), in float64."""
    shifted = np.exp(logits.astype(np.float64) - logits.max(1, keepdims=True))
    return shifted / shifted.sum(1, keepdims=True)


def calibration_error(probabilities: np.ndarray, labels: np.ndarray, bins: int = CALIBRATION_BINS) -> float:
    """Expected calibration error (ECE), 0 to 1, of probabilities (n, classes) against labels (n,).

    Images are sorted into `bins` of equal width by their largest probability: it is the mean over the images of how far their
    bin's accuracy lies from its mean largest probability (arXiv:1706.04599, equation 3).
    """
    confidence, correct = probabilities.max(1), probabilities.argmax(1) == labels
    of_bin = np.minimum(np.ceil(confidence * bins).astype(int) - 1, bins - 1).clip(0)
    gaps = np.bincount(of_bin, correct - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(labels))


def error_over_coverage(confidence: np.ndarray, correct: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(coverage, error, sorted confidence): how many predictions are wrong where only the most confident ones count.

    For each value of `confidence` (n,), the greatest first, the fraction of the images that have it or more, and the fraction of
    those that are not `correct` (n,): both (values,), 0 to 1. The third is all of `confidence` (n,), the greatest first.
    """
    order = np.argsort(-np.asarray(confidence), kind="stable")
    sorted_confidence, wrong = np.asarray(confidence)[order], ~np.asarray(correct)[order]
    counts = np.flatnonzero(np.append(np.diff(sorted_confidence) != 0, True)) + 1
    return counts / len(order), np.cumsum(wrong)[counts - 1] / counts, sorted_confidence


def auroc(known: np.ndarray, unknown: np.ndarray) -> float:
    """The area under the ROC curve: how probable it is that one of the scores `known` (n,) exceeds one of `unknown` (m,).

    Equal ones count half, as in the statistic of Mann and Whitney. 0.5 tells nothing apart, 1 everything.
    """
    ordered = np.sort(unknown)
    below, not_above = (np.searchsorted(ordered, known, side) for side in ("left", "right"))
    return float((below + not_above).mean() / (2 * len(ordered)))
