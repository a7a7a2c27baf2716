"""Reading one picture: whatever PIL opens, as bytes that MindSpore's decoder turns into the same RGB pixels."""

import io
import os
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from mindclf.files import first_line, one_line, open_file

EXIF_ORIENTATION = 0x0112
MAX_ASPECT = 100  # bringing the shorter side to 256 pixels makes the longer one 100 times that
MAX_FILE_BYTES = 2**30  # as many pixels as are read, in the largest format, take less
PROGRAMS = ("EPS",)  # formats that Pillow has another program run

# PIL warns from MAX_IMAGE_PIXELS on and raises from twice as many; here the limit is the limit, with an error of its own.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


class RefusedError(ValueError):
    """A picture that is whole, and that is not read all the same."""


def encoded_picture(source, name="the picture"):
    """The picture in `source` as a uint8 array of encoded bytes that decode to it, upright and in RGB.

    `source` is a path, encoded bytes, a PIL image, an RGB uint8 array (H, W, 3), or what this function returned. A JPEG that
    needs no turning passes as it is: MindSpore decodes it (grey, CMYK, progressive) as PIL does. Everything else that PIL opens,
    and a JPEG that EXIF says lies on its side, becomes a BMP, because MindSpore's decoder ignores EXIF and refuses GIF, WebP and
    AVIF. Transparent parts turn white. Raises ValueError that begins with the path, or with `name`, if it cannot be read; what
    would break the line in a path is escaped.

    Training, evaluation and prediction all read pictures through this function.
    """
    if isinstance(source, np.ndarray) and source.ndim == 1:
        return source
    image, data = _opened(source, name)
    return _as_bmp(image) if data is None else np.frombuffer(data, np.uint8)


def decoded_picture(source, name="the picture"):
    """The picture in `source`, as `encoded_picture` takes it, as a PIL image with the same pixels, upright.

    A JPEG may be grey or CMYK before convert("RGB").
    """
    image, _ = _opened(source, name)
    try:
        image.load()
    except Exception as error:
        raise _damaged(source, name, error) from None
    return image


def _opened(source, name):
    """(image, data): a PIL image, and of a JPEG that passes as it is its bytes, else None; such an image is not decoded yet."""
    if isinstance(source, np.ndarray) and source.ndim != 1 and (source.dtype != np.uint8 or source.shape[2:] != (3,)):
        raise ValueError(f"{name} must be an RGB array (H, W, 3) of uint8, received {source.shape} of {source.dtype}")
    if isinstance(source, (str, Path)):
        name, source = one_line(source), _read(source)
    try:
        if isinstance(source, np.ndarray):
            if source.ndim == 3:
                return Image.fromarray(source), None
            source = source.tobytes()
        image = source if isinstance(source, Image.Image) else Image.open(io.BytesIO(source))
        _check(image, name)
        if image is not source and image.format == "JPEG" and ("exif" not in image.info
                                                               or image.getexif().get(EXIF_ORIENTATION, 1) == 1):
            return image, source
        return _upright(image), None
    except UnidentifiedImageError:
        raise ValueError(f"{name} is not a picture, or of a kind that Pillow does not know") from None
    except Image.DecompressionBombError:
        raise ValueError(f"{name} has more than {Image.MAX_IMAGE_PIXELS:,} pixels, which is not read") from None
    except RefusedError:
        raise
    except Exception as error:
        raise _damaged(source, name, error) from None


def whole_picture(source, name="the picture"):
    """What `encoded_picture` gives, after all of it was decoded once: a JPEG that breaks off raises ValueError too.

    For pictures from outside, before MindSpore's pipeline sees them: one that it cannot decode ends the whole pipeline.
    """
    encoded = encoded_picture(source, name)
    if encoded is not source:  # what came in encoded has been through here
        try:
            Image.open(io.BytesIO(encoded.tobytes())).load()
        except Exception as error:
            raise _damaged(source, name, error) from None
    return encoded


def decode_picture(source):
    """The picture in `source` as an RGB PIL image, as the nets see it before resizing. For showing it."""
    return decoded_picture(source).convert("RGB")


def small_picture(source, size):
    """The middle of the picture in `source`, uint8 (height, width, 3), brought to `size`, (height, width), by averaging.

    So does a photo become what data sets of small pictures hold; one that has this size stays as it is.
    """
    height, width = size
    return np.asarray(ImageOps.fit(decode_picture(source), (width, height), Image.Resampling.BILINEAR))


def _damaged(source, name, error):
    """What to raise for what a decoder of PIL raised: OSError, SyntaxError, struct.error and others."""
    return ValueError(f"{one_line(source) if isinstance(source, (str, Path)) else name} is damaged: {first_line(error)}")


def _check(image, name):
    """Raises for a picture that is not to be decoded; Pillow has read no more than its header."""
    width, height = image.size
    if image.format in PROGRAMS:
        raise RefusedError(f"{name} is {image.format}, which is a program and not run: save it as PNG")
    if width * height > Image.MAX_IMAGE_PIXELS:
        raise Image.DecompressionBombError
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise RefusedError(f"{name} is {width} x {height} pixels: too thin to be brought to the size of a net's input")


def _read(path):
    try:
        with open_file(path) as file:
            size = os.fstat(file.fileno()).st_size
            if size <= MAX_FILE_BYTES:
                return file.read(size)
    except OSError as error:
        raise ValueError(f"{one_line(path)} cannot be read: {error.strerror}") from None
    raise ValueError(f"{one_line(path)} is larger than the {MAX_FILE_BYTES / 2**20:,.0f} MiB that are read")


def _upright(image):
    """`image` in RGB, turned as EXIF says, transparent parts white."""
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16") or image.mode == "I":
        image = Image.fromarray((np.asarray(image, np.uint32) >> 8).astype(np.uint8))  # PIL would clip 16 bits at 255
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def _as_bmp(image):
    buffer = io.BytesIO()
    image.save(buffer, "BMP")
    return np.frombuffer(buffer.getvalue(), np.uint8)
