"""Reading one image: whatever PIL opens, as bytes that MindSpore's decoder turns into the same RGB pixels."""

import contextlib
import functools
import io
import logging
import os
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageMode, ImageOps, UnidentifiedImageError

from mindclf.dataset import ranges
from mindclf.dataset.kinds import is_heif, is_raw_photo, what_it_is
from mindclf.dataset.memory import BYTES_A_PIXEL, DECODING, give_back
from mindclf.preprocessing import DEFAULT_READING
from mindclf.utils.extras import require
from mindclf.utils.files import first_line, one_line, open_file

log = logging.getLogger(__name__)

EXIF_ORIENTATION = 0x0112
TURNS = {  # by EXIF's orientation: how an image that was stored so is turned upright
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_90}
METADATA = {"exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif"}  # where Pillow looks for the orientation
HUFFMAN_FRAMES = (0xC0, 0xC1, 0xC2)  # of a JPEG: baseline, extended, progressive; MindSpore reads no arithmetic coding
MAX_ASPECT = 100  # bringing the shorter side to 256 pixels makes the longer one 100 times that
MAX_FILE_BYTES = 2**30  # as many pixels as are read, in the largest format, take less
PROGRAMS = ("EPS",)  # formats that Pillow has another program run

# PIL warns from MAX_IMAGE_PIXELS on and raises from twice as many; here the limit is the limit, with an error of its own.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


class RefusedError(ValueError):
    """An image that is whole, and that is not read all the same."""


@dataclass(frozen=True)
class Facts:
    """What is known of an image that was decoded once.

    `size` is (width, height), upright; `format` and `mode` are Pillow's names. `kinds` has those that hold of "grey" (one channel
    of colour), "transparent", "turned" (EXIF says that it does not stand upright in its file), "broken EXIF" (nothing in it says
    how it stands: it is used as it lies), "one colour" and "constant channel" (of several channels one has one value, not all).
    `range` is the `Range` of its values, of more than 8 bits, else None.
    """

    size: tuple
    format: str
    mode: str
    kinds: tuple
    range: ranges.Range | None


def encoded_image(source, name="the image", reading=DEFAULT_READING):
    """The image in `source` as a uint8 array of encoded bytes that decode to it, upright and in RGB.

    `source` is a path, encoded bytes, a PIL image, an RGB uint8 array (H, W, 3), or what this function returned. A grey or RGB
    JPEG that needs no turning passes as it is: MindSpore decodes it, progressive or not, as PIL does. Everything else that PIL
    opens becomes a BMP: a CMYK JPEG, which MindSpore may show inverted, one that EXIF says lies on its side, because MindSpore's
    decoder ignores EXIF, and GIF, WebP and AVIF, which it refuses. Transparent parts turn white; more than 8 bits become 8 as
    `reading` says. Raises ValueError that begins with the path, or with `name`, if it cannot be read; what would break the line
    in a path is escaped.

    Training, evaluation and prediction all read images through this file.
    """
    if _is_encoded(source):
        return source
    with opened_image(source, name, reading) as image:
        return image.encoded()


def whole_image(source, name="the image", reading=DEFAULT_READING):
    """What `encoded_image` gives, after all of it was decoded once: a JPEG that breaks off raises ValueError too.

    For images from outside, before MindSpore's pipeline sees them: one that it cannot decode ends the whole pipeline. What is
    odd about an image that is used, such as values that are all dark for the net, is logged.
    """
    if _is_encoded(source):  # what came in encoded has been through here
        return source
    with opened_image(source, name, reading) as image:
        encoded = image.whole()
        for remark in image.remarks:
            log.warning("%s is an image %s", image.name, remark)
        return encoded


def decode_image(source, reading=DEFAULT_READING):
    """The image in `source` as an RGB PIL image, as the nets see it before resizing. For showing it."""
    with opened_image(source, reading=reading) as image:
        return image.decoded().convert("RGB")


def small_image(source, size):
    """The middle of the image in `source`, uint8 (height, width, 3), brought to `size`, (height, width), by averaging.

    So does a photo become what data sets of small images hold; one that has this size stays as it is.
    """
    height, width = size
    with opened_image(source) as image:
        return np.asarray(ImageOps.fit(image.decoded().convert("RGB"), (width, height), Image.Resampling.BILINEAR))


def check_image(source, reading=DEFAULT_READING):
    """The `Facts` of an image, all of which is decoded. Raises ValueError as `whole_image` does.

    An image of more than 8 bits passes whatever its values: over many such images their range tells what is white.
    """
    with opened_image(source, reading=reading) as image:
        return image.facts()


