"""History of a run: history.csv, one row an epoch."""

import csv
import logging
from pathlib import Path

from mindclf.utils.files import one_line, write_text, writing

log = logging.getLogger(__name__)

HISTORY = "history.csv"  # a folder that has it is that of a run
HISTORY_FIELDS = ("phase", "epoch", "steps", "learning_rate", "train_loss", "train_top1", "watched", "loss", "top1", "top5",
                  "images_per_second", "seconds", "data_seconds")


def shown_name(watched):
    """What messages and plots call the images that cards and the column "watched" call "held out" or "test"."""
    return "validation" if watched == "held out" else watched


class HistoryFile:
    """The CSV file at `path`. It grows by whole lines, so a run that is killed leaves the epochs that it finished.

    `check` is called before it is written: it raises if the folder is no longer that of this run.
    """

    def __init__(self, path, check=lambda: None):
        self.path, self.check = Path(path), check

    def begin(self):
        """Writes the header line."""
        self.check()
        with writing(self.path), open(self.path, "w", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, HISTORY_FIELDS).writeheader()

    def append(self, row):
        """Adds `row`, a dict with HISTORY_FIELDS."""
        self.check()
        with writing(self.path), open(self.path, "a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, HISTORY_FIELDS)
            writer.writerow({name: f"{value:.6g}" if isinstance(value, float) else value for name, value in row.items()})

    def rows(self):
        """The rows, numbers as numbers. Raises ValueError that names the file for one in which something else stands."""
        with open(self.path, newline="", encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if None not in row.values()]  # a full disk may cut the last one short
        try:
            for row in rows:
                row.update({name: float(value) for name, value in row.items() if name != "watched"})
        except (TypeError, ValueError):  # the former for a row of too many columns
            raise ValueError(f"{one_line(self.path)} has a row with something else than numbers: {one_line(row)}") from None
        return rows

    def state_dict(self):
        """The whole text."""
        return {"text": self.path.read_bytes().decode("utf-8")}

    def load_state_dict(self, state):
        """Writes what `state_dict` gave: rows of epochs that are to be trained again go."""
        write_text(self.path, state["text"])


def history_beside(checkpoint):
    """The rows of the history.csv beside a checkpoint. No rows if there is no such file, or one with other columns."""
    path = Path(checkpoint).parent / HISTORY
    if not path.is_file():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        columns = next(csv.reader(file), [])
    if tuple(columns) != HISTORY_FIELDS:
        log.warning("%s has not the columns that this mindclf writes: it is left out of the report", path)
        return []
    try:
        return HistoryFile(path).rows()
    except ValueError as error:
        log.warning("%s: it is left out of the report", error)
        return []
