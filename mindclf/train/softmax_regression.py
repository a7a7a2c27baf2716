"""Softmax regression (multinomial logistic regression): the best dense layer on given features, a convex problem, solved."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from mindclf.metrics import softmax
from mindclf.train.lbfgs import minimise

TOLERANCE = 1e-4           # of the gradient, where curvatures are about 1: the loss is then well within 1e-6 of the least
FIRST_ROUND, MOST_ITERATIONS = 10, 1000
RANK = 1e-12               # eigenvalues below this fraction of the largest are rounding
LEAST_CURVATURE = 1e-6     # of a class, p (1 - p): that of a class which is always told apart is as good as 0
BLOCK_BYTES = 256 * 2**20  # of features in float64 at a time; those that fit are converted once


class DenseLayer(NamedTuple):
    """A dense layer: features (n, C) -> features @ kernel.T + bias, logits (n, classes); float64."""

    kernel: np.ndarray  # (classes, C)
    bias: np.ndarray    # (classes,)

    def logits(self, features: np.ndarray) -> np.ndarray:
        """Logits (n, classes) of features (n, C), in float64."""
        return np.concatenate([block @ self.kernel.T for block in _blocks(features)]) + self.bias


class Solution(NamedTuple):
    """The `layer`, the mean loss with its penalty, the iterations, and whether the solver converged."""

    layer: DenseLayer
    loss: float
    iterations: int
    converged: bool


class Scaling(NamedTuple):
    """What brings features to mean 0 in each channel, and to a mean square of 1 over all channels; float64."""

    mean: np.ndarray  # (C,)
    deviation: float

    @classmethod
    def of(cls, features: np.ndarray) -> Scaling:
        """That of features (n, C). Of constant ones the deviation is 1."""
        mean = sum(block.sum(0) for block in _blocks(features)) / len(features)
        variance = sum(np.square(block - mean).sum() for block in _blocks(features)) / features.size
        return cls(mean, float(np.sqrt(variance)) if variance > 1e-18 * (1 + np.square(mean).max()) else 1.0)

    def scaled(self, features: np.ndarray) -> np.ndarray:
        """`features` (n, C) brought to that."""
        return (features - self.mean) / self.deviation


def solve(features: np.ndarray, labels: np.ndarray, num_classes: int, weight_decay: float, label_smoothing: float = 0.0,
          class_weights: np.ndarray | None = None, start: DenseLayer | None = None, tolerance: float = TOLERANCE,
          each: Callable[[int, DenseLayer, float, float], None] | None = None) -> Solution:
    """The dense layer of least mean cross-entropy plus weight_decay / 2 x the sum of its squared kernel, by L-BFGS.

    The arguments are those of `SoftmaxRegression` and of its `solve`.
    """
    problem = SoftmaxRegression(features, labels, num_classes, label_smoothing, class_weights)
    return problem.solve(weight_decay, start, tolerance, each)


class SoftmaxRegression:
    """A problem that `solve` solves for one weight decay or for several: images, their labels, and how much each counts.

    `features` are (n, C), `labels` (n,) of 0 to num_classes - 1. `label_smoothing` spreads that fraction of each target over all
    classes. With `class_weights` (num_classes,) the mean loss is one of images that count as much as their class says, as that of
    mindspore.nn.CrossEntropyLoss(weight) is, which only with label smoothing is another.

    The kernel that decays is the one on scaled features (see `Scaling`); that of a solution takes them as they come. One
    deviation for all channels leaves those that hardly vary small: each brought to 1 by itself, they cost up to a point of
    accuracy where images are few. The bias does not decay.

    The problem is turned into the principal axes of the scaled features, of which there are fewer than C where images are few:
    the best kernel is a combination of features, and a rotation changes neither logits nor decay. There the curvature of the
    loss is about p (1 - p) x eigenvalue + weight decay for each class and axis, p (1 - p) being the mean over the images. The
    solver sees the kernel in units in which that is 1 (preconditioning), and needs a third of the iterations. For p (1 - p)
    changes on the way, it goes on from where it is in new units after FIRST_ROUND iterations, then after twice as many, and so
    on, until there is nothing to do in them.
    """

    def __init__(self, features, labels, num_classes, label_smoothing=0.0, class_weights=None):
        self.num_classes, self.smoothing, self.labels = num_classes, label_smoothing, np.asarray(labels)
        weights = np.ones(len(labels)) if class_weights is None else np.asarray(class_weights, np.float64)[self.labels]
        self.weights = weights / weights.sum()
        self.scaling = Scaling.of(features)
        in_memory = features.size * 8 <= BLOCK_BYTES
        self.blocks = _Again(features, self.scaling)
        if in_memory:
            self.blocks = [np.concatenate(list(self.blocks))]
        self.eigenvalues, self.basis = _principal_axes(self.blocks, len(features), features.shape[1])
        self.is_turned = in_memory
        if in_memory:
            self.blocks = [self.blocks[0] @ self.basis]

    def solve(self, weight_decay, start=None, tolerance=TOLERANCE, each=None):
        """The `Solution` for this weight decay.

        `start` is the layer to begin with, mostly the solution of a similar problem; without it the kernel is zeros. It ends when
        the norm of the gradient is at most `tolerance`. `each(iteration, layer, loss, step)` is called after each iteration.
        """
        point, iterations, length = self._packed(start), 0, FIRST_ROUND
        while True:
            length = min(length, MOST_ITERATIONS - iterations)
            found = self._round(point, weight_decay, tolerance, length, each and (
                lambda iteration, *others, before=iterations: each(before + iteration, *others)))
            point, iterations = found.point, iterations + found.iterations
            is_stuck = found.iterations < length and not found.converged  # only rounding is left to gain
            if not found.iterations or is_stuck or iterations >= MOST_ITERATIONS:
                return Solution(self._layer(point), found.value, iterations, found.converged)
            length *= 2

    def _round(self, begin, weight_decay, tolerance, max_iterations, each):
        """The `Minimum` that is reached from the point `begin`, in units of the curvature there."""
        units = self._units(begin, weight_decay)

        def in_units(point):
            value, gradient = self._value(point * units, weight_decay)
            return value, gradient * units

        found = minimise(in_units, begin / units, tolerance, max_iterations, each and (
            lambda iteration, point, value, step: each(iteration, self._layer(point * units), value, step)))
        return found._replace(point=found.point * units)

    def _units(self, point, weight_decay):
        """What each number of `point` is measured in: the root of the inverse of the loss's curvature in it, about."""
        kernel, bias = self._unpacked(point)
        curvature, first = np.zeros_like(bias), 0
        for block in self.blocks:
            probabilities = softmax(block @ self._kernel(kernel).T + bias)
            curvature += self.weights[first:first + len(block)] @ (probabilities * (1 - probabilities))
            first += len(block)
        curvature = curvature.clip(LEAST_CURVATURE)
        return 1 / np.sqrt(np.concatenate([(curvature[:, None] * self.eigenvalues + weight_decay).reshape(-1), curvature]))

    def _value(self, point, weight_decay):
        """(the loss, its gradient) at `point`: the kernel on the principal axes and the bias in one row."""
        turned, bias = self._unpacked(point)
        kernel = self._kernel(turned)
        value, of_kernel, of_bias, first = 0.0, np.zeros_like(kernel), np.zeros_like(bias), 0
        low = self.smoothing / self.num_classes
        for block in self.blocks:
            rows = slice(first, first + len(block))
            labels, weights, first = self.labels[rows], self.weights[rows], rows.stop
            logits = block @ kernel.T + bias
            logits -= logits.max(1, keepdims=True)
            own = logits[np.arange(len(block)), labels]
            errors = np.exp(logits)
            total = errors.sum(1)
            value += weights @ (np.log(total) - (1 - self.smoothing) * own - low * logits.sum(1))
            errors /= total[:, None]
            errors -= low
            errors[np.arange(len(block)), labels] -= 1 - self.smoothing
            errors *= weights[:, None]
            of_kernel += errors.T @ block
            of_bias += errors.sum(0)
        value += 0.5 * weight_decay * np.square(turned).sum()
        of_kernel = of_kernel if self.is_turned else of_kernel @ self.basis
        return value, np.concatenate([(of_kernel + weight_decay * turned).reshape(-1), of_bias])

    def _kernel(self, turned):
        """The kernel that `blocks` take, of the one on the principal axes."""
        return turned if self.is_turned else turned @ self.basis.T

    def _packed(self, layer):
        """The point of `layer`, or of a kernel of zeros."""
        if layer is None:
            return np.zeros(self.num_classes * (self.basis.shape[1] + 1))
        kernel, bias = layer.kernel * self.scaling.deviation, layer.bias + layer.kernel @ self.scaling.mean
        return np.concatenate([(kernel @ self.basis).reshape(-1), bias])

    def _layer(self, point):
        """The `DenseLayer` on features as they come that does what the kernel at `point` does on scaled ones."""
        kernel, bias = self._unpacked(point)
        kernel = kernel @ self.basis.T / self.scaling.deviation
        return DenseLayer(kernel, bias - kernel @ self.scaling.mean)

    def _unpacked(self, point):
        return point[:-self.num_classes].reshape(self.num_classes, -1), point[-self.num_classes:]


