"""Makes mindclf/report/font/mindclf-cjk.ttf of Droid Sans Fallback: python docs/make_font.py DroidSansFallbackFull.ttf

Debian has the font in the package fonts-droid-fallback. The letters are those of the Chinese names of classes and bins that
mindclf knows, of its Chinese messages, and of the most frequent words in the dictionary of jieba, which the extra `docs` brings.
fontTools comes with Matplotlib.
"""

import sys
from collections import Counter
from pathlib import Path

import jieba
from fontTools import subset
from fontTools.ttLib import TTFont

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT))

from mindclf.labels import CATEGORIES, LABELS  # noqa: E402  of this clone
from mindclf.report.fonts import OWN, OWN_NAME  # noqa: E402
from mindclf.utils.language import read_catalogue  # noqa: E402

FREQUENT = 1300  # letters, besides those of the names
PUNCTUATION = "，。、：；！？（）《》“”‘’…—·"
LICENCE_IDS = (0, 7, 13, 14)  # of the table "name": copyright, trademark, licence and its address


def main(source):
    """Writes the subset; its outlines are those of `source`, without hints."""
    font = TTFont(source)
    options = subset.Options(hinting=False, layout_features=[], notdef_outline=True, name_IDs=[*LICENCE_IDS, 1, 2, 3, 4, 6],
                             drop_tables=["GDEF", "GPOS", "GSUB", "vhea", "vmtx"])
    subsetter = subset.Subsetter(options)
    subsetter.populate(text=known_letters() + frequent_letters(FREQUENT) + PUNCTUATION)
    subsetter.subset(font)
    for number, text in ((1, OWN_NAME), (2, "Regular"), (3, f"{OWN_NAME}, a subset of Droid Sans Fallback"), (4, OWN_NAME),
                         (6, OWN_NAME.replace(" ", "-"))):
        font["name"].setName(text, number, 3, 1, 0x409)
    font["head"].modified = font["head"].created  # so that the same font makes the same file
    font.recalcTimestamp = False
    OWN.parent.mkdir(exist_ok=True)
    font.save(OWN)
    print(f"{OWN.relative_to(ROOT)}: {len(font.getBestCmap()):,} letters, {OWN.stat().st_size:,} bytes")


def known_letters():
    """The letters of all Chinese names of classes and bins, and of all Chinese messages."""
    names = [label.chinese for labels in LABELS.values() for label in labels.values()]
    return "".join([*names, *CATEGORIES, *(chinese for _, chinese in read_catalogue())])


def frequent_letters(count):
    """The `count` most frequent letters in the words of jieba's dictionary, each word as often as it is used."""
    uses = Counter()
    for line in (Path(jieba.__file__).parent / "dict.txt").read_text(encoding="utf-8").splitlines():
        word, frequency, _ = line.split(" ")
        for letter in word:
            if "\u4e00" <= letter <= "\u9fff":
                uses[letter] += int(frequency)
    return "".join(letter for letter, _ in uses.most_common(count))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
