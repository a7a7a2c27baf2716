"""Downloading and unpacking: whole or not at all, and never outside the target folder."""

import contextlib
import gzip
import io
import lzma
import stat
import struct
import tarfile
import tempfile
import time
import tracemalloc
import zipfile
import zlib
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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


def test_what_systems_leave_in_an_archive_is_not_unpacked_and_counted(tmp_path, caplog):
    """A weight that macOS packs comes with a file of the same ending in __MACOSX, which is no weight."""
    archive = make_zip(tmp_path / "a.zip", ("top/net.ckpt", b"1"), ("__MACOSX/top/._net.ckpt", b"2"), ("top/.DS_Store", b"3"),
                       ("top/THUMBS.DB", b"4"), ("__MACOSX/", b""))
    folder = unpack_zip(archive, tmp_path / "new")
    assert [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*"))] == ["top", "top/net.ckpt"]
    assert caplog.messages == [f"ignored in {archive}, as left behind by systems: 1 Thumbs.db, 2 __MACOSX"]


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "a/..", "/evil", "//host/evil", "C:/evil", "C:evil", "C:\\evil",
                                  "..\\evil", "a\\..\\..\\evil", "\\evil", "\\\\host\\evil"])
def test_a_member_outside_the_folder_is_refused(tmp_path, name):
    refused(make_zip(tmp_path / "a.zip", ("good", b"1"), (name, b"2")), "would land outside the folder")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK],
                         ids=["link", "character device", "block device", "pipe", "socket"])
def test_a_link_or_device_is_refused(tmp_path, kind):
    member = zipfile.ZipInfo("special")
    member.create_system = 3  # Unix, whose modes it has
    member.external_attr = (kind | 0o777) << 16
    refused(make_zip(tmp_path / "a.zip", (member, b"/etc/passwd"), ("special/x", b"")), "'special' is a link or a device")


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(("members", "match"), [
    (["a", "a"], "has the member 'a' twice"), (["a/b", "a/./b"], "has the member 'a/./b' twice"),
    (["a", "a/b"], "'a' is a file and a folder"), (["a/b", "a"], "'a' is a file and a folder"),
    (["a/b/c", "a"], "'a' is a file and a folder"), (["a/", "a"], "'a' is a file and a folder"),
    (["x" * 300], "cannot be unpacked: File name too long"),
])
def test_members_that_no_folder_can_hold_are_refused(tmp_path, members, match):
    refused(make_zip(tmp_path / "a.zip", *((name, b"1") for name in members)), match)


def test_more_bytes_than_accepted_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(download, "MAX_UNPACKED_BYTES", 1000)
    assert unpack_zip(make_zip(tmp_path / "a.zip", ("x", bytes(600)), ("y", bytes(400))), tmp_path / "enough").is_dir()
    refused(make_zip(tmp_path / "b.zip", ("x", bytes(600)), ("y", bytes(401))), "is larger unpacked than")


def test_more_members_than_accepted_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(download, "MAX_MEMBERS", 2)
    assert unpack_zip(make_zip(tmp_path / "a.zip", ("x", b""), ("y", b"")), tmp_path / "enough").is_dir()
    refused(make_zip(tmp_path / "b.zip", ("x", b""), ("y", b""), ("z", b"")), "b.zip is ")


@contextlib.contextmanager
def little(mebibytes=64, seconds=10):
    """Fails if the block takes more memory, or time of a processor."""
    start = time.process_time()
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < mebibytes * 2**20
    assert time.process_time() - start < seconds


def test_a_zip_of_a_million_members_costs_little(tmp_path):
    """Python's zipfile would make a million objects of its list before anyone could count them."""
    entry = struct.pack("<4s4B4H3L5H2L", b"PK\1\2", 20, 3, 20, 0, 0, 0, 0, 33, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"a"
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 1_000_000 * len(entry), 0, 0)
    (tmp_path / "few.zip").write_bytes(entry * 9 + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 9, 9, 9 * len(entry), 0, 0))
    with zipfile.ZipFile(tmp_path / "few.zip") as members:
        assert members.namelist() == ["a"] * 9, "that is not how a list of members is written"
    (tmp_path / "a.zip").write_bytes(entry * 1_000_000 + end)
    with little():
        refused(tmp_path / "a.zip", "200,000 members")


def test_a_member_that_unpacks_to_more_than_it_says_is_refused(tmp_path):
    archive = make_zip(tmp_path / "a.zip", ("x", bytes(100 * 2**20)))
    archive.write_bytes(archive.read_bytes().replace(struct.pack("<L", 100 * 2**20), struct.pack("<L", 1000)))
    with zipfile.ZipFile(archive) as members:
        assert members.getinfo("x").file_size == 1000
    with little():
        refused(archive, "is damaged: Bad CRC-32")


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
    ((special("top/two.bin", tarfile.CHRTYPE), b""), "'top/two.bin' is not a file"),
    ((special("top/two.bin", tarfile.BLKTYPE), b""), "'top/two.bin' is not a file"),
    ((special("top/two.bin", tarfile.DIRTYPE), b""), "'top/two.bin' is not a file"),
    (("top/three.bin", b"22"), "does not hold top/two.bin"),
    (("bottom/two.bin", b"22"), "does not hold top/two.bin"),
], ids=["size", "symbolic link", "hard link", "pipe", "character device", "block device", "folder", "other name", "other folder"])
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


