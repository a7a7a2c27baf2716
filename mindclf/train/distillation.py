"""Distillation (Hinton et al., arXiv:1503.02531): a net also learns from the logits of a trained one, its teacher."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping

import numpy as np
from mindspore import Tensor, nn, ops

from mindclf.checkpoint import load_net, named_checkpoint
from mindclf.config import SOLVED, phases_of
from mindclf.dataset.seen import seen_by, warn_of_seen
from mindclf.dataset.splits import Splits
from mindclf.inference.logits import run_net
from mindclf.preprocessing import Preprocessing
from mindclf.train.batches import Batches

log = logging.getLogger(__name__)


def is_distilled(phase: Mapping) -> bool:
    """Whether a teacher teaches in a phase of training: where the net sees images, for it must see the same."""
    return bool(phase["teacher"]) and not phase["cached_views"] and phase["optimizer"] not in SOLVED


class Teacher:
    """The net in the checkpoint that config.teacher names, for images as they are normalised for the net that learns.

    `splits` are the images of the run. The teacher may have their classes in another order. The log warns of validation and test
    images that it has seen. Raises ValueError for other classes, for images of another size than the teacher's, or that it would
    read otherwise, and where no phase is for it.
    """

    def __init__(self, config, splits: Splits):
        self.file, images = named_checkpoint(config.teacher), splits.train
        self.name = f"teacher={config.teacher}"
        self.net, self.card = load_net(self.file)
        self.order = _order(self.name, self.card.classes, splits.classes)
        for purpose, measured in (("validation", splits.valid), ("test", splits.test)):
            warn_of_seen(measured, seen_by(self.card), self.name, purpose)
        own, learns = self.card.preprocessing, Preprocessing.from_config(config, images.raw_size)
        self._check(own, learns, images, config)
        self.scale, self.shift = (np.array(values, np.float32).reshape(1, 3, 1, 1) for values in (
            np.divide(learns.std, own.std), np.subtract(learns.mean, own.mean) / own.std))
        log.info("%s: a %s teaches, at temperature %g, with the weight %g", self.name, self.card.net,
                 config.distillation_temperature, config.distillation_weight)

    def card_fields(self) -> dict:
        """What the card of the net that learns says of it."""
        return {"file": self.file.name, "net": self.card.net, "weights_sha256": self.card["weights_sha256"]}

    def logits(self, images: np.ndarray) -> np.ndarray:
        """Logits (N, classes) of images (N, 3, H, W), in the order of the classes of the net that learns."""
        return run_net(self.net, images * self.scale + self.shift)[:, self.order]

    def _check(self, own, learns, images, config):
        if not any(map(is_distilled, phases_of(config))):
            raise ValueError(f"{self.name} teaches a net that sees images, not a head on stored features: add trainable=all "
                             f"cached_views=0, and epochs")
        if own.size != learns.size:
            raise ValueError(f"{self.name} sees images of {own.size[0]} x {own.size[1]} pixels, and the net that learns "
                             f"{learns.size[0]} x {learns.size[1]}: set image_height={own.size[0]} image_width={own.size[1]}")
        if any(is_distilled(phase) and phase.train_scale != 1 for phase in phases_of(config)):
            raise ValueError(f"{self.name} sees images of one size, and train_scale shows smaller ones: leave one out")
        if own.raw_size != learns.raw_size:
            raise ValueError(f"{self.name} was trained on images of {own.raw_size or 'any size'}, and these are of "
                             f"{learns.raw_size or 'any size'}: take a teacher of such images")
        if own.reading.white != images.reading.white:
            raise ValueError(f"{self.name} takes white={own.reading.white or 255} for white, and here it is "
                             f"{images.reading.white or 255}: take a teacher that was trained on such images")


class DistilledBatches(Batches):
    """`batches` of (images, labels), with the teacher's logits beside the labels: see `DistillationLoss`.

    The time that the teacher takes is none that training waits for data.
    """

    def __init__(self, batches: Batches, teacher: Teacher):
        super().__init__()
        self.batches, self.teacher, self.batch_size = batches, teacher, batches.batch_size

    def resume(self, epochs, steps):
        """Goes on after so many epochs, and so many steps of the next one."""
        self.batches.resume(epochs, steps)

    def get_dataset_size(self):
        """Batches of each worker in an epoch."""
        return self.batches.get_dataset_size()

    def next_epoch(self):
        """The batches of the next epoch, or of what is left of it."""
        for images, labels in self.batches.next_epoch():
            started = time.perf_counter()
            logits = self.teacher.logits(images.asnumpy())
            self.waited -= time.perf_counter() - started
            yield images, Tensor(packed(labels.asnumpy(), logits))


def packed(labels: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """Labels, int (N,) or the fraction of each class (N, classes), beside the teacher's logits (N, classes), in float32."""
    return np.concatenate([labels.reshape(len(labels), -1), logits], axis=1).astype(np.float32)


class DistillationLoss(nn.Cell):
    """weight x T^2 x KL(teacher || net, both at temperature T) + (1 - weight) x the loss of the labels, for `packed` targets.

    At temperature T probabilities are the softmax of logits / T; T^2 makes up for gradients that are as much smaller
    (arXiv:1503.02531, section 2). The divergence is the mean over the batch, of the main logits; `classifier`, a ClassifierLoss,
    is the loss of the labels, and counts the correct predictions.
    """

    def __init__(self, classifier: nn.Cell, temperature: float, weight: float):
        super().__init__()
        self.classifier, self.temperature, self.weight = classifier, temperature, weight

    @property
    def correct_predictions(self):
        """As that of the classifier."""
        return self.classifier.correct_predictions

    def total_weight(self, targets):
        """What a batch of targets counts: its number, as in the mean of the divergence."""
        return float(len(targets))

    def construct(self, logits, targets):
        main = logits[0] if isinstance(logits, tuple) else logits
        count = main.shape[1]
        labels, teacher = targets[:, :-count], targets[:, -count:]
        if labels.shape[1] == 1:
            labels = labels[:, 0].astype("int32")
        expected = ops.log_softmax(teacher / self.temperature, 1)
        found = ops.log_softmax(main / self.temperature, 1)
        divergence = (ops.exp(expected) * (expected - found)).sum(1).mean()
        return (self.weight * self.temperature ** 2) * divergence + (1 - self.weight) * self.classifier(logits, labels)


def _order(name, own, classes):
    """Where among its `own` classes a teacher has each of `classes`."""
    lacking, others = [one for one in classes if one not in own], [one for one in own if one not in classes]
    if lacking or others or len(own) != len(classes):
        differing = "; ".join(f"{what} {', '.join(map(repr, names[:5]))}" for what, names in (
            ("it lacks", lacking), ("it alone has", others)) if names)
        raise ValueError(f"{name} has other classes than the images: {differing or 'some of its names are the same'}; take a "
                         f"teacher that was trained on these classes")
    return [own.index(one) for one in classes]
