"""Preprocessing: what happens to an image between its file and the net in evaluation, prediction and export.

Training images are augmented instead, see mindclf.dataset.views. Sizes are (height, width) in pixels. `mean` and `std` are per
channel, in RGB order, on the scale of the pixels, 0 to 255.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from mindclf.config import DEFAULTS, IMAGENET_MEAN, IMAGENET_STD, pixel_statistics


@dataclass(frozen=True)
class Reading:
    """How image files are read for a net, the same in training, evaluation and prediction.

    `max_pixels` is the most pixels that an image may have. `white` is the value that is white in images of more than 8 bits; None
    goes by the file (see mindclf.dataset.ranges).
    """

    max_pixels: int = DEFAULTS.max_pixels
    white: float | None = None

    @classmethod
    def of(cls, config: Mapping) -> Reading:
        """As a config says; fields that it does not have are the defaults."""
        return cls(config.get("max_pixels") or DEFAULTS.max_pixels, config.get("white") or None)


DEFAULT_READING = Reading()


@dataclass(frozen=True)
class Preprocessing:
    """How evaluation makes the input of a net, float32 (3, *size), of an image.

    In this order: read the file as `reading` says; bring it to `raw_size` by averaging the centre that has its shape, for nets
    that were trained on images of one small size (None for all others); bring its shorter side to `shorter_side` by bilinear
    interpolation; take the central crop of `size`; subtract `mean` and divide by `std`. `crop_pct` is the crop's fraction of the
    image's shorter side, 0 to 1: by default 224 of 256 pixels, the customary protocol of ImageNet.
    """

    size: tuple[int, int]
    crop_pct: float = DEFAULTS.crop_pct
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    raw_size: tuple[int, int] | None = None
    reading: Reading = DEFAULT_READING

    @classmethod
    def from_config(cls, config: Mapping, raw_size: tuple[int, int] | None = None) -> Preprocessing:
        """Of a net that is trained with a full `config` on images of `raw_size`, None for files of any size."""
        return cls((config["image_height"], config["image_width"]), config["crop_pct"], *pixel_statistics(config), raw_size,
                   Reading.of(config))

    @classmethod
    def from_card(cls, card: Mapping) -> Preprocessing:
        """Of the net that `card` describes."""
        return cls((card["image_height"], card["image_width"]), card.get("crop_share", cls.crop_pct), *pixel_statistics(card),
                   tuple(card.get("raw_size", ())) or None, Reading(white=card.get("white") or None))

    def card_fields(self) -> dict:
        """The fields of a card that `from_card` reads. `reading.max_pixels` is not among them: it is the user's choice."""
        height, width = self.size
        return {"image_height": height, "image_width": width, "mean": list(self.mean), "std": list(self.std),
                "crop_share": self.crop_pct, "raw_size": list(self.raw_size or ()), **self._white()}

    def read_as(self, asked: Reading) -> Preprocessing:
        """The same for images that are read as a user `asked`; where that says nothing of white, the net's own holds."""
        return replace(self, reading=replace(asked, white=asked.white or self.reading.white))

    @property
    def shorter_side(self) -> int | None:
        """What the shorter side of an image is resized to, in pixels; None where raw images are taken as they are."""
        if self.raw_size == self.size and self.crop_pct == 1:
            return None
        return int(max(self.size) / self.crop_pct)

    def transforms(self) -> list:
        """MindSpore's operations from encoded bytes (uint8, 1-D), or with raw_size from such pixels, to float32 (3, *size)."""
        from mindspore.dataset import vision

        return [*self.pixel_transforms(), vision.Normalize(list(self.mean), list(self.std)), vision.HWC2CHW()]

    def pixel_transforms(self) -> list:
        """The first of `transforms`, up to the crop: it is pixels, uint8 (*size, 3)."""
        from mindspore.dataset import vision  # files that ONNX Runtime runs need no MindSpore

        operations = [] if self.raw_size else [vision.Decode()]
        if self.shorter_side:
            operations += [vision.Resize(self.shorter_side), vision.CenterCrop(self.size)]
        return operations

    def unnormalize(self, images) -> np.ndarray:
        """Normalised images (N, 3, H, W) as pixels again, uint8 (N, H, W, 3), for showing them."""
        pixels = np.asarray(images).transpose(0, 2, 3, 1) * np.asarray(self.std) + np.asarray(self.mean)
        return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)

    def box(self, size: tuple[int, int]) -> tuple[float, float, float, float]:
        """The part of an image of `size` that the net sees: (top, left, bottom, right), fractions of its height and width."""
        taken = self.raw_size or size  # with raw_size the image is first cut to its shape
        resized = [self.shorter_side * side // min(taken) for side in taken] if self.shorter_side else taken
        pixels_a_pixel = min(whole / side for whole, side in zip(size, taken))  # of the image, in one of raw_size
        edges = []
        for whole, side, length, shown in zip(size, taken, resized, self.size):
            fraction = side * pixels_a_pixel / whole  # 1 without raw_size
            first = (length - shown) // 2
            edges.append([(1 - fraction) / 2 + fraction * edge / length for edge in (first, first + shown)])
        (top, bottom), (left, right) = edges
        return top, left, bottom, right

    def describe(self) -> dict:
        """The same as JSON can hold it, for other programs to do, in this order; a step that is null is left out.

        In images of more than 8 bits `white` becomes 255 before all else: see mindclf.dataset.ranges.
        """
        side = self.shorter_side
        return {"colours": "RGB", "raw_size": list(self.raw_size) if self.raw_size else None, "shorter_side": side,
                "crop": list(self.size) if side else None, "mean": list(self.mean), "std": list(self.std), **self._white()}

    def _white(self):
        return {"white": self.reading.white} if self.reading.white else {}
