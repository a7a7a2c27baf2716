"""Claims: a folder, or a file, belongs to one command at a time, until that command ends, however it ends.

A claim is a small file that its owner keeps locked. The system takes the lock away from a process that ends, even from a killed
one, so what a dead process left is recognised at once, and no process that has its number by then is taken for it. Locks may not
reach other hosts, and some file systems have none. So the owner also changes its claim every few seconds. Where the lock cannot
tell, whoever finds a claim watches it for a minute, and takes it over if nothing happens. No clocks are compared.
"""

import contextlib
import errno
import json
import logging
import os
import platform
import signal
import stat
import threading
import time
import uuid
from pathlib import Path

from mindclf.utils.files import move_folder, one_line, open_file, persistently, writing

try:
    import fcntl
except ImportError:  # Windows: there all claims are watched
    fcntl = None

log = logging.getLogger(__name__)

CLAIM = ".running"  # the name of the claim in a folder
BEAT = 5            # seconds between two signs of life of an owner
WATCH = 60          # seconds without a sign of life after which an owner that no lock tells of is dead
SETTLE = 2          # seconds after which two commands that took over the same claim know which of them has it
ASK = 0.2           # seconds between two looks at a claim
TRIES = 100         # of opening a claim that others make and remove
TAKEN = {errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES}  # how systems say that somebody else has the lock
STRICT = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)  # links are not followed, pipes not waited for
BOOT = Path("/proc/sys/kernel/random/boot_id")


class InUse(ValueError):
    """A folder or a file belongs to another command; the message names it and its process."""


class Lost(ValueError):
    """A folder or a file belongs to this command no longer; the message says to whom it does."""


class Claim:
    """A claim on the folder `path`, or on the file `path` if `is_file`. A folder that is not there is made.

    `release` ends it, and removes the folders that were made for it if nothing is in them. Raises InUse if another command has a
    claim and is alive, or if the folder must be `new` and is there, and CannotWrite if no claim can be written.
    """

    def __init__(self, path, is_file=False, new=False):
        self.path = Path(path)
        folder = self.path.parent if is_file else self.path
        self.file = folder / (f".{self.path.name}{CLAIM}" if is_file else CLAIM)
        self.text = json.dumps({"pid": os.getpid(), "host": platform.node(), "boot": _boot(), "id": uuid.uuid4().hex,
                                "since": time.strftime("%Y-%m-%d %H:%M")})
        self.made = [place for place in (folder, *folder.parents) if not place.exists()]  # the innermost first
        try:
            with writing(self.file):
                folder.parent.mkdir(parents=True, exist_ok=True)
                if new and not _makes(folder):
                    raise self._in_use()
                self.lock = self._take()
        except BaseException:
            self._remove_made()
            raise
        self.ended = threading.Event()
        self.beating = threading.Thread(target=self._beat, daemon=True)
        self.beating.start()

    def release(self):
        """Ends the claim; wherever its folder is by now."""
        self.ended.set()
        self.beating.join()
        with contextlib.suppress(OSError):
            if self._is_ours():
                persistently(self.file.unlink)  # others may be reading it
        if self.lock is not None:
            os.close(self.lock)
            self.lock = None
        self._remove_made()

    def check(self):
        """Raises Lost if the folder is not this command's any more: moved, removed, or taken over by another one."""
        if not self._is_ours():
            left = _read(self.file)
            what = "it was moved or removed" if left is None else f"it is that of {_owner(left)}"
            raise Lost(f"{one_line(self.path)} is no longer the folder of this command: {what}")

    def move(self, target):
        """Moves the folder to `target`, and returns a claim on an empty one under its old name."""
        move_folder(self.path, target)
        self.file = target / CLAIM
        try:
            return Claim(self.path)
        finally:
            self.release()

    def _take(self):
        """The descriptor of the claim, locked and with our text in it; None where files cannot be locked."""
        while True:
            descriptor, is_new = _open(self.file)
            with contextlib.ExitStack() as otherwise:
                otherwise.callback(os.close, descriptor)
                left = _read(self.file)
                locked = _lock(descriptor)
                is_dead = is_new or (locked and _is_of_this_machine(left))  # if the lock is to be had
                if locked is False or (not is_dead and _changes(self.file, left)):
                    raise self._in_use()
                if not _is(descriptor, self.file):
                    continue  # it was released, or its folder was moved, in between
                os.ftruncate(descriptor, 0)
                os.write(descriptor, self.text.encode())
                if locked:
                    otherwise.pop_all()
                    return descriptor
            if not is_new:
                time.sleep(SETTLE)
            if not self._is_ours():
                raise self._in_use()
            return None

    def _beat(self):
        if hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # these are for the main thread
        count = 0
        while not self.ended.wait(BEAT):
            count += 1
            with contextlib.suppress(OSError):  # such as a folder that was moved, or a network that is away for a while
                if self._is_ours():
                    with open(self.file, "r+b") as file:
                        file.write(f"{self.text}{count}\n".encode())

    def _is_ours(self):
        return (_read(self.file) or b"").startswith(self.text.encode())

    def _in_use(self):
        return InUse(f"{one_line(self.path)} is in use by {_owner(_read(self.file))}: wait for its end, or name another")

    def _remove_made(self):
        for place in self.made:
            with contextlib.suppress(OSError):  # it has something in it by now
                place.rmdir()


