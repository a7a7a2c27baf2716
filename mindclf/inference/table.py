"""Tables of predictions: a CSV with a row an image, to which a later command adds."""

from __future__ import annotations

import contextlib
import csv
import io
from collections.abc import Container
from pathlib import Path

from mindclf.inference.predictions import Predictions
from mindclf.utils.files import one_line, open_file, portable, writing

MARK = "\ufeff".encode()  # at the beginning of a file, by which spreadsheets know UTF-8


class PredictionTable:
    """The CSV at `path`: path, class, probability, then class_1, probability_1 ... of the `top_k` classes, `extra`, sha256, net.

    Rows are only added, each is in the file when `add` returns, and none is changed. A table that is there goes on, if it has the
    same columns and its rows are of the same `net`: otherwise ValueError says so. What a stopped command left of its last row, or
    of the titles, is cut off. Nothing is written before `begin`. `known` is {(path, SHA-256): class}, and `by_digest` has a row
    for each SHA-256.
    """

    def __init__(self, path: str | Path, top_k: int, net: str, extra: tuple = ()):
        self.path, self.top_k, self.net = Path(path), top_k, net
        ranks = [column for rank in range(1, top_k + 1) for column in (f"class_{rank}", f"probability_{rank}")]
        self.columns = ["path", "class", "probability", *ranks, *extra, "sha256", "net"]
        self.known, self.by_digest = {}, {}
        self._length, self._missing, self._begun = 0, MARK + _line(self.columns), False  # bytes that stay, and what comes then
        with writing(self.path):
            self._exists = self.path.exists()
            if self._exists:
                self._read()

    def begin(self) -> None:
        """Makes the file, or cuts off what is no whole row; called again it does nothing."""
        if self._begun:
            return
        with writing(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with open(self.path, "r+b" if self._exists else "xb") as file:
                file.truncate(self._length)
                file.seek(self._length)
                file.write(self._missing)
        self._begun = True

    def add(self, row: dict) -> None:
        """Adds a row, a dict that has the columns; what else it has is left out."""
        self.begin()
        with writing(self.path), open(self.path, "ab") as file:
            file.write(_line([row[column] for column in self.columns]))
        self._note(row)

    def check_classes(self, names: Container[str]) -> None:
        """Raises ValueError for a row whose class is not among `names`, as when a person has written another one."""
        for (path, _), name in self.known.items():
            if name not in names:
                raise ValueError(f"{one_line(self.path)} says {one_line(name)} of {one_line(path)}, which is none of the net's "
                                 "classes: put one of those there, or name another file")

    def row(self, path: str, answer: str, predictions: Predictions, digest: str) -> dict:
        """The row of an image whose class is said to be `answer`, without the extra columns."""
        row = {"path": path, "class": answer, "sha256": digest, "net": self.net}
        for rank, prediction in enumerate(predictions[:self.top_k], 1):
            row[f"class_{rank}"], row[f"probability_{rank}"] = one_line(prediction.name), f"{prediction.probability:.4f}"
        return {**row, "probability": row["probability_1"]}

    def _read(self):
        """Reads the rows that are there, and looks at whether they may be gone on with."""
        content = self.path.read_bytes()
        if self._missing.startswith(content):  # a command was stopped as it began
            return
        self._length, self._missing = content.rfind(b"\n") + 1, b""
        last = next(csv.reader([content[self._length:].decode("utf-8", "replace")]), [])
        if len(last) == len(self.columns) and last[-1] == self.net:  # an editor left out the end of the line
            self._length, self._missing = len(content), b"\n"
        header, *rows = list(csv.reader(content[:self._length].decode("utf-8-sig", "replace").splitlines())) or [[]]
        if header != self.columns:
            raise ValueError(f"{one_line(self.path)} exists and is not overwritten: its columns are not those that would be "
                             f"written, {','.join(self.columns)}; name another file")
        for row in (dict(zip(header, cells)) for cells in rows if len(cells) == len(header)):
            if row["net"] != self.net:
                raise ValueError(f"{one_line(self.path)} has predictions of another net or other options, "
                                 f"{one_line(row['net'])}, and this is {self.net}: name another"
                                 f" {'folder' if 'file' in header else 'file'}")
            self._note(row)

    def _note(self, row):
        self.known[row["path"], row["sha256"]] = row["class"]
        self.by_digest.setdefault(row["sha256"], row)


def check_place(path: str | Path) -> None:
    """Raises CannotWrite where no table can be: in place of a folder, a pipe or a device, of which reading may never end."""
    with writing(Path(path)), contextlib.suppress(FileNotFoundError), open_file(path):
        pass


def shown_path(name: str) -> str:
    """The path of an image as a row has it: in one line, with slashes."""
    return one_line(portable(name))


def _line(cells):
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue().encode("utf-8", "backslashreplace")