@contextlib.contextmanager
def opened_image(source, name="the image", reading=DEFAULT_READING):
    """Gives the image in `source` as a `OpenedImage`, and room for its pixels during the block: see mindclf.dataset.memory.

    A block must not open another one.
    """
    image = OpenedImage(source, name, reading)
    needed = BYTES_A_PIXEL * image.pixels
    with DECODING.room(needed):
        try:
            yield image
        finally:
            image.forget()
            give_back(needed)


class OpenedImage:
    """An image whose header was read: what `opened_image` gives. `remarks` are, once it is decoded, those of `remarks_of`."""

    def __init__(self, source, name, reading):
        self.reading, self.remarks = reading, ()
        self.name = one_line(source) if isinstance(source, (str, Path)) else name
        if isinstance(source, np.ndarray) and source.ndim != 1 and (source.dtype != np.uint8 or source.shape[2:] != (3,)):
            raise ValueError(f"{self.name} must be an RGB array (H, W, 3) of uint8, received {source.shape} of {source.dtype}")
        if isinstance(source, (str, Path)):
            source = _read(source)
        with self._errors():
            if isinstance(source, np.ndarray):
                source = Image.fromarray(source) if source.ndim == 3 else source.tobytes()
            self._data = None if isinstance(source, Image.Image) else source
            self._image = source if self._data is None else self._open(source)
            self._check()
            self._lost_bits = ranges.has_16_bits_a_colour(self._image)
            if self._data is not None and hasattr(self._image, "tag_v2"):
                _ = self._orientation  # loading a TIFF closes what it is read from
                self._image.load_end = lambda: None  # Pillow would turn it, for which it reads all of its EXIF, broken or not
        self.pixels = self._image.width * self._image.height

    def encoded(self):
        """A uint8 array of encoded bytes: of a JPEG that needs no change its own."""
        return np.frombuffer(self._data, np.uint8) if self._passes() else as_bmp(self.decoded())

    def whole(self):
        """As `encoded`, after all of it was decoded."""
        self.decoded()
        return self.encoded()

    def decoded(self):
        """A PIL image with its pixels, upright: RGB, or grey as a grey JPEG is."""
        with self._errors():
            self._image.load()
            return self._upright

    def forget(self):
        """Lets go of its pixels."""
        self._image = self._data = None
        self.__dict__.pop("_upright", None)

    def facts(self):
        """Its `Facts`."""
        with self._errors():
            image, mode = self._image, self._image.mode
            image.load()
            found = ranges.range_of(image) if ranges.is_deep(image) else None
            upright = self._turned() if found else self.decoded()
            extrema = [(found.least, found.largest)] if found else upright.getextrema()
            constant = [least == largest for least, largest in (extrema if isinstance(extrema[0], tuple) else [extrema])]
            orientation, is_broken = self._orientation
            kinds = {"grey": ImageMode.getmode(mode).basemode == "L", "transparent": image.has_transparency_data,
                     "turned": orientation > 1, "broken EXIF": is_broken, "one colour": all(constant),
                     "constant channel": any(constant) and not all(constant)}
            return Facts(upright.size, image.format, mode, tuple(name for name, holds in kinds.items() if holds), found)

    def _open(self, data):
        """A PIL image of encoded bytes, of which no more than the header is read."""
        if Image.MAX_IMAGE_PIXELS is not None:  # beyond twice this Pillow itself refuses, before anything can be asked
            Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS, self.reading.max_pixels)
        try:
            return Image.open(io.BytesIO(data))
        except UnidentifiedImageError:
            if not is_heif(data):
                raise
        _register_heif(self.name)
        return Image.open(io.BytesIO(data))

    def _check(self):
        """Raises for an image that is not to be decoded."""
        (width, height), name = self._image.size, self.name
        if self._image.format in PROGRAMS:
            raise RefusedError(f"{name} is {self._image.format}, which is a program and not run: save it as PNG")
        if width * height > self.reading.max_pixels:
            raise Image.DecompressionBombError
        if max(width, height) > MAX_ASPECT * min(width, height):
            raise RefusedError(f"{name} is {width} x {height} pixels: too thin to be brought to the size of a net's input")
        if is_raw_photo(self._image):
            raise RefusedError(f"{name} is a camera's raw file, of which Pillow reads the preview: develop it, to JPEG or PNG")

    def _passes(self):
        """Whether it is a JPEG that MindSpore's decoder shows as Pillow does. It inverts CMYK where Adobe's marker is missing."""
        image = self._image
        return (self._data is not None and image.format == "JPEG" and image.mode in ("L", "RGB") and self._orientation[0] == 1
                and _frame_marker(self._data) in HUFFMAN_FRAMES)

    @functools.cached_property
    def _orientation(self):
        """(orientation of EXIF, 1 to 8, 1 if it is not told; whether it is not told because what should tell it is broken)."""
        if not (METADATA & self._image.info.keys() or hasattr(self._image, "tag_v2")):
            return 1, False
        try:
            if "exif" in self._image.info:
                Image.Exif().load(self._image.info["exif"])  # once more: what opened a JPEG has seen no error, nor do we after it
            value = self._image.getexif().get(EXIF_ORIENTATION, 1)
            return (int(value), False) if value in range(1, 9) else (1, True)
        except Exception:  # SyntaxError, struct.error, ValueError ...: Pillow raises what its parser runs into
            return 1, True

    @functools.cached_property
    def _upright(self):
        return self._image if self._passes() else self._in_rgb(self._turned())

    def _turned(self):
        """Its image, decoded, turned upright."""
        orientation, _ = self._orientation
        return self._image if orientation == 1 else self._image.transpose(TURNS[orientation])

    def _in_rgb(self, image):
        """`image` in RGB and 8 bits, transparent parts white."""
        if ranges.is_deep(image):
            found, white = ranges.range_of(image), self.reading.white
            if problem := ranges.problem_of(found, white):
                raise RefusedError(f"{self.name} {problem}")
            self.remarks = ranges.remarks_of(found, white)
            image = Image.fromarray(ranges.in_8_bits(np.asarray(image), white or ranges.white_by_file(found)))
        elif self._lost_bits and max(np.ravel(image.getextrema())) < ranges.LEAST_HIGH_BYTE:
            raise RefusedError(f"{self.name} has 16 bits a colour and uses the lower ones alone, and Pillow reads the upper 8: "
                               f"save it with 8 bits")
        if image.has_transparency_data:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        return image if image.mode == "RGB" else image.convert("RGB")

    @contextlib.contextmanager
    def _errors(self):
        """Turns what Pillow raises inside the block into a ValueError that begins with the name."""
        try:
            yield
        except RefusedError:
            raise
        except UnidentifiedImageError:
            kind = what_it_is(self._data or b"")
            raise ValueError(f"{self.name} is not an image"
                             + (f" but {kind}" if kind else ", or of a kind that Pillow does not know")) from None
        except Image.DecompressionBombError:
            raise RefusedError(f"{self.name} has more than {self.reading.max_pixels:,} pixels, which is not read: for a photo of "
                               f"your own raise the field max_pixels, or --max-pixels") from None
        except MemoryError:
            raise RefusedError(f"{self.name} needs more memory than there is to be decoded") from None
        except Exception as error:  # OSError, SyntaxError, struct.error and others
            raise ValueError(f"{self.name} is damaged: {first_line(error)}") from None


