"""Where on an image a net sees a class: explain(checkpoint, image), by Grad-CAM (arXiv:1610.02391)."""

import difflib
from dataclasses import dataclass, replace
from pathlib import Path

import mindspore as ms
import numpy as np
from matplotlib import colormaps
from mindspore import Tensor
from PIL import Image, ImageEnhance

from mindclf.checkpoint import load_net
from mindclf.dataset import ImageSet, Reading, decode_image, eval_pipeline, seen_box, whole_image
from mindclf.device import exclusive, pynative
from mindclf.evaluate import softmax
from mindclf.inference.runner import EXPORTED, check_finite
from mindclf.labels import composed, describe
from mindclf.predict import Guess, likeliest

TOP_K = 3             # classes that an Explanation has guesses of
OPACITY = 0.65        # of the colour where the heat is 1
UNSEEN_LIGHT = 0.35   # brightness of what the net did not see


@dataclass(frozen=True)
class Explanation:
    """Where on an image a net sees a class."""

    image: Image.Image    # upright, RGB
    guess: Guess            # the class that was looked for, and its probability
    guesses: list           # the TOP_K likeliest classes
    activation: np.ndarray  # (h, w) float32, 0 to 1: on the grid of the backbone's maps
    box: tuple              # (top, left, bottom, right) of what the net saw, as parts of the image's height and width, 0 to 1

    @property
    def heat(self):
        """The activation at the image's size, float32 (height, width), 0 to 1; 0 where the net did not see the image."""
        rows, columns = self._places()
        height, width = self.activation.shape
        return np.clip(_shares(rows, height) @ self.activation @ _shares(columns, width).T, 0, 1)

    @property
    def overlay(self):
        """The image in grey, so that all colours are heat, from blue to red: a PIL image. What the net did not see is dark."""
        heat = self.heat
        colours = Image.fromarray(np.ascontiguousarray(colormaps["turbo"](heat, bytes=True)[..., :3]))
        grey = self.image.convert("L").convert("RGB")
        heated = Image.composite(colours, grey, Image.fromarray((255 * OPACITY * heat).astype(np.uint8)))
        seen = np.outer(*map(_inside, self._places()))
        return Image.composite(heated, ImageEnhance.Brightness(heated).enhance(UNSEEN_LIGHT),
                               Image.fromarray(np.where(seen, 255, 0).astype(np.uint8)))

    def shrunk(self, longest):
        """The same on the image brought down to `longest` pixels a side at most."""
        image = self.image.copy()
        image.thumbnail((longest, longest))
        return replace(self, image=image)

    def _places(self):
        """Where the image's rows and columns lie in what the net saw: 0 to 1 from edge to edge, other numbers outside."""
        width, height = self.image.size
        top, left, bottom, right = self.box
        return [((np.arange(count) + 0.5) / count - first) / (last - first)
                for count, first, last in ((height, top, bottom), (width, left, right))]


def explain(checkpoint, image, class_name=None, card=None):
    """The `Explanation` of how the net in `checkpoint` comes to a class on `image`: to `class_name`, or to the likeliest.

    An image is a path, encoded bytes, a PIL image, or an RGB uint8 array (H, W, 3), as Predictor takes it. `class_name` may be
    the Chinese one. `card` stands in for the card of a checkpoint that has none. Raises ValueError if the image cannot be
    read, for a class that the net does not know, with those that may be meant, and for an exported file: it has no gradients.
    """
    net, card = net_with_gradients(checkpoint, card)
    image = whole_image(image, reading=Reading.of(card))
    classes = tuple(card["classes"])
    labels = None if class_name is None else [find_class(class_name, classes)]
    [explanation] = explanations(net, card, ImageSet((image,), (0,), classes), labels)
    return explanation


def net_with_gradients(checkpoint, card=None):
    """(net, card) of a checkpoint, for `explanations`. Raises ValueError for an exported file."""
    if Path(checkpoint).suffix in EXPORTED:
        raise ValueError(f"{checkpoint} has no gradients, which Grad-CAM needs: give the checkpoint that it was exported from")
    return load_net(checkpoint, card)


