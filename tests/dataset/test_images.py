"""encoded_image: what MindSpore decodes of it is the image, upright and in RGB, whatever the file was."""

import io

import numpy as np
import pytest
from mindspore.dataset import vision
from PIL import Image

from mindclf.dataset import decode_image, encoded_image
from mindclf.dataset.images import opened_image, whole_image
from mindclf.preprocessing import Reading

HEIGHT, WIDTH = 24, 40
ROUNDING = 3  # of 255: two JPEG decoders may round apart
ORIENTATION = 0x0112

# What a camera stores for each EXIF orientation, so that the tag turns it back to the upright image (EXIF 2.3, 4.6.4 A).
STORED = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.transpose(1, 0, 2),
    6: lambda upright: np.rot90(upright, 1),
    7: lambda upright: upright.transpose(1, 0, 2)[::-1, ::-1],
    8: lambda upright: np.rot90(upright, -1),
}


@pytest.fixture
def noise():
    return np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)


@pytest.fixture
def smooth():
    """Slopes of colour, which JPEG keeps."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return np.stack([6 * x, 10 * y, 255 - 3 * x - 4 * y], axis=-1).astype(np.uint8)


@pytest.fixture
def quarters():
    """Red and green above blue and white: each turn and each mirror image of it looks different."""
    upright = np.zeros((32, 64, 3), np.uint8)
    upright[:16, :32], upright[:16, 32:], upright[16:, :32], upright[16:, 32:] = (200, 0, 0), (0, 200, 0), (0, 0, 200), 255
    return upright


def seen(source):
    """The pixels (H, W, 3) that MindSpore gets of `source`."""
    return vision.Decode()(encoded_image(source))


def encode(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def difference(first, second):
    assert first.shape == second.shape
    return np.abs(first.astype(int) - second).max()


def exif(orientation):
    tags = Image.Exif()
    tags[ORIENTATION] = orientation
    return tags


@pytest.mark.parametrize(("mode", "options"), [
    ("RGB", dict()), ("RGB", dict(progressive=True)), ("RGB", dict(subsampling=0)), ("L", dict()), ("CMYK", dict()),
], ids=["RGB", "progressive", "4:4:4", "grey", "CMYK"])
def test_jpeg_is_decoded_as_pil_does(smooth, tmp_path, mode, options):
    path = tmp_path / "a.jpg"
    Image.fromarray(smooth).convert(mode).save(path, quality=95, **options)
    with Image.open(path) as image:
        assert image.mode == mode
        expected = np.asarray(image.convert("RGB"))
    assert difference(seen(path), expected) <= ROUNDING


def segments(jpeg):
    """[(marker, bytes)] of a JPEG's head, and what follows from the scan on."""
    head, position = [], 2
    while jpeg[position + 1] != 0xDA:
        end = position + 2 + int.from_bytes(jpeg[position + 2:position + 4], "big")
        head.append((jpeg[position + 1], jpeg[position:end]))
        position = end
    return head, jpeg[position:]


def with_marker(jpeg, transform=None, jfif=True):
    """A JPEG with Adobe's marker, which says how its channels are coded, or without; and with JFIF's marker or without."""
    head, scan = segments(jpeg)
    kept = [part for marker, part in head if marker != 0xEE and (jfif or marker != 0xE0)]
    adobe = b"" if transform is None else b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0" + bytes([transform])
    return b"\xff\xd8" + adobe + b"".join(kept) + scan


def named_channels(jpeg, names):
    """A JPEG whose channels have other identifiers in its frame and scan."""
    head, scan = segments(jpeg)
    scan, parts = bytearray(scan), []
    for marker, part in head:
        part = bytearray(part)
        for channel, name in enumerate(names):
            if marker == 0xC0:
                part[10 + 3 * channel] = name
            scan[5 + 2 * channel] = name
        parts.append(bytes(part))
    return b"\xff\xd8" + b"".join(parts) + bytes(scan)


def as_frame(jpeg, marker, bits=8):
    """A JPEG that says that its frame is of another kind."""
    head, scan = segments(jpeg)
    frame = {0xC0: lambda part: bytes([0xFF, marker]) + part[2:4] + bytes([bits]) + part[5:]}
    return b"\xff\xd8" + b"".join(frame.get(kind, lambda part: part)(part) for kind, part in head) + scan


