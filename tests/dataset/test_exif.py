"""Broken metadata beside whole pixels: the image is used as it lies, the same in training and prediction, and counted."""

import io
import struct

import numpy as np
import pytest
from mindspore.dataset import vision
from PIL import Image, PngImagePlugin

from mindclf.dataset import decode_image, encoded_image, read_folder, whole_image
from mindclf.dataset.images import check_image, opened_image
from mindclf.dataset.statistics import folder_statistics

ORIENTATION = 0x0112
SHORT, LONG, RATIONAL, SRATIONAL, ASCII, BYTE, UNDEFINED = 3, 4, 5, 10, 2, 1, 7


@pytest.fixture(scope="module")
def quarters():
    """Red and green above blue and white, 32 x 16 pixels: upright, and as EXIF 6 stores it."""
    upright = np.zeros((16, 32, 3), np.uint8)
    upright[:8, :16], upright[:8, 16:], upright[8:, :16], upright[8:, 16:] = (200, 0, 0), (0, 200, 0), (0, 0, 200), 255
    return upright


def entry(tag, kind, count, value):
    return struct.pack("<HHI", tag, kind, count) + value.ljust(4, b"\0")[:4]


def exif(*entries, beginning=b"II*\0\x08\0\0\0", following=0, data=b"", count=None):
    """EXIF of one directory: `data` follows it, from byte 14 + 12 per entry on."""
    directory = struct.pack("<H", len(entries) if count is None else count) + b"".join(entries) + struct.pack("<I", following)
    return b"Exif\0\0" + beginning + directory + data


def orientation(value, kind=SHORT):
    return entry(ORIENTATION, kind, 1, struct.pack("<H", value))


BROKEN = {  # EXIF that does not say how the image lies
    "cut in its head": exif(orientation(6))[:11],
    "another byte order": exif(orientation(6), beginning=b"XX*\0\x08\0\0\0"),
    "0": exif(orientation(0)), "9": exif(orientation(9)), "65535": exif(orientation(65535)),
    "a text": exif(entry(ORIENTATION, ASCII, 2, b"6")), "undefined bytes": exif(entry(ORIENTATION, UNDEFINED, 1, b"\6")),
    "a byte": exif(entry(ORIENTATION, BYTE, 1, b"\6")),
    "a fraction by 0": exif(entry(ORIENTATION, RATIONAL, 1, struct.pack("<I", 26)), data=struct.pack("<II", 6, 0)),
    "-1 by 0": exif(entry(ORIENTATION, SRATIONAL, 1, struct.pack("<I", 26)), data=struct.pack("<ii", -1, 0)),
}
LOST = {  # EXIF without an orientation, as Pillow reads it
    "empty": b"", "nothing but its name": b"Exif\0\0",
    "a number far outside": exif(entry(ORIENTATION, RATIONAL, 1, struct.pack("<I", 2**31))),
    "very many numbers": exif(entry(ORIENTATION, LONG, 2**32 - 1, struct.pack("<I", 26))),
    "no end": exif(orientation(6), count=2**16 - 1)[:-12],
}
WHOLE = {  # what is broken beside it, or how it is written, leaves an orientation of 6
    "plain": exif(orientation(6)), "a long number": exif(entry(ORIENTATION, LONG, 1, struct.pack("<I", 6))),
    "two numbers": exif(entry(ORIENTATION, SHORT, 2, struct.pack("<HH", 6, 6))),
    "a fraction": exif(entry(ORIENTATION, RATIONAL, 1, struct.pack("<I", 26)), data=struct.pack("<II", 6, 1)),
    "a directory that follows itself": exif(orientation(6), following=8),
    "an EXIF directory that is its parent": exif(orientation(6), entry(0x8769, LONG, 1, struct.pack("<I", 8))),
    "a GPS directory far outside": exif(orientation(6), entry(0x8825, LONG, 1, struct.pack("<I", 2**32 - 1))),
    "a tag of a kind that is none": exif(orientation(6), entry(0x9000, 99, 1, b"")),
    "another tag of -1 by 0": exif(orientation(6), entry(0x9204, SRATIONAL, 1, struct.pack("<I", 38)),
                                   data=struct.pack("<ii", -1, 0)),
}


def stored(pixels, kind, metadata):
    """The image `pixels` in a file with `metadata` for EXIF, put there as it is."""
    image, buffer = Image.fromarray(np.ascontiguousarray(pixels)), io.BytesIO()
    if kind == "JPEG":
        image.save(buffer, kind, quality=95, subsampling=0)
        data = buffer.getvalue()
        return data[:2] + b"\xff\xe1" + struct.pack(">H", len(metadata) + 2) + metadata + data[2:]
    if kind == "PNG, as text":
        text = PngImagePlugin.PngInfo()
        text.add_text("Raw profile type exif", f"\nexif\n{len(metadata):8}\n{metadata.hex()}\n")
        image.save(buffer, "PNG", pnginfo=text)
    else:
        image.save(buffer, kind, exif=metadata, **(dict(lossless=True) if kind == "WEBP" else {}))
    return buffer.getvalue()


def seen(data):
    """(pixels, what is known): the pixels that evaluation, training and showing have, all the same."""
    evaluated = vision.Decode()(whole_image(data))
    with opened_image(data) as image:
        trained = np.asarray(image.decoded().convert("RGB"))
    assert np.array_equal(evaluated, vision.Decode()(encoded_image(data)))
    assert np.array_equal(trained, np.asarray(decode_image(data)))
    assert evaluated.shape == trained.shape and np.abs(evaluated.astype(int) - trained).max() <= 3
    return trained, check_image(data).kinds