@contextlib.contextmanager
def claimed(path, is_file=False):
    """Has a `Claim` while the block runs."""
    claim = Claim(path, is_file)
    try:
        yield claim
    finally:
        claim.release()


@contextlib.contextmanager
def waiting_for(path):
    """As `claimed`, of a folder, but waits while another command has it."""
    said = False
    while True:
        try:
            claim = Claim(path)
            break
        except InUse as error:
            if not said:
                log.warning("%s", str(error).partition(": ")[0] + ": waiting for it")
            said = True
            time.sleep(ASK)
    try:
        yield
    finally:
        claim.release()


def is_claim(path):
    """Whether `path` is a file that says that its folder is claimed."""
    return path.name == CLAIM


def _makes(folder):
    """Whether the folder was not there, and is now."""
    try:
        folder.mkdir()
    except FileExistsError:
        return False
    return True


def _open(file):
    """(descriptor, whether the file was made). Raises OSError for what is no file: a claim is not written through a link."""
    for attempt in range(TRIES):
        file.parent.mkdir(exist_ok=True)
        for flags, is_new in ((os.O_CREAT | os.O_EXCL, True), (0, False)):
            try:
                descriptor = os.open(file, os.O_RDWR | STRICT | flags, 0o644)
            except (FileExistsError, FileNotFoundError):  # it comes and goes with claims of others
                if attempt == TRIES - 1 and not is_new:
                    raise
                continue
            except OSError:
                if not file.is_symlink():
                    raise
                raise _no_file(file) from None
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                return descriptor, is_new
            os.close(descriptor)
            raise _no_file(file)


def _no_file(file):
    return OSError(errno.EINVAL, "it is a link, a pipe or a device, not a file: remove it", str(file))


def _lock(descriptor):
    """True if the file is locked now, False if somebody else has locked it, None if it cannot be locked."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return False if error.errno in TAKEN else None
    return True


def _is(descriptor, file):
    """Whether the open file is still the one at the path `file`."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(file))
    except FileNotFoundError:
        return False


def _read(file):
    """The bytes in `file`; None if it is not there or cannot be read, as a pipe, which might never end."""
    try:
        with open_file(file) as opened:
            return opened.read()
    except OSError:
        return None


def _changes(file, seen):
    """Whether what was `seen` in the claim `file` changes within WATCH seconds: then its owner is alive."""
    log.warning("%s was left by %s: watching for up to %d s whether that is alive", one_line(file), _owner(seen), WATCH)
    ends = time.monotonic() + WATCH
    while time.monotonic() < ends:
        time.sleep(ASK)
        now = _read(file)
        if now is None:  # released
            return False
        if now != seen:
            return True
    return False


def _is_of_this_machine(text):
    """Whether the lock of a claim with this `text` says all: its owner runs, or ran, under the system that we run under."""
    boot = _facts(text).get("boot")
    return not text or boot == _boot()


def _owner(text):
    facts = _facts(text)
    if not facts.get("pid"):
        return "another command"
    return one_line(f"process {facts['pid']} on {facts.get('host')} since {facts.get('since')}")


def _facts(text):
    """The object in a claim, which others may have written: then it has nothing."""
    try:
        facts, _ = json.JSONDecoder().raw_decode((text or b"").decode())
    except (ValueError, RecursionError):
        return {}
    return facts if isinstance(facts, dict) else {}


def _boot():
    """What tells this running system from any other, and from itself before it was started anew where the system says that."""
    return (_read(BOOT) or f"{platform.node()} {uuid.getnode()}".encode()).decode().strip()
