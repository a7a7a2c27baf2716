"""Files that are complete or not there, and what says how they came about."""

import contextlib
import errno
import hashlib
import json
import logging
import os
import shlex
import shutil
import stat
import sys
import tempfile
import time
import unicodedata
from pathlib import Path

log = logging.getLogger(__name__)

# What a user can do about an error of the file system.
REMEDIES = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "make room"),
    errno.EFBIG: "allow larger files (ulimit -f), or take a disk that has them",
    **dict.fromkeys((errno.EACCES, errno.EPERM), "get the permission to write there, or name another place"),
    errno.EROFS: "that disk can only be read: name another place",
    errno.ENOENT: "its folder was moved or removed: put it back, or name another place",
    errno.ENOTDIR: "a part of this path is a file: name another place",
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), "close other programs, or let more files be open (ulimit -n)"),
    errno.ENAMETOOLONG: "give it a shorter name, or a folder with a shorter path",
    **dict.fromkeys((errno.EEXIST, errno.ENOTEMPTY), "something of that name is there: name another place"),
    **dict.fromkeys((errno.EIO, errno.ENXIO, errno.ENODEV), "the disk has a fault: check it, or name another place"),
    **dict.fromkeys((errno.ESTALE, errno.ENOTCONN, errno.ETIMEDOUT, errno.EHOSTDOWN),
                    "the network drive does not answer: connect it again, or name another place"),
}
# How a file system answers to what it does not have, such as the flushing of folders on a network drive.
LACKING = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EPERM, errno.EACCES, errno.EBADF, errno.ENOTTY,
           errno.EISDIR}
# How it answers to the renaming of a folder that it cannot rename: between layers of a container, on a bucket.
NOT_RENAMING = {errno.EXDEV, errno.EMFILE, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
TEMPORARY = ".writing-"  # what the names of unfinished files and folders begin with
PATIENCE = 5         # seconds for which what Windows refuses is tried again
ASK = 0.1            # seconds between two tries
_warned_of = set()  # what a file system lacks, in this process


class CannotWrite(OSError):
    """A file cannot be written; the message says why, and what would do. What was there before is whole."""


def cannot_write(path, error):
    """The `CannotWrite` for an OSError at the writing of `path`."""
    remedy = f": {REMEDIES[error.errno]}" if error.errno in REMEDIES else ""
    return CannotWrite(f"{one_line(path)} cannot be written: {error.strerror or first_line(error)}{remedy}")


def is_below(error, path):
    """Whether the OSError is about no file that it names, about `path`, or about a file below it."""
    return error.filename is None or path in (Path(error.filename), *Path(error.filename).parents)


@contextlib.contextmanager
def writing(path):
    """Has an OSError in the block, which writes `path`, become a CannotWrite that names it."""
    try:
        yield
    except CannotWrite:  # of a file that is written inside the block
        raise
    except OSError as error:
        if not is_below(error, path) and Path(error.filename) not in path.parents and TEMPORARY not in str(error.filename):
            raise  # of a file that was to be read
        raise cannot_write(path, error) from error


@contextlib.contextmanager
def replacing(path):
    """Gives a temporary path on the same disk, which replaces `path` in one step if the block succeeds.

    What is there after a power failure is the old file or the new one, whole. A disk that is full, or that cannot be written,
    leaves the old file, no other, and raises CannotWrite. Where the file system cannot flush, a warning says so once.
    """
    with writing(path), tempfile.TemporaryDirectory(dir=path.parent, prefix=TEMPORARY) as folder:
        temporary = Path(folder) / path.name
        yield temporary
        if _keeps_modes(folder):
            temporary.chmod(0o644)  # MindSpore writes its files read-only
        _flush(temporary)
        persistently(temporary.replace, path)
        _flush(path.parent)


@contextlib.contextmanager
def with_modes(path):
    """Gives `path`, or where files cannot be made read-only, as MindSpore makes its own, one elsewhere that is then copied."""
    if _keeps_modes(path.parent):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        elsewhere = Path(folder) / path.name
        yield elsewhere
        shutil.copyfile(elsewhere, path)


@contextlib.contextmanager
def new_folder(path):
    """Gives an empty folder on the same disk, which becomes the new folder `path` in one step if the block succeeds.

    Raises CannotWrite if `path` is there by then, and not empty.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=TEMPORARY) as folder:
            unfinished = Path(folder) / path.name
            unfinished.mkdir()
            yield unfinished
            for file in unfinished.rglob("*"):
                _flush(file)
            _flush(unfinished)
            move_folder(unfinished, path)
            _flush(path.parent)


def move_folder(source, target):
    """Renames the folder `source`. Where folders cannot be renamed, its files move one by one, and a warning says so once.

    Raises OSError if `target` is there, and not empty.
    """
    try:
        if sys.platform == "win32" and target.is_dir():
            target.rmdir()  # Windows does not put a folder in the place of an empty one
        persistently(source.rename, target)
    except OSError as error:
        if error.errno not in NOT_RENAMING:
            raise
        _warn_of_lack("rename folders: files are moved one by one, and are not all in place at once", target.parent)
        if target.exists():
            target.rmdir()
        _move_files(source, target)


def _move_files(source, target):
    target.mkdir()
    for entry in sorted(source.iterdir()):
        if entry.is_dir() and not entry.is_symlink():
            _move_files(entry, target / entry.name)
        else:
            shutil.move(entry, target / entry.name, shutil.copyfile)
    source.rmdir()


def link_or_copy(source, target):
    """Puts the file `source` to `target`, which must not be there; whether as a hard link (see `hard_link`), or as a copy."""
    if hard_link(source, target):
        return True
    shutil.copyfile(source, target)
    return False


def hard_link(source, target):
    """Whether `target` could be made a hard link of the file `source`, or of the file that it is a link to. Overwrites nothing.

    It cannot on another disk, on one without hard links, for somebody else's file, and where something is at `target`.
    """
    if hasattr(os, "link"):
        with contextlib.suppress(OSError):
            os.link(os.path.realpath(source), target)
            return True
    return False


def persistently(operation, *arguments):
    """operation(*arguments), such as a renaming; on Windows again for a while where other programs, such as virus scanners, have
    a file open, which nobody may rename or remove there meanwhile."""
    ends = time.monotonic() + PATIENCE
    while True:
        try:
            return operation(*arguments)
        except PermissionError:
            if sys.platform != "win32" or time.monotonic() > ends:
                raise
            time.sleep(ASK)


def _flush(path):
    """Waits until the disk has a file's contents, or a folder's names; Windows does that by itself for folders."""
    is_folder = path.is_dir()
    if is_folder and sys.platform == "win32":
        return
    try:
        descriptor = os.open(path, os.O_RDWR if sys.platform == "win32" else os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in LACKING:
            raise
        _warn_of_lack(f"flush {'folders' if is_folder else 'files'}: after a power failure the newest may be missing", path)


def _keeps_modes(folder):
    """Whether files in `folder` can be made read-only and writable."""
    try:
        os.chmod(folder, stat.S_IMODE(os.stat(folder).st_mode))
    except OSError as error:
        if error.errno not in LACKING:
            raise
        return False
    return True


def _warn_of_lack(what, path):
    if what not in _warned_of:
        _warned_of.add(what)
        shown = next((place for place in (path, *path.parents) if TEMPORARY not in str(place)), path)
        log.warning("the file system of %s cannot %s", one_line(shown), what)


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


def portable(path):
    """A path as cards and tables have it on every system: with / between its parts."""
    return str(path).replace(os.sep, "/")


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
