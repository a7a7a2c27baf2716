"""What file systems lack, and what they refuse: the one costs a warning, the other a line that says what would do."""

import errno
import os
import shutil
import stat

import pytest

from mindclf.checkpoint import load_net, save_checkpoint
from mindclf.utils import files
from mindclf.utils.files import CannotWrite, cannot_write, move_folder, new_folder, replacing, write_text
from tests.test_checkpoint import CARD, small_net

LACKS = ("EINVAL", "ENOTSUP", "ENOSYS", "EPERM", "EBADF")


@pytest.fixture(autouse=True)
def first_time(monkeypatch):
    """No warning was given yet."""
    monkeypatch.setattr(files, "_warned_of", set())


def failing(name, error, when=lambda *arguments: True):
    """os.<name>, which fails with `error` where `when(*arguments)`."""
    function = getattr(os, name)

    def call(*arguments, **options):
        if when(*arguments):
            raise OSError(getattr(errno, error), os.strerror(getattr(errno, error)))
        return function(*arguments, **options)

    return call


def is_folder(descriptor):
    return stat.S_ISDIR(os.fstat(descriptor).st_mode)


@pytest.mark.parametrize("error", LACKS)
def test_where_folders_cannot_be_flushed_a_warning_says_so_once(tmp_path, monkeypatch, caplog, error):
    monkeypatch.setattr(os, "fsync", failing("fsync", error, is_folder))
    for text in ("one", "two"):
        write_text(tmp_path / "file", text)
        assert (tmp_path / "file").read_text() == text
    with new_folder(tmp_path / "folder") as folder:
        (folder / "a").mkdir()
        (folder / "a" / "b").write_text("text")
    assert (tmp_path / "folder" / "a" / "b").read_text() == "text"
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert caplog.messages[0].endswith("cannot flush folders: after a power failure the newest may be missing")


def test_where_folders_cannot_be_opened_they_are_not_flushed(tmp_path, monkeypatch, caplog):
    """As those into which one may write and not look."""
    monkeypatch.setattr(os, "open", failing("open", "EACCES", lambda path, *_: path == tmp_path))
    with replacing(tmp_path / "file") as file:
        file.touch()
    assert (tmp_path / "file").exists() and len(caplog.messages) == 1


@pytest.mark.parametrize("error", ["EIO", "ENOSPC", "EDQUOT", "EROFS"])
@pytest.mark.parametrize("of", [is_folder, lambda descriptor: not is_folder(descriptor)], ids=["folder", "file"])
def test_errors_of_the_disk_still_count(tmp_path, monkeypatch, error, of):
    monkeypatch.setattr(os, "fsync", failing("fsync", error, of))
    with pytest.raises(CannotWrite, match=os.strerror(getattr(errno, error))):
        write_text(tmp_path / "file", "text")


@pytest.mark.parametrize("error", LACKS)
@pytest.mark.parametrize("suffix", [".ckpt", ".safetensors"])
def test_a_checkpoint_is_saved_where_files_have_no_modes(tmp_path, monkeypatch, error, suffix):
    """MindSpore makes what it writes read-only."""
    monkeypatch.setattr(os, "chmod", failing("chmod", error, lambda path, *_: str(path).startswith(str(tmp_path))))
    path = save_checkpoint(small_net(), tmp_path / f"net{suffix}", CARD)
    assert load_net(path)[1]["net"] == CARD["net"]
    assert sorted(file.name for file in tmp_path.iterdir()) == [f"net{suffix}", f"net{suffix}.json"]


@pytest.mark.parametrize("error", ["EXDEV", "EMFILE", "ENOSYS"])
def test_where_folders_cannot_be_renamed_their_files_move(tmp_path, monkeypatch, caplog, error):
    """Between the layers of a container, and in a bucket."""
    (tmp_path / "run" / "epochs").mkdir(parents=True)
    (tmp_path / "run" / "best.ckpt").write_text("best")
    (tmp_path / "run" / "epochs" / "state").write_text("state")
    monkeypatch.setattr(os, "rename", failing("rename", error, lambda source, target: os.path.isdir(source)))
    move_folder(tmp_path / "run", tmp_path / "run-1")
    assert {path.relative_to(tmp_path).as_posix(): path.read_text() for path in tmp_path.rglob("*") if path.is_file()} == {
        "run-1/best.ckpt": "best", "run-1/epochs/state": "state"}
    assert not (tmp_path / "run").exists() and "cannot rename folders" in caplog.text


def test_nothing_is_moved_over_what_is_there(tmp_path, monkeypatch):
    for name in ("run", "run-1"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "best.ckpt").write_text(name)
    for lacks in (False, True):
        if lacks:
            monkeypatch.setattr(os, "rename", failing("rename", "EXDEV"))
        with pytest.raises(OSError, match="not empty"):
            move_folder(tmp_path / "run", tmp_path / "run-1")
        assert [(tmp_path / name / "best.ckpt").read_text() for name in ("run", "run-1")] == ["run", "run-1"]


REMEDIES = {
    "ENOSPC": "make room", "EDQUOT": "make room", "EACCES": "permission", "EPERM": "permission", "EROFS": "only be read",
    "ENOENT": "moved or removed", "EMFILE": "ulimit -n", "ENAMETOOLONG": "shorter", "EIO": "fault", "ESTALE": "network drive",
    "EFBIG": "ulimit -f", "ENOTDIR": "is a file", "ENOTEMPTY": "of that name"}


@pytest.mark.parametrize(("error", "remedy"), REMEDIES.items())
def test_the_advice_fits_the_error(tmp_path, monkeypatch, error, remedy):
    """Room is made only where it lacks."""
    monkeypatch.setattr(os, "replace", failing("replace", error))
    with pytest.raises(CannotWrite) as raised:
        write_text(tmp_path / "file", "text")
    said = str(raised.value)
    assert said.startswith(f"{tmp_path}/file cannot be written: {os.strerror(getattr(errno, error))}: ") and "\n" not in said
    assert remedy in said and ("make room" in said) == (remedy == "make room")


def test_an_error_that_nothing_is_known_of_is_told_without_advice():
    assert str(cannot_write("file", OSError(errno.EDOM, "odd"))) == "file cannot be written: odd"


def test_a_folder_that_is_gone_is_said_to_be(tmp_path):
    (tmp_path / "run").mkdir()
    said = "run/file cannot be written: No such file or directory: its folder was moved or removed: put it back"
    with pytest.raises(CannotWrite, match=said), replacing(tmp_path / "run" / "file") as file:
        file.touch()
        shutil.rmtree(tmp_path / "run")


def test_a_file_that_cannot_be_read_is_not_said_to_be_unwritable(tmp_path):
    with pytest.raises(FileNotFoundError, match="photo.jpg"), new_folder(tmp_path / "new") as folder:
        shutil.copyfile(tmp_path / "photos" / "photo.jpg", folder / "photo.jpg")
    assert list(tmp_path.iterdir()) == []
