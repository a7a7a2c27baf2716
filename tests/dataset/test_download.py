"""Downloading and unpacking: whole or not at all, and never outside the target folder."""

import io
import lzma
import stat
import tarfile
import time
import zipfile
import zlib

import numpy as np
import pytest

from mindclf.dataset import download
from mindclf.dataset.download import fetch, unpack_tar, unpack_zip

PAYLOAD = np.random.default_rng(0).integers(0, 256, 50_000).astype(np.uint8).tobytes()


def test_a_file_arrives_whole(server, tmp_path):
    server.files["/data.bin"] = PAYLOAD
    path = tmp_path / "new" / "data.bin"
    assert fetch(f"{server.url}/data.bin", path) == path
    assert path.read_bytes() == PAYLOAD
    assert list(path.parent.iterdir()) == [path]


def test_a_file_that_is_there_is_not_fetched_again(server, tmp_path):
    (tmp_path / "data.bin").write_bytes(b"mine")
    fetch(f"{server.url}/data.bin", tmp_path / "data.bin")
    assert (tmp_path / "data.bin").read_bytes() == b"mine"
    assert server.requests == []


def test_a_download_goes_on_where_it_stopped(server, tmp_path):
    server.files["/data.bin"] = PAYLOAD
    (tmp_path / "data.bin.part").write_bytes(b"?" * 1000)  # marked, so that it shows that these bytes were kept
    fetch(f"{server.url}/data.bin", tmp_path / "data.bin")
    assert (tmp_path / "data.bin").read_bytes() == b"?" * 1000 + PAYLOAD[1000:]
    assert server.requests[-1] == ("/data.bin", "bytes=1000-")
    assert not (tmp_path / "data.bin.part").exists()


def test_a_server_that_cannot_resume_sends_all_again(server, tmp_path, capsys):
    server.files["/data.bin"] = PAYLOAD
    server.resumes = False
    (tmp_path / "data.bin.part").write_bytes(b"?" * 1000)
    fetch(f"{server.url}/data.bin", tmp_path / "data.bin")
    assert (tmp_path / "data.bin").read_bytes() == PAYLOAD
    assert capsys.readouterr().out == ""


def test_a_broken_download_is_an_error_and_the_next_goes_on(server, tmp_path):
    server.files["/data.bin"] = PAYLOAD
    server.breaks_off_after = 1000
    with pytest.raises(ConnectionError) as raised:
        fetch(f"{server.url}/data.bin", tmp_path / "data.bin")
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "data.bin").exists()
    server.breaks_off_after = None
    fetch(f"{server.url}/data.bin", tmp_path / "data.bin")
    assert (tmp_path / "data.bin").read_bytes() == PAYLOAD
    assert server.requests[-1] == ("/data.bin", "bytes=1000-")


def test_a_refused_connection_is_one_line(closed_url, tmp_path, capsys):
    with pytest.raises(ConnectionError) as raised:
        fetch(f"{closed_url}/data.bin", tmp_path / "data.bin")
    message = str(raised.value)
    assert message.startswith(f"{closed_url}/data.bin cannot be downloaded: ")
    assert "Connection refused" in message
    assert "\n" not in message
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr().out == ""


def test_a_missing_page_is_one_line(server, tmp_path):
    with pytest.raises(ConnectionError, match=r"^http://.*/data\.bin cannot be downloaded: .*404[^\n]*$"):
        fetch(f"{server.url}/data.bin", tmp_path / "data.bin")
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_falls_silent_is_given_up(server, tmp_path):
    server.files["/data.bin"] = PAYLOAD
    server.falls_silent_after = 1000
    start = time.monotonic()
    with pytest.raises(ConnectionError):
        fetch(f"{server.url}/data.bin", tmp_path / "data.bin", timeout=0.5)
    assert time.monotonic() - start < 3


