"""A terminal of so many columns, and what a person sees on it."""

import contextlib
import fcntl
import io
import os
import re
import struct
import termios


class TextTerminal(io.StringIO):
    """Text that says that it is a terminal."""

    def isatty(self):
        return True


@contextlib.contextmanager
def terminal(columns):
    """(a stream to a pseudo terminal of so many columns, a function that gives what was written to it since)."""
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    os.set_blocking(master, False)

    def written():
        stream.flush()
        chunks = []
        with contextlib.suppress(BlockingIOError):
            while True:
                chunks.append(os.read(master, 65536))
        return b"".join(chunks).decode("utf-8")

    try:
        with os.fdopen(slave, "w", encoding="utf-8") as stream:
            yield stream, written
    finally:
        os.close(master)


def screen(text, columns):
    """The lines that a terminal of so many columns shows of `text`; what is longer goes on in the next line."""
    lines, row, column = [""], 0, 0
    for character in re.sub("\x1b\\[[0-9;]*m", "", text):
        if character == "\r":
            column = 0
        elif character == "\n":
            row, column = row + 1, 0
        else:
            if column == columns:
                row, column = row + 1, 0
            lines += [""] * (row + 1 - len(lines))
            lines[row] = lines[row].ljust(column)[:column] + character + lines[row][column + 1:]
            column += 1
    return [line.rstrip() for line in lines]
