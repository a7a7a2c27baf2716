"""Softmax regression (multinomial logistic regression): the best dense layer on given features, a convex problem, solved."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from mindclf.train.lbfgs import minimise

TOLERANCE = 1e-5           # of the gradient of the mean loss
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

    Where images are few the best kernel is a combination of their features, so the problem is turned into the space that these
    span, of n dimensions in place of C: the same problem, for a rotation changes neither logits nor decay.
    """

    def __init__(self, features, labels, num_classes, label_smoothing=0.0, class_weights=None):
        self.num_classes, self.smoothing, self.labels = num_classes, label_smoothing, np.asarray(labels)
        weights = np.ones(len(labels)) if class_weights is None else np.asarray(class_weights, np.float64)[self.labels]
        self.weights = weights / weights.sum()
        self.scaling, self.basis = Scaling.of(features), None
        if features.size * 8 > BLOCK_BYTES:
            self.blocks = _Again(features, self.scaling)
            return
        scaled = np.concatenate([self.scaling.scaled(block) for block in _blocks(features)])
        if len(scaled) < scaled.shape[1]:
            self.basis, coordinates = np.linalg.qr(scaled.T)  # (C, n) orthonormal, (n, n)
            scaled = np.ascontiguousarray(coordinates.T)
        self.blocks = [scaled]

    def solve(self, weight_decay, start=None, tolerance=TOLERANCE, each=None):
        """The `Solution` for this weight decay.

        `start` is the layer to begin with, mostly the solution of a similar problem; without it the kernel is zeros. It ends when
        no entry of the gradient is more than `tolerance`. `each(iteration, layer, loss, step)` is called after each iteration.
        """
        found = minimise(lambda point: self._value(point, weight_decay), self._packed(start), tolerance, each=each and (
            lambda iteration, point, value, step: each(iteration, self._layer(point), value, step)))
        return Solution(self._layer(found.point), found.value, found.iterations, found.converged)

    def _value(self, point, weight_decay):
        """(the loss, its gradient) at `point`: the kernel on scaled features and the bias in one row."""
        kernel, bias = self._unpacked(point)
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
        value += 0.5 * weight_decay * np.square(kernel).sum()
        return value, np.concatenate([(of_kernel + weight_decay * kernel).reshape(-1), of_bias])

    def _packed(self, layer):
        """The point of `layer`, or of a kernel of zeros."""
        if layer is None:
            channels = len(self.scaling.mean) if self.basis is None else self.basis.shape[1]
            return np.zeros(self.num_classes * (channels + 1))
        kernel, bias = layer.kernel * self.scaling.deviation, layer.bias + layer.kernel @ self.scaling.mean
        return np.concatenate([(kernel if self.basis is None else kernel @ self.basis).reshape(-1), bias])

    def _layer(self, point):
        """The `DenseLayer` on features as they come that does what the kernel at `point` does on scaled ones."""
        kernel, bias = self._unpacked(point)
        kernel = (kernel if self.basis is None else kernel @ self.basis.T) / self.scaling.deviation
        return DenseLayer(kernel, bias - kernel @ self.scaling.mean)

    def _unpacked(self, point):
        return point[:-self.num_classes].reshape(self.num_classes, -1), point[-self.num_classes:]


class _Again:
    """The scaled features block by block, converted anew each time: for those that would take too much memory."""

    def __init__(self, features, scaling):
        self.features, self.scaling = features, scaling

    def __iter__(self):
        return map(self.scaling.scaled, _blocks(self.features))


def _blocks(features):
    """Parts of `features` (n, C) in float64, of at most BLOCK_BYTES / 4."""
    rows = max(1, BLOCK_BYTES // 4 // 8 // features.shape[1])
    return (features[first:first + rows].astype(np.float64) for first in range(0, len(features), rows))
