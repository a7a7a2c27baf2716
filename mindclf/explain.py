"""Explanation: where on an image a net sees a class, by Grad-CAM (arXiv:1610.02391): explain(checkpoint, image)."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import mindspore as ms
import numpy as np
from matplotlib import colormaps
from mindspore import Tensor, nn
from PIL import Image, ImageEnhance

from mindclf.calibration import UNCALIBRATED, Calibration
from mindclf.card import Card
from mindclf.checkpoint import CheckpointFile, load_net
from mindclf.dataset import ImageSet, decode_image, eval_pipeline
from mindclf.device import exclusive, pynative
from mindclf.inference.predictions import Prediction, top_predictions
from mindclf.inference.runner import EXPORTED, check_finite
from mindclf.inference.sources import read_image
from mindclf.labels import ClassLabel, composed
from mindclf.preprocessing import Preprocessing
from mindclf.utils.aliases import with_old_names

TOP_K = 3             # classes that an Explanation has predictions of
OPACITY = 0.65        # of the colour where the heatmap is 1
UNSEEN_LIGHT = 0.35   # brightness of what the net did not see


@with_old_names
@dataclass(frozen=True)
class Explanation:
    """Where on an image a net sees a class."""

    image: Image.Image       # upright, RGB
    prediction: Prediction   # the class that was looked for, and its probability
    predictions: list        # the TOP_K most probable classes
    activation: np.ndarray   # (h, w) float32, 0 to 1: on the grid of the backbone's maps
    box: tuple               # (top, left, bottom, right) of what the net saw, fractions of the image's height and width, 0 to 1

    @property
    def heatmap(self) -> np.ndarray:
        """The activation at the image's size, float32 (height, width), 0 to 1; 0 where the net did not see the image."""
        rows, columns = self._positions()
        height, width = self.activation.shape
        return np.clip(_interpolation(rows, height) @ self.activation @ _interpolation(columns, width).T, 0, 1)

    @property
    def overlay(self) -> Image.Image:
        """The image in grey under the colours of the heatmap, from blue to red: a PIL image. What the net did not see is dark."""
        heatmap = self.heatmap
        colours = Image.fromarray(np.ascontiguousarray(colormaps["turbo"](heatmap, bytes=True)[..., :3]))
        grey = self.image.convert("L").convert("RGB")
        coloured = Image.composite(colours, grey, Image.fromarray((255 * OPACITY * heatmap).astype(np.uint8)))
        seen = np.outer(*map(_inside, self._positions()))
        return Image.composite(coloured, ImageEnhance.Brightness(coloured).enhance(UNSEEN_LIGHT),
                               Image.fromarray(np.where(seen, 255, 0).astype(np.uint8)))

    def shrunk(self, longest: int) -> Explanation:
        """The same on the image brought down to `longest` pixels a side at most."""
        image = self.image.copy()
        image.thumbnail((longest, longest))
        return replace(self, image=image)

    def _positions(self):
        """Where the image's rows and columns lie in what the net saw: 0 to 1 from edge to edge, other numbers outside."""
        width, height = self.image.size
        top, left, bottom, right = self.box
        return [((np.arange(count) + 0.5) / count - first) / (last - first)
                for count, first, last in ((height, top, bottom), (width, left, right))]


def explain(checkpoint: str | Path | CheckpointFile, image, class_name: str | None = None) -> Explanation:
    """How the net in `checkpoint` comes to a class on `image`: to `class_name`, or to the most probable one.

    `checkpoint` is a path, a name in checkpoints/, or a `CheckpointFile`. An image is a path, a URL, encoded bytes, a PIL image,
    or an RGB uint8 array (H, W, 3), as Predictor takes it. `class_name` may be the Chinese one. Raises ValueError if the image
    cannot be read, for a class that the net does not know, with those that may be meant, and for an exported file: it has no
    gradients.
    """
    net, card = net_with_gradients(checkpoint)
    encoded = read_image(image, reading=card.preprocessing.reading)
    targets = None if class_name is None else [find_class(class_name, card.labels)]
    [explanation] = explanations(net, card.preprocessing, card.labels, ImageSet((encoded,), (0,), card.classes), targets,
                                 card.calibration)
    return explanation


def net_with_gradients(checkpoint: str | Path | CheckpointFile) -> tuple[nn.Cell, Card]:
    """(net, card) of a checkpoint, for `explanations`. Raises ValueError for an exported file."""
    file = CheckpointFile.of(checkpoint)
    check_has_gradients(file.path)
    return load_net(file)


