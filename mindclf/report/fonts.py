"""Fonts of plots: those that can write Chinese, Japanese and Korean, which Matplotlib's own cannot."""

import contextlib
import functools
import logging
from pathlib import Path

from matplotlib.font_manager import findSystemFonts, fontManager

log = logging.getLogger(__name__)

OWN = Path(__file__).parent / "font" / "mindclf-cjk.ttf"  # the letters of known class names, and the most frequent ones
OWN_NAME = "mindclf CJK"                                  # its family, as docs/make_font.py writes it
FONTS = (  # on Linux, Windows and macOS, the fullest first
    "Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "Source Han Sans CN", "Noto Sans CJK JP", "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei", "Droid Sans Fallback", "Microsoft YaHei", "SimHei", "PingFang SC", "Hiragino Sans GB", "Heiti TC",
    "Arial Unicode MS",
)


@functools.cache
def families() -> tuple[str, ...]:
    """The families in which plots look for a letter, one after another: Matplotlib's own, those of FONTS, the shipped one.

    Matplotlib keeps a list of the machine's fonts and does not notice a font that is installed later. So where it knows none of
    FONTS, this looks for them once a process.
    """
    if not _known():
        _add(set(findSystemFonts()) - {font.fname for font in fontManager.ttflist})
    if OWN_NAME not in {font.name for font in fontManager.ttflist}:
        fontManager.addfont(OWN)
    return "DejaVu Sans", *_known(), OWN_NAME


@functools.cache
def warn_of_boxes() -> None:
    """Says, once a process, that letters are missing."""
    log.warning("no font here has all letters of the class names: some are boxes in the plots. Install one, such as %s", FONTS[0])


def _known():
    """Those of FONTS that Matplotlib knows."""
    names = {font.name for font in fontManager.ttflist}
    return [name for name in FONTS if name in names]


def _add(files):
    """Has Matplotlib know the fonts in `files`, but those that it cannot read, as those with images for letters."""
    for file in sorted(files):
        with contextlib.suppress(OSError, RuntimeError, ValueError):
            fontManager.addfont(file)
