"""Logits: a Cell over every image of a data set, in batches."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from mindspore import Tensor
from mindspore.dataset import Dataset
from mindspore.nn import Cell

from mindclf.device import exclusive
from mindclf.inference.batches import run_batches
from mindclf.metrics import Metrics, compute_metrics


def evaluate_net(net: Cell, dataset: Dataset, num_classes: int, whole: Callable = lambda rows: rows) -> Metrics:
    """The `Metrics` of `net` over `dataset`, batches of (images, labels). Leaves the net in inference mode.

    If `dataset` is a shard of the images, `whole` makes the outputs for all of them from those for the shard.
    """
    logits, labels = map(whole, predict_logits(net, dataset))
    return compute_metrics(logits, labels, num_classes)


def predict_logits(net: Cell, dataset: Dataset, title: str = "evaluation") -> tuple[np.ndarray, np.ndarray]:
    """Logits (n, classes) and labels (n,) of a whole data set, in its order, from a Cell, which is left in inference mode.

    On a terminal a progress bar called `title` appears where this takes long.
    """
    net.set_train(False)
    return run_batches(partial(run_net, net), dataset, title=title)


def run_net(net: Cell, images: np.ndarray) -> np.ndarray:
    """What a Cell gives for `images`. Threads that call this wait for one another."""
    with exclusive():
        return net(Tensor(images)).asnumpy()