def check_has_gradients(path: Path) -> None:
    """Raises ValueError if the file at `path` is an exported one: nothing can be explained with it."""
    if path.suffix in EXPORTED:
        raise ValueError(f"{path} has no gradients, which Grad-CAM needs: give the checkpoint that it was exported from")


def explanations(net: nn.Cell, preprocessing: Preprocessing, labels: Sequence[ClassLabel], image_set: ImageSet,
                 targets: Sequence[int] | None = None, calibration: Calibration = UNCALIBRATED) -> Iterator[Explanation]:
    """Yields an `Explanation` of each of `image_set`, one `ImageSet` that is not empty; all go through the net as one batch.

    `preprocessing`, `labels`, the classes, and `calibration` are those of the net's card; `targets` those of `class_activation`.
    """
    batches = eval_pipeline(image_set, preprocessing, len(image_set))
    [(images, _)] = batches.create_tuple_iterator(num_epochs=1, output_numpy=True)
    activations, logits = class_activation(net, Tensor(images), targets)
    check_finite(logits, image_set.paths, "the checkpoint")
    targets = logits.argmax(1) if targets is None else targets
    every = calibration.probabilities(logits)
    for source, activation, probabilities, target in zip(image_set.paths, activations, every, targets):
        image = decode_image(source, image_set.reading)
        yield Explanation(image, Prediction.of(labels[target], probabilities[target]),
                          top_predictions(probabilities, labels, TOP_K), activation,
                          preprocessing.box((image.height, image.width)))


@exclusive()
def class_activation(net: nn.Cell, images: Tensor, targets: Sequence[int] | None = None) -> tuple[np.ndarray, np.ndarray]:
    """(activations, logits) of `images`: by Grad-CAM, what of each speaks for a class; and what the net says of it.

    Images are a float32 Tensor (N, 3, H, W), normalised; `targets` has the index of a class for each of them, None is the most
    probable. Activations are float32 (N, h, w), of the size of the maps that net.backbone gives: the ReLU of the maps' sum,
    each weighted with the mean gradient of the class's logit (Selvaraju et al., arXiv:1610.02391, equations 1 and 2), divided
    by its largest value. So they reach from 0 to 1, and are all 0 where nothing speaks for the class. Logits are float32
    (N, classes). Leaves the net in inference mode. Raises ValueError for targets that are not a class of the net for each image.
    """
    net.set_train(False)
    with pynative():  # no graph to compile for a few images
        maps = net.backbone(images)  # (N, C, h, w)
        logits = net.head(maps).asnumpy()
        count, num_classes = logits.shape
        classes = logits.argmax(1) if targets is None else np.asarray(targets)
        if classes.shape != (count,) or classes.min() < 0 or classes.max() >= num_classes:
            raise ValueError(f"targets={classes.tolist()} must be a class from 0 to {num_classes - 1} for each of {count} images")
        chosen = Tensor(np.eye(num_classes, dtype=np.float32)[classes])

        def score(maps):
            return (net.head(maps) * chosen).sum()  # an image's logit depends on its own maps only

        gradients = ms.grad(score)(maps).asnumpy()
    weights = gradients.mean((2, 3), keepdims=True)                   # equation 1
    activations = np.maximum((weights * maps.asnumpy()).sum(1), 0)    # equation 2
    largest = activations.max((1, 2), keepdims=True)
    return np.divide(activations, largest, out=np.zeros_like(activations), where=largest > 0), logits


def find_class(name: str, labels: Sequence[ClassLabel]) -> int:
    """The index of the class that is called `name`, in English or in Chinese.

    Raises ValueError that names the classes which may be meant, or all of them.
    """
    known = {composed(label.chinese): index for index, label in enumerate(labels) if label.chinese}
    known.update((composed(label.name), index) for index, label in enumerate(labels))
    if composed(name) in known:
        return known[composed(name)]
    spellings = {spelling.lower(): spelling for spelling in known}
    close = [repr(spellings[match]) for match in difflib.get_close_matches(name.lower(), spellings)]
    classes = ", ".join(label.name for label in labels)
    raise ValueError(f"class {name!r} is not known; "
                     + (f"did you mean {' or '.join(close)}?" if close else f"the classes are: {classes}"))


def _inside(positions):
    return (positions >= 0) & (positions <= 1)


def _interpolation(positions, count):
    """(positions, count): the weight of each of `count` cells in a row at each position, by linear interpolation; 0 outside."""
    nearest = (positions * count - 0.5).clip(0, count - 1)
    weights = np.maximum(0, 1 - np.abs(nearest[:, None] - np.arange(count)))
    return (weights * _inside(positions)[:, None]).astype(np.float32)
