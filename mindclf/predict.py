"""What is on an image: Predictor(path).predict(images)."""

import http.client
import os
import re
import sys
import urllib.request
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mindclf.dataset import ImageSet, Reading, whole_image
from mindclf.dataset.images import DEFAULT_READING
from mindclf.dataset.layout import files_below
from mindclf.evaluate import softmax
from mindclf.inference.runner import Runner, check_finite
from mindclf.labels import describe
from mindclf.pretrained import GARBAGE_SORTER
from mindclf.utils.cores import usable_cores
from mindclf.utils.files import one_line
from mindclf.utils.http import read_bytes

TOP_K = 3                 # classes that are told of each image, where there are so many
BATCH_SIZE = 16
CHUNK = 64                # images that are read while the net looks at as many others, or fewer:
CHUNK_BYTES = 256 * 2**20  # a large photo may take 36 MB
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
    """The net in a checkpoint (.ckpt, .safetensors) or an exported file (.mindir, .onnx), ready to look at images.

    `runtime` is "mindspore" or, for .onnx, "onnxruntime"; "auto" goes by the file's name. `card` stands in for the card of a
    checkpoint that has none; an .onnx has one inside. With `mirror` the logits of an image are the means of its own and of those
    of its mirror image, for twice the time. `net` is the Cell, with its batch norm folded (see `fold_batch_norm`): it
    has no gradients and cannot be trained on. It is None where ONNX Runtime computes. `reading` is how images are
    read for this net, of up to `max_pixels` pixels.
    """

    def __init__(self, path=GARBAGE_SORTER, card=None, runtime="auto", mirror=False, max_pixels=Reading.max_pixels):
        self.runner = Runner(path, card, runtime, mirror)
        self.net, self.card = self.runner.net, self.runner.card
        self.classes = tuple(self.card["classes"])
        self.reading = Reading.of({**self.card, "max_pixels": max_pixels})

    def predict(self, images, top_k=None):
        """For each of `images` its `top_k` likeliest classes, by default 3 or all: lists of `Guess`.

        An image is a path, encoded bytes, a PIL image, or an RGB uint8 array (H, W, 3). It is preprocessed as evaluation
        does, by the same pipeline. Raises ValueError that names the image which cannot be read.
        """
        if isinstance(images, (str, Path, bytes)):
            raise ValueError("predict takes a list of images; put the one image into a list")
        answers = []
        for _, guesses in self.sort((("", partial(whole_image, image, reading=self.reading)) for image in images), top_k):
            if isinstance(guesses, ValueError):
                raise guesses
            answers.append(guesses)
        return answers

    def sort(self, sources, top_k=None):
        """Yields (name, its `top_k` likeliest classes) for each (name, read) of `sources`, as `gather` has them, in their order.

        The classes are a list of `Guess`. What cannot be read gives (name, the ValueError that says why). Images are read and
        decoded, on all cores, while the net looks at those before them.
        """
        if top_k is None:
            top_k = min(TOP_K, len(self.classes))
        if not 1 <= top_k <= len(self.classes):
            raise ValueError(f"top_k={top_k} must lie between 1 and the number of classes, {len(self.classes)}")
        for chunk in _read_ahead(sources):
            images = [image for _, image in chunk if not isinstance(image, ValueError)]
            rows = iter(self.logits(images) if images else ())
            for name, image in chunk:
                yield name, image if isinstance(image, ValueError) else self._guesses(name, next(rows), top_k)

    def logits(self, images):
        """Logits (n, classes) of a sequence of n images, as the net gives them: perhaps NaN, or infinite."""
        unlabelled = ImageSet(tuple(images), (0,) * len(images), self.classes)
        return self.runner.logits(unlabelled, BATCH_SIZE if len(images) > 1 else 1, checked=False)[0]

    def _guesses(self, name, logits, top_k):
        """The `top_k` likeliest classes of an image, or the ValueError that its `logits` (classes,) are no numbers."""
        try:
            check_finite(logits[None], (name or "the image",), self.runner.path)
        except ValueError as error:
            return error
        return likeliest(softmax(logits[None])[0], self.classes, top_k)


def likeliest(probabilities, classes, top_k):
    """The `top_k` likeliest of `classes`, a list of `Guess`; `probabilities` are those of all classes."""
    return [Guess.of(classes[index], probabilities[index]) for index in (-probabilities).argsort(kind="stable")[:top_k]]


def _read_ahead(sources):
    """Yields lists of (name, encoded image, or the ValueError that it cannot be read with) for the (name, read) of `sources`.

    A list has up to CHUNK images, or fewer that take CHUNK_BYTES. While the caller works on one, threads read the next.
    """
    pool = ThreadPoolExecutor(1 + usable_cores())  # one that puts lists together, the others read
    chunks = _chunks(sources, pool)
    try:
        upcoming = pool.submit(next, chunks, None)
        while chunk := upcoming.result():
            upcoming = pool.submit(next, chunks, None)
            yield chunk
    finally:  # also when the caller has seen enough
        pool.shutdown(wait=False, cancel_futures=True)


def _chunks(sources, pool):
    """The lists of `_read_ahead`.

    One image a core is read ahead, or fewer if so many of the largest one yet would not fit; as long as few are known, few.
    """
    waiting, chunk, size, largest, known = deque(), [], 0, 0, 0
    sources, cores = iter(sources), usable_cores()
    while True:
        while (len(waiting) < min(cores, 1 + known) and (not waiting or size + (len(waiting) + 1) * largest <= CHUNK_BYTES)
               and (source := next(sources, None))):
            waiting.append((source[0], pool.submit(_outcome, source[1])))
        if not waiting:
            break
        name, future = waiting.popleft()
        chunk.append((name, future.result()))
        size += (count := getattr(chunk[-1][1], "nbytes", 0))
        largest, known = max(largest, count), known + 1
        if len(chunk) == CHUNK or size > CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _outcome(read):
    try:
        return read()
    except ValueError as error:
        return error


def gather(sources, allow_private=False, reading=DEFAULT_READING):
    """Yields (name, read) for each image that `sources` name: paths, folders (all files below), URLs, "-" for standard input.

    read() gives the encoded image, or raises ValueError that names it. A source that is not there is yielded too, so that its
    error comes in its turn and costs the others nothing. So is what a folder has besides files: links to folders, which are not
    followed, links that lead nowhere, pipes, folders that may not be read. `allow_private` is for URLs, see `read_url`;
    `reading` is that of a Predictor.
    """
    for source in sources:
        if source == "-":
            yield "-", lambda: whole_image(_read_stdin(), "standard input", reading)
        elif re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", source):
            yield source, lambda url=source: whole_image(read_url(url, allow_private), one_line(url), reading)
        elif os.path.isdir(source):
            files = files_below(source)
            for file in files:
                yield str(file), partial(whole_image, file, reading=reading)
            if not files:
                yield source, lambda folder=source: _fail(f"{one_line(folder)} is a folder without files")
        else:
            yield source, partial(whole_image, source, reading=reading)


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
        raise ValueError(f"{name} answers with {one_line(kind.partition(';')[0])}, not with an image")
    return _bounded(data, name)


def _read_stdin():
    return _bounded(sys.stdin.buffer.read(URL_BYTES + 1), "standard input")


def _bounded(data, name):
    if len(data) > URL_BYTES:
        raise ValueError(f"{name} is larger than the {URL_BYTES / 2**20:.0f} MiB that are read")
    return data


def _fail(message):
    raise ValueError(message)
