"""Downloading and unpacking: whole or not at all, and never outside the target folder."""

import contextlib
import lzma
import socket
import stat
import tempfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from download import download

MAX_UNPACKED_BYTES = 4 * 2**30  # both archives of the garbage tutorial hold well under 1 GiB
MAX_MEMBERS = 200_000


def fetch(url, path, timeout=10):
    """Downloads `url` to `path` unless it is there. An interrupted download goes on where it stopped. Returns the path.

    Raises ConnectionError with one line if the address cannot be reached within `timeout` seconds, or breaks off.
    """
    path = Path(path)
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with contextlib.redirect_stdout(None), _socket_timeout(timeout):  # standard output is for results
            download(url, str(path), kind="file", progressbar=False, timeout=timeout, verbose=False)
    except Exception as error:  # the package raises RuntimeError around whatever urllib and the file system raise
        reason = next((line for line in reversed(str(error).splitlines()) if line.strip()), type(error).__name__)
        raise ConnectionError(f"{url} cannot be downloaded: {reason.removeprefix('Error: ')}") from None
    return path


def unpack_zip(archive, folder):
    """Unpacks the zip file `archive` as the new folder `folder`, complete or not at all. Returns the folder.

    Raises ValueError for a damaged archive, for one whose members would land outside the folder, are links, or are more than
    MAX_UNPACKED_BYTES together, and if the folder exists.
    """
    archive, folder = Path(archive), Path(folder)
    if folder.exists():
        raise ValueError(f"{folder} exists: {archive} is not unpacked over it")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".unpacking-") as scratch:
        contents = Path(scratch) / "contents"
        contents.mkdir()
        try:
            with zipfile.ZipFile(archive) as members:
                _check_members(archive, members.infolist())
                members.extractall(contents)
        except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, RuntimeError) as error:
            raise ValueError(f"{archive} is damaged: {error}; delete it and try again") from None
        contents.rename(folder)
    return folder


@contextlib.contextmanager
def _socket_timeout(seconds):
    """Gives every new connection a time limit; the download package sets one for the first of its three only."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _check_members(archive, members):
    if len(members) > MAX_MEMBERS or sum(member.file_size for member in members) > MAX_UNPACKED_BYTES:
        raise ValueError(f"{archive} is larger unpacked than the {MAX_UNPACKED_BYTES / 2**30:.0f} GiB that are accepted")
    for member in members:
        path = PurePosixPath(member.filename.replace("\\", "/"))
        mode = member.external_attr >> 16
        if path.is_absolute() or ".." in path.parts or ":" in "".join(path.parts[:1]) or stat.S_ISLNK(mode):
            raise ValueError(f"{archive} is refused: its member {member.filename!r} would land outside the folder")
