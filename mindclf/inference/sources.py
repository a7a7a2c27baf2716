"""Sources of images: files, folders, URLs and standard input, and reading them ahead of the net."""

from __future__ import annotations

import http.client
import logging
import os
import re
import sys
import urllib.request
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from mindclf.dataset.images import whole_image
from mindclf.dataset.layout import files_below
from mindclf.preprocessing import DEFAULT_READING, Reading
from mindclf.utils.cores import usable_cores
from mindclf.utils.files import one_line
from mindclf.utils.http import read_bytes

log = logging.getLogger(__name__)

CHUNK = 64                # images that are read while the net looks at as many others, or fewer:
CHUNK_BYTES = 256 * 2**20  # a large photo may take 36 MB
URL_SECONDS = 20
URL_BYTES = 32 * 2**20

Source = tuple[str, Callable[[], np.ndarray]]  # the name of an image, and what reads it: it gives its encoded bytes


def gather(sources: Iterable[str], allow_private: bool = False, reading: Reading = DEFAULT_READING) -> Iterator[Source]:
    """Yields (name, read) for each image that `sources` name: paths, folders (all files below), URLs, "-" for standard input.

    read() gives the encoded image, or raises ValueError that names it. A source that is not there is yielded too, so that its
    error comes in its turn and costs the others nothing. So is what a folder has besides files: links to folders, which are not
    followed, links that lead nowhere, pipes, folders that may not be read. `allow_private` is for URLs, see `read_url`;
    `reading` is that of a Preprocessing.
    """
    for source in sources:
        if source == "-":
            yield "-", lambda: whole_image(_read_stdin(), "standard input", reading)
        elif not is_url(source) and os.path.isdir(source):
            files = files_below(source)
            for file in files:
                yield str(file), partial(whole_image, file, reading=reading)
            if not files:
                yield source, partial(_fail, f"{one_line(source)} is a folder without files")
        else:
            yield source, partial(read_image, source, allow_private, reading)


def is_url(source) -> bool:
    """Whether `source` is the address of something, such as https://example.com/can.jpg."""
    return isinstance(source, str) and bool(re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", source))


def read_image(source, allow_private: bool = False, reading: Reading = DEFAULT_READING) -> np.ndarray:
    """The encoded image, uint8 (bytes,), in a source: a URL, or whatever `whole_image` takes. Raises ValueError that names it."""
    if is_url(source):
        return whole_image(read_url(source, allow_private), one_line(source), reading)
    return whole_image(source, reading=reading)


def read_url(url: str, allow_private: bool = False) -> bytes:
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


def read_ahead(sources: Iterable[Source]) -> Iterator[list[tuple[str, np.ndarray | ValueError]]]:
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


def usable(sources: Iterable[Source]) -> Iterator[tuple[list[str], list[np.ndarray]]]:
    """Yields (names, encoded images) of `sources`, a list at a time as `read_ahead` does; the log names what is left out."""
    for chunk in read_ahead(sources):
        for _, image in chunk:
            if isinstance(image, ValueError):
                log.warning("left out: %s", image)
        read = [(name, image) for name, image in chunk if not isinstance(image, ValueError)]
        if read:
            names, images = map(list, zip(*read))
            yield names, images


def _chunks(sources, pool):
    """The lists of `read_ahead`.

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


def _read_stdin():
    if sys.stdin is None:
        raise ValueError("standard input is closed: name a file, or send an image to -")
    return _bounded(sys.stdin.buffer.read(URL_BYTES + 1), "standard input")


def _bounded(data, name):
    if len(data) > URL_BYTES:
        raise ValueError(f"{name} is larger than the {URL_BYTES / 2**20:.0f} MiB that are read")
    return data


def _fail(message):
    raise ValueError(message)
