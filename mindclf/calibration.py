"""Calibration: probabilities that are correct as often as they say, and a threshold below which the answer is "not sure".

Both are chosen on images that the weights were not fitted to, and stand on the card, as "calibration".
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from mindclf.metrics import auroc, calibration_error, error_over_coverage, softmax

LEAST_IMAGES = 20           # fewer tell nothing of temperature and errors
TEMPERATURES = (0.05, 20.0)
SURE_OF_BOUND = 0.95        # of the upper bound of an error rate
MOST_SURE = 0.95            # of the images that choose the threshold: else a net with few errors would be sure of anything
COVERAGES = (1.0, 0.95, 0.9, 0.8, 0.7, 0.5)  # at which accuracy is told


@dataclass(frozen=True)
class Calibration:
    """How logits become probabilities, softmax(logits / temperature), and from which largest one on an answer is sure.

    A `threshold` of None, as of cards that have no calibration, is for nets that are always sure.
    """

    temperature: float = 1.0
    threshold: float | None = None

    @classmethod
    def of(cls, record: Mapping) -> Calibration:
        """The one that `calibrated` found, as a card holds it."""
        return cls(record.get("temperature", 1.0), record.get("threshold"))

    def with_threshold(self, threshold: float | None) -> Calibration:
        """The same with another threshold, 0 to 1; 0 is for always sure, None leaves it. Raises ValueError for any other."""
        if threshold is None:
            return self
        if not 0 <= threshold <= 1:
            raise ValueError(f"threshold={threshold} must lie between 0, for no answer that is not sure, and 1")
        return replace(self, threshold=threshold or None)

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Probabilities (n, classes) of logits (n, classes), in float64."""
        return softmax(logits / self.temperature)

    def is_sure(self, confidence):
        """Whether the largest probability of an image, or of each of several (n,), reaches the threshold."""
        return np.asarray(confidence) >= (self.threshold or 0.0)


UNCALIBRATED = Calibration()


def calibrated(logits: np.ndarray, labels: np.ndarray, target_error: float, source: str) -> dict:
    """What a card keeps as "calibration", of logits (n, classes) and labels (n,) of images that the weights were not fitted to.

    `source` says in words which images these are. "temperature" divides logits (see `fit_temperature`); "threshold" is the least
    largest probability at which an answer is sure (see `threshold_for`), so that of these images the fraction "coverage" is
    sure, and of those the fraction "error" is wrong. "error_bound" is the rate that the true one is below with a probability of
    SURE_OF_BOUND (Clopper and Pearson). "ece_before" and "ece_after" are expected calibration errors, "loss_before" and
    "loss_after" mean cross-entropies, without and with the temperature. Of fewer than LEAST_IMAGES images nothing is found but
    "missing", which says why.
    """
    if len(labels) < LEAST_IMAGES:
        return uncalibrated(f"{source} are fewer than {LEAST_IMAGES}", len(labels))
    temperature = fit_temperature(logits, labels)
    before, after = softmax(logits), softmax(logits / temperature)
    confidence, correct = after.max(1), logits.argmax(1) == labels
    threshold = threshold_for(confidence, correct, target_error)
    record = {"of": source, "images": len(labels), "temperature": round(temperature, 6),
              "ece_before": calibration_error(before, labels), "ece_after": calibration_error(after, labels),
              "loss_before": _loss(before, labels), "loss_after": _loss(after, labels),
              "target_error": target_error, "threshold": threshold}
    if threshold is not None:
        sure = confidence >= threshold
        wrong = int((~correct[sure]).sum())
        count = int(sure.sum())
        record.update(coverage=count / len(labels), error=wrong / count, error_bound=error_bound(wrong, count))
    return _rounded(record)


def uncalibrated(why: str, images: int = 0) -> dict:
    """What a card keeps as "calibration" where there is none, and `why`."""
    return {"images": images, "missing": why, "threshold": None}