def explanations(net, card, image_set, labels=None):
    """Yields an `Explanation` of each of `image_set`, one `ImageSet` that is not empty; all go through the net as one batch.

    `card` is that of the checkpoint which `net` comes from; `labels` are those of `class_activation`.
    """
    batches = eval_pipeline(image_set, {**card, "eval_batch_size": len(image_set)})
    [(images, _)] = batches.create_tuple_iterator(num_epochs=1, output_numpy=True)
    activations, logits = class_activation(net, Tensor(images), labels)
    check_finite(logits, image_set.paths, "the checkpoint")
    labels = logits.argmax(1) if labels is None else labels
    for source, activation, probabilities, label in zip(image_set.paths, activations, softmax(logits), labels):
        image = decode_image(source, image_set.reading)
        yield Explanation(image, Guess.of(image_set.classes[label], probabilities[label]),
                          likeliest(probabilities, image_set.classes, TOP_K), activation,
                          seen_box(image_set, card, (image.height, image.width)))


@exclusive()
def class_activation(net, images, labels=None):
    """(activations, logits) of `images`: by Grad-CAM, what of each speaks for a class; and what the net says of it.

    Images are a float32 Tensor (N, 3, H, W), normalised; `labels` has the index of a class for each of them, None is the
    likeliest. Activations are float32 (N, h, w), of the size of the maps that net.backbone gives: the ReLU of the maps' sum,
    each weighted with the mean gradient of the class's logit (Selvaraju et al., arXiv:1610.02391, equations 1 and 2), divided
    by its largest value. So they reach from 0 to 1, and are all 0 where nothing speaks for the class. Logits are float32
    (N, classes). Leaves the net in inference mode. Raises ValueError for labels that are not a class of the net for each image.
    """
    net.set_train(False)
    with pynative():  # no graph to compile for a few images
        maps = net.backbone(images)  # (N, C, h, w)
        logits = net.head(maps).asnumpy()
        count, num_classes = logits.shape
        labels = logits.argmax(1) if labels is None else np.asarray(labels)
        if labels.shape != (count,) or labels.min() < 0 or labels.max() >= num_classes:
            raise ValueError(f"labels={labels.tolist()} must be a class from 0 to {num_classes - 1} for each of {count} images")
        chosen = Tensor(np.eye(num_classes, dtype=np.float32)[labels])

        def score(maps):
            return (net.head(maps) * chosen).sum()  # an image's logit depends on its own maps only

        gradients = ms.grad(score)(maps).asnumpy()
    weights = gradients.mean((2, 3), keepdims=True)                   # equation 1
    activations = np.maximum((weights * maps.asnumpy()).sum(1), 0)    # equation 2
    largest = activations.max((1, 2), keepdims=True)
    return np.divide(activations, largest, out=np.zeros_like(activations), where=largest > 0), logits


def find_class(name, classes):
    """The index of the class that is called `name`, in `classes` or in Chinese.

    Raises ValueError that names the classes which may be meant, or all of them.
    """
    known = {composed(describe(english).get("chinese", english)): index for index, english in enumerate(classes)}
    known.update((composed(english), index) for index, english in enumerate(classes))
    if composed(name) in known:
        return known[composed(name)]
    spellings = {spelling.lower(): spelling for spelling in known}
    close = [repr(spellings[match]) for match in difflib.get_close_matches(name.lower(), spellings)]
    raise ValueError(f"class {name!r} is not known; "
                     + (f"did you mean {' or '.join(close)}?" if close else f"the classes are: {', '.join(classes)}"))


def _inside(places):
    return (places >= 0) & (places <= 1)


def _shares(places, count):
    """(places, count): the shares that `count` cells in a row have in each place, by linear interpolation; outside none."""
    nearest = (places * count - 0.5).clip(0, count - 1)
    shares = np.maximum(0, 1 - np.abs(nearest[:, None] - np.arange(count)))
    return (shares * _inside(places)[:, None]).astype(np.float32)