def make_zip(path, *members, compression=zipfile.ZIP_DEFLATED):
    """A zip file of (name or ZipInfo, content) pairs, names unchanged."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for member, content in members:
            archive.writestr(member, content)
    return path


def refused(archive, match, unpack=unpack_zip):
    """Unpacks `archive` where it must be refused, in one line that names it, and must leave nothing behind."""
    before = sorted(archive.parent.rglob("*"))
    with pytest.raises(ValueError, match=match) as raised:
        unpack(archive, archive.parent / "unpacked")
    assert str(raised.value).startswith(f"{archive} ")
    assert "\n" not in str(raised.value)
    assert sorted(archive.parent.rglob("*")) == before


def test_a_zip_becomes_a_folder(tmp_path):
    contents = {"one.txt": b"1", "sub/two words.txt": b"22", "空/三.txt": b"333"}
    archive = make_zip(tmp_path / "a.zip", *contents.items(), ("empty/", b""))
    folder = unpack_zip(archive, tmp_path / "new" / "unpacked")
    assert folder == tmp_path / "new" / "unpacked"
    assert {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()} == contents
    assert (folder / "empty").is_dir()
    assert list(folder.parent.iterdir()) == [folder]


def test_the_folder_itself_may_be_a_member(tmp_path):
    folder = unpack_zip(make_zip(tmp_path / "a.zip", ("./", b""), ("./one.txt", b"1")), tmp_path / "unpacked")
    assert [path.name for path in folder.iterdir()] == ["one.txt"]


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "a/..", "/evil", "//host/evil", "C:/evil", "C:evil", "C:\\evil",
                                  "..\\evil", "a\\..\\..\\evil", "\\evil", "\\\\host\\evil"])
def test_a_member_outside_the_folder_is_refused(tmp_path, name):
    refused(make_zip(tmp_path / "a.zip", ("good", b"1"), (name, b"2")), "would land outside the folder")


def test_a_link_is_refused(tmp_path):
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    refused(make_zip(tmp_path / "a.zip", (link, b"/etc/passwd"), ("link/x", b"")), "would land outside the folder")


def test_more_bytes_than_accepted_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(download, "MAX_UNPACKED_BYTES", 1000)
    assert unpack_zip(make_zip(tmp_path / "a.zip", ("x", bytes(600)), ("y", bytes(400))), tmp_path / "enough").is_dir()
    refused(make_zip(tmp_path / "b.zip", ("x", bytes(600)), ("y", bytes(401))), "is larger unpacked than")


def test_more_members_than_accepted_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(download, "MAX_MEMBERS", 2)
    assert unpack_zip(make_zip(tmp_path / "a.zip", ("x", b""), ("y", b"")), tmp_path / "enough").is_dir()
    refused(make_zip(tmp_path / "b.zip", ("x", b""), ("y", b""), ("z", b"")), "b.zip is ")


@pytest.mark.parametrize("content", [b"", b"<html>Please log in</html>"], ids=["empty", "HTML"])
def test_what_is_no_zip_is_refused(tmp_path, content):
    (tmp_path / "a.zip").write_bytes(content)
    refused(tmp_path / "a.zip", "is damaged")


@pytest.mark.parametrize("share", [0.5, 0.99])
def test_a_truncated_zip_is_refused(tmp_path, share):
    archive = make_zip(tmp_path / "a.zip", ("x", PAYLOAD), ("y", b"1"))
    archive.write_bytes(archive.read_bytes()[:int(share * archive.stat().st_size)])
    refused(archive, "is damaged")


def test_a_wrong_checksum_is_refused(tmp_path):
    archive = make_zip(tmp_path / "a.zip", ("first", b"1"), ("x", PAYLOAD), compression=zipfile.ZIP_STORED)
    data = archive.read_bytes()
    assert data.count(PAYLOAD) == 1
    archive.write_bytes(data.replace(PAYLOAD, PAYLOAD[:-1] + bytes([PAYLOAD[-1] ^ 1])))
    refused(archive, "is damaged: Bad CRC-32")


@pytest.mark.parametrize(("compression", "error"), [(zipfile.ZIP_DEFLATED, zlib.error), (zipfile.ZIP_LZMA, lzma.LZMAError)],
                         ids=["deflate", "lzma"])
def test_damaged_compressed_data_is_refused(tmp_path, compression, error):
    archive = make_zip(tmp_path / "a.zip", ("first", b"1"), ("x", bytes(range(256)) * 50), compression=compression)
    with zipfile.ZipFile(archive) as members:
        start = members.getinfo("x").header_offset + 30 + len("x") + 9  # behind the member's header, and that of its LZMA stream
    data = bytearray(archive.read_bytes())
    data[start:start + 40] = b"\xff" * 40
    archive.write_bytes(data)
    with zipfile.ZipFile(archive) as members, pytest.raises(error):  # what zipfile itself makes of it
        members.read("x")
    refused(archive, "is damaged")


def test_a_folder_that_exists_stays_as_it_is(tmp_path):
    archive = make_zip(tmp_path / "a.zip", ("x", b"new"))
    (tmp_path / "unpacked").mkdir()
    (tmp_path / "unpacked" / "x").write_bytes(b"old")
    with pytest.raises(ValueError, match="unpacked exists"):
        unpack_zip(archive, tmp_path / "unpacked")
    assert [path.read_bytes() for path in (tmp_path / "unpacked").iterdir()] == [b"old"]
    assert len(list(tmp_path.iterdir())) == 2


SIZES = {"top/one.bin": 3, "top/two.bin": 2}


def unpack_two(archive, folder):
    return unpack_tar(archive, folder, SIZES)


def make_tar(path, *members):
    """A .tar.gz file of (name or TarInfo, content) pairs."""
    with tarfile.open(path, "w:gz") as archive:
        for member, content in members:
            info = member if isinstance(member, tarfile.TarInfo) else tarfile.TarInfo(member)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def special(name, kind, target=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize("prefix", ["", "./"])
def test_of_a_tar_the_named_files_are_unpacked_and_nothing_else(tmp_path, prefix):
    members = [("../evil", b"e"), ("/evil", b"e"), (special("top", tarfile.SYMTYPE, "/tmp"), b""), ("top/readme.html", b"r"),
               ("top/two.bin", b"22"), ("top/one.bin", b"111")]
    members = [(f"{prefix}{name}" if name in SIZES else name, content) for name, content in members]
    folder = unpack_two(make_tar(tmp_path / "a.tar.gz", *members), tmp_path / "new" / "unpacked")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {"one.bin": b"111", "two.bin": b"22"}
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.tar.gz", "new", "one.bin", "two.bin", "unpacked"]
    with pytest.raises(ValueError, match="unpacked exists"):
        unpack_two(tmp_path / "a.tar.gz", folder)


@pytest.mark.parametrize(("member", "match"), [
    (("top/two.bin", b"333"), "'top/two.bin' is not a file of 2 bytes"),
    ((special("top/two.bin", tarfile.SYMTYPE, "one.bin"), b""), "'top/two.bin' is not a file"),
    ((special("top/two.bin", tarfile.LNKTYPE, "top/one.bin"), b""), "'top/two.bin' is not a file"),
    ((special("top/two.bin", tarfile.FIFOTYPE), b""), "'top/two.bin' is not a file"),
    (("top/three.bin", b"22"), "does not hold top/two.bin"),
    (("bottom/two.bin", b"22"), "does not hold top/two.bin"),
], ids=["size", "symbolic link", "hard link", "pipe", "other name", "other folder"])
def test_a_tar_with_another_file_in_its_place_is_refused(tmp_path, member, match):
    refused(make_tar(tmp_path / "a.tar.gz", ("top/one.bin", b"111"), member), match, unpack_two)


def test_a_tar_of_more_bytes_than_accepted_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(download, "MAX_UNPACKED_BYTES", 1000)
    refused(make_tar(tmp_path / "a.tar.gz", ("big", bytes(1001)), ("top/one.bin", b"111")), "is larger unpacked than", unpack_two)


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.99])
def test_a_truncated_tar_is_refused(tmp_path, share):
    archive = make_tar(tmp_path / "a.tar.gz", ("x", PAYLOAD), ("y", PAYLOAD))
    archive.write_bytes(archive.read_bytes()[:int(share * archive.stat().st_size)])
    refused(archive, "is damaged|does not hold", unpack_two)


def test_what_is_no_tar_is_refused(tmp_path):
    (tmp_path / "a.tar.gz").write_bytes(b"<html>Please log in</html>")
    refused(tmp_path / "a.tar.gz", "is damaged", unpack_two)