def described(record: Mapping) -> str:
    """A card's "calibration" in a line of words; "" of a card that has none, or not all of it."""
    if "missing" in record:
        return f"never: {record['missing']}, so nothing is calibrated"
    if not {"threshold", "target_error", "of"} <= record.keys():
        return ""
    if record["threshold"] is None:
        return f"never: no threshold has {record['target_error']:.1%} of errors or fewer on {record['of']}"
    return (f"below {record['threshold']:.1%}: {record.get('coverage', 0):.1%} of {record['of']} are above it, "
            f"{record.get('error', 0):.1%} of those wrong")


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The temperature within TEMPERATURES by which logits (n, classes) have the least mean cross-entropy with labels (n,).

    Guo et al., arXiv:1706.04599, section 4.2. The cross-entropy is convex in the temperature's inverse: its derivative, the mean
    of a logit as the probabilities weight it, less that of the label, has one zero, which is found by halving. Where every image
    is correct, the lower the better, without end: that says nothing, and the temperature is 1.
    """
    logits = np.asarray(logits, np.float64)
    if (logits.argmax(1) == labels).all():
        return 1.0
    own = logits[np.arange(len(labels)), labels].mean()
    low, high = (math.log(1 / temperature) for temperature in reversed(TEMPERATURES))
    for _ in range(50):
        middle = (low + high) / 2
        rises = (softmax(logits * math.exp(middle)) * logits).sum(1).mean() > own
        low, high = (low, middle) if rises else (middle, high)
    return math.exp(-(low + high) / 2)


def threshold_for(confidence: np.ndarray, correct: np.ndarray, target_error: float, most: float = MOST_SURE) -> float | None:
    """The threshold of the largest coverage with at most the fraction `target_error` of errors above it; None if none has.

    `confidence` (n,) are largest probabilities, `correct` (n,) says which predictions are. It is what risk and coverage of
    selective classification (arXiv:1705.08500) give for these images, with a coverage of `most` at most: images of no class are
    told by a low confidence too, and are mostly compared where 95 % of the known ones are kept (arXiv:2010.03759). It lies in
    the middle between the least confidence that is sure and the next one below, or is the least of all.
    """
    coverage, errors, sorted_confidence = error_over_coverage(confidence, correct)
    counts = np.rint(coverage * len(confidence)).astype(int)
    good = np.flatnonzero((errors <= target_error) & (coverage <= most))
    if not len(good):
        return None
    count = counts[good[-1]]
    least = sorted_confidence[count - 1]
    return float((least + sorted_confidence[count]) / 2) if count < len(confidence) else float(least)


def error_bound(wrong: int, images: int, sure_of: float = SURE_OF_BOUND) -> float:
    """The error rate that `wrong` of so many images leave possible: more would give so few only with probability 1 - `sure_of`.

    Of Clopper and Pearson's interval the upper end: the rate at which the binomial distribution has 1 - `sure_of` up to `wrong`.
    """
    if wrong >= images:
        return 1.0
    counts = np.arange(wrong + 1)
    ways = math.lgamma(images + 1) - np.array([math.lgamma(k + 1) + math.lgamma(images - k + 1) for k in counts])
    low, high = 0.0, 1.0
    for _ in range(50):
        rate = (low + high) / 2
        up_to = np.exp(ways + counts * math.log(rate) + (images - counts) * math.log1p(-rate)).sum()
        low, high = (rate, high) if up_to > 1 - sure_of else (low, rate)
    return (low + high) / 2


def selective_metrics(probabilities: np.ndarray, labels: np.ndarray, calibration: Calibration,
                      unknown: np.ndarray | None = None) -> dict:
    """How well confidence, the largest of probabilities (n, classes), tells which images of labels (n,) are predicted correctly.

    "ece" is the expected calibration error; "accuracy_at_coverage" the accuracy on the most confident images, as
    [[fraction of the images, accuracy], ...]; "aurc" the mean error over all coverages, the area under the curve of risk and
    coverage; where the calibration has a "threshold", "coverage" is the fraction of the images that are sure, and "accuracy"
    that of these, None where none is. `unknown` (m,) are the confidences of images of no class: "unknown" tells how many there
    are, how many are "taken_for_a_class" though they are of none, and the "auroc" of confidence between both.
    """
    confidence, correct = probabilities.max(1), probabilities.argmax(1) == labels
    coverage, errors, _ = error_over_coverage(confidence, correct)
    weights = np.diff(coverage, prepend=0)
    found = {"ece": calibration_error(probabilities, labels), "aurc": float(weights @ errors), "accuracy_at_coverage": [
        [asked, round(float(1 - errors[np.searchsorted(coverage, asked - 1e-9)]), 6)] for asked in COVERAGES]}
    if calibration.threshold is not None:
        sure = calibration.is_sure(confidence)
        found.update(threshold=calibration.threshold, coverage=float(sure.mean()),
                     accuracy=float(correct[sure].mean()) if sure.any() else None)
    if unknown is not None:
        found["unknown"] = {"images": len(unknown), "taken_for_a_class": int(calibration.is_sure(unknown).sum()),
                            "auroc": round(auroc(confidence, unknown), 6)}
    return _rounded(found)


def _rounded(figures):
    """`figures` as a card keeps them; a threshold as it is, or it would part images that it was put between."""
    return {name: round(value, 6) if isinstance(value, float) and name != "threshold" else value
            for name, value in figures.items()}


def _loss(probabilities, labels):
    return float(-np.log(probabilities[np.arange(len(labels)), labels].clip(1e-30)).mean())
