"""Files that are complete or not there, and what says how they came about."""

import contextlib
import errno
import hashlib
import json
import os
import shlex
import stat
import sys
import tempfile
import unicodedata
from pathlib import Path


class CannotWrite(OSError):
    """A file cannot be written, because the disk is full or for what else the message says; what was there before is whole."""


@contextlib.contextmanager
def replacing(path):
    """Gives a temporary path on the same disk, which replaces `path` in one step if the block succeeds.

    What is there after a power failure is the old file or the new one, whole. A disk that is full, or that cannot be written,
    leaves the old file, no other, and raises CannotWrite.
    """
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".writing-") as folder:
            temporary = Path(folder) / path.name
            yield temporary
            temporary.chmod(0o644)  # MindSpore writes its files read-only
            _flush(temporary)
            temporary.replace(path)
            _flush(path.parent)
    except CannotWrite:  # of a file that is written inside the block
        raise
    except OSError as error:
        raise CannotWrite(f"{path} cannot be written: {error.strerror or first_line(error)}") from error


@contextlib.contextmanager
def new_folder(path):
    """Gives an empty folder on the same disk, which becomes the new folder `path` in one step if the block succeeds.

    Raises OSError if `path` is there by then, and not empty.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".writing-") as folder:
        unfinished = Path(folder) / path.name
        unfinished.mkdir()
        yield unfinished
        for file in unfinished.rglob("*"):
            _flush(file)
        _flush(unfinished)
        unfinished.rename(path)
        _flush(path.parent)


def _flush(path):
    """Waits until the disk has a file's contents, or a folder's names; Windows does that by itself for folders."""
    if path.is_dir() and os.name != "posix":
        return
    descriptor = os.open(path, os.O_RDONLY if os.name == "posix" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path, content):
    """Writes a JSON file that is complete or not there."""
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def write_text(path, content):
    """Writes a text file that is complete or not there. Bytes of file names that are no UTF-8 become escapes, as in JSON."""
    with replacing(Path(path)) as temporary:
        temporary.write_bytes(content.encode("utf-8", "backslashreplace"))


def open_file(path):
    """The file at `path`, open for reading bytes. Raises OSError also for a pipe or a device: they may never end."""
    mode = os.stat(path).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):  # of a folder the system says itself why not
        raise OSError(errno.EINVAL, "it is a pipe or a device, not a file", str(path))
    return open(path, "rb")


def sha256(path):
    """The SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with open_file(path) as file:
        while piece := file.read(2**20):
            digest.update(piece)
    return digest.hexdigest()


def md5(path):
    """The MD5 of a file, in hexadecimal: what publishers of data sets give to tell a whole file from a damaged one."""
    return hashlib.md5(Path(path).read_bytes(), usedforsecurity=False).hexdigest()


def command_line():
    """The command that this process runs, as one would type it at the top of a clone; of a worker the one that launched it."""
    if "MINDCLF_COMMAND" in os.environ:
        return os.environ["MINDCLF_COMMAND"]
    program, *arguments = sys.argv
    program = Path(program)
    shown = ["python", program.as_posix()] if program.suffix == ".py" and not program.is_absolute() else [program.name]
    if program.name == "__main__.py":
        shown = ["python", "-m", program.parent.name]
    return shlex.join(shown + arguments)


def one_line(text):
    """`text`, such as the name of a file, with what would break a line or steer a terminal as \\n, \\x1b, \\udcff ..."""
    text = str(text)
    if text.isprintable():  # as nearly all are; the rest takes fifty times as long
        return text
    return "".join(repr(character)[1:-1] if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") else character
                   for character in text)


def first_line(error):
    """The first line with something in it of an error's message; MindSpore's messages go on for twenty."""
    return next((line.strip() for line in str(error).splitlines() if line.strip(" -")), type(error).__name__)
