"""Tuning: the weight decay of a dense layer, chosen by images that it was not solved on."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mindclf.metrics import Metrics, compute_metrics, score_of
from mindclf.train.softmax_regression import DenseLayer, SoftmaxRegression

log = logging.getLogger(__name__)

CANDIDATES = (3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001)  # weight decays, the strongest first
UNTUNED = 0.01         # where no class has two images to tune by
PATIENCE = 2           # weaker decays that are tried without any gain
FOLDS = 5
MANY_VALIDATION = 200  # images whose mean loss tells candidates apart; folds take FOLDS times as long
MOST_MEASURED = 5000   # images that folds must measure: of more images fewer folds are looked at


class Trial(NamedTuple):
    """A weight decay, and the `metrics` and `logits` (n, classes) of layers solved with it on images that those had not seen."""

    weight_decay: float
    metrics: Metrics
    logits: np.ndarray | None = None


class Choice(NamedTuple):
    """The weight decay, `how` it was chosen, in words, and the trials; `best` is the one chosen, None where there were none.

    `measured` are the rows of features (n,) that the logits of the trials are of.
    """

    weight_decay: float
    how: str
    tried: Sequence[Trial] = ()
    best: Trial | None = None
    is_out_of_fold: bool = False
    measured: np.ndarray | None = None


class Rows(NamedTuple):
    """Which images rows of features are of: those for training first, view after view, then one for each validation image."""

    images: int            # for training
    views: int             # of each
    valid: int             # images for validation
    digests: Sequence      # of the images, those for training first; copies of one have the same

    @property
    def of_image(self) -> np.ndarray:
        """The image of each row."""
        return np.concatenate([np.tile(np.arange(self.images), self.views), self.images + np.arange(self.valid)])

    @property
    def first(self) -> np.ndarray:
        """The row of each image in which it is seen as evaluation sees it, the central crop."""
        return np.concatenate([np.arange(self.images), self.images * self.views + np.arange(self.valid)])


def choose_weight_decay(features: np.ndarray, labels: np.ndarray, num_classes: int, rows: Rows, rng: np.random.Generator,
                        by: str = "auto", monitor: str = "top1", **options) -> Choice:
    """The `Choice` among CANDIDATES for `features` (n, C) and `labels` (n,), of the images that `rows` tell of.

    `by` "validation" measures layers of the training images on the validation images; "cross_validation" those of some of
    all images on the others, in FOLDS folds that `rng` draws, all of them or as many as have MOST_MEASURED images; "auto" is the
    first where there are MANY_VALIDATION. `monitor` is the metric, see `best_of`; `options` are arguments of
    `SoftmaxRegression`. The log has a line for each candidate.
    """
    if by == "auto":
        by = "validation" if rows.valid >= MANY_VALIDATION else "cross_validation"
    if by == "validation":
        last = rows.images * rows.views
        pairs, name = [(slice(last), np.arange(last, len(labels)))], f"{rows.valid} validation images"
    else:
        folds = _folds(labels, rows, rng)
        count = rows.images + rows.valid
        pairs = folds[:-(-len(folds) * MOST_MEASURED // count)]
        looked_at = f", {len(pairs)} of its folds" if len(pairs) < len(folds) else ""
        name = f"{len(folds)}-fold cross-validation of {count} images{looked_at}"
    if not pairs:
        log.warning("no class has two different images: the weight decay is %g, untuned", UNTUNED)
        return Choice(UNTUNED, "untuned, for no class has two different images")
    log.info("weight decay: tuned by %s", name)
    tried = trials(features, labels, num_classes, pairs, monitor=monitor, **options)
    for trial in tried:
        log.info("weight decay %-6g %s loss %.4f top-1 %.2f%%", trial.weight_decay,
                 "validation" if by == "validation" else "out-of-fold", trial.metrics.loss, 100 * trial.metrics.top1)
    best = best_of(tried, monitor)
    return Choice(best.weight_decay, f"chosen for {monitor}, by {name}", tried, best, by != "validation",
                  np.concatenate([measured for _, measured in pairs]))


def trials(features: np.ndarray, labels: np.ndarray, num_classes: int, splits: Sequence[tuple],
           candidates: Sequence[float] = CANDIDATES, monitor: str = "top1", **options) -> list[Trial]:
    """A `Trial` for each of the `candidates`, weight decays, until PATIENCE in a row are better neither in loss nor in `monitor`.

    `splits` are pairs of the rows of `features` (n, C) that a layer is solved on, and of those that measure it, indices or
    slices; the metrics are those over the measured rows of all pairs together. `options` are arguments of `SoftmaxRegression`.
    Each layer begins where those of the two candidates before it point to, for it changes evenly with the logarithm of the
    decay. The weaker the decay, the longer the solver takes.
    """
    problems = [SoftmaxRegression(features[solved_on], labels[solved_on], num_classes, **options) for solved_on, _ in splits]
    truth = np.concatenate([labels[measured] for _, measured in splits])
    paths: list[list[tuple[float, DenseLayer]]] = [[] for _ in splits]
    tried: list[Trial] = []
    for weight_decay in candidates:
        layers = [problem.solve(weight_decay, _next_on(path, weight_decay)).layer for problem, path in zip(problems, paths)]
        for path, layer in zip(paths, layers):
            path[:] = [*path[-1:], (weight_decay, layer)]
        logits = np.concatenate([layer.logits(features[measured]) for layer, (_, measured) in zip(layers, splits)])
        tried.append(Trial(weight_decay, compute_metrics(logits, truth, num_classes), logits))
        if _only_gets_worse(tried, monitor):
            break
    return tried


def _next_on(path, weight_decay):
    """Where a layer of `weight_decay` is about, on the straight line through the (decay, layer) of `path`, two at most."""
    if len(path) < 2:
        return path[-1][1] if path else None
    (before, first), (last, second) = path
    further = np.log(weight_decay / last) / np.log(last / before)
    return DenseLayer(*(new + further * (new - old) for old, new in zip(first, second)))


def _only_gets_worse(tried, monitor):
    """Whether none of the last PATIENCE trials beats all that came before them, in loss or in the metric."""
    before, last = tried[:-PATIENCE], tried[-PATIENCE:]
    return bool(before) and all(
        max(score_of(trial.metrics.scalars(), name)[0] for trial in last)
        <= max(score_of(trial.metrics.scalars(), name)[0] for trial in before) for name in ("loss", monitor))


def best_of(tried: Sequence[Trial], monitor: str) -> Trial:
    """The trial with the best metric `monitor`, up to chance: of those that are as good, the one of the least loss.

    As good are those within a standard error of the best, that of a fraction of so many images: which of them has one more that
    is correct is chance, while the loss of each image tells how sure it is. Of equals the strongest decay.
    """
    scores = [score_of(trial.metrics.scalars(), monitor)[0] for trial in tried]
    best = max(scores)
    error = 0.0 if monitor == "loss" else float(np.sqrt(max(best * (1 - best), 0.0) / tried[0].metrics.images))
    as_good = [trial for trial, score in zip(tried, scores) if score >= best - error]
    return min(as_good, key=lambda trial: (trial.metrics.loss, -trial.weight_decay))


def folds_of(labels: np.ndarray, groups: Sequence, rng: np.random.Generator, count: int = FOLDS) -> np.ndarray:
    """The fold of each image (n,), 0 to k - 1, drawn by `rng`; each class is spread evenly over the k folds.

    Images of one of the `groups` (n,), such as copies of one file, share a fold. k is `count`, or fewer where no class has as
    many groups; 1 where none has two.
    """
    labels = np.asarray(labels)
    _, firsts, group_of = np.unique(groups, return_index=True, return_inverse=True)
    count = max(1, min(count, np.bincount(labels[firsts]).max()))
    fold_of_group, dealt = np.zeros(len(firsts), int), 0
    for label in np.unique(labels[firsts]):
        members = np.flatnonzero(labels[firsts] == label)
        members = members[np.argsort(firsts[members])]  # by the order of the images, not of the groups' names
        fold_of_group[rng.permutation(members)] = (dealt + np.arange(len(members))) % count
        dealt += len(members)
    return fold_of_group[group_of]


def _folds(labels, rows, rng):
    """The pairs of rows, solved on and measured, of cross-validation; [] where none is possible."""
    first, of_image = rows.first, rows.of_image
    fold = folds_of(labels[first], rows.digests, rng)
    return [(np.flatnonzero(fold[of_image] != number), first[fold == number]) for number in range(fold.max() + 1)
            if fold.max() > 0]
