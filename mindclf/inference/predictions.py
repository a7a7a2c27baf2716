"""Predictions: what a net says of an image, class by class."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from PIL import Image

from mindclf.dataset.images import decode_image
from mindclf.labels import NOT_SURE, ClassLabel
from mindclf.preprocessing import DEFAULT_READING, Reading
from mindclf.utils.html import html_text, jpeg_element

THUMBNAIL = 240  # pixels, the longer side


@dataclass(frozen=True, repr=False)
class Prediction:
    """A class and its probability, 0 to 1, with what the card tells of the class: "" where there is no Chinese name or no bin."""

    name: str
    probability: float
    chinese: str = ""
    category: str = ""
    category_chinese: str = ""

    @classmethod
    def of(cls, label: ClassLabel, probability: float) -> Prediction:
        """The prediction of a class of a card."""
        return cls(label.name, float(probability), label.chinese, label.category, label.category_chinese)

    def __repr__(self):
        return f"Prediction({self.name!r}, {self.probability:.1%})"


class Predictions(list):
    """The answer to one image: its most probable classes, a list of `Prediction`, the most probable first.

    `threshold` is the probability from which on the net is sure of its answer; None is for one that always is. `name` is the
    image's path or URL, "" if it has none. A notebook shows the answer with the image, if that is at hand: in the
    file `name`, or as `source`, whatever `decode_image` takes. It is read as `reading` says.
    """

    def __init__(self, predictions: Iterable[Prediction] = (), name: str = "", source=None, reading: Reading = DEFAULT_READING,
                 threshold: float | None = None):
        super().__init__(predictions)
        self.name, self.source, self.reading, self.threshold = name, source, reading, threshold

    @property
    def is_sure(self) -> bool:
        """Whether the most probable class reaches the threshold."""
        return self.threshold is None or self[0].probability >= self.threshold

    @property
    def answer(self) -> str:
        """The name of the most probable class, or "not sure"."""
        return self[0].name if self.is_sure else NOT_SURE

    def thumbnail(self) -> Image.Image | None:
        """The image, at most THUMBNAIL pixels a side; None if it is not at hand."""
        if self.source is None and not os.path.isfile(self.name):
            return None
        try:
            image = decode_image(self.name if self.source is None else self.source, self.reading)
        except ValueError:  # the file has changed since
            return None
        image.thumbnail((THUMBNAIL, THUMBNAIL))
        return image

    def _repr_html_(self):
        image = self.thumbnail()
        shown = jpeg_element(image, self.name or "the image") if image else ""
        rows = "".join(
            f"<tr><td>{escape(prediction.name)} {escape(prediction.chinese)}</td>"
            f"<td>{escape(' '.join(filter(None, (prediction.category, prediction.category_chinese))))}</td>"
            f"<td>{prediction.probability:.1%}</td></tr>" for prediction in self)
        doubt = ""
        if self and not self.is_sure:
            doubt = f"<div><b>{html_text(NOT_SURE)}</b>: {html_text(f'less than {self.threshold:.1%}')}</div>"
        return f"<div>{escape(self.name)}</div><div>{shown}</div>{doubt}<table>{rows}</table>"


def top_predictions(probabilities: np.ndarray, labels: Sequence[ClassLabel], top_k: int) -> list[Prediction]:
    """The `top_k` most probable of the classes `labels`, the most probable first; `probabilities` are those of all classes."""
    return [Prediction.of(labels[index], probabilities[index]) for index in (-probabilities).argsort(kind="stable")[:top_k]]
