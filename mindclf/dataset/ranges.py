"""Images of more than 8 bits: which of their values is white, and how they become 8 bits.

Such a file has 16-bit or 32-bit integers, or floats (PNG, TIFF, PFM ...), and mostly does not say which value is white: cameras
and scanners store 10, 12 or 14 bits in 16, programs floats from 0 to 1. One rule holds for all images of a net. Training finds
the white value over its training images (`white_of`), the net's card keeps it as `white`, and evaluation and prediction take it
from there. Where no card has one, the rule goes by the file alone (`white_by_file`). A file that the rule does not fit is refused
by name; none is stretched by its own darkest and brightest pixel, which would give one brightness another meaning in each image.

Single pixels do not decide what is white: sensors have hot ones, and programs mark missing ones with 65535. Of each image its
brightest pixels are left aside, one in FEW and one at least, and so is what exceeds 1 by less than OVERSHOOT in floats, as the
sharpening of a resize makes it. All of these become white. What has contrast and would have none in 8 bits is refused.

Images of 8 bits are taken as they are, whatever `white` says.
"""

from dataclasses import dataclass

import numpy as np

WHITES = (1, 255, 1023, 4095, 16383, 65535)  # floats from 0 to 1, and integers (or floats) of 8, 10, 12, 14 and 16 bits
FULL = 65535
LEAST_OF_FULL = 2**14   # an image of 16 bits without a value from here on may just as well have 14, 12 or 10
LEAST_HIGH_BYTE = LEAST_OF_FULL >> 8
FEW = 10_000
OVERSHOOT = 0.1
LEAST_STD = 1           # of 255: an image of less is one colour to the eye and the net
LEAST_CONTRAST = 0.05   # of an image's largest value: less is no contrast of its own
SAMPLED = 2**20         # pixels, of which the standard deviation is taken
ADVICE = "save it with 8 bits, or name the value that is white with the field white, or --white"


@dataclass(frozen=True)
class Range:
    """The values of an image of more than 8 bits, of which some are NaN or infinite if its `largest` is.

    `least`, and `largest` but for its brightest pixels, one in FEW; whether they are floats; `brightest`, the largest of all; and
    `std`, their standard deviation. None stands for `largest`, and for a std that is not known.
    """

    least: float
    largest: float
    is_float: bool
    brightest: float | None = None
    std: float | None = None


def is_deep(image):
    """Whether a PIL image has values of more than 8 bits, in one channel. Of colours Pillow keeps the upper 8 of 16 bits."""
    return image.mode in ("I", "F") or image.mode.startswith("I;16")


def has_16_bits_a_colour(image):
    """Whether a PIL image that is not loaded yet comes from 16 bits a channel, of which Pillow gives the upper 8."""
    words = (word for tile in image.tile for word in np.atleast_1d(np.array(tile[3], dtype=object)) if isinstance(word, str)) \
        if getattr(image, "tile", None) else ()
    return any(";16" in word and word.startswith(("L", "RGB", "CMYK")) for word in words)


def range_of(image):
    """The `Range` of a PIL image for which `is_deep`."""
    values = np.asarray(image).ravel()
    least, brightest, is_float = values.min().item(), values.max().item(), values.dtype.kind == "f"
    few = max(1, len(values) // FEW)
    if not (np.isfinite(least) and np.isfinite(brightest)) or len(values) <= few:
        return Range(least, brightest, is_float)
    largest = np.partition(values, -1 - few)[-1 - few].item()
    sample = np.minimum(values[::1 + len(values) // SAMPLED], largest)
    return Range(least, largest, is_float, brightest, sample.std(dtype=np.float64).item())


def white_of(ranges):
    """The white value of images with these `ranges`: the least of WHITES that no `largest` exceeds. None for none that fits.

    1 is for floats alone, and what lies outside 0 to 65,535 does not count: `problem_of` refuses it.
    """
    usable = [entry for entry in ranges if entry.least >= 0 and entry.largest <= FULL]
    if not usable:
        return None
    least = 0 if all(entry.is_float for entry in usable) else 1
    return next(white for white in WHITES[least:] if max(entry.largest for entry in usable) <= _highest(white))


def white_by_file(found):
    """The white value of an image whose `Range` is `found`, where nothing else is known: None if the file does not tell it."""
    if found.is_float:
        return 1 if found.largest <= _highest(1) else None
    return FULL if LEAST_OF_FULL <= found.largest <= FULL else None


def problem_of(found, white=None):
    """Why an image whose `Range` is `found` is refused, to follow its name; "" if it is used. `white` is that of the net."""
    values = f"values from {found.least:,.6g} to {found.largest:,.6g}"
    if not (np.isfinite(found.least) and np.isfinite(found.largest)) or found.least < 0:
        return f"has {values}, and 0 is black: save it with 8 bits"
    if white is None:
        white = white_by_file(found)
        if white is None:
            return f"has {values}, which do not tell what is white: {ADVICE}"
    if found.largest > (_highest(white) if found.is_float else white):
        return f"has {values}, more than white={white:,g} of the images that were trained on: {ADVICE}"
    if 0 < found.largest < white / 256:
        return f"has {values}, all of them black where white={white:,g} as in the images that were trained on: {ADVICE}"
    if found.std is not None and found.std * 255 / white < LEAST_STD and found.std > LEAST_CONTRAST * found.largest:
        return f"has {values}, all of nearly one colour where white={white:,g}: {ADVICE}"
    return ""


def remarks_of(found, white):
    """What is odd about an image whose `Range` is `found` and that is used: texts that follow "an image" or "3 images".

    `white` is that of the net. None, where the image's own file told it, says nothing.
    """
    remarks = []
    if white and found.largest < white / 4:
        remarks.append(f"without a value of a quarter of white={white:,g}: perhaps with fewer bits than the images trained on")
    if white and found.brightest is not None and found.brightest > white:
        remarks.append(f"with a few values above white={white:,g}, which become white")
    return tuple(remarks)


def _highest(white):
    """The largest value that counts as white."""
    return white + OVERSHOOT if white == 1 else white


def in_8_bits(values, white):
    """`values` as uint8, 0 to 255: integers rounded down, which of 16 bits keeps the upper 8; floats rounded.

    `white` and what is above becomes 255.
    """
    if values.dtype.kind == "f":
        return np.rint(np.minimum(values, white) * (255 / white)).astype(np.uint8)
    if white == FULL:
        return (np.minimum(values, FULL) >> 8).astype(np.uint8)
    return (np.minimum(values.astype(np.int64), int(white)) * 256 // (int(white) + 1)).astype(np.uint8)
