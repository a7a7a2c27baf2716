"""The line of progress fits the terminal, and is nowhere but on one."""

import io
import re

import pytest

from mindclf.utils import progress
from mindclf.utils.progress import ProgressLine, duration


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass when a test says so."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def shown(stream):
    """What a terminal shows of the line in the end."""
    line = ""
    for part in stream.getvalue().split("\r"):
        line = part + line[len(part):]
    return line


@pytest.mark.parametrize("columns", [20, 40, 80])
def test_the_line_never_reaches_the_last_column(monkeypatch, clock, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    stream = Terminal()
    line = ProgressLine(123_456, "images", stream)
    for done in range(1, 4):
        clock[0] += 10
        line.show(done * 1000, done * 10)
    assert "\n" not in stream.getvalue() and max(map(len, stream.getvalue().split("\r"))) < columns


def test_it_says_how_many_are_done_and_how_long_the_rest_takes(monkeypatch, clock):
    monkeypatch.setenv("COLUMNS", "80")
    stream = Terminal()
    line = ProgressLine(1000, "images", stream)
    clock[0] += 10
    line.show(400, 100)  # 300 were known: 10 a second
    assert shown(stream).rstrip() == "400 of 1,000 images  10.0/s  60 s left"
    line.clear()
    assert shown(stream).strip() == ""


def test_what_is_no_terminal_gets_nothing(clock):
    stream = io.StringIO()
    line = ProgressLine(10, "images", stream)
    clock[0] += 10
    line.show(5, 5)
    line.clear()
    assert stream.getvalue() == ""


@pytest.mark.parametrize(("seconds", "words"), [(0, "0 s"), (89, "89 s"), (600, "10 min"), (3 * 3600 + 300, "3 h 5 min")])
def test_durations_are_said_in_the_units_that_fit(seconds, words):
    assert duration(seconds) == words and re.fullmatch(r"[\d a-z]+", words)
