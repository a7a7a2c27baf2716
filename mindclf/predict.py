"""What is on a picture: Predictor(checkpoint).predict(pictures)."""

import http.client
import os
import re
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from mindclf.checkpoint import load_net
from mindclf.dataset import Pictures, eval_pipeline, whole_picture
from mindclf.dataset.folder import is_litter
from mindclf.evaluate import predict_logits, softmax
from mindclf.files import one_line
from mindclf.labels import describe
from mindclf.nets import fold_batch_norm
from mindclf.pretrained import GARBAGE_SORTER
from mindclf.web import read_bytes

BATCH_SIZE = 16
URL_SECONDS = 20
URL_BYTES = 32 * 2**20


@dataclass(frozen=True)
class Guess:
    """A class, its probability from 0 to 1, and what mindclf.labels knows of it ("" for what it does not know)."""

    name: str
    probability: float
    chinese: str = ""
    category: str = ""
    category_chinese: str = ""

    @classmethod
    def of(cls, name, probability):
        """With all that mindclf.labels knows of the class called `name`."""
        return cls(name, float(probability), **describe(name))


class Predictor:
    """The net in a checkpoint, ready to look at pictures. `card` stands in for the card of a file that has none.

    `net` has its batch norm folded (see `fold_batch_norm`): it has no gradients and cannot be trained on.
    """

    def __init__(self, path=GARBAGE_SORTER, card=None):
        net, self.card = load_net(path, card)
        self.net = fold_batch_norm(net)
        self.classes = tuple(self.card["classes"])

    def predict(self, pictures, top_k=3):
        """For each of `pictures` its `top_k` likeliest classes: a list of lists of `Guess`.

        A picture is a path, encoded bytes, a PIL image, or an RGB uint8 array (H, W, 3). It is preprocessed as evaluation
        does, by the same pipeline. Raises ValueError that names the picture which cannot be read.
        """
        if isinstance(pictures, (str, Path, bytes)):
            raise ValueError("predict takes a list of pictures; put the one picture into a list")
        if not 1 <= top_k <= len(self.classes):
            raise ValueError(f"top_k={top_k} must lie between 1 and the number of classes, {len(self.classes)}")
        pictures = tuple(map(whole_picture, pictures))
        if not pictures:
            return []
        probabilities = softmax(self.logits(pictures))
        return [[Guess.of(self.classes[index], row[index]) for index in (-row).argsort(kind="stable")[:top_k]]
                for row in probabilities]

    def logits(self, pictures):
        """Logits (n, classes) of a sequence of n pictures."""
        unlabelled = Pictures(tuple(pictures), (0,) * len(pictures), self.classes)
        batch_size = BATCH_SIZE if len(pictures) > 1 else 1
        return predict_logits(self.net, eval_pipeline(unlabelled, {**self.card, "eval_batch_size": batch_size}))[0]


def gather(sources, allow_private=False):
    """Yields (name, read) for each picture that `sources` name: paths, folders (all files below), URLs, "-" for standard input.

    read() gives the encoded picture, or raises ValueError that names it. A source that is not there is yielded too, so that its
    error comes in its turn and costs the others nothing. So is what a folder has besides files: links to folders, which are not
    followed, links that lead nowhere, pipes, folders that may not be read. `allow_private` is for URLs, see `read_url`.
    """
    for source in sources:
        if source == "-":
            yield "-", lambda: whole_picture(_read_stdin(), name="standard input")
        elif re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", source):
            yield source, lambda url=source: whole_picture(read_url(url, allow_private), name=one_line(url))
        elif os.path.isdir(source):
            files = _files_below(source)
            for file in files:
                yield str(file), lambda path=file: whole_picture(path)
            if not files:
                yield source, lambda folder=source: _fail(f"{one_line(folder)} is a folder without files")
        else:
            yield source, lambda path=source: whole_picture(path)


def read_url(url, allow_private=False):
    """The bytes at `url`, http:// or https://, at most URL_BYTES, read within URL_SECONDS. Raises ValueError of one line.

    Addresses of this machine and of private networks are refused, also where a redirect leads there, unless `allow_private`. No
    proxy is used: where it connects to could not be checked.
    """
    name = one_line(url)
    try:
        data, kind = read_bytes(url, URL_BYTES, URL_SECONDS, allow_private)
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = f"not complete within {URL_SECONDS} s" if isinstance(error, TimeoutError) else one_line(error)
        has_proxy = set(urllib.request.getproxies()) - {"no"}
        hint = f"; no proxy is used: curl -s '{name}' | mindclf predict -" if has_proxy else ""
        raise ValueError(f"{name} cannot be read: {reason}{hint}") from None
    if kind.startswith("text/"):
        raise ValueError(f"{name} answers with {one_line(kind.partition(';')[0])}, not with a picture")
    return _bounded(data, name)


def _files_below(folder):
    """Paths of what is below `folder`, in order: files, and what cannot be read; no litter."""
    found = []
    unreadable = []
    for place, folders, files in os.walk(folder, onerror=lambda error: unreadable.append(Path(error.filename))):
        folders[:] = [name for name in folders if not is_litter(name)]
        links = [name for name in folders if os.path.islink(os.path.join(place, name))]
        found += [Path(place, name) for name in files + links if not is_litter(name)]
    return sorted(found + unreadable)


def _read_stdin():
    return _bounded(sys.stdin.buffer.read(URL_BYTES + 1), "standard input")


def _bounded(data, name):
    if len(data) > URL_BYTES:
        raise ValueError(f"{name} is larger than the {URL_BYTES / 2**20:.0f} MiB that are read")
    return data


def _fail(message):
    raise ValueError(message)
