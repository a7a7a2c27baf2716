"""How the commands print: messages in the language in force, tables, counts, and what a shell takes."""

import codecs
import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from mindclf.utils.language import columns, translate

USER_ERROR = 2  # exit status of what the user can mend


def say(text):
    """Prints a message, in the language in force, to standard output."""
    print(translate(text))


def complain(message):
    """Prints a message about something wrong, in the language in force, to standard error."""
    print(f"mindclf: {translate(message)}", file=sys.stderr)


def print_table(rows, right=(), has_head=False, has_titles=False):
    """Prints columns of texts. Those whose index is in `right` are flush right, as numbers should be.

    With `has_head` the first row has the titles of the columns, with `has_titles` the first column those of the rows: these are
    translated even where they are a single word, which elsewhere may be the name of a class.
    """
    rows = [[translate(cell, words=(has_head and row == 0) or (has_titles and column == 0)) for column, cell in enumerate(cells)]
            for row, cells in enumerate(rows)]
    widths = [max(map(columns, column)) for column in zip(*rows)]
    for row in rows:
        gaps = [" " * (width - columns(cell)) for cell, width in zip(row, widths)]
        cells = [gap + cell if index in right else cell + gap for index, (cell, gap) in enumerate(zip(row, gaps))]
        print("  ".join(cells).rstrip(), flush=True)


def print_json(value):
    """Prints a line of JSON: in UTF-8, or where standard output has another encoding in ASCII, with escapes for the rest."""
    is_utf8 = codecs.lookup(getattr(sys.stdout, "encoding", None) or "utf-8").name == "utf-8"
    line = json.dumps(value, ensure_ascii=not is_utf8)
    print(line.encode("utf-8", "backslashreplace").decode(), flush=True)  # names of files need not be UTF-8


def print_counts(classes, titled):
    """Prints a row a class and their total; `titled` is {title: counts in the order of `classes`}."""
    rows = [("class", *titled)]
    rows += [(name, *(f"{count:,}" for count in counts)) for name, *counts in zip(classes, *titled.values())]
    rows.append((f"{len(classes)} classes", *(f"{sum(counts):,}" for counts in titled.values())))
    print_table(rows, right=range(1, len(titled) + 1), has_head=True)


def tally(counts):
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


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
