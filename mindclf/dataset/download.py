"""Downloading and unpacking: whole or not at all, and never outside the target folder."""

import contextlib
import gzip
import http.client
import os
import socket
import ssl
import stat
import tarfile
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from pathlib import Path, PurePosixPath

from download import download

from mindclf.dataset.names import is_ignored, say_ignored
from mindclf.utils.files import CannotWrite, cannot_write, first_line, new_folder, open_file

MAX_UNPACKED_BYTES = 4 * 2**30  # the archives of the tutorials hold well under 1 GiB
MAX_MEMBERS = 200_000
MAX_TAR_MEMBERS = 10_000  # of which a few files are wanted, and each costs time to pass
MAX_HEADER_BYTES = 2**14  # of a member of a tar
ZIP_ENTRY = b"PK\1\2"  # what the entry of each member in a zip's directory begins with


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


class Unreachable(ConnectionError):
    """Nobody answers at an address, or nobody that can be trusted: other files of the same host need not be tried."""


class _OnlyHTTPS(urllib.request.HTTPRedirectHandler):
    """Follows redirects to https addresses, and to no others."""

    def redirect_request(self, request, file, code, message, headers, url):
        if not url.lower().startswith("https://"):
            raise ValueError(f"it redirects to {first_line(url)}, which is not https")
        return super().redirect_request(request, file, code, message, headers, url)


def fetch_https(url, path, timeout=10):
    """As `fetch`, over https alone, with certificates checked, also where the server redirects. Proxies are the environment's.

    Raises ConnectionError also for an address that is no https one, and for an answer of another length than it says; Unreachable
    if there is no answer; CannotWrite if the file cannot be written.
    """
    path = Path(path)
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        if urllib.parse.urlsplit(url).scheme != "https":
            raise ValueError("it is no https address")
        _resume(url, path, timeout)
    except CannotWrite:
        raise
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = first_line(getattr(error, "reason", "") or error) or type(error).__name__
        unreachable = isinstance(error, OSError) and not isinstance(error, urllib.error.HTTPError)
        raise (Unreachable if unreachable else ConnectionError)(f"{url} cannot be downloaded: {reason}") from None
    return path


