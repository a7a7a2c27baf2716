"""Reading one picture: whatever PIL opens, as bytes that MindSpore's decoder turns into the same RGB pixels."""

import io
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

EXIF_ORIENTATION = 0x0112


def encoded_picture(source, name="the picture"):
    """The picture in `source` as a uint8 array of encoded bytes that decode to it, upright and in RGB.

    `source` is a path, encoded bytes, a PIL image, an RGB uint8 array (H, W, 3), or what this function returned. A JPEG that
    needs no turning passes as it is: MindSpore decodes it (grey, CMYK, progressive) as PIL does. Everything else that PIL opens,
    and a JPEG that EXIF says lies on its side, becomes a BMP, because MindSpore's decoder ignores EXIF and refuses GIF, WebP and
    AVIF. Transparent parts turn white. Raises ValueError that begins with the path, or with `name`, if it cannot be read.

    Training, evaluation and prediction all read pictures through this function.
    """
    if isinstance(source, np.ndarray):
        return source if source.ndim == 1 else _as_bmp(Image.fromarray(source, "RGB"))
    if isinstance(source, Image.Image):
        return _as_bmp(source)
    name, data = (name, source) if isinstance(source, bytes) else (source, _read(source))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data))
            if image.format == "JPEG" and image.getexif().get(EXIF_ORIENTATION, 1) == 1:
                return np.frombuffer(data, np.uint8)
            return _as_bmp(image)
    except UnidentifiedImageError:
        raise ValueError(f"{name} is not a picture, or of a kind that Pillow does not know") from None
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise ValueError(f"{name} has more than {Image.MAX_IMAGE_PIXELS:,} pixels, which is not read") from None
    except Exception as error:  # a damaged file makes PIL's decoders raise OSError, SyntaxError, struct.error and others
        raise ValueError(f"{name} is damaged: {error}") from None


def check_picture(path):
    """Raises ValueError if the picture at `path` cannot be decoded whole."""
    data = encoded_picture(path)
    try:
        with Image.open(io.BytesIO(data.tobytes())) as image:
            image.load()
    except Exception as error:
        raise ValueError(f"{path} is damaged: {error}") from None


def decode_picture(source):
    """The picture in `source` as an RGB PIL image, as the nets see it before resizing. For showing it."""
    return Image.open(io.BytesIO(encoded_picture(source).tobytes())).convert("RGB")


def _read(path):
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None


def _as_bmp(image):
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16") or image.mode == "I":
        image = Image.fromarray((np.asarray(image, np.uint32) >> 8).astype(np.uint8))  # PIL would clip 16 bits at 255
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "BMP")
    return np.frombuffer(buffer.getvalue(), np.uint8)
