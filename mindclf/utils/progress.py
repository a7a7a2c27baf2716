"""Progress: one line on a terminal that says how far a long command is, and never more than fits."""

import shutil
import sys
import time

EVERY = 0.2  # seconds between two changes of the line


class ProgressLine:
    """A line that `show` rewrites and `clear` takes away; on what is no terminal nothing appears.

    `total` is how many there are to do, `unit` what they are called.
    """

    def __init__(self, total, unit, stream=None):
        self.total, self.unit, self.stream = total, unit, stream or sys.stderr
        self.started, self.shown, self.width = time.monotonic(), -EVERY, 0

    def show(self, done, counted):
        """Says that `done` of the total are done, `counted` of them by work that takes its time: the others were quick."""
        now = time.monotonic() - self.started
        if not self.stream.isatty() or now - self.shown < EVERY:
            return
        self.shown = now
        rate = counted / now if now > 0 else 0
        text = f"{done:,} of {self.total:,} {self.unit}"
        if rate:
            text += f"  {rate:.1f}/s  {duration((self.total - done) / rate)} left"
        self._write(text[:max(1, shutil.get_terminal_size().columns - 1)])

    def clear(self):
        """Takes the line away, so that another text may come."""
        if self.width:
            self._write("")

    def _write(self, text):
        self.stream.write(f"\r{text.ljust(self.width)}\r{text}")  # blanks, for not every terminal of Windows knows escape codes
        self.stream.flush()
        self.width = len(text)


def duration(seconds):
    """Seconds in words: 40 s, 12 min, 3 h 5 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
