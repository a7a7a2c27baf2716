"""A bar of progress fits the terminal, and is nowhere but on one."""

import contextlib
import io
import logging
import threading

import pytest

from mindclf.utils.logs import LogHandler
from mindclf.utils.progress import no_bars, progress_bar
from tests.support.terminal import TextTerminal, screen, terminal


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass when a test says so."""
    now = [100.0]
    monkeypatch.setattr("tqdm.std.time", lambda: now[0])
    return now


@pytest.mark.parametrize("columns", [20, 40, 80])
def test_a_bar_is_one_line_that_never_reaches_the_last_column(clock, columns):
    with terminal(columns) as (stream, written):
        bar = progress_bar(123_456, "images", "features, view 12", stream)
        for _ in range(3):
            clock[0] += 10
            bar.update(1000)
        text = written()
        [line] = screen(text, columns)
        assert "\n" not in text and max(map(len, text.split("\r"))) < columns
        assert line.startswith("features, view 12") and ("%|" in line) == (columns > 20)
        bar.close()
        assert screen(text + written(), columns) == [""]


def test_it_says_how_many_are_done_and_how_long_the_rest_takes(clock):
    with terminal(80) as (stream, written), progress_bar(1000, "images", stream=stream, smoothing=0) as bar:
        bar.initial = 300  # were known: 100 in 10 seconds
        clock[0] += 10
        bar.update(400)
        [line] = screen(written(), 80)
    assert line.startswith(" 40%|") and line.endswith("| 400/1000 images 01:00 left")


def test_one_that_comes_late_does_not_show_for_quick_work(clock):
    stream = TextTerminal()
    with progress_bar(10, stream=stream, delay=2) as bar:
        for _ in range(9):
            clock[0] += 0.2
            bar.update()
    assert stream.getvalue() == ""
    with progress_bar(10, stream=stream, delay=2) as bar:
        clock[0] += 2.5
        bar.update()
    assert " 1/10 " in stream.getvalue()


def test_what_is_no_terminal_and_where_bars_are_hidden_get_nothing(clock):
    for stream, hidden in ((io.StringIO(), False), (TextTerminal(), True)):
        with no_bars() if hidden else contextlib.nullcontext(), progress_bar(10, "images", stream=stream) as bar:
            clock[0] += 10
            bar.update(5)
        assert stream.getvalue() == ""
    assert not progress_bar(1, stream=TextTerminal()).disable, "bars stay hidden afterwards"


def test_a_line_of_the_log_takes_the_place_of_the_bar_which_comes_back_below(clock):
    with terminal(80) as (stream, written):
        handler, bar = LogHandler(stream), progress_bar(4, "images", stream=stream)
        handler.emit(logging.makeLogRecord({"msg": "epoch 1", "levelno": logging.INFO}))
        clock[0] += 1
        bar.update()
        lines = screen(written(), 80)
        bar.close()
    assert lines[0] == "epoch 1" and lines[1].startswith(" 25%|") and len(lines) == 2


def test_bars_start_no_thread():
    before = threading.active_count()
    with progress_bar(10, stream=TextTerminal()):
        assert threading.active_count() == before
