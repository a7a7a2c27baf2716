"""Language: the Chinese translation of messages, where they are shown. The code has English messages; no caller changes them.

`translate` finds the entry of mindclf/locale/zh.po that fits a finished English line. In an entry {1}, {2}, ... stand for what
the program fills in, in the order of the English message; the Chinese one may have them in another order. What is filled in is
translated too, if it is a message: an error inside an error. The Chinese message may say what kind of text it is:

{1:n}   a number, without which the entry does not fit
{1:s}   a text without blanks, or else the entry does not fit; a word is translated
{1:w}   any text; a single word, and words with "or" or "and" between them, are translated as well
{1:p}   a text that fills a column of a table: the Chinese one, of a single word too, is padded to as many columns

Elsewhere only titles of tables and the like (words=True) are looked up as single words: a class may be called "images".
"""

import ast
import functools
import locale
import os
import re
import sys
import textwrap
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ENGLISH, CHINESE = "en", "zh"
LOCALE = ("LC_ALL", "LC_MESSAGES", "LANG")  # the first of these that is set says which language messages have (POSIX)
CATALOGUE = Path(__file__).resolve().parents[1] / "locale" / "zh.po"
PLACEHOLDER = re.compile(r"\{(\d+)(?::([nspw]))?\}")
KINDS = {"n": r"([-+]?\d(?:[\d.,e+-]*\d)?%?)", "s": r"(\S+)"}  # of placeholders: what fits; others take anything
ENDS = " ,;:.("  # what the end of a longer text begins with
SEPARATORS = {"; ": "；", ". ": "。", ": ": "：", ", ": "，"}  # between messages that are joined: English, Chinese
IN_BRACKETS = re.compile(r"(.+) \((.+)\)", re.DOTALL)
CONJUNCTIONS = {" or ": " 或 ", " and ": " 和 "}  # between words
# What stays together at the end of a line: a word or a Chinese character, with the punctuation that belongs to it.
UNIT = re.compile(r"[（《“‘]*(?:[^\s\u2e80-\uffff]+|[\u2e80-\uffff])[，。；：、！？）》”’]*")


def language() -> str:
    """ENGLISH or CHINESE: what MINDCLF_LANG says, else the locale, else English."""
    asked = os.environ.get("MINDCLF_LANG", "")
    if asked:
        return CHINESE if asked == CHINESE else ENGLISH
    named = next(filter(None, map(os.environ.get, LOCALE)), "")
    if sys.platform == "win32" and not named:
        named = locale.getlocale()[0] or ""
    return CHINESE if re.match("zh|Chinese", named) else ENGLISH


def check_language() -> None:
    """Raises ValueError if MINDCLF_LANG is set to what is no language of mindclf."""
    asked = os.environ.get("MINDCLF_LANG", "")
    if asked not in ("", ENGLISH, CHINESE):
        raise ValueError(f"MINDCLF_LANG={asked} is not known; expected one of en, zh")


def translate(text: str, words: bool = False) -> str:
    """`text`, one or several lines of English, in the language in force; what no entry fits stays as it is.

    With `words` a line that is a single word is translated too.
    """
    if language() == ENGLISH:
        return text
    return "\n".join(_line(line, words) for line in text.split("\n"))


def columns(text: str) -> int:
    """Columns that a terminal gives to `text`: two for a Chinese character."""
    return len(text) if text.isascii() else sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def wrap(text: str, width: int, initial_indent: str = "", subsequent_indent: str = "") -> list[str]:
    """`text` in lines of at most `width` columns, as textwrap.wrap; Chinese breaks after any character."""
    if text.isascii():
        return textwrap.wrap(text, width, initial_indent=initial_indent, subsequent_indent=subsequent_indent)
    lines, line, end, used = [], initial_indent, 0, False
    for unit in UNIT.finditer(text):
        gap = " " * (unit.start() > end and used)
        if used and columns(line + gap + unit[0]) > width:
            lines.append(line)
            line, gap = subsequent_indent, ""
        line, end, used = line + gap + unit[0], unit.end(), True
    return [*lines, line]


class Entry(NamedTuple):
    """An entry with placeholders: the literal texts between which they stand, and the translation."""

    literals: tuple[str, ...]
    pattern: str  # a regular expression with a group for each placeholder
    chinese: str

    @classmethod
    def of(cls, english: str, chinese: str) -> "Entry":
        # An entry that begins with a blank or a comma is the end of a longer text: what comes before it is its placeholder 0.
        is_end = english[0] in ENDS
        literals = tuple(PLACEHOLDER.split(english.lstrip(" "))[::3])
        kinds = dict(PLACEHOLDER.findall(chinese))
        pattern = "(.*?)" * is_end + re.escape(literals[0]) + "".join(
            KINDS.get(kinds.get(str(number), ""), "(.*?)") + re.escape(text) for number, text in enumerate(literals[1:], start=1))
        return cls(literals, pattern, "{0}" + chinese.lstrip(" ") if is_end else chinese)

    @property
    def weight(self) -> tuple[bool, int]:
        """How well an entry fits, of two that do: one that begins with its own text better than others, then the longer text."""
        return bool(self.literals[0]) and not self.chinese.startswith("{0}"), sum(map(len, self.literals))

    def filled_in(self, text: str) -> dict[int, str] | None:
        """What stands for each placeholder if the entry fits `text`, else None."""
        found = _compiled(self.pattern).fullmatch(text)
        return dict(enumerate(found.groups(), start=0 if self.chinese.startswith("{0}") else 1)) if found else None