def _frame_marker(jpeg):
    """The marker of a JPEG's frame, which says how it is coded: 0xC0 to 0xCF. None if there is no frame."""
    position = 2
    while position + 4 <= len(jpeg) and jpeg[position] == 0xFF:
        marker = jpeg[position + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return marker
        position += 1 if marker == 0xFF else 2 + int.from_bytes(jpeg[position + 2:position + 4], "big")  # 0xFF fills up
    return None


def _register_heif(name):
    """Has Pillow open HEIC. Raises RefusedError about the file `name` where the package for it is missing or broken."""
    try:
        require("pillow_heif", f"{name} is HEIC, which Pillow reads with pillow-heif",
                "pip install pillow-heif, mindclf's extra heif").register_heif_opener()
    except ValueError as error:
        raise RefusedError(str(error)) from None


def _is_encoded(source):
    return isinstance(source, np.ndarray) and source.ndim == 1


def _read(path):
    try:
        with open_file(path) as file:
            size = os.fstat(file.fileno()).st_size
            if size <= MAX_FILE_BYTES:
                return file.read(size)
    except OSError as error:
        raise ValueError(f"{one_line(path)} cannot be read: {error.strerror}") from None
    raise ValueError(f"{one_line(path)} is larger than the {MAX_FILE_BYTES / 2**20:,.0f} MiB that are read")


def as_bmp(image):
    buffer = io.BytesIO()
    image.save(buffer, "BMP")
    return np.frombuffer(buffer.getbuffer(), np.uint8)
