"""Embedding: the features of a folder of images in a file, and the images that resemble a query most."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mindclf.checkpoint import GARBAGE_SORTER, CheckpointFile
from mindclf.dataset import ImageSet
from mindclf.inference.features import FeatureRunner
from mindclf.inference.sources import Source, gather, read_image, usable
from mindclf.preprocessing import DEFAULT_READING, Reading
from mindclf.utils.arrays import write_arrays
from mindclf.utils.files import one_line

BATCH_SIZE = 16
NEIGHBOURS = 5
FIELDS = {"features": "f", "paths": "U", "labels": "i", "classes": "U", "checkpoint": "U", "weights_sha256": "U"}  # NumPy's kinds


class Neighbour(NamedTuple):
    """An image that resembles a query: its path, the cosine similarity, -1 to 1, and the class folder it lies in, or ""."""

    path: str
    similarity: float
    class_name: str


@dataclass(frozen=True)
class Features:
    """What the backbone in `checkpoint`, whose file has the SHA-256 `weights_sha256`, makes of images.

    `features` are float32 (n, channels), `paths` (n,) those of the images. `labels` (n,) are indices of `classes`, the names of
    the folders that images lie in; -1 is an image that lies in none but the folder that was asked for.
    """

    features: np.ndarray
    paths: tuple[str, ...]
    labels: np.ndarray
    classes: tuple[str, ...]
    checkpoint: str
    weights_sha256: str

    def save(self, path: str | Path) -> Path:
        """Writes all of it to `path`, an .npz file, and returns the path."""
        path = Path(path)
        if path.suffix != ".npz":
            raise ValueError(f"{one_line(path)}: the name of a file of features ends in .npz")
        path.parent.mkdir(parents=True, exist_ok=True)
        write_arrays(path, features=self.features, paths=np.array(self.paths, str), labels=self.labels,
                     classes=np.array(self.classes, str), checkpoint=np.array(self.checkpoint),
                     weights_sha256=np.array(self.weights_sha256))
        return path

    @classmethod
    def load(cls, path: str | Path) -> Features:
        """What `save` wrote. Raises ValueError of one line for a file that is missing, damaged or another."""
        if not Path(path).is_file():
            raise ValueError(f"{one_line(path)} does not exist")
        try:
            with np.load(path, allow_pickle=False) as archive:
                found = {name: archive[name] for name in FIELDS}
        except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
            raise ValueError(f"{one_line(path)} is damaged, or not what mindclf features wrote") from None
        count, classes = len(np.atleast_1d(found["paths"])), found["classes"].size
        fits = (all(found[name].dtype.kind == kind for name, kind in FIELDS.items()) and found["features"].ndim == 2
                and found["features"].shape[0] == count == found["labels"].size and count and np.isfinite(found["features"]).all()
                and -1 <= found["labels"].min() <= found["labels"].max() < classes)
        if not fits:
            raise ValueError(f"{one_line(path)} is damaged: its arrays do not fit each other")
        return cls(found["features"], tuple(found["paths"].tolist()), found["labels"], tuple(found["classes"].tolist()),
                   str(found["checkpoint"]), str(found["weights_sha256"]))

    def nearest(self, query: np.ndarray, count: int = NEIGHBOURS) -> list[Neighbour]:
        """The `count` images whose features resemble those of a query (channels,) most, by cosine; the most similar first."""
        similarity = _unit(self.features) @ _unit(np.asarray(query)[None])[0]
        names = (*self.classes, "")  # the last one is that of label -1
        return [Neighbour(self.paths[index], float(similarity[index]), names[self.labels[index]])
                for index in np.argsort(-similarity, kind="stable")[:count]]


class Embedder:
    """The backbone in a checkpoint, ready to make features of images, which are read as `asked`; see `extract_features`.

    `left_out` counts images that could not be used.
    """

    def __init__(self, checkpoint: str | Path | CheckpointFile = GARBAGE_SORTER, asked: Reading = DEFAULT_READING):
        self.name = str(checkpoint.path if isinstance(checkpoint, CheckpointFile) else checkpoint)
        self.runner = FeatureRunner(checkpoint)
        self.card = self.runner.card
        self.reading = self.runner.preprocessing.read_as(asked).reading
        self.left_out = 0

    def embed(self, sources: Iterable[Source]) -> tuple[list[str], np.ndarray]:
        """(names, features (n, channels)) of `sources`, as `gather` has them; the log names those that cannot be used."""
        sources, names, rows = list(sources), [], []
        for chunk, images in usable(sources):
            encoded = ImageSet(tuple(images), (0,) * len(images), self.card.classes, reading=self.reading)
            names += chunk
            rows.append(self.runner.logits(encoded, BATCH_SIZE)[0])
        self.left_out += len(sources) - len(names)
        return names, np.concatenate(rows) if rows else np.empty((0, 0), np.float32)

    def embed_folder(self, folder: str | Path) -> Features:
        """The `Features` of all images below `folder`. Raises ValueError where there is none."""
        if not Path(folder).is_dir():
            raise ValueError(f"{one_line(folder)} is no folder")
        names, rows = self.embed(gather([str(folder)], reading=self.reading))
        if not names:
            raise ValueError(f"{one_line(folder)} has no image that can be used")
        parents = ["" if Path(name).parent == Path(folder) else Path(name).parent.name for name in names]
        classes = tuple(sorted(set(parents) - {""}))
        labels = np.array([classes.index(parent) if parent else -1 for parent in parents], np.int32)
        return Features(rows.astype(np.float32), tuple(names), labels, classes, self.name, self.card.get("weights_sha256", ""))


def extract_features(folder: str | Path, checkpoint: str | Path | CheckpointFile = GARBAGE_SORTER) -> Features:
    """The `Features` of all images below `folder`: in Python what `mindclf features` does.

    `checkpoint` is a path, a name in checkpoints/, or a `CheckpointFile`, by default the garbage sorter. The log names images
    that cannot be used. Raises ValueError for an exported file, which has no features, and for a folder without images.
    """
    return Embedder(checkpoint).embed_folder(folder)


def similar_images(queries: Sequence, collection: str | Path | Features, checkpoint: str | Path | CheckpointFile | None = None,
                   count: int = NEIGHBOURS) -> list[list[Neighbour]]:
    """For each of `queries` the `count` images of `collection` that resemble it most, by the cosine of their features.

    A query is what `Predictor` takes: a path, a URL, encoded bytes, a PIL image, or an RGB uint8 array (H, W, 3). `collection`
    is a folder, a file that `Features.save` wrote, or `Features`; of the latter two `checkpoint` is by default the one that they
    were made with.
    Raises ValueError for a query that cannot be read, and for features of other weights.
    """
    embedder, found = open_collection(collection, checkpoint)
    images = [read_image(query, reading=embedder.reading) for query in queries]
    _, rows = embedder.embed(("", lambda image=image: image) for image in images)
    return [found.nearest(row, count) for row in rows]


def open_collection(collection: str | Path | Features, checkpoint: str | Path | CheckpointFile | None = None,
                    asked: Reading = DEFAULT_READING) -> tuple[Embedder, Features]:
    """(what makes features of queries, the `Features` of `collection`), see `similar_images`."""
    if not isinstance(collection, Features) and Path(collection).is_dir():
        embedder = Embedder(checkpoint or GARBAGE_SORTER, asked)
        return embedder, embedder.embed_folder(collection)
    found = collection if isinstance(collection, Features) else Features.load(collection)
    embedder = Embedder(checkpoint or found.checkpoint, asked)
    if embedder.card.get("weights_sha256", "") != found.weights_sha256:
        raise ValueError(f"the features are those of other weights than {one_line(embedder.name)} has: make them again, or name "
                         f"the checkpoint that they were made with")
    return embedder, found


def _unit(features):
    """Features (n, channels) in float64, each of length 1; those that are all 0 stay so."""
    lengths = np.linalg.norm(features.astype(np.float64), axis=1, keepdims=True)
    return features / np.where(lengths > 0, lengths, 1)
