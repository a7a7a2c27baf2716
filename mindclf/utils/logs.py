"""The log as a person sees it: on the command line, and for whoever trains from Python. Nothing here imports MindSpore."""

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from typing import TextIO

from mindclf.utils.language import translate

COLOURS = {"best": "32", "header": "1", "warning": "33"}  # green, bold, yellow: a record may have one of these as its `style`


class LogHandler(logging.StreamHandler):
    """Shows the messages of records on `stream`: above a progress bar, in the language in force, and on a
    terminal some of them in colour."""

    def emit(self, record: logging.LogRecord) -> None:
        progress = sys.modules.get("mindclf.utils.progress")  # there are no bars before it is imported
        if progress:
            progress.wipe_bars()
        super().emit(record)

    def format(self, record: logging.LogRecord) -> str:
        text = translate(super().format(record))
        style = getattr(record, "style", "warning" if record.levelno >= logging.WARNING else "")
        return f"\x1b[{COLOURS[style]}m{text}\x1b[0m" if style in COLOURS and has_colours(self.stream) else text


def has_colours(stream: TextIO) -> bool:
    """Whether `stream` is a terminal that shows colours, and the user has not set NO_COLOR (https://no-color.org)."""
    return (stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
            and (sys.platform != "win32" or "WT_SESSION" in os.environ))


@contextlib.contextmanager
def shown_log(verbose: bool = True) -> Iterator[None]:
    """Has mindclf's log appear while the block runs, where nobody has set up logging: what takes minutes must say how far it is.

    In a notebook it goes to the output of the cell, elsewhere to standard error, as on the command line. Without `verbose` only
    warnings appear, and no progress bar.
    """
    from mindclf.utils.progress import no_bars

    logger = logging.getLogger("mindclf")
    handlers = [] if logger.hasHandlers() else [LogHandler(sys.stdout if "ipykernel" in sys.modules else sys.stderr)]
    level = logger.level
    if handlers or not verbose:
        logger.setLevel(logging.INFO if verbose else logging.WARNING)
    for handler in handlers:
        logger.addHandler(handler)
    try:
        with contextlib.nullcontext() if verbose else no_bars():
            yield
    finally:
        logger.setLevel(level)
        for handler in handlers:
            logger.removeHandler(handler)
