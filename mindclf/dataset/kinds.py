"""What a file is that is no image, by its first bytes: for messages."""

import re

from mindclf.utils.files import one_line

HEAD = 4096    # bytes that are looked at
SHOWN = 40     # characters of a text that a message quotes
HEIF = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1", b"mif2"}
MEDIA = {b"avif": "AVIF, which this Pillow does not read: install a newer one",  # by the brand of an ISO media file
         b"crx ": "a camera's raw file: develop it, to JPEG or PNG"}
BEGINNINGS = (  # (first bytes, what it is)
    (b"\xff\xd8\xff", "what begins as a JPEG and is none that Pillow reads: damaged, of 12 bits, two channels, or lossless"),
    (b"\x89PNG", "what begins as a PNG and is damaged"),
    (b"%PDF", "a PDF: save its pages as images"),
    (b"PK\x03\x04", "a ZIP archive, or what is one inside, such as .docx: unpack it"),
    (b"\x1f\x8b", "a gzip archive: unpack it"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive: unpack it"),
    (b"Rar!", "a RAR archive: unpack it"),
    (b"\xfd7zXZ", "an xz archive: unpack it"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive: unpack it"),
    (b"\x1aE\xdf\xa3", "a video (Matroska, WebM)"),
    (b"FLV\x01", "a video (FLV)"),
    (b"\x00\x00\x01\xba", "a video (MPEG)"),
    (b"\x00\x00\x01\xb3", "a video (MPEG)"),
    (b"\x30\x26\xb2\x75", "a video (WMV)"),
    (b"ID3", "a sound (MP3)"),
    (b"OggS", "a sound or a video (Ogg)"),
    (b"fLaC", "a sound (FLAC)"),
    (b"\xff\x0a", "JPEG XL, which Pillow does not read: save it as JPEG or PNG"),
    (b"\x00\x00\x00\x0cJXL ", "JPEG XL, which Pillow does not read: save it as JPEG or PNG"),
    (b"FUJIFILMCCD-RAW", "a camera's raw file: develop it, to JPEG or PNG"),
    (b"IIRO", "a camera's raw file: develop it, to JPEG or PNG"),
    (b"IIRS", "a camera's raw file: develop it, to JPEG or PNG"),
    (b"IIU\x00", "a camera's raw file: develop it, to JPEG or PNG"),
    (b"FOVb", "a camera's raw file: develop it, to JPEG or PNG"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x89HDF", "an HDF5 file"),
    (b"SQLite format 3", "a database (SQLite)"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"\x00\x05\x16\x07", "what macOS keeps beside a file, not the file"),
    (b"L\x00\x00\x00\x01\x14\x02\x00", "a Windows shortcut, not the file that it leads to"),
)


def is_heif(data):
    """Whether `data`, bytes, begin as HEIC does, the kind that phones make: the main brand, or one of those it says it suits."""
    return data[4:8] == b"ftyp" and bool(HEIF & set(_brands(data))) and b"avif" not in _brands(data)


def what_it_is(data):
    """In words what `data` are, bytes that Pillow does not take for an image; "" where that is not known."""
    head = bytes(data[:HEAD])
    if not head:
        return "an empty file"
    if not head.strip(b"\0"):
        return "nothing but zeros: a copy or a download that did not finish"
    if head[4:8] == b"ftyp":
        return next((name for brand, name in MEDIA.items() if brand in _brands(head)), "a video (MP4, MOV), or a sound")
    if head[:4] == b"RIFF" and head[8:12] in (b"AVI ", b"WAVE"):
        return "a video (AVI)" if head[8:12] == b"AVI " else "a sound (WAV)"
    if head[128:132] == b"DICM":
        return "DICOM: export it as PNG"
    if head[257:262] == b"ustar":
        return "a tar archive: unpack it"
    return next((name for beginning, name in BEGINNINGS if head.startswith(beginning)), "") or _text(head)


def is_raw_photo(image):
    """Whether a PIL image is the preview in a camera's raw file (DNG, NEF, ARW, CR2): Pillow opens it for a TIFF."""
    tags = getattr(image, "tag_v2", None)
    if tags is None:
        return False
    dng_version, photometric, subfile, subfiles = (tags.get(tag) for tag in (50706, 262, 254, 330))
    return bool(dng_version) or photometric in (32803, 34892) or (subfile == 1 and bool(subfiles))


def _brands(head):
    """The brands of an ISO media file: the main one, and those that it suits too."""
    end = min(int.from_bytes(head[:4], "big"), len(head))
    return [head[8:12], *(head[start:start + 4] for start in range(16, end - 3, 4))]


def _text(head):
    """What kind of text it is, "" if it is none."""
    try:
        text = head.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3 or len(head) < HEAD:  # not only the last character cut short
            return ""
        text = head[:error.start].decode("utf-8-sig")
    if re.search(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]", text):
        return ""
    begins = text.lstrip().lower()
    if begins.startswith("version https://git-lfs"):
        return "a pointer of Git LFS, not the file that it stands for: run git lfs pull"
    if begins.startswith(("<!doctype html", "<html")) or "<html" in begins[:1024]:
        return "an HTML page, such as a site's answer in place of the image"
    if "<svg" in begins[:1024]:
        return "an SVG drawing: save it as PNG"
    if begins.startswith("<?xml") or begins.startswith("<error"):
        return f"XML, such as a server's answer in place of the image: {_quoted(text)}"
    if begins.startswith(("{", "[")):
        return f"JSON, such as a server's answer in place of the image: {_quoted(text)}"
    return f"text: {_quoted(text)}"


def _quoted(text):
    line = next(filter(None, map(str.strip, text.splitlines())), "")
    return repr(one_line(line[:SHOWN]) + ("..." if len(line) > SHOWN else ""))
