"""Downloading and unpacking: whole or not at all, and never outside the target folder."""

import contextlib
import gzip
import lzma
import shutil
import socket
import stat
import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from download import download

from mindclf.files import new_folder

MAX_UNPACKED_BYTES = 4 * 2**30  # the archives of the tutorials hold well under 1 GiB
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
    with new_folder(folder) as contents:
        try:
            with zipfile.ZipFile(archive) as members:
                _check_members(archive, members.infolist())
                members.extractall(contents)
        except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, RuntimeError) as error:
            raise ValueError(f"{archive} is damaged: {error}; delete it and try again") from None
    return folder


def unpack_tar(archive, folder, sizes):
    """Unpacks the files that `sizes` names, {member: bytes}, from the .tar.gz `archive` as the new folder `folder`; returns it.

    They land in the folder under their last names; nothing else of the archive is written. Raises ValueError for a damaged
    archive, for one in which a file is missing, of another size, or a link, and if the folder exists.
    """
    archive, folder = Path(archive), Path(folder)
    if folder.exists():
        raise ValueError(f"{folder} exists: {archive} is not unpacked over it")
    with new_folder(folder) as contents:
        try:
            with tarfile.open(archive, "r:gz") as members:
                _extract(archive, members, contents, dict(sizes))
        except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as error:
            raise ValueError(f"{archive} is damaged: {error}; delete it and try again") from None
    return folder


def _extract(archive, members, folder, wanted):
    read = 0
    for member in members:
        read += member.size
        if read > MAX_UNPACKED_BYTES:
            raise ValueError(f"{archive} is larger unpacked than the {MAX_UNPACKED_BYTES / 2**30:.0f} GiB that are accepted")
        name = member.name.removeprefix("./")
        if name not in wanted:
            continue
        size = wanted.pop(name)
        if not member.isfile() or member.size != size:
            raise ValueError(f"{archive} is refused: its member {name!r} is not a file of {size:,} bytes")
        with members.extractfile(member) as source, open(folder / PurePosixPath(name).name, "xb") as target:
            shutil.copyfileobj(source, target)
        if not wanted:
            return
    raise ValueError(f"{archive} does not hold {', '.join(wanted)}")


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
