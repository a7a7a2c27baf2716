"""The Chinese catalogue: it has every message of mindclf, and no other; what commands print in Chinese has no English left."""

import argparse
import ast
import errno
import os
import re
import sys
from pathlib import Path

import pytest
from fontTools.ttLib import TTFont

from mindclf.cli import main
from mindclf.cli.parser import COMMANDS
from mindclf.report import fonts
from mindclf.utils.language import CATALOGUE, ENDS, PLACEHOLDER, columns, read_catalogue, translate
from tests.support.messages import NOT_MESSAGES, PACKAGE, english_of, messages

ENTRIES = dict(read_catalogue())
MESSAGES = {message.text: message for message in messages()}
# Sections of the catalogue whose entries are in no message: single words, and what argparse and the system say.
SECTION = re.compile(r"^# (Single words.*|argparse|os\.strerror)$", re.MULTILINE)
ENDING = re.compile(r"(?<=[a-z])\{(\d+)\}")  # the s of a plural


def section(name):
    """The English texts of a section of the catalogue."""
    parts = SECTION.split(CATALOGUE.read_text(encoding="utf-8"))
    text = next(text for head, text in zip(parts[1::2], parts[2::2]) if head.startswith(name))
    return [ast.literal_eval(line.removeprefix("msgid ")) for line in text.splitlines() if line.startswith("msgid ")]


def test_every_message_is_in_the_catalogue():
    missing = [message for text, message in MESSAGES.items() if text not in ENTRIES and text not in NOT_MESSAGES]
    assert not missing, f"write their Chinese into {CATALOGUE.relative_to(PACKAGE.parent)}"


def test_the_catalogue_has_nothing_else():
    source = "".join(file.read_text(encoding="utf-8") for file in PACKAGE.rglob("*.py"))
    argparse_says = re.sub(r"%\(\w+\)[a-z]|%[a-z]", "{}", Path(argparse.__file__).read_text(encoding="utf-8"))
    unknown = [english for english in section("Single words") if not re.search(rf"(?<!\w){re.escape(english)}(?!\w)", source)]
    unknown += [english for english in section("argparse") if re.sub(r"\{\d+\}", "{}", english) not in argparse_says.replace(
        "\"\n                    \"", "").replace("%r", "{}") and not english.startswith("unrecognized")]
    if sys.platform == "linux":
        unknown += sorted(set(section("os.strerror")) - {os.strerror(number) for number in errno.errorcode})
    others = {*section("Single words"), *section("argparse"), *section("os.strerror")}
    unknown += [english for english in ENTRIES if english not in MESSAGES and english not in others]
    assert not unknown, "no source has them any more"


def test_what_is_no_message_is_in_the_source():
    assert set(MESSAGES) >= NOT_MESSAGES and not NOT_MESSAGES & set(ENTRIES)


def test_both_languages_have_the_same_placeholders_options_and_fields():
    kept = re.compile(r"%\(\w+\)s|--[a-z-]+|[a-z]+_[a-z_]+=|https?")
    for english, chinese in ENTRIES.items():
        asked, given = ({int(number) for number, _ in PLACEHOLDER.findall(text)} for text in (english, chinese))
        assert sorted(asked) == list(range(1, len(asked) + 1)), english
        assert given <= asked and asked - given <= {int(number) for number in ENDING.findall(english)}, english
        assert set(kept.findall(english)) == set(kept.findall(chinese)), english


def test_columns_of_labels_line_up_in_both_languages():
    """As in "data        {1}": what follows begins in the same column."""
    labelled = [english for english in ENTRIES if re.match(r"[\w ]+\S {2,}\S", english) and not english.startswith("phase epoch")]
    for english in labelled:
        begins = [columns(re.match(r".*?\S {2,}", text)[0]) for text in (english, ENTRIES[english])]
        assert begins[0] == begins[1], english
    assert len(labelled) > 10


def test_the_header_of_the_epochs_is_as_wide_in_both_languages(monkeypatch):
    from mindclf.train.epoch_table import EpochTable

    monkeypatch.setenv("MINDCLF_LANG", "zh")
    for monitor in ("top1", "balanced_accuracy", "macro_f1"):
        for watched in ("held out", "test"):
            header = EpochTable(monitor)._header(watched)
            ends = [match.end() for match in re.finditer(r"\S(?=\s|$)", re.sub(" (loss|F1)", r"-\1", header))]
            chinese = translate(header)
            assert [columns(chinese[:match.end()]) for match in re.finditer(r"\S(?=\s|$)", chinese)] == ends
            assert set(re.findall("[A-Za-z]+", chinese)) <= {"top", "F"}


def sample(text, values):
    """`text` with the `values` filled in."""
    return PLACEHOLDER.sub(lambda place: values[place[1]], text)


def test_an_entry_is_found_whatever_is_filled_in(monkeypatch):
    """No other entry takes its message. An ending, or what may be there or not, begins with a blank here."""
    monkeypatch.setenv("MINDCLF_LANG", "zh")
    for english, chinese in ENTRIES.items():
        kinds = dict(PLACEHOLDER.findall(chinese))
        values = {number: "7" if kinds.get(number) == "n" else f"x{number}y" for number, _ in PLACEHOLDER.findall(english)}
        values |= {number: f" x{number}y" if number in kinds else "s" for number in re.findall(r"(?<=[a-z}])\{(\d+)\}", english)}
        before = "x0y" if english[0] in ENDS else ""
        text = f"{before}{sample(english, values)}"
        expected = f"{before}{sample(chinese.lstrip(' ') if before else chinese, values)}"
        assert translate(text, words=True) == expected, english


