"""Large images, brought to what a net sees of them before they wait in a pipeline of evaluation.

MindSpore holds up to 16 rows of a pipeline for each of its threads, and 16 more. Compressed photos wait there unnoticed, but one
of 12 megapixels that came as a BMP takes 36 MB, and a hundred of them the memory.
"""

import io

from mindspore.dataset import vision
from PIL import Image

from mindclf.dataset.images import as_bmp, small_image
from mindclf.dataset.memory import BYTES_A_PIXEL, DECODING

WAITING_BYTES = 2**21    # an image whose encoded bytes are more is reduced
DECODED_PIXELS = 2**24   # and one of more pixels, for each thread holds one of them decoded


class Reduced:
    """Called with an encoded image, gives one of which the `pixel_transforms` of a Preprocessing make the very same pixels.

    It is the same one, unless it is large. Then it is brought to its size by the operations of those transforms, and of its
    longer side the centre is cut out: a shape that the resizing after that leaves as it is.
    """

    def __init__(self, preprocessing):
        self.raw_size, self.size, self.side = preprocessing.raw_size, preprocessing.size, preprocessing.shorter_side
        self._decode, self._resize = vision.Decode(), vision.Resize(self.side) if self.side else None

    def __call__(self, encoded):
        pixels = _pixels_of(encoded)
        if len(encoded) <= WAITING_BYTES and pixels <= DECODED_PIXELS:
            return encoded
        if self.raw_size:
            return as_bmp(Image.fromarray(small_image(encoded, self.raw_size)))
        with DECODING.room(BYTES_A_PIXEL * pixels):
            resized = self._resize(self._decode(encoded))
        small = resized[tuple(_centre(*sides, self.side) for sides in zip(resized.shape, self.size))]
        return as_bmp(Image.fromarray(small)) if self._resize(small).shape == small.shape else encoded


def _centre(length, wanted, side):
    """The slice of a side of `length` pixels, at least `side`, of which the centre of `wanted` pixels is the same as of all."""
    kept = side if (side - wanted) % 2 == 0 else side + 1
    first = (length - kept) // 2
    return slice(first, first + kept) if kept < length else slice(None)


def _pixels_of(encoded):
    """How many pixels an encoded image has, a JPEG or a BMP; 0 for one that is too small for it to matter."""
    if len(encoded) < 2**16:
        return 0
    if encoded[:2].tobytes() == b"BM":
        return len(encoded) // 3
    with Image.open(io.BytesIO(encoded)) as image:
        return image.width * image.height