def _resume(url, path, timeout):
    """Downloads what is missing of PATH.part, and then calls it `path`."""
    part = path.with_name(f"{path.name}.part")
    begun = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "mindclf", **({"Range": f"bytes={begun}-"} if begun else {})})
    context = ssl.create_default_context()
    opener = urllib.request.build_opener(_OnlyHTTPS, urllib.request.HTTPSHandler(context=context))
    try:
        answer = opener.open(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        error.close()
        if begun and error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            part.unlink()  # it is as long as the file, or longer: what it holds is not to be trusted
            return _resume(url, path, timeout)  # from the start
        raise
    with answer, open(part, "ab" if answer.status == http.client.PARTIAL_CONTENT else "wb") as file:
        expected = file.tell() + int(answer.headers["Content-Length"]) if answer.headers["Content-Length"] else None
        while piece := answer.read(2**20):
            try:
                file.write(piece)
                file.flush()
            except OSError as error:
                raise cannot_write(part, error) from None
        length = file.tell()
    if expected is not None and length != expected:
        raise ValueError(f"it broke off after {length:,} of {expected:,} bytes")
    os.replace(part, path)


def unpack_zip(archive, folder, check=lambda contents: None):
    """Unpacks the zip file `archive` as the new folder `folder`, complete or not at all. Returns the folder.

    `check` looks at the contents, in a folder of another name, before they become `folder`; what it raises leaves nothing there.

    What systems leave in archives, such as __MACOSX, is not unpacked, and logged (see `mindclf.dataset.names`).

    Raises ValueError for a damaged archive, for one whose members would land outside the folder or on each other, are links or
    devices, are more than MAX_MEMBERS or than MAX_UNPACKED_BYTES together, and if the folder exists.
    """
    with unpacking(archive, folder) as contents:
        _count_members(archive)
        with zipfile.ZipFile(archive) as members:
            _check_members(archive, members.infolist())
            members.extractall(contents, _without_ignored(archive, members.namelist()))
        check(contents)
    return Path(folder)


def unpack_tar(archive, folder, sizes):
    """Unpacks the files that `sizes` names, {member: bytes}, from the .tar.gz `archive` as the new folder `folder`; returns it.

    They land in the folder under their last names; nothing else of the archive is written. Raises ValueError for a damaged
    archive, for one in which a file is missing, of another size, or a link, for one of more than MAX_TAR_MEMBERS or
    MAX_UNPACKED_BYTES up to the last of these files, and if the folder exists.
    """
    with unpacking(archive, folder) as contents, gzip.open(archive) as stream:
        _extract(archive, stream, contents, dict(sizes))
    return Path(folder)


class ArchiveError(ValueError):
    """An archive that is whole, and is refused."""


@contextlib.contextmanager
def unpacking(archive, folder):
    """Gives the folder that becomes the new folder `folder` if the block, which unpacks `archive` into it, succeeds.

    What the block raises becomes one ValueError that names the archive: readers of archives raise a dozen kinds for damage.
    """
    folder = Path(folder)
    check_new(folder, archive)
    with new_folder(folder) as contents:
        try:
            yield contents
        except ArchiveError:
            raise
        except Exception as error:
            if isinstance(error, OSError) and error.errno:  # a full disk, a name that is too long for it
                raise ValueError(f"{archive} cannot be unpacked: {error.strerror}") from None
            raise ValueError(f"{archive} is damaged: {first_line(error)}; delete it and try again") from None


def check_new(folder, archive):
    """Raises ValueError if `folder`, as which `archive` is to be unpacked, is there."""
    if folder.exists():
        raise ValueError(f"{folder} exists: {archive} is not unpacked over it")


class _Headers:
    """What tarfile reads of a packed tar: headers, of each member no more than MAX_HEADER_BYTES, within MAX_UNPACKED_BYTES.

    tarfile itself takes a name as long as a header claims, and unpacks as many bytes as it says to skip them.
    """

    def __init__(self, archive, stream):
        self.archive, self.stream, self.tell = archive, stream, stream.tell
        self.left = MAX_HEADER_BYTES

    def read(self, size):
        self.left -= size
        if self.left < 0:
            raise ArchiveError(f"{self.archive} is refused: a member has more than {MAX_HEADER_BYTES:,} bytes of headers")
        return self.stream.read(size)

    def seek(self, position):
        if position > MAX_UNPACKED_BYTES:
            raise _too_large(self.archive, MAX_TAR_MEMBERS)
        return self.stream.seek(position)


def _extract(archive, stream, folder, wanted):
    headers = _Headers(archive, stream)
    members = tarfile.TarFile(fileobj=headers)
    for number, member in enumerate(members):
        if number >= MAX_TAR_MEMBERS or member.offset_data + member.size > MAX_UNPACKED_BYTES:
            raise _too_large(archive, MAX_TAR_MEMBERS)
        members.members.clear()  # tarfile would keep them all
        headers.left = MAX_HEADER_BYTES
        name = member.name.removeprefix("./")
        if name not in wanted:
            continue
        size = wanted.pop(name)
        if not member.isfile() or member.issparse() or member.size != size:
            raise ArchiveError(f"{archive} is refused: its member {name!r} is not a file of {size:,} bytes")
        stream.seek(member.offset_data)
        with open(folder / PurePosixPath(name).name, "xb") as target:
            while size and (piece := stream.read(min(size, 2**20))):
                size -= target.write(piece)
        if size:
            raise EOFError(f"{name} breaks off")
        if not wanted:
            return
    raise ArchiveError(f"{archive} does not hold {', '.join(wanted)}")


def _without_ignored(archive, members):
    """The names `members` but those that `is_ignored` or lie in such a folder."""
    ignored = {member: [part for part in PurePosixPath(member).parts if is_ignored(part)] for member in members}
    say_ignored(archive, (parts[0] for parts in ignored.values() if parts))
    return [member for member, parts in ignored.items() if not parts]


def _too_large(archive, members=MAX_MEMBERS):
    return ArchiveError(f"{archive} is larger unpacked than the {MAX_UNPACKED_BYTES / 2**30:.0f} GiB, or the {members:,} "
                        f"members, that are accepted")


@contextlib.contextmanager
def _socket_timeout(seconds):
    """Gives every new connection a time limit; the download package sets one for the first of its three only."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _count_members(archive):
    """Raises ArchiveError for too many members, counted by their signatures: zipfile makes objects of all before one can look."""
    with open_file(archive) as file:
        count, rest = 0, b""
        while piece := file.read(2**20):
            count += (rest + piece).count(ZIP_ENTRY)
            rest = piece[-len(ZIP_ENTRY) + 1:]
            if count > MAX_MEMBERS:
                raise _too_large(archive)


def _check_members(archive, members):
    if len(members) > MAX_MEMBERS or sum(member.file_size for member in members) > MAX_UNPACKED_BYTES:
        raise _too_large(archive)
    files, folders = set(), set()
    for member in members:
        path = PurePosixPath(member.filename.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or ":" in "".join(path.parts[:1]):
            raise ArchiveError(f"{archive} is refused: its member {member.filename!r} would land outside the folder")
        if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise ArchiveError(f"{archive} is refused: its member {member.filename!r} is a link or a device")
        folders.update(path.parents)
        if member.is_dir():
            folders.add(path)
        elif path in files:
            raise ArchiveError(f"{archive} is refused: it has the member {member.filename!r} twice")
        else:
            files.add(path)
    for path in sorted(files & folders):
        raise ArchiveError(f"{archive} is refused: its member {str(path)!r} is a file and a folder")
