"""Evaluation: how good a checkpoint is on a data set, or on a folder of images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mindclf.calibration import Calibration, selective_metrics
from mindclf.card import Card
from mindclf.checkpoint import CheckpointFile, load_net
from mindclf.config import merge
from mindclf.dataset import ImageSet
from mindclf.dataset.registry import DATA_SETS
from mindclf.dataset.splits import find_folder, images_to_measure
from mindclf.device import use_device
from mindclf.inference.runner import EXPORTED, Runner
from mindclf.inference.sources import gather, usable
from mindclf.metrics import Metrics, compute_metrics
from mindclf.preprocessing import Reading
from mindclf.report.history import history_beside
from mindclf.report.html import Measured
from mindclf.utils.files import one_line


@dataclass(frozen=True)
class Evaluation:
    """The `metrics` of a checkpoint on `images`, what was `chosen` of `folder` and why, and where the data come from.

    `calibration` says how the logits become probabilities and which answers are sure; `unknown` (m,) are the largest
    probabilities of images of no class, None where there are none.
    """

    checkpoint: CheckpointFile
    card: Card
    metrics: Metrics
    images: ImageSet
    logits: np.ndarray  # (images, classes)
    chosen: object
    folder: Path
    origin: str
    calibration: Calibration
    unknown: np.ndarray | None = None

    @property
    def selective(self) -> dict:
        """What `selective_metrics` tells of these images and the unknown ones."""
        return selective_metrics(self.calibration.probabilities(self.logits), np.asarray(self.images.labels), self.calibration,
                                 self.unknown)

    def measured(self) -> Measured:
        """What `write_report` takes."""
        file = self.checkpoint.path
        net = None if file.suffix in EXPORTED else load_net(self.checkpoint)[0]  # the runner's has no gradients for Grad-CAM
        return Measured(file, net, self.card, self.origin, self.images, self.logits, self.metrics, history_beside(file),
                        self.calibration, self.unknown)


def evaluate(checkpoint: str | Path | CheckpointFile, data: str | Path = "", mirror: bool = False, **fields: Any) -> Metrics:
    """The `Metrics` of a checkpoint on test images: in Python what `mindclf eval` does.

    `checkpoint` is a path, the name of a file in checkpoints/ without .ckpt, or a `CheckpointFile`. `data` is a folder, or the
    name of a data set. With `mirror` test-time augmentation: the mean of the logits of an image and of its horizontal flip.
    `fields` are fields of the config, such as eval_batch_size=64. Of images that training has seen it measures none, where the
    card knows them. Raises ValueError for a checkpoint or data that cannot be used.

        mindclf.evaluate("cifar10_mobilenet_v1", "cifar10").top1
    """
    config = merge({"dataset" if data in DATA_SETS else "dataset_path": str(data)}, fields)
    use_device(config.device_target)
    return evaluate_on(CheckpointFile.of(checkpoint), config, mirror).metrics


def evaluate_on(checkpoint: CheckpointFile, config: Any, mirror: bool = False, unknown: str | Path | None = None,
                threshold: float | None = None) -> Evaluation:
    """The `Evaluation` of a `CheckpointFile` on the data that `config` names.

    `unknown` is a folder of images of other things, all files below it; `threshold` takes the place of the card's.
    """
    runner = Runner(checkpoint, mirror=mirror)
    calibration = runner.card.calibration.with_threshold(threshold)
    if unknown and not Path(unknown).is_dir():
        raise ValueError(f"--unknown {one_line(unknown)} is not a folder")
    folder, origin = find_folder(config)
    if mirror:
        origin += ", with test-time augmentation (horizontal flip)"
    images, chosen = images_to_measure(runner.card, folder, config)
    logits, labels = runner.logits(images, config.eval_batch_size)
    metrics = compute_metrics(logits, labels, len(runner.card.classes))
    others = _confidences(runner, unknown, calibration, config) if unknown else None
    return Evaluation(checkpoint, runner.card, metrics, images, logits, chosen, folder, origin, calibration, others)


def _confidences(runner, folder, calibration, config):
    """The largest probability of each image below `folder` (m,); the log names those that cannot be used."""
    found, reading = [], runner.preprocessing.read_as(Reading.of(config)).reading
    for _, images in usable(gather([str(folder)], reading=reading)):
        encoded = ImageSet(tuple(images), (0,) * len(images), runner.card.classes, reading=reading)
        logits, _ = runner.logits(encoded, config.eval_batch_size)
        found.append(calibration.probabilities(logits).max(1))
    if not found:
        raise ValueError(f"--unknown {one_line(folder)} has no image that can be used")
    return np.concatenate(found)
