"""Batches: whatever runs a net over every image of a data set. It needs no MindSpore."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mindclf.utils.progress import LATE, progress_bar


def run_batches(run: Callable[[np.ndarray], np.ndarray], dataset, fill: bool = True,
                title: str = "evaluation") -> tuple[np.ndarray, np.ndarray]:
    """Logits (n, classes) and labels (n,) of a whole data set, in its order. `title` is as in `predict_logits`.

    `run` gives the logits of a batch of images. With `fill` a last batch that is shorter is filled up and the outputs for the
    filling are dropped: of another shape, MindSpore would compile the graph again, and a net for batches of one size would
    refuse it.
    """
    batch_size = dataset.get_batch_size()
    logits, labels = [], []
    with progress_bar(0, title=title, delay=LATE) as bar:
        if not bar.disable:
            bar.total = dataset.get_dataset_size()  # which takes time for some data sets
        for images, batch_labels in dataset.create_tuple_iterator(num_epochs=1, output_numpy=True):
            count = len(images)
            logits.append(run(filled_up(images, batch_size) if fill else images)[:count])
            labels.append(batch_labels)
            bar.update()
    return np.concatenate(logits), np.concatenate(labels)


def filled_up(images: np.ndarray, count: int) -> np.ndarray:
    """`images` with the last one repeated until there are `count`."""
    return np.concatenate([images, np.repeat(images[-1:], count - len(images), axis=0)])
