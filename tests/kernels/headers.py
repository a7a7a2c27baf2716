"""What the C headers declare: enumerations and structures, as Python sees them."""

import re
from pathlib import Path

import numpy as np

from mindclf import kernels

CSRC = Path(kernels.__file__).parent / "csrc"
TYPES = {"int64_t": "i8", "double": "f8", "float": "f4"}


def enumerations(file):
    """The enumerations of a file of csrc/, each a dict: name to value. One ends before a member whose value is an expression."""
    found = []
    for members in re.findall(r"\benum\s*\{([^}]*)\}", _code(file)):
        found.append({})
        value = -1
        for member in filter(None, map(str.strip, members.split(","))):
            name, _, given = (part.strip() for part in member.partition("="))
            if given and not re.fullmatch(r"-?\d+", given):
                break
            value = int(given) if given else value + 1
            found[-1][name] = value
    return found


def constants(file):
    """All members of the enumerations of a file of csrc/, a dict: name to value."""
    return {name: value for enumeration in enumerations(file) for name, value in enumeration.items()}


def structure(file, name):
    """The memory layout of a structure of numbers, a NumPy dtype; numbers of an array in one dimension."""
    body, = re.findall(rf"typedef struct \{{([^}}]*)\}} {name};", _code(file))
    fields = []
    for declaration in filter(None, map(str.strip, body.split(";"))):
        kind, members = declaration.split(maxsplit=1)
        for field, size in re.findall(r"(\w+)(?:\[(\d+)\])?(?:,|$)", members):
            fields.append((field, TYPES[kind], int(size)) if size else (field, TYPES[kind]))
    return np.dtype(fields, align=True)


def _code(file):
    """A file of csrc/ without its comments."""
    return re.sub(r"/\*.*?\*/", "", (CSRC / file).read_text(encoding="utf-8"), flags=re.DOTALL)
