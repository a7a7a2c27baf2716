"""The folder of a run: which run it belongs to, and what becomes of an earlier one in it."""

import errno
import itertools
import logging
import os
from pathlib import Path

from mindclf.report.history import HISTORY
from mindclf.utils.claim import Claim, InUse, Lost, is_claim
from mindclf.utils.files import CannotWrite, one_line, writing

log = logging.getLogger(__name__)

TAKEN = (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR)  # how a rename fails where something has the name


class OutputFolder:
    """The folder at `path`, claimed for one run until `release`; what is in it stays until `clear`.

    While another run is alive there, `or_next` has the run take the first of `path`-1, `path`-2 ... that is free, and `number`
    says which; of `path` itself it is 0. Otherwise that raises InUse. Raises ValueError for a folder of something else than a
    run, and CannotWrite for one in which nothing can be written.
    """

    def __init__(self, path, or_next=False):
        self.path, self.number = Path(path), 0
        _check_kind(self.path)
        try:
            self.claim = Claim(self.path)
        except InUse as error:
            if not or_next:
                raise InUse(f"output={error}") from None
            self.claim, self.number = _claim_next(self.path)
            self.path = self.claim.path
            log.warning("%s: this run goes to %s", str(error).partition(": ")[0], self.path)
        try:
            _check_kind(self.path)  # it may have changed hands in between
            if _has_run(self.path) and not os.access(self.path.parent, os.W_OK):
                raise ValueError(f"the earlier run in {self.path} cannot be moved aside, for nothing may be written in "
                                 f"{self.path.parent}: set output to another folder")
        except BaseException:
            self.release()
            raise

    def check(self):
        """Raises Lost, a ValueError, unless the folder is still that of this run: asked before anything is written into it."""
        try:
            self.claim.check()
        except Lost as error:
            raise Lost(f"output={error}, so this run stops and writes nothing there: what it saved lies where its folder is now, "
                       f"and output=THERE resume=true goes on with it") from None

    def clear(self):
        """Makes the folder empty: an earlier run moves aside to `path`-1, `path`-2 ..., the first name that is free."""
        if not _has_run(self.path):
            return
        for number in _free_numbers(self.path):
            aside = numbered(self.path, number)
            try:
                with writing(aside):
                    self.claim = self.claim.move(aside)
            except CannotWrite as error:
                if error.__cause__.errno not in TAKEN:  # else another run has this name by now
                    raise
            else:
                log.info("the earlier run in %s is now in %s", self.path, aside)
                return

    def release(self):
        """Ends the claim."""
        self.claim.release()


def numbered(path, number):
    """The path of the folder beside `path` with this number; `path` itself for 0."""
    path = Path(path)
    return path.with_name(f"{path.name}-{number}") if number else path


def _claim_next(path):
    """A claim on the first of the `_free_numbers`, and the number."""
    for number in _free_numbers(path):
        try:
            return Claim(numbered(path, number), new=True), number
        except InUse:  # it came a moment earlier
            continue


def _free_numbers(path):
    """1, 2 ..., without those of folders that are there."""
    return (number for number in itertools.count(1) if not numbered(path, number).exists())


def _check_kind(path):
    """Raises ValueError if something is at `path` that is neither the folder of a run nor an empty one."""
    if path.exists() and not (path.is_dir() and ((path / HISTORY).is_file() or not _has_run(path))):
        raise ValueError(f"output={one_line(path)} exists and is not the folder of an earlier run: name another")


def _has_run(path):
    """Whether something is in the folder besides a claim."""
    return not all(map(is_claim, path.iterdir()))
