"""The log of a training appears where nobody set up logging, and stays as it is where somebody did."""

import io
import logging
import subprocess
import sys

import pytest

from mindclf.utils.logs import has_colours, shown_log
from tests.support.terminal import TextTerminal

PROGRAM = """
import logging, sys
{}
from mindclf.utils.logs import shown_log
log = logging.getLogger("mindclf.train.fit")
log.info("before")
with shown_log():
    log.info("epoch %d", 1)
    with shown_log():  # a comparison of runs shows its own log, and each run in it too
        log.warning("careful")
log.info("after")
"""


@pytest.mark.parametrize("setup, to_stdout, to_stderr", [
    ("", "", "epoch 1\ncareful\n"),
    ("sys.modules['ipykernel'] = sys", "epoch 1\ncareful\n", ""),
    ("logging.basicConfig(level='WARNING', format='mine: %(message)s')", "", "mine: careful\n"),
    ("logging.getLogger('mindclf').addHandler(logging.NullHandler())", "", ""),
], ids=["script", "notebook", "set up", "silenced"])
def test_each_line_appears_once_where_it_is_looked_for(setup, to_stdout, to_stderr):
    done = subprocess.run([sys.executable, "-c", PROGRAM.format(setup)], capture_output=True, encoding="utf-8", check=True)
    assert (done.stdout, done.stderr) == (to_stdout, to_stderr)


@pytest.mark.parametrize("setup", ["", "logging.basicConfig(level='INFO', format='%(message)s')"], ids=["script", "set up"])
def test_without_verbose_only_warnings_appear(setup):
    program = PROGRAM.format(setup).replace("with shown_log():", "with shown_log(verbose=False):")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, encoding="utf-8", check=True)
    around = ["before", "after"] if setup else []
    assert (done.stdout, done.stderr.splitlines()) == ("", [*around[:1], "careful", *around[1:]])


def test_a_terminal_without_colours_gets_none(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "")  # set and empty is as not set
    monkeypatch.setenv("TERM", "xterm-256color")
    assert has_colours(TextTerminal()) and not has_colours(io.StringIO())
    monkeypatch.setenv("TERM", "dumb")
    assert not has_colours(TextTerminal())


def test_afterwards_logging_is_as_before(monkeypatch):
    logger = logging.getLogger("mindclf")
    before = logger.level
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    with pytest.raises(ZeroDivisionError), shown_log():
        assert logger.handlers and logger.level == logging.INFO
        raise ZeroDivisionError
    assert not logger.handlers and logger.level == before
