"""Answers: what the page says of one image."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from html import escape
from pathlib import Path

from mindspore import nn

from mindclf.calibration import Calibration
from mindclf.card import Card
from mindclf.checkpoint import CheckpointFile
from mindclf.dataset import ImageSet
from mindclf.dataset.images import opened_image
from mindclf.explain import explanations, net_with_gradients
from mindclf.labels import BIN_COLOURS
from mindclf.predict import Predictor
from mindclf.preprocessing import DEFAULT_READING, Reading
from mindclf.utils.html import html_text, jpeg_element

MOST_PROBABLE = -1  # in place of a class, that which is the most probable
SHOWN_PIXELS = 640        # the longer side of the answer's image
BINS = {"black": ("var(--black)", "黑色"), "blue": ("#1660ad", "蓝色"), "brown": ("#7b4f2a", "棕色"), "red": ("#b8261c", "红色")}
NO_BIN = "#2f7d63"


@dataclass(frozen=True)
class Sorter:
    """A checkpoint that the page is for: its net with gradients, how images are read, and when the net is sure."""

    checkpoint: CheckpointFile
    net: nn.Cell
    card: Card
    reading: Reading
    calibration: Calibration

    @classmethod
    def of(cls, checkpoint: str | Path | CheckpointFile, asked: Reading = DEFAULT_READING,
           threshold: float | None = None) -> Sorter:
        """That of a checkpoint, of which images are read as `asked`; `threshold` replaces the card's."""
        file = CheckpointFile.of(checkpoint)
        net, card = net_with_gradients(file)
        return cls(file, net, card, card.preprocessing.read_as(asked).reading, card.calibration.with_threshold(threshold))

    @property
    def name(self) -> str:
        """Folder and name of the checkpoint: that of a run is called best.ckpt."""
        return "/".join(self.checkpoint.path.resolve().parts[-2:])

    @functools.cached_property
    def predictor(self) -> Predictor:
        """The net for many images, which needs no gradients."""
        return Predictor(self.checkpoint, max_pixels=self.reading.max_pixels, white=self.reading.white,
                         threshold=self.calibration.threshold or 0)  # not the card's where it is none


def answer(sorter: Sorter, path: str | Path | None, target: int = MOST_PROBABLE) -> str:
    """HTML: what the net sees on the image at `path` and where, why the image is refused, or, for None, what to do.

    The heatmap is of the class `target`, an index.
    """
    card, calibration = sorter.card, sorter.calibration
    if path is None:
        return ('<div class="answer empty quiet"><p>Drop an image, use the camera, or choose an example.</p>'
                '<p lang="zh-CN">放入一张图片，用摄像头拍一张，或选一个示例。</p></div>')
    try:
        with opened_image(Path(path).read_bytes(), Path(path).name, sorter.reading) as opened:
            image, remarks = opened.whole(), opened.remarks
        targets = None if target == MOST_PROBABLE else [target]
        [explanation] = explanations(sorter.net, card.preprocessing, card.labels, ImageSet((image,), (0,), card.classes),
                                     targets, calibration)
    except (ValueError, OSError) as error:
        return ('<div class="answer refused" role="alert"><p class="bin">This image is not used '
                f'<span lang="zh-CN">这张图片不能用</span></p><p>{html_text(str(error))}</p></div>')
    top, looked_for = explanation.predictions[0], explanation.prediction
    is_sure = calibration.is_sure(top.probability)
    heatmap = jpeg_element(explanation.shrunk(SHOWN_PIXELS).overlay, f"heatmap of {looked_for.name}")
    return (f'<div class="answer" role="status" style="--bin: {_colour(top)}">'
            f"{_bin(top) + _name(top) if is_sure else _doubt(calibration.threshold)}"
            f"{''.join(_bar(prediction, calibration.threshold) for prediction in explanation.predictions)}"
            f"{''.join(map(_remark, remarks))}"
            f'<figure>{heatmap}<figcaption class="quiet">Red spoke most for {escape(looked_for.name)}, '
            f"{looked_for.probability:.1%}; what is dark was not seen. "
            f'<span lang="zh-CN">红色处最支持“{escape(looked_for.chinese or looked_for.name)}”；暗处网络没有看到。</span>'
            "</figcaption></figure></div>")


def _remark(remark):
    return f"<p>{html_text(f'An image {remark}.')}</p>"


def _name(prediction):
    return (f'<p class="name"><b>{escape(prediction.name)}</b> '
            f'<span lang="zh-CN">{escape(prediction.chinese)}</span></p>')


def _doubt(threshold):
    """What stands in the place of bin and name where the net is not sure."""
    return ('<p class="name doubt"><b>Not sure</b> <span lang="zh-CN">不确定</span></p>'
            f'<p class="quiet">No class has {threshold:.1%}, the mark on the bars: perhaps it is something else. '
            f'<span lang="zh-CN">没有类别达到 {threshold:.1%}（条上的竖线），可能不属于任何一类。</span></p>')


def _bin(prediction):
    """The line about the bin, or nothing for a class that belongs in none."""
    if prediction.category not in BIN_COLOURS:
        return ""
    colour = BIN_COLOURS[prediction.category]
    return (f'<p class="bin">{escape(prediction.category.capitalize())} waste, {colour} bin '
            f'<span lang="zh-CN">{escape(prediction.category_chinese)}，{BINS[colour][1]}桶</span></p>')


def _bar(prediction, threshold):
    """A class and its probability, as a number and as a bar with a mark at the threshold."""
    chinese = f' <span lang="zh-CN">{escape(prediction.chinese)}</span>' if prediction.chinese else ""
    probability = f"{prediction.probability:.1%}"
    limited, limit = ("", "") if threshold is None else (" limited", f"; --limit: {threshold:.1%}")
    return (f'<div class="prediction{limited}" style="--bin: {_colour(prediction)}; --width: {probability}{limit}">'
            f'<span>{escape(prediction.name)}{chinese}</span><span class="number">{probability}</span><i></i></div>')


def _colour(prediction):
    return BINS[BIN_COLOURS[prediction.category]][0] if prediction.category in BIN_COLOURS else NO_BIN
