"""Collecting predictions of many images: in a CSV, in a folder for each class, or both. A command that was stopped can go on."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mindclf.inference.sorted_folder import TABLE, SortedFolder
from mindclf.inference.sources import Source, gather, is_url
from mindclf.inference.table import PredictionTable, check_place, shown_path
from mindclf.utils.claim import claimed
from mindclf.utils.files import one_line, sha256
from mindclf.utils.progress import no_bars, progress_bar


@dataclass
class Collected:
    """What became of the images: how many are of each class, and what cannot be used (`problems`, ValueErrors with its name).

    `done` were known from an earlier command, and `repeated` are the same, byte for byte, as another image; both count in
    `classes` too. `sorted_folder` is None if there was none.
    """

    classes: Counter = field(default_factory=Counter)
    done: int = 0
    repeated: int = 0
    problems: list = field(default_factory=list)
    sorted_folder: SortedFolder | None = None


def collect(predictor, names: Iterable[str], top_k: int, csv: str | Path | None = None, folder: str | Path | None = None,
            link: bool = False) -> Collected:
    """Predicts the files `names`, and all below those that are folders; returns a `Collected`.

    `csv` gets a row for each image (see `PredictionTable`), and in `folder` a copy, or with `link` a hard link, lies in the
    folder of its class (see `SortedFolder`). What is there stays, and is not done again: an image that both know, by its path and
    its content, is skipped. What lies in `folder` is no image to sort. Raises ValueError for a URL, for images that lie in
    `folder`, for a table of something else, and for one with a class that has no folder, before anything is written.
    """
    if csv is not None:
        check_place(csv)
    sources = _files(names, folder, csv, predictor.preprocessing.reading)
    collected = Collected()
    with contextlib.ExitStack() as claims:
        net = _net_of(predictor)
        tables = []
        if folder is not None:
            claims.enter_context(claimed(folder))
            collected.sorted_folder = SortedFolder(folder, predictor.classes, link)
            tables.append(PredictionTable(Path(folder) / TABLE, top_k, net, ("file",)))
        if csv is not None:
            claims.enter_context(claimed(csv, is_file=True))
            tables.append(PredictionTable(csv, top_k, net))
        if folder is not None:
            for table in tables:
                table.check_classes(collected.sorted_folder.folders)
        _Collector(tables, collected).run(predictor, sources, top_k)
    return collected


class _Collector:
    """The tables of one command, and what is known of its images while it runs."""

    def __init__(self, tables, collected):
        self.tables, self.collected = tables, collected
        self.digests, self.looked_at = {}, set()  # {name: SHA-256} of the images that the net looks at, and all of these
        self.repeats = []  # (name, SHA-256) of images whose content is known, or with the net

    def run(self, predictor, sources, top_k):
        """Predicts what is not in all tables, and adds it to them."""
        counted = 0
        with progress_bar(len(sources), "images", smoothing=0) as bar, no_bars():  # of parts of the images
            for name, found in predictor.predict_iter(self._new(sources), top_k):
                counted += 1
                if isinstance(found, ValueError):
                    self.collected.problems.append(found)
                else:
                    self._add(name, self.tables[0].row(shown_path(name), answer_of(found), found, self.digests.pop(name)))
                done = len(self.collected.problems) + self.collected.classes.total()
                bar.initial = done - counted  # the others were known, which took no time
                bar.update(done - bar.n)
            self._add_repeats()
            for table in self.tables:
                table.begin()  # where there was no image

    def _new(self, sources) -> Iterator[Source]:
        """Those of `sources` that the net has to look at."""
        for name, read in sources:
            try:
                digest = sha256(name)
            except OSError:
                yield name, read  # which says why it cannot be read
                continue
            known = [table.known.get((shown_path(name), digest)) for table in self.tables]
            if None not in known:
                self.collected.done += 1
                self.collected.classes[known[0]] += 1
            elif digest in self.looked_at or any(digest in table.by_digest for table in self.tables):
                self.repeats.append((name, digest))
            else:
                self.digests[name] = digest
                self.looked_at.add(digest)
                yield name, read

    def _add_repeats(self):
        """Adds the images whose content is that of one that has a row by now."""
        for name, digest in self.repeats:
            row = next((table.by_digest[digest] for table in self.tables if digest in table.by_digest), None)
            if row is None:
                self.collected.problems.append(ValueError(f"{one_line(name)} is the same as another file, which cannot be used"))
            else:
                self.collected.repeated += row["path"] != shown_path(name)
                self._add(name, {**row, "path": shown_path(name)})

    def _add(self, name, row):
        """Adds a row to the tables that lack it, after the image has its place."""
        place = self.collected.sorted_folder
        if place is not None and "file" not in row:
            try:
                row["file"] = place.place(name, row["class"], row["sha256"])
            except OSError as error:
                if os.path.exists(name):
                    raise
                self.collected.problems.append(ValueError(f"{one_line(name)} cannot be read: {error.strerror}"))
                return
        for table in self.tables:
            if (row["path"], row["sha256"]) not in table.known:
                table.add(row)
        self.collected.classes[row["class"]] += 1


def answer_of(found) -> str:
    """What an image is said to be and sorted under, from its `Predictions`."""
    return one_line(found.answer)


def _files(names, folder, csv, reading):
    """The sources of `gather` for files and folders, each file once, without what lies in `folder`, and without the table."""
    inside = None if folder is None else Path(os.path.realpath(folder))
    table = None if csv is None else os.path.realpath(csv)
    for name in names:
        if name == "-" or is_url(name):
            raise ValueError(f"{one_line(name)} is neither a file nor a folder: --csv and --sort-into take these only")
        if inside is not None and Path(os.path.realpath(name)).is_relative_to(inside):
            raise ValueError(f"{one_line(name)} lies in {one_line(folder)}, where sorted images go: name another folder")
    found = {}  # {where the file lies, whatever its folder is called: its source}
    for name, read in gather(names, reading=reading):
        parent, file = os.path.split(os.path.abspath(name))
        place = Path(os.path.realpath(parent)) / file
        if (inside is None or not place.is_relative_to(inside)) and (str(place) != table or name in names):
            found.setdefault(place, (name, read))
    return list(found.values())


def _net_of(predictor):
    """What tells the predictions of this net, read and answered in this way, from others: in words, with a hash of all of it."""
    path, preprocessing, calibration = predictor.runner.path, predictor.preprocessing, predictor.calibration
    mirror, white = predictor.runner.mirror, preprocessing.reading.white
    everything = (sha256(path), tuple(predictor.classes), preprocessing.card_fields(), mirror, calibration.temperature,
                  calibration.threshold)
    words = [one_line(path.stem), hashlib.sha256(json.dumps(everything).encode()).hexdigest()[:12]]
    if mirror:
        words.append("mirror")
    if white:
        words.append(f"white={white:g}")
    if calibration.temperature != 1:
        words.append(f"temperature={calibration.temperature:g}")
    if calibration.threshold:
        words.append(f"threshold={calibration.threshold:.4f}")
    return " ".join(words)