def packed(*parts):
    """A .tar.gz of `parts`, (bytes, how many times), packed once each: a gzip file may be many, one after another."""
    return b"".join(gzip.compress(part) * times for part, times in parts)


def header(name, size=0, kind=tarfile.REGTYPE):
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info.tobuf(tarfile.GNU_FORMAT)


ZEROS = bytes(2**20)


@pytest.mark.parametrize(("parts", "match"), [
    ([(header("x") * 1000, 1000)], "10,000 members"),
    ([(header("x", 100 * 2**30), 1), (ZEROS, 100)], "is larger unpacked than the 4 GiB"),
    ([(header("x", 2**27), 1), (ZEROS, 128), (header("y", 2**27), 1), (ZEROS, 128), (header("z", 4 * 2**30), 1)],
     "is larger unpacked than the 4 GiB"),
    ([(header("long", 3 * 2**30, tarfile.GNUTYPE_LONGNAME), 1), (ZEROS, 3072)], "more than 16,384 bytes of headers"),
    ([(header("pax", 3 * 2**30, tarfile.XHDTYPE), 1), (ZEROS, 3072)], "more than 16,384 bytes of headers"),
    ([(header("long", 512, tarfile.GNUTYPE_LONGNAME) + b"a" * 512, 100_000)], "more than 16,384 bytes of headers"),
], ids=["a million members", "a member of 100 GiB", "members of 4.25 GiB", "a name of 3 GiB", "a header of 3 GiB",
        "100,000 names for one member"])
def test_a_tar_that_is_a_bomb_costs_little(tmp_path, parts, match):
    archive = tmp_path / "a.tar.gz"
    archive.write_bytes(packed(*parts))
    assert archive.stat().st_size < 2**23
    with little():
        refused(archive, match, unpack_two)


BAD_NAMES = ["..", "../x", "/x", "a/../x", "C:x", "a\\..\\x", ".", "", "a", "a/b", "a/b/", "b", "空", "x" * 300]
MEMBERS = st.lists(st.tuples(st.one_of(st.sampled_from(BAD_NAMES), st.text(min_size=1, max_size=8)), st.binary(max_size=20),
                             st.sampled_from([0, stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK, stat.S_IFCHR])), max_size=4)
DAMAGE = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), max_size=3)


def damaged(archive, damage, share):
    """Changes bytes of a file, (place from 0 to 1, what it is changed by), and leaves this share of it."""
    data = bytearray(archive.read_bytes())
    for place, change in damage:
        data[int(place * len(data))] ^= change
    archive.write_bytes(data[:int(share * len(data))])


@pytest.mark.filterwarnings("ignore:Duplicate name")
@settings(max_examples=150, deadline=None, derandomize=True)
@given(MEMBERS, DAMAGE, st.sampled_from([1, 1, 1, 0.9, 0.5]))
def test_of_any_zip_all_is_unpacked_into_the_folder_or_nothing(members, damage, share):
    """Each file has one of the contents that were packed (they have checksums; names have none), and lies in the folder."""
    with tempfile.TemporaryDirectory() as place:
        archive = Path(place) / "in" / "a.zip"
        archive.parent.mkdir()
        infos = []
        for name, content, kind in members:
            info = zipfile.ZipInfo(name)
            info.create_system, info.external_attr = 3, kind << 16
            infos.append((info, content))
        make_zip(archive, *infos)
        damaged(archive, damage, share)
        try:
            folder = unpack_zip(archive, archive.parent / "unpacked")
        except ValueError as error:
            assert str(error).startswith(f"{archive} ") and "\n" not in str(error)
            assert list(Path(place).rglob("*")) == [archive.parent, archive]
            return
        found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        assert set(found.values()) <= {content for _, content, _ in members}
        assert [path.name for path in Path(place).iterdir()] == ["in"]
        assert sorted(path.name for path in archive.parent.iterdir()) == ["a.zip", "unpacked"]
        assert not any(path.is_symlink() or path.is_fifo() for path in folder.rglob("*"))
        if not damage and share == 1:
            expected = {str(PurePosixPath(name.partition("\0")[0])): content for name, content, _ in members if name[-1:] != "/"}
            assert found == expected


@settings(max_examples=100, deadline=None, derandomize=True)
@given(MEMBERS, DAMAGE, st.sampled_from([1, 1, 1, 0.9, 0.5]))
def test_of_any_tar_the_named_files_are_unpacked_or_nothing(members, damage, share):
    types = {stat.S_IFDIR: tarfile.DIRTYPE, stat.S_IFLNK: tarfile.SYMTYPE, stat.S_IFCHR: tarfile.CHRTYPE}
    with tempfile.TemporaryDirectory() as place:
        archive = Path(place) / "in" / "a.tar.gz"
        archive.parent.mkdir()
        packed_members = [(special(name, types.get(kind, tarfile.REGTYPE), "../x"), content) for name, content, kind in members]
        make_tar(archive, *packed_members, ("top/one.bin", b"111"), ("top/two.bin", b"22"))
        damaged(archive, damage, share)
        try:
            folder = unpack_two(archive, archive.parent / "unpacked")
        except ValueError as error:
            assert str(error).startswith(f"{archive} ") and "\n" not in str(error)
            assert list(Path(place).rglob("*")) == [archive.parent, archive]
            return
        assert {path.name: path.stat().st_size for path in folder.rglob("*")} == {"one.bin": 3, "two.bin": 2}
        assert len(list(Path(place).rglob("*"))) == 5
