"""Names of files and folders that every system takes: Linux, macOS, Windows, and disks that come from them."""

import re
import unicodedata
from collections.abc import Iterable

# What Windows refuses in a name, what breaks a line, and bytes that are no UTF-8, which disks of Windows and macOS refuse.
REFUSED = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f\u0085\u2028\u2029\ud800-\udfff]')
# Names that Windows keeps for devices, with any suffix (Microsoft, "Naming Files, Paths, and Namespaces").
RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])\s*(\.|$)", re.IGNORECASE)
LONGEST = 120  # characters: 255 bytes are allowed, and a Chinese one has three; the rest is for a number


def safe_name(name: str) -> str:
    """`name`, or the nearest to it that every system takes. It is neither hidden nor empty, and keeps its suffix.

    >>> safe_name("a/c: parts?.jpg"), safe_name("nul"), safe_name(".cat. ")
    ('a_c_ parts_.jpg', 'nul_', '_cat')
    """
    name = REFUSED.sub("_", unicodedata.normalize("NFC", name)).rstrip(". ").lstrip(" ")
    if name.startswith("."):
        name = f"_{name[1:]}"
    stem, suffix = split_suffix(name)
    if RESERVED.match(name):
        first, *rest = name.split(".")
        name = ".".join([f"{first.rstrip()}_", *rest])
        stem, suffix = split_suffix(name)
    return f"{stem[:LONGEST - len(suffix)].rstrip('. ')}{suffix}" or "_"


def numbered_name(name: str, number: int) -> str:
    """`name` with a number before its suffix: cat-2.jpg; of 1 `name` itself."""
    stem, suffix = split_suffix(name)
    return name if number == 1 else f"{stem}-{number}{suffix}"


def distinct_names(names: Iterable[str], taken: Iterable[str] = ()) -> dict[str, str]:
    """{name: a safe name of its own}, also where case makes no difference; none is one of `taken`."""
    used = {unicodedata.normalize("NFC", name).casefold() for name in taken}
    found = {}
    for name in names:
        safe, number = safe_name(name), 1
        while (candidate := safe if number == 1 else f"{safe}-{number}").casefold() in used:
            number += 1
        used.add(candidate.casefold())
        found[name] = candidate
    return found


def split_suffix(name: str) -> tuple[str, str]:
    """(stem, suffix) of a file name; a suffix has up to ten characters after its dot."""
    match = re.fullmatch(r"(.+)(\.[^. ]{1,10})", name, re.DOTALL)
    return (match[1], match[2]) if match else (name, "")
