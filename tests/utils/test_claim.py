"""A folder belongs to one command at a time, until that command ends, however it ends."""

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from mindclf.utils import claim
from mindclf.utils.claim import CLAIM, Claim, InUse, claimed, waiting_for
from mindclf.utils.files import CannotWrite

ROOT = Path(__file__).resolve().parents[2]


def in_process(script, *arguments):
    """A new process that runs `script`, with mindclf.utils.claim imported; it prints a line when it is ready."""
    code = f"import os, sys, time; from pathlib import Path; from mindclf.utils.claim import Claim, InUse\n{script}"
    process = subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)], cwd=ROOT, stdout=subprocess.PIPE,
                               stdin=subprocess.PIPE, encoding="utf-8")
    return process


HOLDING = "held = Claim(sys.argv[1]); (Path(sys.argv[1]) / 'work').touch(); print('ready', flush=True); sys.stdin.read()"


@pytest.fixture
def quick(monkeypatch):
    """Signs of life every 0.1 s, and half a second of watching."""
    for name, seconds in (("BEAT", 0.1), ("WATCH", 0.6), ("SETTLE", 0.1), ("ASK", 0.02)):
        monkeypatch.setattr(claim, name, seconds)


@pytest.fixture(params=["without flock", "ENOLCK", "ENOSYS"])
def no_locks(request, quick, monkeypatch):
    """A file system, or a Windows, that cannot lock."""
    def refuse(descriptor, operation):
        raise OSError(getattr(errno, request.param), "no locks here")

    if request.param == "without flock":
        monkeypatch.setattr(claim, "fcntl", None)
    else:
        monkeypatch.setattr(fcntl, "flock", refuse)


def test_a_second_claim_in_the_same_process_is_refused_with_the_owner(tmp_path):
    with claimed(tmp_path / "run"), pytest.raises(InUse) as raised:
        Claim(tmp_path / "run")
    text = str(raised.value)
    assert text.startswith(f"{tmp_path / 'run'} is in use by process {os.getpid()} on ") and "\n" not in text
    assert text.endswith(": wait for its end, or name another")
    Claim(tmp_path / "run").release()  # it has ended


def test_a_lock_that_is_held_is_enough_where_its_owner_gives_no_sign_of_life(tmp_path, monkeypatch):
    monkeypatch.setattr(claim, "_changes", lambda file, seen: False)
    with claimed(tmp_path / "run"), pytest.raises(InUse):
        Claim(tmp_path / "run")


def test_a_claim_leaves_nothing_and_removes_only_the_empty_folders_that_it_made(tmp_path):
    (tmp_path / "mine").mkdir()
    for folder in ("mine", "mine/run", "other/deep/run"):
        Claim(tmp_path / folder).release()
    assert [entry.name for entry in tmp_path.rglob("*")] == ["mine"]
    with claimed(tmp_path / "other" / "run"):
        (tmp_path / "other" / "kept").touch()
    assert sorted(entry.name for entry in tmp_path.rglob("*")) == ["kept", "mine", "other"]


def test_what_a_killed_process_left_is_taken_over_at_once(tmp_path):
    """Its number may belong to another process by then: nothing looks at it."""
    process = in_process(HOLDING, tmp_path / "run")
    assert process.stdout.readline() == "ready\n"
    with pytest.raises(InUse, match=f"is in use by process {process.pid} on "):
        Claim(tmp_path / "run")
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (tmp_path / "run" / CLAIM).exists()
    left = json.loads((tmp_path / "run" / CLAIM).read_text())
    (tmp_path / "run" / CLAIM).write_text(json.dumps({**left, "pid": os.getpid()}))
    started = time.monotonic()
    Claim(tmp_path / "run").release()
    assert time.monotonic() - started < 1
    assert [entry.name for entry in (tmp_path / "run").iterdir()] == ["work"]


def test_of_many_processes_at_once_one_has_the_folder(tmp_path):
    """Each makes a file that must not be there, and removes it, fifty times."""
    script = """
counted = 0
sys.stdin.readline()
while counted < 50:
    try:
        held = Claim(sys.argv[1])
    except InUse:
        continue
    os.close(os.open(Path(sys.argv[1]) / 'mine', os.O_CREAT | os.O_EXCL))
    (Path(sys.argv[1]) / 'mine').unlink()
    held.release()
    counted += 1
"""
    processes = [in_process(script, tmp_path / "run") for _ in range(3)]
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    assert [process.wait(timeout=120) for process in processes] == [0, 0, 0]