def assert_shows(pixels, expected):
    assert pixels.shape == expected.shape and np.abs(pixels.astype(int) - expected).max() <= 12  # JPEG


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "PNG, as text", "WEBP"])
@pytest.mark.parametrize("name", BROKEN)
def test_an_image_whose_exif_is_broken_is_used_as_it_lies(quarters, kind, name):
    pixels, kinds = seen(stored(quarters, kind, BROKEN[name]))
    assert_shows(pixels, quarters)
    assert "broken EXIF" in kinds and "turned" not in kinds


@pytest.mark.filterwarnings("ignore:.*:UserWarning")
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "PNG, as text", "WEBP"])
@pytest.mark.parametrize("name", LOST)
def test_an_image_whose_orientation_is_lost_is_used_as_it_lies(quarters, kind, name):
    pixels, kinds = seen(stored(quarters, kind, LOST[name]))
    assert_shows(pixels, quarters)
    assert "turned" not in kinds


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "PNG, as text", "WEBP"])
@pytest.mark.parametrize("name", WHOLE)
def test_what_is_broken_beside_the_orientation_does_not_matter(quarters, kind, name):
    pixels, kinds = seen(stored(np.rot90(quarters, 1), kind, WHOLE[name]))
    assert_shows(pixels, quarters)
    assert "turned" in kinds and "broken EXIF" not in kinds


@pytest.mark.parametrize(("kind", "gps"), [("raw", None), ("tiff_lzw", None), ("raw", 2**32 - 1), ("raw", 8)],
                         ids=["plain", "LZW", "GPS far outside", "GPS that is its parent"])
@pytest.mark.parametrize(("value", "is_broken"), [(6, False), (9, True), (0, True)])
def test_a_tiff_is_turned_once_or_not_at_all(quarters, kind, value, is_broken, gps):
    tags = Image.Exif()
    tags[ORIENTATION] = 6
    if gps:
        tags[0x8825] = {1: "N"}
    buffer = io.BytesIO()
    image = Image.fromarray(np.ascontiguousarray(quarters if is_broken else np.rot90(quarters, 1)))
    image.save(buffer, "TIFF", exif=tags.tobytes(), compression=kind)
    data = buffer.getvalue()
    data = data.replace(struct.pack("<HHIH", ORIENTATION, SHORT, 1, 6), struct.pack("<HHIH", ORIENTATION, SHORT, 1, value))
    if gps:
        position = data.index(struct.pack("<HH", 0x8825, LONG)) + 8
        data = data[:position] + struct.pack("<I", gps) + data[position + 4:]
    pixels, kinds = seen(data)
    assert np.array_equal(pixels, quarters)
    assert ("broken EXIF" in kinds) == is_broken and ("turned" in kinds) != is_broken


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("profile", [b"", b"\0" * 20, b"no profile", bytes(range(256)) * 20])
def test_a_broken_colour_profile_is_passed_over(quarters, kind, profile):
    buffer = io.BytesIO()
    options = dict(quality=95, subsampling=0) if kind == "JPEG" else dict(lossless=True) if kind == "WEBP" else {}
    Image.fromarray(quarters).save(buffer, kind, icc_profile=profile, **options)
    assert_shows(seen(buffer.getvalue())[0], quarters)


def test_broken_xmp_is_passed_over(quarters):
    for xmp in (b"<x:xmpmeta", b"\xff\xfe\0", b'tiff:Orientation="9"', b'tiff:Orientation=" "'):
        buffer = io.BytesIO()
        Image.fromarray(quarters).save(buffer, "JPEG", quality=95, subsampling=0, xmp=xmp)
        assert_shows(seen(buffer.getvalue())[0], quarters)


def test_random_damage_to_exif_never_refuses_an_image(quarters):
    rng = np.random.default_rng(0)
    tags = Image.Exif()
    tags[ORIENTATION], tags[0x010F], tags[0x011A] = 6, "a camera", 72.0
    tags[0x8769] = {0x9000: b"0230", 0x927C: b"notes" * 5}
    tags[0x8825] = {1: "N", 2: (1.0, 2.0, 3.0)}
    whole = b"Exif\0\0" + tags.tobytes().removeprefix(b"Exif\0\0")
    broken = 0
    for number in range(150):
        damaged = bytearray(whole)
        for position in rng.integers(6, len(damaged), 1 + number % 8):
            damaged[position] = rng.integers(256)
        damaged = damaged[:rng.integers(8, len(damaged))] if number % 3 == 0 else damaged
        kind = ("JPEG", "PNG", "WEBP")[number % 3 - 1]
        _, kinds = seen(stored(np.rot90(quarters, 1), kind, bytes(damaged)))
        broken += "broken EXIF" in kinds
    assert broken > 5


def test_statistics_and_training_count_images_with_broken_exif(quarters, tmp_path, caplog):
    for name, kind, metadata in (("a.jpg", "JPEG", exif(orientation(9))), ("b.png", "PNG", exif(orientation(6))[:11]),
                                 ("c.webp", "WEBP", exif(orientation(6)))):
        (tmp_path / "cat").mkdir(exist_ok=True)
        (tmp_path / "cat" / name).write_bytes(stored(quarters, kind, metadata))
    found = folder_statistics(tmp_path)
    assert (found.broken_exif, found.turned) == (2, 1) and found.problems == {"all": ()}
    said = f"2 images with broken EXIF, used as they lie in their files: {tmp_path}/cat/a.jpg; {tmp_path}/cat/b.png"
    assert said in found.remarks["all"]
    with caplog.at_level("WARNING"):
        assert len(read_folder(tmp_path, {"cat": 0})) == 3
    assert said in caplog.messages