def test_the_shipped_font_has_the_letters_of_all_messages():
    letters = {letter for chinese in ENTRIES.values() for letter in chinese if "\u3400" <= letter <= "\u9fff"}
    assert not letters - set(map(chr, TTFont(fonts.OWN).getBestCmap()))


@pytest.fixture
def chinese(monkeypatch, tmp_path):
    monkeypatch.setenv("MINDCLF_LANG", "zh")
    monkeypatch.setenv("COLUMNS", "79")
    monkeypatch.setenv("MINDCLF_DATA", "")  # the folder changes, and it may be relative
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("command", ["", *(name for name in COMMANDS if name != "compare")])
def test_help_is_in_chinese_and_fits_79_columns(command, chinese, capsys):
    with pytest.raises(SystemExit) as end:
        main([*([command] if command else []), "--help"])
    printed = capsys.readouterr().out
    assert end.value.code == 0 and printed.startswith("用法: ")
    for line in printed.partition("\n\n")[2].splitlines():
        assert english_of(re.sub(r"^  +(-|[A-Z{]|[a-z_]+=).*?(  |$)", "", line)) == [], line
        assert columns(line) <= 79 or " " not in line.strip()


@pytest.mark.parametrize("words", [
    [], ["doctor"], ["recipes"], ["weights"], ["weights", "resnet50"]])
def test_what_commands_print_is_in_chinese(words, chinese, capsys):
    assert main(words) == 0
    for line in capsys.readouterr().out.splitlines():
        assert english_of(line) == [], line


@pytest.mark.parametrize(("words", "expected"), [
    (["trian"], "未知命令 'trian'；您是不是想用 'train'？"),
    (["train", "--epochs", "3"], "无法识别的参数：--epochs；设置字段不用短横线：请写 epochs=3"),
    (["predict", "a.jpg", "--top-k", "x"], "参数 --top-k：无效的 int 值：'x'"),
    (["predict"], "缺少必需的参数：IMAGE"),
    (["export", "a.ckpt", "--batch-size"], "参数 --batch-size：需要一个值"),
    (["calibrate"], "calibrate 需要一个检查点和一个图片文件夹"),
    (["train", "a", "b"], "train 只接受一个图片文件夹，而不是 a, b"),
])
def test_errors_of_usage_are_in_chinese(words, expected, chinese, capsys):
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1].partition("错误: ")[2] == expected


@pytest.mark.parametrize(("words", "expected"), [
    (["train", "epoch=2"], "未知字段 'epoch'；您是不是想用 'epochs'？"),
    (["train", "epochs=0"], "epochs=0 必须在 1 和 100000 之间"),
    (["train", "plateau_patience=3"], "plateau_patience=3 对 schedule='cosine' 没有意义：它用于 schedule='plateau'"),
    (["train", "momentum=0.5", "optimizer=lion"],
     "momentum=0.5 对 optimizer='lion' 没有意义：它用于 optimizer='momentum' 或 'sgd'"),
    (["train", "nowhere"], "文件夹 nowhere 不存在"),
    (["train", "one"], "one 只有一个类别文件夹 'a'：网络需要两个类别才能区分"),
    (["train", "image.zip"], "image.zip 是文件，不是类别文件夹的文件夹：若是压缩包请解压"),
    (["train", "device_target=TPU"], "device_target='TPU' 未知；应为 'auto', 'CPU', 'GPU', 'Ascend' 之一"),
    (["predict", "no.ckpt", "a.jpg"], "检查点 no.ckpt 不存在"),
    (["predict", "nothere.jpg"], "nothere.jpg 无法读取：没有这个文件或文件夹"),
    (["predict", "image.zip"], "image.zip 不是图片，而是ZIP 压缩包，或内部是 ZIP 的文件，如 .docx：请解压"),
    (["summary", "resnet5"], "net='resnet5' 未知；您是不是想用 'resnet50'？"),
    (["summary", "resnet50", "--classes", "0"], "--classes 0 必须在 1 和 100000 之间"),
    (["stats", "nowhere"], "文件夹 nowhere 不存在"),
    (["split", "nowhere", "x"], "文件夹 nowhere 不存在"),
    (["launch", "--workers", "1", "x.py", "train"],
     "x.py 不存在：请给出一个配方，如 mindclf launch --workers 1 recipes/garbage_mobilenet_v2.py train"),
    (["weights", "qqqq"], "net='qqqq' 未知；网络有：mobilenet_v1, "),
])
def test_errors_are_in_chinese(words, expected, chinese, tmp_path, capsys):
    (tmp_path / "one" / "a").mkdir(parents=True)
    (tmp_path / "image.zip").write_bytes(b"PK\x03\x04" + bytes(100))
    assert main(words) == 2
    line = capsys.readouterr().err.splitlines()[-1].removeprefix("mindclf: ")
    assert line == expected or (expected.endswith(", ") and line.startswith(expected))


def test_an_unknown_language_is_an_error(monkeypatch, capsys):
    monkeypatch.setenv("MINDCLF_LANG", "fr")
    assert main(["nets"]) == 2
    assert capsys.readouterr() == ("", "mindclf: MINDCLF_LANG=fr is not known; expected one of en, zh\n")


def test_json_stays_in_english(chinese, capsys):
    assert main(["doctor", "--json"]) == 0
    assert '"versions"' in (printed := capsys.readouterr().out) and printed.isascii()
