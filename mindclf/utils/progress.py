"""Progress: a bar of tqdm that says how far long work is. It fits the terminal; on what is no terminal nothing appears."""

import contextlib
import sys
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from typing import TextIO

from tqdm import tqdm

from mindclf.utils.language import translate

EVERY = 0.2  # seconds between two changes of a bar
LATE = 2.0   # seconds after which a bar appears that says how far an evaluation is: most are over by then
FORMAT = "{desc}{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt}{unit} {remaining} left{postfix}"

_hidden: ContextVar[bool] = ContextVar("hidden", default=False)


class Bar(tqdm):
    """A bar of tqdm without its thread that looks after all bars: each looks at the clock at every step."""

    monitor_interval = 0


Bar.set_lock(threading.RLock())  # tqdm's own is one between processes, which some systems lack


def progress_bar(total: int, unit: str = "", title: str = "", stream: TextIO | None = None, initial: int = 0,
                 delay: float = 0.0, smoothing: float = 0.3) -> Bar:
    """A `Bar` for `total` units of work, of which `initial` are done; its `update(n)` says that n more are, `close` wipes it.

    It is on `stream`, standard error by default, if that is a terminal, and appears after `delay` seconds. With smoothing=0 the
    time that is left follows the mean speed so far, else that of the last steps.
    """
    stream = stream or sys.stderr
    unit, title = translate(unit, words=True), translate(title, words=True)
    return Bar(total=total, unit=f" {unit}" if unit else "", desc=f"{title} " if title else "", file=stream, initial=initial,
               delay=delay, smoothing=smoothing, disable=_hidden.get() or stream is None or not stream.isatty(), leave=False,
               dynamic_ncols=True, mininterval=EVERY, miniters=1, position=0, bar_format=translate(FORMAT))


@contextlib.contextmanager
def no_bars() -> Iterator[None]:
    """Has no bar appear that is made while the block runs."""
    token = _hidden.set(True)
    try:
        yield
    finally:
        _hidden.reset(token)


def wipe_bars() -> None:
    """Takes all bars away until their next change, so that another text may come."""
    for bar in list(getattr(Bar, "_instances", ())):
        bar.clear()