class _Again:
    """The scaled features block by block, converted anew each time: for those that would take too much memory."""

    def __init__(self, features, scaling):
        self.features, self.scaling = features, scaling

    def __iter__(self):
        return map(self.scaling.scaled, _blocks(self.features))


def _principal_axes(blocks, count, channels):
    """(eigenvalues (r,), orthonormal axes (C, r)) of the mean product of scaled features, in `blocks` of `count` rows in all.

    r is the rank. The axes span all features; where these are fewer than channels, they come from the products of rows, which are
    a smaller matrix.
    """
    if count < channels:
        rows = np.concatenate(list(blocks))
        values, vectors = np.linalg.eigh(rows @ rows.T / count)
        kept = values > RANK * max(values[-1], np.finfo(float).tiny)
        return values[kept], rows.T @ (vectors[:, kept] / np.sqrt(count * values[kept]))
    values, vectors = np.linalg.eigh(sum(block.T @ block for block in blocks) / count)
    kept = values > RANK * max(values[-1], np.finfo(float).tiny)
    return values[kept], vectors[:, kept]


def _blocks(features):
    """Parts of `features` (n, C) in float64, of at most BLOCK_BYTES / 4."""
    rows = max(1, BLOCK_BYTES // 4 // 8 // features.shape[1])
    return (features[first:first + rows].astype(np.float64) for first in range(0, len(features), rows))
