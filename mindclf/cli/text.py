"""How the commands print: tables, counts, and what a shell takes."""

import codecs
import json
import os
import shlex
import shutil
import subprocess
import sys
import unicodedata
from pathlib import Path

USER_ERROR = 2  # exit status of what the user can mend


def print_table(rows, right=()):
    """Prints columns of texts. Those whose index is in `right` are flush right, as numbers should be."""
    widths = [max(map(_width, column)) for column in zip(*rows)]
    for row in rows:
        gaps = [" " * (width - _width(cell)) for cell, width in zip(row, widths)]
        cells = [gap + cell if index in right else cell + gap for index, (cell, gap) in enumerate(zip(row, gaps))]
        print("  ".join(cells).rstrip(), flush=True)


def print_json(value):
    """Prints a line of JSON: in UTF-8, or where standard output has another encoding in ASCII, with escapes for the rest."""
    is_utf8 = codecs.lookup(getattr(sys.stdout, "encoding", None) or "utf-8").name == "utf-8"
    line = json.dumps(value, ensure_ascii=not is_utf8)
    print(line.encode("utf-8", "backslashreplace").decode(), flush=True)  # names of files need not be UTF-8


def print_counts(classes, columns):
    """Prints a row a class and their total; `columns` is {title: counts in the order of `classes`}."""
    rows = [("class", *columns)]
    rows += [(name, *(f"{count:,}" for count in counts)) for name, *counts in zip(classes, *columns.values())]
    rows.append((f"{len(classes)} classes", *(f"{sum(counts):,}" for counts in columns.values())))
    print_table(rows, right=range(1, len(columns) + 1))


def tally(counts):
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


def _width(text):
    """Columns that a terminal gives to `text`: two for a Chinese character."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def quoted(text):
    """`text` as a shell takes it for one word, in the quotes that leave Python's own readable."""
    if sys.platform == "win32":
        return subprocess.list2cmdline([text])  # its shells take a backslash as it is, and one of them no single quotes
    return shlex.quote(text) if set(text) & set('"$`\\!') or "'" not in text else f'"{text}"'


def this_command():
    """What to type for `mindclf`: that word where it starts this very installation, else the Python that has it."""
    found = shutil.which("mindclf")
    is_own = found and os.path.realpath(os.path.dirname(found)) == os.path.realpath(os.path.dirname(sys.executable))
    return "mindclf" if is_own else f"{this_python()} -m mindclf"


def this_python():
    """What to type for the Python that runs this."""
    return quoted(os.path.relpath(sys.executable) if Path(sys.executable).is_relative_to(Path.cwd()) else sys.executable)