class Catalogue:
    """The entries, found by the first word of a text, or by the longest literal text in them."""

    def __init__(self, entries: dict[str, str]):
        self.whole, self.by_word, self.by_part = {}, {}, []
        for english, chinese in entries.items():
            if not PLACEHOLDER.search(english) and english[0] not in ENDS:
                self.whole[english] = chinese
                continue
            entry = Entry.of(english, chinese)
            word, blank, _ = entry.literals[0].partition(" ")
            if word and blank and english[0] not in ENDS:
                self.by_word.setdefault(word, []).append(entry)
            else:
                self.by_part.append((max(entry.literals, key=len), entry))

    def find(self, text: str) -> tuple[Entry, dict[int, str]] | None:
        """The entry that fits `text` best, and what is filled in."""
        candidates = [*self.by_word.get(text.partition(" ")[0], ()), *(entry for part, entry in self.by_part if part in text)]
        for entry in sorted(candidates, key=lambda entry: entry.weight, reverse=True):
            if (filled := entry.filled_in(text)) is not None:
                return entry, filled
        return None


def read_catalogue(path: Path = CATALOGUE) -> Iterator[tuple[str, str]]:
    """(English, Chinese) of each entry of a .po file; a string may go on in further lines."""
    key, texts = "", {}
    for line in [*path.read_text(encoding="utf-8").splitlines(), 'msgid ""']:
        head, quote, rest = line.partition('"')
        if not quote or line.startswith("#"):
            continue
        if head.strip() == "msgid" and texts.get("msgid"):
            yield texts["msgid"], texts["msgstr"]
        key = head.strip() or key
        texts[key] = ("" if head.strip() else texts[key]) + ast.literal_eval(quote + rest)


@functools.cache
def _compiled(pattern: str) -> re.Pattern:
    return re.compile(pattern, re.DOTALL)  # as late as this: to compile all takes a tenth of a second


@functools.cache
def _catalogue() -> Catalogue:
    return Catalogue(dict(read_catalogue()))


def _line(line, words):
    """The translation of one line, as indented as it is."""
    text = line.strip(" ")
    if not text:
        return line
    start = line.index(text)
    return line[:start] + (_found(text, words) or text) + line[start + len(text):]


@functools.lru_cache(2**12)
def _found(text: str, words: bool) -> str:
    """The translation of `text`; "" if there is none."""
    if text in _catalogue().whole and (words or " " in text):
        return _catalogue().whole[text]
    if " " not in text:
        return ""
    found = _catalogue().find(text)
    if not found or _takes_several(found[0], text):
        return _joined(text)
    entry, filled = found
    if 0 in filled:
        filled[0] = filled[0].rstrip(" ")
    return PLACEHOLDER.sub(lambda place: _filled_in(filled[int(place[1])], place[2] or ""), entry.chinese)


def _filled_in(text, kind):
    """What is filled in, translated."""
    core = text.strip(" ")
    chinese = core and (_found(core, kind in ("s", "w", "p")) or (kind == "w" and _listed(core)))
    if not chinese:
        return text
    room = " " * max(0, columns(text) - columns(chinese)) if kind == "p" else ""
    return chinese + room if text.endswith(" ") else room + chinese


def _takes_several(entry, text):
    """Whether `text` is messages with semicolons between them, of which the entry, of the first, would take the others as filled
    in. Each begins with the text of an entry."""
    if "; " not in text or any("; " in literal for literal in entry.literals):
        return False
    matches = map(_catalogue().find, text.split("; "))
    return all(found and found[0].weight[0] for found in matches)


def _joined(text):
    """The translation of messages that are joined, as in "a; b", if there is one for some of them."""
    for english, chinese in SEPARATORS.items():
        parts = text.split(english)
        found = [_found(part, False) for part in parts] if len(parts) > 1 else ()
        if any(found):
            return chinese.join(new or old for new, old in zip(found, parts))
    if text.endswith(".") and (found := _found(text[:-1], False)):
        return f"{found}。"
    match = IN_BRACKETS.fullmatch(text)
    found = [_found(part, False) for part in match.groups()] if match else ()
    return "{}（{}）".format(*(new or old for new, old in zip(found, match.groups()))) if any(found) else ""


def _listed(text):
    """The translation of words with a conjunction between them; "" where there is none."""
    for english, chinese in CONJUNCTIONS.items():
        parts = text.split(english)
        if len(parts) > 1:
            return chinese.join(_found(part, True) or part for part in parts)
    return ""
