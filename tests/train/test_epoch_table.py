"""The table of epochs: what a person sees, and what a program reads of it."""

import logging
from pathlib import Path

import pytest

from mindclf.train.checkpointing import CheckpointManager
from mindclf.train.epoch_table import EpochTable
from mindclf.utils.logs import LogHandler
from tests.support.terminal import TextTerminal

ROW = {"phase": 1, "epoch": 3, "steps": 24, "learning_rate": 0.0037526, "train_loss": 1.25, "train_top1": 0.5,
       "watched": "held out", "loss": 0.75, "top1": 1.0, "top5": 1.0, "images_per_second": 312.4, "seconds": 142.06,
       "data_seconds": 1.0}
SCALARS = {"top1": 1.0, "balanced_accuracy": 0.625, "macro_f1": 0.875, "loss": 0.75}


@pytest.fixture
def logged(caplog):
    caplog.set_level(logging.INFO, logger="mindclf")
    return caplog


def test_a_line_has_the_numbers_of_the_row_between_blanks(logged):
    EpochTable("top1").add(ROW, SCALARS, is_best=True)
    header, line = logged.messages
    assert header.split() == ["phase", "epoch", "train", "loss", "top-1", "val", "loss", "top-1", "lr", "images/s", "seconds"]
    assert line.split() == ["1", "3", "1.2500", "50.00%", "0.7500", "100.00%", "3.8e-03", "312", "142.1", "*"]
    for title, value in (("epoch", "3"), ("train loss", "1.2500"), ("val loss", "0.7500"), ("seconds", "142.1")):
        assert header.index(title) + len(title) == line.index(f" {value}") + 1 + len(value), "a column is not under its title"


def test_each_phase_has_one_header(logged):
    table = EpochTable("top1")
    for phase, epoch in ((1, 1), (1, 2), (2, 1), (2, 2)):
        table.add({**ROW, "phase": phase, "epoch": epoch}, SCALARS, is_best=False)
    assert [message.split()[0] for message in logged.messages] == ["phase", "1", "1", "phase", "2", "2"]
    assert not any("*" in message for message in logged.messages)


@pytest.mark.parametrize(("monitor", "title", "shown"), [
    ("top1", "top-1", "100.00%"), ("loss", "top-1", "100.00%"), ("balanced_accuracy", "balanced", "62.50%"),
    ("macro_f1", "macro F1", "87.50%")])
def test_the_monitored_metric_stands_beside_the_loss(logged, monitor, title, shown):
    EpochTable(monitor).add({**ROW, "watched": "test"}, SCALARS, is_best=False)
    header, line = logged.messages
    assert f"test loss {title:>8}  " in header and line.split()[5] == shown


def test_no_line_reaches_the_last_of_80_columns(logged):
    EpochTable("balanced_accuracy").add(
        {**ROW, "phase": 12345, "epoch": 99999, "learning_rate": 1e-10, "train_loss": 123456.0, "loss": 9999.99994,
         "train_top1": 1.0, "images_per_second": 12345678.0, "seconds": 99999.94}, {**SCALARS, "balanced_accuracy": 1.0}, True)
    assert [len(message) for message in logged.messages] == [77, 79]


@pytest.mark.parametrize(("stream", "no_color", "coloured"), [
    (TextTerminal(), "", True), (TextTerminal(), "1", False), (None, "", False)], ids=["terminal", "NO_COLOR", "file"])
def test_the_best_epoch_is_green_on_a_terminal_alone(logged, monkeypatch, tmp_path, stream, no_color, coloured):
    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setenv("TERM", "xterm")
    for is_best in (True, False):
        EpochTable("top1").add(ROW, SCALARS, is_best)
    if stream is None:
        stream = open(tmp_path / "log", "w+", encoding="utf-8")  # noqa: SIM115
    handler = LogHandler(stream)
    for record in logged.records:
        handler.emit(record)
    stream.seek(0)
    text = stream.read()
    stream.close()
    lines = text.splitlines()
    assert ("\x1b" in text) == coloured and [line.startswith("\x1b[32m") for line in lines] == [False, coloured, False, False]


@pytest.mark.parametrize(("watched", "marked"), [("held out", [True, False, True, False]), ("test", [False] * 4)])
def test_an_epoch_is_marked_if_none_before_it_is_as_good_and_it_was_chosen_by_validation(logged, watched, marked):
    checkpoints = CheckpointManager(None, Path(), {})
    for epoch, top1 in enumerate((0.5, 0.4, 0.75, 0.75), start=1):
        checkpoints.after_epoch({**ROW, "epoch": epoch, "watched": watched}, {**SCALARS, "top1": top1})
    assert [message.endswith(" *") for message in logged.messages[1:]] == marked
