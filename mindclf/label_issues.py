"""Label issues: images whose label is probably wrong, found by confident learning (arXiv:1911.00068)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class LabelIssue(NamedTuple):
    """An image whose label is probably wrong: its index, the label that it has, the one suggested, and their probabilities."""

    index: int
    given: int
    suggested: int
    given_probability: float      # 0 to 1
    suggested_probability: float

    @property
    def margin(self) -> float:
        """The normalized margin, -1 to 1: the probability of the label that it has less the largest of the others."""
        return self.given_probability - self.suggested_probability


def find_label_issues(probabilities: np.ndarray, labels: np.ndarray) -> list[LabelIssue]:
    """The images whose label is probably wrong, the most certain first, by `probabilities` (n, classes) and `labels` (n,).

    Probabilities must be out of sample: of each image those of a net that was not trained on it. From arXiv:1911.00068:
    - the threshold of a class is the mean probability of that class over the images that have its label (equation 2);
    - an image counts as one of the class of largest probability among those whose threshold it reaches (the confident joint,
      equation 1); what then lies off the diagonal, counted as another class than its label, has an issue (section 3.2);
    - they are ranked by normalized margin (section 3.2).
    Two choices beyond the paper: an image whose label is its most probable class, but below the threshold, is left out; and the
    label suggested is the most probable class, which the margin is about. Of a class without images nothing is suggested.
    """
    probabilities, labels = np.asarray(probabilities, np.float64), np.asarray(labels)
    rows = np.arange(len(labels))
    counts = np.bincount(labels, minlength=probabilities.shape[1])
    sums = np.bincount(labels, probabilities[rows, labels], minlength=probabilities.shape[1])
    thresholds = np.divide(sums, counts, out=np.full(len(counts), np.inf), where=counts > 0)
    reached = np.where(probabilities >= thresholds, probabilities, -1.0)
    counted_as = np.where(reached.max(1) >= 0, reached.argmax(1), labels)
    others = np.where(counts > 0, probabilities, -1.0)
    others[rows, labels] = -1.0
    suggested = others.argmax(1)
    own, largest = probabilities[rows, labels], others[rows, suggested]
    found = np.flatnonzero((counted_as != labels) & (largest > own))
    ranked = found[np.argsort((own - largest)[found], kind="stable")]
    return [LabelIssue(int(index), int(labels[index]), int(suggested[index]), float(own[index]), float(largest[index]))
            for index in ranked]
