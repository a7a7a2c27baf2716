"""What a file is that is no image: the message says so, by its bytes and not by its name."""

import io
import struct
import sys
import zipfile

import numpy as np
import pytest
from PIL import Image

from mindclf.dataset import decode_image, whole_image

ISO = b"\0\0\0\x18ftyp"


def zipped():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.txt", "a")
    return buffer.getvalue()


def raw(tags):
    """A TIFF with a preview and the `tags` of a camera's raw file."""
    from PIL import TiffImagePlugin

    directory = TiffImagePlugin.ImageFileDirectory_v2()
    for tag, (kind, value) in tags.items():
        directory.tagtype[tag], directory[tag] = kind, value
    preview, buffer = np.random.default_rng(0).integers(0, 256, (8, 8, 3)).astype(np.uint8), io.BytesIO()
    Image.fromarray(preview).save(buffer, "TIFF", tiffinfo=directory)
    return buffer.getvalue()


@pytest.mark.parametrize(("content", "kind"), [
    (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n", "a pointer of Git LFS"),
    (b"\n <!DOCTYPE html><html><title>404</title>", "an HTML page"),
    (b"\xef\xbb\xbf<HTML lang=en>", "an HTML page"),
    (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "XML, such as a server's answer"),
    (b'{"error": "not found"}', "JSON, such as a server's answer in place of the image: '{\"error\": \"not found\"}'"),
    ("图片不存在，请重新上传".encode(), "text: '图片不存在，请重新上传'"),
    ("图".encode() * 3000, "text: "),
    (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG drawing"),
    (ISO + b"isom\0\0\2\0isomiso2avc1", "a video (MP4, MOV)"),
    (ISO + b"qt  \0\0\0\0qt  \0\0\0\0", "a video (MP4, MOV)"),
    (ISO + b"crx \0\0\0\1crx isom", "a camera's raw file"),
    (b"\x1aE\xdf\xa3webm", "a video (Matroska, WebM)"),
    (b"RIFF\x10\0\0\0AVI LIST", "a video (AVI)"),
    (b"%PDF-1.7\n", "a PDF"),
    (zipped(), "a ZIP archive"),
    (b"\x1f\x8b\x08\0", "a gzip archive"),
    (b"\0" * 5000, "nothing but zeros"),
    (b"", "an empty file"),
    (b"\0" * 128 + b"DICM", "DICOM"),
    (b"FUJIFILMCCD-RAW 0201", "a camera's raw file"),
    (b"\x93NUMPY\1\0", "a NumPy array"),
], ids=range(21))
def test_the_message_says_what_the_file_is(tmp_path, content, kind):
    path = tmp_path / "photo.jpg"
    path.write_bytes(content)
    with pytest.raises(ValueError) as raised:
        whole_image(path)
    assert str(raised.value).startswith(f"{path} is not an image but {kind}") and "\n" not in str(raised.value)


def test_what_nobody_knows_is_said_to_be_unknown(tmp_path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(bytes(range(200, 256)) * 20)
    with pytest.raises(ValueError, match="photo.jpg is not an image, or of a kind that Pillow does not know$"):
        whole_image(path)


@pytest.mark.parametrize("tags", [
    {50706: (1, b"\1\4\0\0")}, {254: (4, 1), 330: (4, (8, 8))},
], ids=["DNG", "preview beside others"])
def test_the_preview_in_a_raw_file_is_no_photo(tmp_path, tags):
    path = tmp_path / "photo.dng"
    path.write_bytes(raw(tags))
    with pytest.raises(ValueError, match=r"photo.dng is a camera's raw file, of which Pillow reads the preview: develop it"):
        whole_image(path)
    path.write_bytes(raw({305: (2, "any program")}))
    assert decode_image(path).size == (8, 8)


def heic_brand(data=b""):
    return struct.pack(">I", 24) + b"ftypheic" + bytes(4) + b"mif1heic" + data


def test_heic_without_its_package_names_the_extra(tmp_path, monkeypatch):
    path = tmp_path / "IMG_0001.HEIC"
    path.write_bytes(heic_brand(bytes(100)))
    monkeypatch.setitem(sys.modules, "pillow_heif", None)  # as if it were not installed
    with pytest.raises(ValueError) as raised:
        whole_image(path)
    assert str(raised.value) == (f"{path} is HEIC, which Pillow reads with pillow-heif: pip install pillow-heif, mindclf's "
                                 "extra heif")


@pytest.mark.parametrize("orientation", [1, 6])
def test_heic_is_read_upright_where_its_package_is(tmp_path, orientation):
    """Red above blue; a phone stores its orientation too, which turns the image once and not twice."""
    pillow_heif = pytest.importorskip("pillow_heif", reason="needs the extra heif")
    pixels = np.zeros((64, 32, 3), np.uint8)
    pixels[:32, :, 0], pixels[32:, :, 2] = 200, 200
    stored = Image.fromarray(pixels if orientation == 1 else np.ascontiguousarray(np.rot90(pixels, 1)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    pillow_heif.from_pillow(stored).save(tmp_path / "a.heic", quality=95, exif=exif.tobytes())
    seen = np.asarray(decode_image(tmp_path / "a.heic")).astype(int)
    assert seen.shape == (64, 32, 3)
    assert np.abs(seen[:28] - (200, 0, 0)).max() < 20 and np.abs(seen[36:] - (0, 0, 200)).max() < 20
    assert whole_image(tmp_path / "a.heic").ndim == 1


def test_a_heic_that_is_cut_short_is_damaged(tmp_path):
    pytest.importorskip("pillow_heif", reason="needs the extra heif")
    (tmp_path / "a.heic").write_bytes(heic_brand(bytes(100)))
    with pytest.raises(ValueError, match="a.heic is "):
        whole_image(tmp_path / "a.heic")
