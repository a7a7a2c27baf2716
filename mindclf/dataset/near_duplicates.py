"""Images that show the same: byte for byte, or nearly so, as a photo that was saved again, resized or made darker."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image

from mindclf.dataset.folder import ImageSet
from mindclf.dataset.images import decode_image
from mindclf.utils.cores import usable_cores

SIDE = 8
MOST_BITS = 4    # of 64 in which the hashes of near-duplicates differ
MOST_COLOUR = 8  # of 255: the mean difference of their thumbnails
MOST_LEFT = 0.02  # of the variance of a thumbnail over its pixels: what no change of brightness and contrast explains


def content_groups(images: ImageSet) -> np.ndarray:
    """The group of each of `images` (n,), numbers from 0 in the order of their first images: those of one show the same.

    Two images do that if their files are the same byte for byte, or if their 64-bit difference hashes (Krawetz, 2013: whether
    each of 8 x 8 grey pixels is darker than its right neighbour) differ in at most MOST_BITS, and their thumbnails of 8 x 8
    pixels in RGB are alike, for the hash knows no colours: they differ by at most MOST_COLOUR on average, of 255, or after a
    change of brightness and contrast, one for all channels, by at most MOST_LEFT of their variance. A group also has what
    resembles one of its images, so that series chain. A grey object on white passes for a paler copy of a black one of its
    shape. Every image is decoded once.
    """
    with ThreadPoolExecutor(usable_cores()) as pool:
        looks = list(pool.map(lambda source: _look(decode_image(source, images.reading)), images.paths))
    hashes, thumbnails = (np.array(values) for values in zip(*looks))
    first = {}
    copies = [(first.setdefault(digest, index), index) for index, digest in enumerate(images.digests())]
    return _components(len(images), [*copies, *_near(hashes, thumbnails)])


def _look(image):
    """(difference hash, uint8 (64,) of 0 and 1; thumbnail, float32 (192,)) of a PIL image in RGB."""
    grey = np.asarray(image.convert("L").resize((SIDE + 1, SIDE), Image.Resampling.BILINEAR), int)
    thumbnail = np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BILINEAR), np.float32)
    return (grey[:, 1:] > grey[:, :-1]).ravel().astype(np.uint8), thumbnail.ravel()


def _near(hashes: np.ndarray, thumbnails: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yields pairs of near-duplicates by their hashes (n, 64) and thumbnails (n, 192).

    Of MOST_BITS + 1 parts of two hashes that differ in MOST_BITS one at least is the same: only images that share a part are
    compared.
    """
    alike = _Alike(thumbnails)
    for columns in np.array_split(np.arange(hashes.shape[1]), MOST_BITS + 1):
        _, part = np.unique(hashes[:, columns], axis=0, return_inverse=True)
        order = np.argsort(part.ravel(), kind="stable")
        for members in np.split(order, np.flatnonzero(np.diff(part.ravel()[order])) + 1):
            for place, index in enumerate(members[:-1]):
                others = members[place + 1:]
                others = others[(hashes[others] != hashes[index]).sum(1) <= MOST_BITS]
                yield from ((index, other) for other in others[alike(index, others)])


class _Alike:
    """Whether thumbnails (n, 192) have the same colours, or would after a change of brightness and contrast.

    Such a change is one gain, not negative, and one offset for all channels. What it leaves of one thumbnail when it brings the
    other to it is a fraction of its variance over the pixels; the larger fraction counts, of either thumbnail. An image of one
    colour has no such variance, and is like those of its colour alone.
    """

    def __init__(self, thumbnails):
        self.thumbnails = thumbnails
        centred = thumbnails - thumbnails.mean(1, keepdims=True)
        over_all, over_pixels = centred.var(1), centred.reshape(len(centred), -1, 3).var(1).mean(1)
        varies = over_pixels > 0
        self.unit = centred * (varies / np.sqrt(np.where(varies, over_all * centred.shape[1], 1)))[:, None].astype(centred.dtype)
        self.ratio = np.divide(over_all, over_pixels, out=np.full(len(centred), np.inf, centred.dtype), where=varies)

    def __call__(self, index, others):
        """Whether each of the thumbnails `others`, numbers, is like the one of number `index`."""
        alike = np.abs(self.thumbnails[others] - self.thumbnails[index]).mean(1) <= MOST_COLOUR
        alike[~alike] = self.left(index, others[~alike]) <= MOST_LEFT
        return alike

    def left(self, index, others):
        """The larger fraction of each of `others` with `index`."""
        correlation = np.maximum(self.unit[others] @ self.unit[index], 0)
        return (1 - np.minimum(correlation, 1)**2) * np.maximum(self.ratio[index], self.ratio[others])


def _components(count, pairs):
    """The connected component of each of `count` things, of which `pairs` are connected; numbered by their first ones."""
    parent = list(range(count))

    def root(index):
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    for one, other in pairs:
        low, high = sorted((root(one), root(other)))
        parent[high] = low
    return np.unique([root(index) for index in range(count)], return_inverse=True)[1]