def test_a_folder_that_its_owner_moved_away_is_free_and_the_claim_moves_with_it(tmp_path):
    held = Claim(tmp_path / "run")
    (tmp_path / "run" / "old").touch()
    moved = held.move(tmp_path / "run-1")
    assert [entry.name for entry in (tmp_path / "run-1").iterdir()] == ["old"]
    assert [entry.name for entry in (tmp_path / "run").iterdir()] == [CLAIM]
    with pytest.raises(InUse):
        Claim(tmp_path / "run")
    moved.release()
    assert not (tmp_path / "run").exists()


def test_a_new_folder_is_given_to_one_only(tmp_path):
    (tmp_path / "there").mkdir()
    with pytest.raises(InUse):
        Claim(tmp_path / "there", new=True)
    assert list((tmp_path / "there").iterdir()) == []


def test_a_file_is_claimed_without_its_folder(tmp_path):
    with claimed(tmp_path / "net.onnx", is_file=True):
        with pytest.raises(InUse, match="net.onnx is in use by process"):
            Claim(tmp_path / "net.onnx", is_file=True)
        Claim(tmp_path / "other.onnx", is_file=True).release()
    assert list(tmp_path.iterdir()) == []


def test_who_waits_for_its_turn_gets_it(tmp_path):
    held, order = Claim(tmp_path / "cache"), []

    def wait():
        with waiting_for(tmp_path / "cache"):
            order.append("second")

    waiting = threading.Thread(target=wait)
    waiting.start()
    time.sleep(0.3)
    order.append("first")
    held.release()
    waiting.join(timeout=30)
    assert order == ["first", "second"]


def test_without_locks_a_live_owner_is_seen_by_its_signs_of_life(no_locks, tmp_path):
    with claimed(tmp_path / "run"), pytest.raises(InUse):
        Claim(tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_without_locks_a_dead_owner_is_one_that_gives_no_sign(no_locks, tmp_path):
    held = Claim(tmp_path / "run")
    held.ended.set()  # as if it were killed
    held.beating.join()
    taken = Claim(tmp_path / "run")
    held.release()  # too late: it must not end the other's
    assert (tmp_path / "run" / CLAIM).exists()
    taken.release()


def on_another_host(folder, beats):
    """A claim that another host left, to which no lock reaches; a thread changes it if `beats`."""
    folder.mkdir()
    text = json.dumps({"pid": 1, "host": "elsewhere", "boot": "another", "id": "x", "since": "2026-11-29 12:00"})
    (folder / CLAIM).write_text(text)
    if beats:
        threading.Timer(0.3, lambda: (folder / CLAIM).write_text(f"{text}1\n")).start()


def test_a_run_that_is_alive_on_another_host_keeps_its_folder(quick, tmp_path):
    on_another_host(tmp_path / "run", beats=True)
    with pytest.raises(InUse, match="is in use by process 1 on elsewhere since 2026-11-29 12:00"):
        Claim(tmp_path / "run")
    assert b"elsewhere" in (tmp_path / "run" / CLAIM).read_bytes()


def test_a_run_that_died_on_another_host_is_taken_over_after_a_while(quick, tmp_path, caplog):
    on_another_host(tmp_path / "run", beats=False)
    started = time.monotonic()
    Claim(tmp_path / "run").release()
    assert time.monotonic() - started >= claim.WATCH
    assert "was left by process 1 on elsewhere since 2026-11-29 12:00: watching for up to" in caplog.text


@pytest.mark.parametrize("kind", ["link", "link to nowhere", "link to a folder", "pipe"])
def test_a_claim_that_is_no_file_is_neither_written_nor_waited_for(tmp_path, kind):
    folder, victim = tmp_path / "run", tmp_path / "victim"
    folder.mkdir()
    if kind == "pipe":
        os.mkfifo(folder / CLAIM)
    else:
        (folder / CLAIM).symlink_to(victim)
    if kind == "link":
        victim.write_text("of somebody")
    elif kind == "link to a folder":
        victim.mkdir()
    for is_file, path in ((False, folder), (True, folder / "net.onnx")):
        if is_file:
            (folder / CLAIM).rename(folder / f".net.onnx{CLAIM}")
        with pytest.raises(CannotWrite, match="running cannot be written: it is a link, a pipe or a device, not a file"):
            Claim(path, is_file)
    assert kind != "link" or victim.read_text() == "of somebody"
    assert len(list(folder.iterdir())) == 1


@pytest.mark.parametrize("content", [b"", b"[1]", b"\xff\xfe", b"{", b"[" * 200_000, b'{"a":' * 200_000, b"1" * 5000])
def test_a_claim_that_nobody_wrote_is_no_claim(quick, tmp_path, content):
    (tmp_path / CLAIM).write_bytes(content)
    Claim(tmp_path).release()
    assert list(tmp_path.iterdir()) == []
