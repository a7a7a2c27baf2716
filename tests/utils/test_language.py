"""Messages in Chinese: which language is in force, and what `translate` makes of a finished English line."""

import subprocess
import sys
import textwrap

import pytest

from mindclf.utils import language
from mindclf.utils.language import Catalogue, check_language, columns, read_catalogue, translate, wrap

ENTRIES = {
    "image": "图片",
    "no image": "没有图片",
    "{1} cannot be read: {2}": "{1} 无法读取：{2}",
    "{1} is {2}": "{1} 是 {2:s}",
    "{1} is damaged": "{1} 已损坏",
    "{1} is damaged, or is larger than {2}": "{1} 已损坏，或大于 {2}",
    "{1} of {2}": "{2:n} 中的 {1:n}",
    "{1} takes one {2}": "{1} 只接受一张{2:w}",
    "ends in {1}": "以 {1:w} 结尾",
    "{1} loss": "{1:s}损失",
    "[{1}|{2}]": "[{1:p}|{2:p}]",
    "validation": "验证",
    ", {1} of them wrong": "，其中 {1} 是错的",
    "field {1}: {2}": "字段 {1}：{2}",
}


@pytest.fixture
def chinese(monkeypatch):
    monkeypatch.setenv("MINDCLF_LANG", "zh")
    monkeypatch.setattr(language, "_catalogue", lambda: Catalogue(ENTRIES))
    language._found.cache_clear()
    yield
    language._found.cache_clear()


@pytest.mark.parametrize(("variables", "expected"), [
    ({}, "en"), ({"MINDCLF_LANG": "zh"}, "zh"), ({"LANG": "zh_CN.UTF-8"}, "zh"), ({"LANG": "C"}, "en"), ({"LANG": "de_DE"}, "en"),
    ({"MINDCLF_LANG": "en", "LANG": "zh_CN.UTF-8"}, "en"), ({"MINDCLF_LANG": "", "LC_MESSAGES": "zh_TW", "LANG": "C"}, "zh"),
    ({"LC_ALL": "C", "LC_MESSAGES": "zh_CN", "LANG": "zh_CN"}, "en"), ({"LC_ALL": "zh_CN.UTF-8", "LANG": "C"}, "zh"),
    ({"MINDCLF_LANG": "fr", "LANG": "zh_CN"}, "en")])
def test_the_variable_says_the_language_or_else_the_locale(variables, expected, monkeypatch):
    for name in ("MINDCLF_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert language.language() == expected


def test_windows_tells_its_language_itself(monkeypatch):
    for name in ("MINDCLF_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(language.locale, "getlocale", lambda: ("Chinese (Simplified)_China", "936"))
    assert language.language() == "zh"


def test_another_language_is_refused(monkeypatch):
    monkeypatch.setenv("MINDCLF_LANG", "fr")
    with pytest.raises(ValueError, match=r"^MINDCLF_LANG=fr is not known; expected one of en, zh$"):
        check_language()


@pytest.mark.parametrize(("english", "expected"), [
    ("a.jpg is damaged", "a.jpg 已损坏"),
    ("a.jpg is damaged, or is larger than 5", "a.jpg 已损坏，或大于 5"),             # the entry with more text
    ("a.jpg cannot be read: b.zip is damaged", "a.jpg 无法读取：b.zip 已损坏"),      # a message inside a message
    ("field x: a cannot be read: no image", "字段 x：a 无法读取：没有图片"),
    ("predict takes one image", "predict 只接受一张图片"),                           # a word, where the entry has {2:w}
    ("field image: image", "字段 image：image"),                                   # and none elsewhere
    ("ends in .a or image", "以 .a 或 图片 结尾"),
    ("3 of 7", "7 中的 3"), ("some of many", "some of many"),                      # numbers only
    ("validation loss", "验证损失"), ("what a loss", "what a loss"),
    ("7 images, 2 of them wrong", "7 images，其中 2 是错的"),                        # the end of an unknown text
    ("a.jpg is damaged; no image", "a.jpg 已损坏；没有图片"),                        # joined messages
    ("field a: b; field c: no image", "字段 a：b；字段 c：没有图片"),
    ("3 of 7.", "7 中的 3。"),
    ("3 of 7 (no image)", "7 中的 3（没有图片）"),
    ("  no image\n\n  x", "  没有图片\n\n  x"),                                     # several lines, indented
    ("image", "image"), ("", ""), ("cats or dogs.jpg", "cats or dogs.jpg"),
])
def test_a_finished_line_is_translated(english, expected, chinese):
    assert translate(english) == expected


def test_a_single_word_is_translated_where_it_is_a_title(chinese):
    assert (translate("image", words=True), translate("images", words=True)) == ("图片", "images")


def test_what_is_filled_in_keeps_its_columns(chinese):
    """As in the header of the epochs, whose titles are flush right. Four Chinese letters take eight columns."""
    assert translate("[  validation loss|validation loss ]") == f"[{'':9}验证损失|验证损失{'':8}]"


def test_in_english_nothing_is_read_and_nothing_changes(monkeypatch):
    monkeypatch.setenv("MINDCLF_LANG", "en")
    monkeypatch.setattr(language, "_catalogue", None)  # whoever calls it fails
    assert translate("a.jpg is damaged", words=True) == "a.jpg is damaged"


def test_a_catalogue_is_a_po_file(tmp_path):
    (tmp_path / "zh.po").write_text('msgid ""\nmsgstr ""\n"Language: zh\\n"\n\n# a file\n\nmsgid "say \\"{1}\\" "\n"twice"\n'
                                    'msgstr "说两遍\\n{1}"\n\nmsgid "b"\nmsgstr "乙"\n', encoding="utf-8")
    assert list(read_catalogue(tmp_path / "zh.po")) == [('say "{1}" twice', "说两遍\n{1}"), ("b", "乙")]


@pytest.mark.parametrize("text", ["x" * 100, "one two three " * 20])
def test_english_is_wrapped_as_by_textwrap(text):
    assert wrap(text, 30, "> ", "  ") == textwrap.wrap(text, 30, initial_indent="> ", subsequent_indent="  ")


def test_chinese_is_wrapped_after_any_letter_but_not_before_punctuation():
    text = "网络在哪里运行：auto 为 Ascend、GPU 和 CPU 中第一个可用的；与 device_target=NAME 相同（默认：auto）。" * 3
    lines = wrap(text, 30, "  name=  ", "         ")
    assert all(columns(line) <= 30 for line in lines) and len(lines) < 3 * len(text) / 20
    assert not any(line.strip()[0] in "，。；：、）" for line in lines) and not any(line[-1] == "（" for line in lines)
    assert "".join(lines).replace(" ", "") == f"name={text}".replace(" ", "")


def test_the_columns_of_a_terminal():
    """Unicode, East Asian Width: wide and full-width letters take two."""
    assert [columns(text) for text in ("abc", "图片", "a，b", "é", "“”")] == [3, 4, 4, 1, 2]


def test_importing_the_command_line_reads_no_catalogue():
    code = "import sys, mindclf.cli; from mindclf.utils import language; assert language._catalogue.cache_info().misses == 0"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
