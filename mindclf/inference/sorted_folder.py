"""Sorted folders: copies of images, or links to them, in a folder for each class. Nothing in them is ever overwritten."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from mindclf.labels import NOT_SURE
from mindclf.utils.files import TEMPORARY, hard_link, one_line, persistently, sha256, writing
from mindclf.utils.safe_names import distinct_names, numbered_name, safe_name

TABLE = "predictions.csv"  # in the folder: what was sorted, see mindclf.inference.table


class SortedFolder:
    """The folder `path`, which may have images already, with a folder for each of `classes`.

    Folders and files get names that every system takes (see mindclf.utils.safe_names). With `link` images become hard links where
    the disk has them; `linked` and `copied` count what was put there, `present` what was there already.
    """

    def __init__(self, path: str | Path, classes: Sequence[str], link: bool = False):
        self.path, self.link = Path(path), link
        others = [one_line(name) for name in classes if name != NOT_SURE]
        self.folders = {NOT_SURE: NOT_SURE, **distinct_names(others, taken=(NOT_SURE, TABLE))}
        self.linked = self.copied = self.present = 0
        self._names = {}  # folder: {name without regard to case: the name} of what is in it

    def place(self, source: str | Path, class_name: str, digest: str) -> str:
        """Puts the file `source`, whose SHA-256 is `digest`, into the folder of the class; returns its path below `path`.

        If another file has its name, it gets a number; a file that is the same byte for byte is taken for it.
        """
        folder = self.folders[class_name]
        names = self._names_in(folder)
        base = safe_name(Path(source).name)
        for number in itertools.count(1):
            name = numbered_name(base, number)
            found = names.get(name.casefold())
            if found is None:
                break
            if self._is_same(self.path / folder / found, source, digest):
                self.present += 1
                return f"{folder}/{found}"
        target = self.path / folder / name
        with writing(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            if self.link and hard_link(source, target):
                self.linked += 1
            else:
                self._copy(source, target)
                self.copied += 1
        names[name.casefold()] = name
        return f"{folder}/{name}"

    def _copy(self, source, target):
        """Copies `source` with its date to `target`, which must not be there: it appears whole or not at all."""
        with tempfile.TemporaryDirectory(dir=self.path, prefix=TEMPORARY) as folder:
            temporary = Path(folder) / "image"
            shutil.copyfile(source, temporary)
            with contextlib.suppress(OSError):  # of a file system without dates
                before = os.stat(source)
                os.utime(temporary, ns=(before.st_atime_ns, before.st_mtime_ns))
            with open(temporary, "rb+") as file, contextlib.suppress(OSError):
                os.fsync(file.fileno())
            put(temporary, target)

    def _names_in(self, folder):
        if folder not in self._names:
            place = self.path / folder
            self._names[folder] = {entry.casefold(): entry for entry in os.listdir(place)} if place.is_dir() else {}
        return self._names[folder]

    def _is_same(self, there, source, digest):
        try:
            return there.is_file() and there.stat().st_size == os.path.getsize(source) and sha256(there) == digest
        except OSError:
            return False


def put(temporary: Path, target: Path) -> None:
    """Renames a file to `target` on the same disk. Raises FileExistsError if something is there: it stays."""
    if hard_link(temporary, target):  # in one step, and never over anything; the other name goes with its folder
        return
    if target.exists():
        raise FileExistsError(errno.EEXIST, "something of that name has appeared", str(target))
    persistently(temporary.rename, target)
