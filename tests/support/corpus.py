"""Images as the world has them: how each file is made, and what becomes of it. Training and prediction try all of them."""

import base64
import os
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, features


@dataclass(frozen=True)
class Entry:
    """A file called `name`, which `make` writes at a path.

    `refused` is what follows its name in the message that refuses it, "" for an image that is used. The used ones are red, and a
    net that tells colours apart has to see that, unless `is_red` is False.
    """

    name: str
    make: Callable
    refused: str = ""
    is_red: bool = True


def red(mode="RGB", size=(40, 40)):
    noise = np.random.default_rng(0).normal((200, 40, 40), 25, (size[1], size[0], 3))
    return Image.fromarray(np.clip(noise, 0, 255).astype(np.uint8)).convert(mode)


def saved(kind, mode="RGB", size=(40, 40), **options):
    return lambda path: red(mode, size).save(path, kind, **options)


def deep(path):
    """A grey PNG whose values reach over all 16 bits."""
    Image.fromarray(np.asarray(red("L")).astype(np.uint16) * 600).save(path, "PNG")


def written(content):
    return lambda path: path.write_bytes(content)


def linked(target):
    return lambda path: path.symlink_to(target)


def cut(kind):
    def make(path):
        red().save(path, kind)
        os.truncate(path, path.stat().st_size // 2)
    return make


def png(width, height, bits, colour_type, row):
    """A PNG file whose rows all are `row`, made without ever holding its pixels."""
    def chunk(name, data):
        return struct.pack(">L", len(data)) + name + data + struct.pack(">L", zlib.crc32(name + data))

    packer = zlib.compressobj(1)
    data = b"".join(packer.compress(b"\0" + row) for _ in range(height)) + packer.flush()
    head = struct.pack(">LLBBBBB", width, height, bits, colour_type, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def locked(path):
    saved("PNG")(path)
    path.chmod(0)


def sparse(path):
    path.touch()
    os.truncate(path, 2 * 2**30)


# 16 x 16 pixels of (200, 40, 40), from Pillow 13: an older one may not write it.
AVIF = base64.b64decode("""
AAAAIGZ0eXBhdmlmAAAAAGF2aWZtaWYxbWlhZk1BMUIAAADrbWV0YQAAAAAAAAAhaGRscgAAAAAAAAAAcGljdAAAAAAAAAAAAAAAAAAAAAAOcGl0bQAAAAAAAQAAAB
5pbG9jAAAAAEQAAAEAAQAAAAEAAAETAAAAKgAAAChpaW5mAAAAAAABAAAAGmluZmUCAAAAAAEAAGF2MDFDb2xvcgAAAABqaXBycAAAAEtpcGNvAAAAFGlzcGUAAAAA
AAAAEAAAABAAAAAQcGl4aQAAAAADCAgIAAAADGF2MUOBAAwAAAAAE2NvbHJuY2x4AAEADQAGgAAAABdpcG1hAAAAAAAAAAEAAQQBAoMEAAAAMm1kYXQSAAoJGAz/2i
AhoNCAMhsXh4eGIYSSSSZQAAAAOtb10MSW4LVLTnBsa0A=
""")
NO_IMAGE = "is not an image but "

CORPUS = (
    Entry("plain.jpg", saved("JPEG")),
    Entry("animated.gif", saved("GIF", save_all=True, append_images=[Image.new("RGB", (40, 40), "blue")])),
    Entry("image.webp", saved("WEBP")),
    Entry("image.avif", written(AVIF), "" if features.check("avif") else NO_IMAGE + "AVIF"),
    Entry("press.jpg", saved("JPEG", "CMYK")),
    Entry("16 bits a colour.png", written(png(40, 40, 16, 2, struct.pack(">3H", 51400, 10280, 10280) * 40))),
    Entry("16 bits of grey.png", deep, is_red=False),
    Entry("1x1.png", saved("PNG", size=(1, 1))),
    Entry("a PNG.jpg", saved("PNG")),
    Entry("a JPEG.png", saved("JPEG")),
    Entry("an image.txt", saved("PNG")),
    Entry("no extension", saved("PNG")),
    Entry("it's \"quoted\" $(twice) `thrice`.png", saved("PNG")),
    Entry("two\nlines.png", saved("PNG")),
    Entry("\x1b[2Jclears the screen.png", saved("PNG")),
    Entry("垃圾分类.png", saved("PNG")),
    Entry("🍅👩‍🚀.png", saved("PNG")),
    Entry(os.fsdecode(b"Latin-1 \xe9.png"), saved("PNG")),
    Entry("-v --help.png", saved("PNG")),
    Entry("a link.png", linked("no extension")),
    Entry("truncated.jpg", cut("JPEG"), "is damaged: "),
    Entry("truncated.png", cut("PNG"), "is damaged: "),
    Entry("zero bytes.jpg", written(b""), NO_IMAGE + "an empty file"),
    Entry("text.jpg", written(b"no image\n" * 100), NO_IMAGE + "text: 'no image'"),
    Entry("bad\nname.jpg", written(b"no image"), NO_IMAGE + "text: 'no image'"),
    Entry("bomb.png", written(png(20_000, 20_000, 1, 0, bytes(2500))), "has more than 89,478,485 pixels, which is not read"),
    Entry("thin.png", written(png(5000, 1, 8, 0, bytes(5000))), "is 5000 x 1 pixels: too thin"),
    Entry("program.eps", saved("EPS"), "is EPS, which is a program and not run"),
    Entry("2 GiB.jpg", sparse, "is larger than the 1,024 MiB that are read"),
    Entry("not allowed.png", locked, "cannot be read: Permission denied"),
    Entry("loop.png", linked("loop.png"), "cannot be read: Too many levels of symbolic links"),
    Entry("link to nowhere.png", linked("missing.png"), "cannot be read: No such file or directory"),
    Entry("pipe.jpg", os.mkfifo, "cannot be read: it is a pipe or a device, not a file"),
    Entry("device.jpg", linked("/dev/zero"), "cannot be read: it is a pipe or a device, not a file"),
)