RGB_JPEGS = {
    "Adobe says YCbCr": lambda jpeg: with_marker(jpeg, 1), "Adobe says RGB": lambda jpeg: with_marker(jpeg, 0, jfif=False),
    "JFIF and Adobe says RGB": lambda jpeg: with_marker(jpeg, 0), "Adobe says YCCK": lambda jpeg: with_marker(jpeg, 2),
    "no marker": lambda jpeg: with_marker(jpeg, jfif=False),
    "channels R G B": lambda jpeg: named_channels(with_marker(jpeg, jfif=False), b"RGB"),
    "channels R G B in JFIF": lambda jpeg: named_channels(jpeg, b"RGB"),
    "channels 0 1 2": lambda jpeg: named_channels(with_marker(jpeg, jfif=False), bytes([0, 1, 2])),
}
CMYK_JPEGS = {"no marker": lambda jpeg: with_marker(jpeg), "Adobe says CMYK": lambda jpeg: with_marker(jpeg, 0),
              "Adobe says YCCK": lambda jpeg: with_marker(jpeg, 2)}


@pytest.mark.parametrize(("mode", "kind"), [*(("RGB", kind) for kind in RGB_JPEGS), *(("CMYK", kind) for kind in CMYK_JPEGS)])
def test_however_a_jpeg_codes_its_channels_it_is_seen_as_pil_shows_it(smooth, mode, kind):
    """In training, by Pillow, and in evaluation, by MindSpore, which inverts CMYK where Adobe's marker is missing."""
    image = Image.fromarray(smooth).convert(mode)
    if mode == "CMYK":  # with some black, which a conversion from RGB has not
        image = Image.merge("CMYK", [*image.split()[:3], Image.fromarray(smooth[..., 0] // 2)])
    data = {"RGB": RGB_JPEGS, "CMYK": CMYK_JPEGS}[mode][kind](encode(image, "JPEG", quality=95, subsampling=0))
    with Image.open(io.BytesIO(data)) as shown:
        assert shown.mode == mode
        expected = np.asarray(shown.convert("RGB"))
    assert difference(seen(data), expected) <= (ROUNDING if mode == "RGB" else 0)
    with opened_image(data) as photo:  # as training has it
        assert np.array_equal(np.asarray(photo.decoded().convert("RGB")), expected)
    passes = encoded_image(data).tobytes() == data
    assert passes == (mode == "RGB")


@pytest.mark.parametrize("marker", [0xC3, 0xC9, 0xCA], ids=["lossless", "arithmetic", "progressive arithmetic"])
def test_a_jpeg_that_mindspore_may_not_decode_is_not_given_to_it(smooth, marker):
    data = as_frame(encode(Image.fromarray(smooth), "JPEG"), marker)
    try:
        assert encoded_image(data, "rare.jpg")[:2].tobytes() == b"BM"
    except ValueError as error:
        assert str(error).startswith("rare.jpg is ")


@pytest.mark.parametrize("data", [lambda jpeg: as_frame(jpeg, 0xC1, bits=12), lambda jpeg: jpeg[:3] + bytes(50)],
                         ids=["12 bits", "a damaged beginning"])
def test_a_jpeg_that_pillow_does_not_know_is_said_to_be_one(smooth, data):
    with pytest.raises(ValueError, match=r"^rare.jpg is (not an image but what begins as a JPEG|damaged)"):
        encoded_image(data(encode(Image.fromarray(smooth), "JPEG")), "rare.jpg")


def test_a_jpeg_passes_as_it_is(smooth, tmp_path):
    (tmp_path / "a.jpg").write_bytes(encode(Image.fromarray(smooth), "JPEG"))
    assert encoded_image(tmp_path / "a.jpg").tobytes() == (tmp_path / "a.jpg").read_bytes()


@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("BMP", {}), ("TIFF", {}), ("TIFF", dict(compression="tiff_lzw")),
                                               ("WEBP", dict(lossless=True)), ("PPM", {})])
def test_rgb_without_loss_keeps_every_pixel(noise, tmp_path, kind, options):
    path = tmp_path / "image"
    path.write_bytes(encode(Image.fromarray(noise), kind, **options))
    assert np.array_equal(seen(path), noise)


@pytest.mark.parametrize("kind", ["PNG", "GIF", "TIFF"])
def test_a_palette_gives_its_colours(tmp_path, kind):
    colours = np.random.default_rng(1).integers(0, 256, (256, 3)).astype(np.uint8)
    indices = np.random.default_rng(2).permutation(HEIGHT * 10).astype(np.uint8).reshape(HEIGHT, 10)
    image = Image.frombytes("P", (10, HEIGHT), indices.tobytes())
    image.putpalette(colours.ravel().tolist())
    path = tmp_path / "palette"
    path.write_bytes(encode(image, kind))
    assert np.array_equal(seen(path), colours[indices])


def test_an_animation_shows_its_first_frame(tmp_path):
    frames = [Image.new("RGB", (8, 6), colour) for colour in ((255, 0, 0), (0, 0, 255))]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert (seen(tmp_path / "a.gif") == (255, 0, 0)).all()


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_transparent_parts_turn_white(noise, kind):
    alpha = np.tile(np.linspace(0, 255, WIDTH).astype(np.uint8), (HEIGHT, 1))
    options = dict(lossless=True, exact=True) if kind == "WEBP" else {}
    data = encode(Image.fromarray(np.dstack([noise, alpha])), kind, **options)
    share = alpha[..., None] / 255
    pixels = seen(data)
    assert difference(pixels, np.rint(share * noise + (1 - share) * 255)) <= 1
    assert (pixels[:, 0] == 255).all()
    assert np.array_equal(pixels[:, -1], noise[:, -1])


def test_grey_with_alpha(noise):
    grey, alpha = noise[..., 0], noise[..., 1]
    share = alpha / 255
    expected = np.rint(share * grey + (1 - share) * 255)
    data = encode(Image.merge("LA", [Image.fromarray(grey), Image.fromarray(alpha)]), "PNG")
    assert difference(seen(data), np.dstack([expected] * 3)) <= 1


def test_a_transparent_palette_entry_turns_white():
    image = Image.frombytes("P", (3, 1), bytes([0, 1, 2]))
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    assert seen(encode(image, "PNG", transparency=1)).tolist() == [[[10, 20, 30], [255, 255, 255], [70, 80, 90]]]


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_grey_keeps_its_high_byte(kind):
    grey = np.arange(0, 65536, 273, dtype=np.uint16).reshape(1, -1).repeat(3, 0)
    assert np.array_equal(seen(encode(Image.fromarray(grey), kind)), np.dstack([grey // 256] * 3))


def test_black_and_white():
    bits = np.random.default_rng(3).integers(0, 2, (9, 13)).astype(bool)
    assert np.array_equal(seen(encode(Image.fromarray(bits), "PNG")), np.dstack([bits * 255] * 3))


@pytest.mark.parametrize("orientation", STORED)
def test_a_jpeg_is_turned_upright(quarters, tmp_path, orientation):
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](quarters)))
    stored.save(tmp_path / "a.jpg", quality=95, subsampling=0, exif=exif(orientation))
    assert difference(seen(tmp_path / "a.jpg"), quarters) <= ROUNDING


@pytest.mark.parametrize("orientation", [0, 9])
def test_an_orientation_that_exif_does_not_have_turns_nothing(quarters, orientation):
    data = encode(Image.fromarray(quarters), "JPEG", quality=95, subsampling=0, exif=exif(orientation))
    assert difference(seen(data), quarters) <= ROUNDING


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_other_kinds_are_turned_upright_too(quarters, kind):
    stored = Image.fromarray(np.ascontiguousarray(STORED[6](quarters)))
    data = encode(stored, kind, exif=exif(6), **(dict(lossless=True) if kind == "WEBP" else {}))
    assert np.array_equal(seen(data), quarters)


def test_arrays_pil_images_and_bytes_are_images(noise):
    for source in (noise, Image.fromarray(noise), encode(Image.fromarray(noise), "PNG"), encoded_image(noise)):
        assert np.array_equal(seen(source), noise)
        assert np.array_equal(np.asarray(decode_image(source)), noise)


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 4), (2, 4, 5, 3)])
def test_an_array_of_another_shape_is_refused(shape):
    with pytest.raises(ValueError):
        encoded_image(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("kind", [np.float32, np.int64])
def test_an_array_of_another_type_is_refused(kind):
    with pytest.raises(ValueError):
        encoded_image(np.zeros((4, 5, 3), kind))


def test_a_pil_image_that_cannot_be_read_is_refused(noise):
    data = encode(Image.fromarray(noise), "PNG")
    with pytest.raises(ValueError, match="^the image is damaged"):
        encoded_image(Image.open(io.BytesIO(data[:len(data) // 2])))


def damaged(kind, noise):
    whole = encode(Image.fromarray(noise), kind)
    return whole[:len(whole) // 2]


def crc_error(noise):
    whole = bytearray(encode(Image.fromarray(noise), "PNG"))
    whole[len(whole) // 2] ^= 0xFF
    return bytes(whole)


@pytest.mark.parametrize(("name", "content"), [
    ("empty.jpg", lambda noise: b""),
    ("text.jpg", lambda noise: b"this is no image\n" * 100),
    ("header.png", lambda noise: b"\x89PNG\r\n\x1a\n"),
    ("half.jpg", lambda noise: damaged("JPEG", noise)),
    ("half.png", lambda noise: damaged("PNG", noise)),
    ("half.gif", lambda noise: damaged("GIF", noise)),
    ("half.webp", lambda noise: damaged("WEBP", noise)),
    ("half.bmp", lambda noise: damaged("BMP", noise)),
    ("half.tiff", lambda noise: damaged("TIFF", noise)),
    ("crc.png", crc_error),
    ("a folder", None),
    ("missing.jpg", ...),
])
def test_what_cannot_be_read_is_named_in_one_line(noise, tmp_path, name, content):
    path = tmp_path / name
    if content is None:
        path.mkdir()
    elif content is not ...:
        path.write_bytes(content(noise))
    with pytest.raises(ValueError) as raised:
        whole_image(path)
    assert str(raised.value).startswith(f"{path} ")
    assert "\n" not in str(raised.value)


def test_every_kind_of_image_passes_the_check(noise, tmp_path):
    for kind in ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF"):
        path = tmp_path / "image"
        path.write_bytes(encode(Image.fromarray(noise), kind))
        assert np.array_equal(whole_image(path), encoded_image(path))


def test_bytes_that_are_no_image_have_the_name_given():
    with pytest.raises(ValueError, match="^standard input is not an image"):
        encoded_image(b"text", name="standard input")
    with pytest.raises(ValueError, match="^the image is not an image"):
        encoded_image(b"text")


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("side", [11, 20], ids=["PIL warns", "PIL refuses"])
def test_an_image_of_more_pixels_than_the_limit_is_refused_and_the_limit_can_be_raised(tmp_path, monkeypatch, kind, side):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    small, bomb = tmp_path / "small", tmp_path / "bomb"
    small.write_bytes(encode(Image.new("RGB", (10, 10)), kind))
    bomb.write_bytes(encode(Image.new("RGB", (side, side)), kind))
    limit = Reading(max_pixels=100)
    assert whole_image(small, reading=limit).ndim == 1
    with pytest.raises(ValueError) as raised:
        whole_image(bomb, reading=limit)
    assert str(raised.value) == (f"{bomb} has more than 100 pixels, which is not read: for a photo of your own raise the field "
                                 f"max_pixels, or --max-pixels")
    raised_limit = Reading(max_pixels=side * side)
    assert vision.Decode()(whole_image(bomb, reading=raised_limit)).shape == (side, side, 3)


@pytest.mark.parametrize("size", [(1, 300), (300, 1), (2, 201)])
def test_an_image_too_thin_to_be_resized_is_refused(size):
    """Bringing the shorter side of 1 x 60,000 pixels to 256 would take 11 GB."""
    with pytest.raises(ValueError, match=f"thin.png is {size[0]} x {size[1]} pixels: too thin"):
        encoded_image(encode(Image.new("RGB", size), "PNG"), name="thin.png")
    encoded_image(encode(Image.new("RGB", (2, 200)), "PNG"))
