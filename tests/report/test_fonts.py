"""Fonts of plots: what the shipped one can write, and that fonts which Matplotlib does not know yet are found."""

import pytest
from fontTools.ttLib import TTFont
from matplotlib.font_manager import fontManager

from mindclf.labels import CATEGORIES, LABELS
from mindclf.report import fonts, plots


@pytest.fixture
def alone(monkeypatch):
    """A machine that has none of FONTS, as far as Matplotlib knows; its other fonts are the list that this gives."""
    there = []
    monkeypatch.setattr(fontManager, "ttflist", [font for font in fontManager.ttflist if font.name.startswith("DejaVu")])
    monkeypatch.setattr(fonts, "findSystemFonts", lambda: list(map(str, there)))
    fonts.families.cache_clear()
    fonts.warn_of_boxes.cache_clear()
    yield there
    fonts.families.cache_clear()
    fonts.warn_of_boxes.cache_clear()


def test_the_shipped_font_has_the_letters_of_all_chinese_names():
    letters = set(TTFont(fonts.OWN).getBestCmap())
    names = [*CATEGORIES, *(label.chinese for table in LABELS.values() for label in table.values())]
    assert len(names) > 1000
    assert not [name for name in names if {ord(letter) for letter in name if not letter.isascii()} - letters]
    assert set(map(ord, "的一是不了在人有我他")) < letters  # the ten most frequent of modern Chinese
    assert fonts.OWN.stat().st_size < 300_000 and "Apache License" in (fonts.OWN.parent / "LICENSE").read_text(encoding="utf-8")


def test_chinese_is_written_where_no_font_is_installed(alone, tmp_path, caplog):
    plots.class_accuracy([0.5, 1.0], ("电池", "苹果 apple"), tmp_path / "classes.png")
    assert fonts.families() == ("DejaVu Sans", fonts.OWN_NAME) and caplog.text == ""


def test_a_font_that_was_installed_later_is_found_and_comes_before_the_shipped_one(alone, tmp_path):
    font = TTFont(fonts.OWN)
    for number in (1, 4):
        font["name"].setName("Noto Sans CJK SC", number, 3, 1, 0x409)
    font.save(tmp_path / "new.ttf")
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    alone += [tmp_path / "broken.ttf", tmp_path / "new.ttf"]
    assert fonts.families() == ("DejaVu Sans", "Noto Sans CJK SC", fonts.OWN_NAME)
