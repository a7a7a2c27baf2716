"""Files with a net, ready to run: checkpoints and .mindir in MindSpore, .onnx in ONNX Runtime, which needs no MindSpore."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from mindclf.checkpoint_file import CheckpointFile
from mindclf.dataset import ImageSet
from mindclf.dataset.pixels import PixelBatches
from mindclf.inference.batches import run_batches
from mindclf.inference.onnx import check_input, open_onnx
from mindclf.preprocessing import Preprocessing
from mindclf.utils.files import one_line

RUNTIMES = ("auto", "mindspore", "onnxruntime")
FEW_IMAGES = 256  # for more it pays to import MindSpore, whose pipeline prepares images in less time
EXPORTED = (".mindir", ".onnx")  # what `export` writes besides checkpoints: a net that can only be run


class Runner:
    """The net in a file, ready to run: in a checkpoint (.ckpt, .safetensors), or what `export` made of one (.mindir, .onnx).

    `checkpoint` is a path, a name in checkpoints/, or a `CheckpointFile`. `runtime` is "mindspore" or, for .onnx,
    "onnxruntime"; "auto" goes by the file's name. `mirror` is test-time augmentation: logits are the means of those of an image
    and of its horizontal flip, for twice the time. Raises ValueError for a runtime that does not run the file, and for a file
    that is damaged or not its card's.

    `card` is the file's `Card`. `run` gives the logits of a batch, both NumPy
    arrays. `net` is the Cell that computes them, its batch norm folded, so that it cannot be trained; it is None where ONNX
    Runtime does. `takes_pixels` says that the file normalises, `batch_size` that it takes so many images at a time and no
    others; None is any number. `input_name` is that of an ONNX file.
    """

    def __init__(self, checkpoint: str | Path | CheckpointFile, runtime: str = "auto", mirror: bool = False):
        file = CheckpointFile.of(checkpoint)
        self.path = path = file.path
        self.mirror = mirror
        self.runtime = runtime_of(path, runtime)
        self.net, self.prepared = None, 0
        if self.runtime == "onnxruntime":
            session, self.card = open_onnx(file)
            self.input_name, self.takes_pixels, self.batch_size = check_input(session, self.card, path)
            self.run = lambda images: session.run(None, {self.input_name: images})[0]
            return
        from mindclf.inference.cells import CompiledLater, open_cell

        self.net, self.card = open_cell(file)
        exported = self.card.get("exported", {}) if path.suffix == ".mindir" else {}
        self.takes_pixels, self.batch_size = exported.get("with_preprocessing", False), exported.get("batch_size")
        self.run = CompiledLater(self.net)

    @property
    def preprocessing(self) -> Preprocessing:
        """What happens to an image for this net."""
        return self.card.preprocessing

    def logits(self, images: ImageSet, batch_size: int, checked: bool = True) -> tuple[np.ndarray, np.ndarray]:
        """(logits (n, classes), labels (n,)) of n `ImageSet`, `batch_size` at a time, preprocessed as evaluation does.

        Raises ValueError that names an image whose logits are NaN or infinite, unless `checked` is False, and for a .mindir that
        does not give a logit for each class of its card.
        """
        # MindSpore compiles the graph for each number of images; ONNX Runtime need not compute what fills up a batch.
        fill = self.runtime == "mindspore" or self.batch_size is not None
        run = self._run_with_flip if self.mirror else self.run
        logits, labels = run_batches(run, self._batches(images, batch_size), fill)
        if self.path.suffix == ".mindir" and logits.shape[1] != len(self.card.classes):  # of an .onnx it was told before
            raise ValueError(f"{self.path} does not fit its card: it gives {logits.shape[1]} logits, the card has "
                             f"{len(self.card.classes)} classes")
        if checked:
            check_finite(logits, images.paths, self.path)
        return logits, labels

    def images(self, image_set: ImageSet, batch_size: int) -> Iterator[np.ndarray]:
        """Yields what `run` takes, NumPy arrays of up to `batch_size` of the `ImageSet`, preprocessed as evaluation does."""
        for images, _ in self._batches(image_set, batch_size).create_tuple_iterator(num_epochs=1, output_numpy=True):
            yield images

    def _run_with_flip(self, images):
        across = 2 if self.takes_pixels else 3  # the axis of the width
        return (self.run(images) + self.run(np.ascontiguousarray(np.flip(images, across)))) / 2

    def _batches(self, images, batch_size):
        batch_size = self.batch_size or batch_size
        self.prepared += len(images)
        if self.runtime == "onnxruntime" and not images.raw_size and self.prepared <= FEW_IMAGES:
            return PixelBatches(images, self.preprocessing, batch_size, normalised=not self.takes_pixels)
        from mindclf.dataset import eval_pipeline, pixel_pipeline

        return (pixel_pipeline if self.takes_pixels else eval_pipeline)(images, self.preprocessing, batch_size)


def check_finite(logits: np.ndarray, images: Sequence, file: str | Path) -> None:
    """Raises ValueError if any of logits (n, classes) is NaN or infinite. It names the first such image and the net's `file`.

    `images` are the n images' paths, or pixels, which have no name but their position.
    """
    broken = np.flatnonzero(~np.isfinite(logits).all(1))
    if len(broken):
        first = images[broken[0]]
        name = one_line(first) if isinstance(first, (str, Path)) else f"image {broken[0] + 1} of {len(images)}"
        more = f", and for {len(broken) - 1} images more" if len(broken) > 1 else ""
        raise ValueError(f"{name}: the net in {file} gives NaN or infinity for it{more}: its weights are damaged, or values "
                         f"inside it overflow; take another file of the net")


def runtime_of(path: Path, runtime: str = "auto") -> str:
    """What runs the file at `path`, "mindspore" or "onnxruntime". Raises ValueError for a `runtime` that does not run it."""
    if runtime not in RUNTIMES:
        raise ValueError(f"runtime={runtime!r} is not known; expected one of {', '.join(RUNTIMES)}")
    suitable = "onnxruntime" if path.suffix == ".onnx" else "mindspore"
    if runtime == "onnxruntime" and suitable != runtime:
        checkpoint = "CHECKPOINT" if path.suffix == ".mindir" else path  # a .mindir is not exported once more
        raise ValueError(f"ONNX Runtime does not run {path}: write an .onnx, with mindclf export {checkpoint} --format onnx")
    if runtime == "mindspore" and suitable != runtime:
        raise ValueError(f"MindSpore does not run {path}: take runtime=onnxruntime, or the checkpoint that it was exported from")
    return suitable
