"""Prediction: what is on an image, Predictor("cifar10_mobilenet_v1").predict("photo.jpg")."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from mindclf.checkpoint_file import GARBAGE_SORTER, CheckpointFile
from mindclf.dataset import ImageSet
from mindclf.inference.predictions import Prediction, Predictions, top_predictions
from mindclf.inference.runner import Runner, check_finite
from mindclf.inference.sources import Source, gather, is_url, read_ahead, read_image
from mindclf.preprocessing import Reading
from mindclf.utils.aliases import with_old_names
from mindclf.utils.files import one_line

__all__ = ["Prediction", "Predictions", "Predictor", "gather"]

log = logging.getLogger(__name__)

TOP_K = 3  # classes that are told of each image, where there are so many
BATCH_SIZE = 16


@with_old_names
class Predictor:
    """The net in a file, ready to look at images.

    `checkpoint` is the path of a checkpoint (.ckpt, .safetensors) or of an exported file (.mindir, .onnx), the name of a file in
    checkpoints/, such as "cifar10_mobilenet_v1", or a `CheckpointFile`; by default the garbage sorter. `runtime` is "mindspore"
    or, for .onnx, "onnxruntime"; "auto" goes by the file's name. `mirror` is test-time augmentation: the logits of an image
    are the means of its own and of those of its horizontal flip, for twice the time. Images may have up to `max_pixels`
    pixels. In those of more than 8 bits `white` is white, by default what the card says. `threshold`, 0 to 1, is the probability
    below which the answer is "not sure" (see `Predictions`), by default that of the card; 0, and a card without one, is never.
    Raises ValueError for a file that is missing, damaged or not its card's.

    `card` is the file's `Card`, `classes` the names of its classes, `preprocessing` what happens to an image, and `calibration`
    how logits become probabilities. `net` is the
    Cell, with its batch norm folded (see `fold_batch_norm`): it has no gradients and cannot be trained on. It is None where ONNX
    Runtime computes. Several threads may call one Predictor.
    """

    def __init__(self, checkpoint: str | Path | CheckpointFile = GARBAGE_SORTER, runtime: str = "auto", mirror: bool = False,
                 max_pixels: int = Reading.max_pixels, white: float | None = None, threshold: float | None = None):
        self.runner = Runner(checkpoint, runtime, mirror)
        self.net, self.card = self.runner.net, self.runner.card
        self.classes, self.labels = self.card.classes, self.card.labels
        self.calibration = self.card.calibration.with_threshold(threshold)
        self.preprocessing = self.runner.preprocessing.read_as(Reading(max_pixels, white or None))

    def predict(self, images, top_k: int | None = None) -> Predictions | list[Predictions]:
        """What is on `images`: of each the `top_k` most probable classes, by default 3, or all where there are fewer.

        One image gives one `Predictions`. An image is a path, a URL, encoded bytes, a PIL image, or an RGB uint8 array (H, W, 3).
        An iterable of images gives a list with one for each. A folder gives a list with one for each image below it, in the order
        of their paths; their `name` says which it is, and what is not an image is left out with a warning.

        Images are preprocessed as evaluation does, by the same pipeline. Of a URL only public addresses are read, see
        `mindclf.inference.sources.read_url`. Raises ValueError that names the image which cannot be read, and for a folder
        without one that can.
        """
        if isinstance(images, (str, Path)) and os.path.isdir(images):
            return self._predict_folder(images, top_k)
        if isinstance(images, (str, Path, bytes, Image.Image)) or (isinstance(images, np.ndarray) and images.ndim <= 3):
            return self._predict_one(images, top_k)
        return self._predict_many(((_name_of(image), image) for image in images), top_k)

    def predict_iter(self, sources: Iterable[Source], top_k: int | None = None) -> Iterator[tuple[str, Predictions | ValueError]]:
        """Yields (name, `Predictions`) for each (name, read) of `sources`, as `gather` has them, in their order.

        What cannot be read gives (name, the ValueError that says why). Images are read and decoded, on all cores, while the net
        looks at those before them.
        """
        if top_k is None:
            top_k = min(TOP_K, len(self.classes))
        if not 1 <= top_k <= len(self.classes):
            raise ValueError(f"top_k={top_k} must lie between 1 and the number of classes, {len(self.classes)}")
        for chunk in read_ahead(sources):
            images = [image for _, image in chunk if not isinstance(image, ValueError)]
            logits = iter(self.logits(images) if images else ())
            for name, image in chunk:
                yield name, image if isinstance(image, ValueError) else self._answer(name, next(logits), top_k)

    def logits(self, images: Sequence) -> np.ndarray:
        """Logits (n, classes) of a sequence of n images, as the net gives them: perhaps NaN, or infinite."""
        unlabelled = ImageSet(tuple(images), (0,) * len(images), self.classes, reading=self.preprocessing.reading)
        return self.runner.logits(unlabelled, BATCH_SIZE if len(images) > 1 else 1, checked=False)[0]

    def _predict_one(self, image, top_k):
        shown = read_image(image, reading=self.preprocessing.reading) if is_url(image) else image
        [found] = self._predict_many([(_name_of(image), shown)], top_k)
        found.source = shown
        return found

    def _predict_many(self, named, top_k):
        """The `Predictions` for (name, image) pairs, of which each must be readable."""
        sources = ((name, partial(read_image, image, reading=self.preprocessing.reading)) for name, image in named)
        answers = []
        for _, found in self.predict_iter(sources, top_k):
            if isinstance(found, ValueError):
                raise found
            answers.append(found)
        return answers

    def _predict_folder(self, folder, top_k):
        answers = []
        for _, found in self.predict_iter(gather([str(folder)], reading=self.preprocessing.reading), top_k):
            if isinstance(found, ValueError):
                log.warning("left out: %s", found)
            else:
                answers.append(found)
        if not answers:
            raise ValueError(f"{one_line(folder)} has no image that can be used")
        return answers

    def _answer(self, name, logits, top_k):
        """The `Predictions` of an image, or the ValueError that its `logits` (classes,) are no numbers."""
        try:
            check_finite(logits[None], (name or "the image",), self.runner.path)
        except ValueError as error:
            return error
        [probabilities] = self.calibration.probabilities(logits[None])
        return Predictions(top_predictions(probabilities, self.labels, top_k), name, reading=self.preprocessing.reading,
                           threshold=self.calibration.threshold)


def _name_of(image):
    """What an image is called: its path or URL; "" for one that is not a file."""
    return str(image) if isinstance(image, (str, Path)) else ""
