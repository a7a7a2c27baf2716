"""Preprocessing without MindSpore, for files that ONNX Runtime runs: Pillow decodes, NumPy does the rest.

The pixels are the very ones of the pipelines in mindclf.dataset.pipeline, and so are the normalised numbers. Importing MindSpore
takes longer than all else that the prediction of an image needs.
"""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from mindclf.dataset.images import opened_image, small_image
from mindclf.utils.cores import usable_cores

WEIGHT_BITS = 11  # of the weights of neighbouring pixels, integers that sum up to 2048


class PixelBatches:
    """The batches of `eval_pipeline`, or with normalised=False of `pixel_pipeline`, of an `ImageSet` of files or encoded images.

    It has those methods of MindSpore's Dataset by which `run_batches` takes batches.
    """

    def __init__(self, images, preprocessing, batch_size, normalised):
        self.images, self.preprocessing, self.batch_size, self.normalised = images, preprocessing, batch_size, normalised

    def get_batch_size(self):
        return self.batch_size

    def get_dataset_size(self):
        return -(-len(self.images) // self.batch_size)

    def create_tuple_iterator(self, num_epochs=1, output_numpy=True):
        """Yields (images, labels): uint8 (batch, height, width, 3) or float32 (batch, 3, height, width), and int32 (batch,)."""
        read = partial(read_pixels, preprocessing=self.preprocessing, reading=self.images.reading)
        with ThreadPoolExecutor(usable_cores()) as pool:
            for start in range(0, len(self.images), self.batch_size):
                chosen = slice(start, start + self.batch_size)
                pixels = np.stack(list(pool.map(read, self.images.paths[chosen])))
                labels = np.asarray(self.images.labels[chosen], np.int32)
                yield normalise(pixels, self.preprocessing) if self.normalised else pixels, labels


def read_pixels(source, preprocessing, reading):
    """What `pixel_transforms` make of the image in `source`, whatever `opened_image` takes: uint8 (*size, 3)."""
    if preprocessing.raw_size:
        pixels = small_image(source, preprocessing.raw_size)
    else:
        with opened_image(source, reading=reading) as image:
            pixels = np.asarray(image.decoded().convert("RGB"))
    return resize(pixels, preprocessing.shorter_side, preprocessing.size) if preprocessing.shorter_side else pixels


def normalise(pixels, preprocessing):
    """Pixels (N, height, width, 3) minus the mean, by the standard deviation: float32 (N, 3, height, width)."""
    mean, std = (np.array(values, np.float32) for values in (preprocessing.mean, preprocessing.std))
    return np.ascontiguousarray(((pixels.astype(np.float32) - mean) / std).transpose(0, 3, 1, 2))


def resize(pixels, side, size=None):
    """Pixels, uint8 (H, W, 3), with a shorter side of `side`, to the last bit as MindSpore's vision.Resize(side) makes them.

    Of these the central crop of `size`, or all by default. It interpolates as OpenCV does with INTER_LINEAR: along rows
    first, with weights of 11 bits; of that sum it drops 4 bits, and of each term of the sum along columns 16.
    """
    shorter = min(pixels.shape[:2])
    resized = [side * length // shorter for length in pixels.shape[:2]]
    shown = resized if size is None else size
    (above, below, weight_above, weight_below), (left, right, weight_left, weight_right) = map(
        _neighbours, pixels.shape, resized, shown)
    rows, places = np.unique([above, below], return_inverse=True)
    values = pixels.take(rows, 0).astype(np.int32)
    across = values.take(left, 1) * weight_left[:, None]
    across += values.take(right, 1) * weight_right[:, None]
    across >>= 4
    down, second = (across.take(taken, 0) * weight[:, None, None]
                    for taken, weight in zip(places.reshape(2, -1), (weight_above, weight_below)))
    down >>= 16
    second >>= 16
    down += second
    return (down + 2 >> 2).astype(np.uint8)


def _neighbours(length, outputs, shown):
    """For the central `shown` of `outputs` values along `length` pixels: the two pixels around each, and their weights."""
    first_shown = (outputs - shown) // 2
    middle = ((np.arange(first_shown, first_shown + shown) + 0.5) * (1 / (outputs / length)) - 0.5).astype(np.float32)
    first = np.floor(middle)
    weights = [np.rint(share * np.float32(1 << WEIGHT_BITS)).astype(np.int32) for share in (1 - (middle - first), middle - first)]
    return *(np.clip(first + step, 0, length - 1).astype(np.int64) for step in (0, 1)), *weights
