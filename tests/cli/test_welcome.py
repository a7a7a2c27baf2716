"""`mindclf` alone says what one can do here, at once and within 80 columns."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from mindclf.cli import arguments, main
from mindclf.cli.parser import make_parser, parse
from mindclf.cli.welcome import STEPS
from mindclf.dataset.registry import DATA_SETS
from mindclf.labels import FLOWER_PHOTOS
from mindclf.nets import NETS

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def said(tmp_path, monkeypatch, capsys):
    """What `mindclf` prints where there is one data set."""
    for name in FLOWER_PHOTOS:
        (tmp_path / "a long name of a folder with data, longer than a terminal is wide, even on a screen that is large" /
         "flower_photos" / name).mkdir(parents=True)
    [data] = tmp_path.iterdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MINDCLF_DATA", str(data))
    assert main([]) == 0
    return capsys.readouterr().out


def test_it_fits_a_terminal_of_80_columns(said):
    assert max(map(len, said.splitlines())) <= 80 and len(said.splitlines()) <= 24


def test_it_tells_five_things_to_do_and_each_is_a_command(said):
    assert len(STEPS) == 5
    for command, text in STEPS:
        assert command in said and text in said
        program, *words = shlex.split(command)
        assert program == "mindclf" and parse(make_parser(None), words, False).name == words[0]


def test_it_names_the_nets_and_the_data_sets_that_are_there(said):
    lines = said.splitlines()
    for file in (ROOT / "checkpoints").glob("*.json"):
        card = json.loads(file.read_text(encoding="utf-8"))
        [line] = [line for line in lines if file.name.removesuffix(".ckpt.json") in line]
        assert f"{len(card['classes'])} classes" in line and f"{card['metrics']['test']['top1']:.1%}" in line
    assert [name for name in DATA_SETS if any(line.startswith(f"  {name} ") for line in lines)] == ["flower_photos"]
    [line] = [line for line in lines if line.startswith("  flower_photos")]
    assert line.endswith("flower_photos") and NETS


def test_without_data_it_says_where_to_ask_and_a_wrong_variable_is_said_once(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MINDCLF_DATA", "")
    main([])
    assert "none: `mindclf doctor`" in capsys.readouterr().out
    monkeypatch.setenv("MINDCLF_DATA", str(tmp_path / "missing"))
    main([])
    assert capsys.readouterr().out.count("is not a folder") == 1


def test_what_the_page_needs_is_said_where_it_is_missing(monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    main([])
    assert "browser (pip install gradio)" in capsys.readouterr().out


def test_it_starts_no_mindspore(tmp_path):
    code = "import sys; from mindclf.cli import main; main([]); print('mindspore' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", cwd=tmp_path, check=True,
                          env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"})
    assert done.stdout.splitlines()[-1] == "False"


def test_on_windows_the_files_that_a_pattern_stands_for_are_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("b.jpg", "a.jpg", "c.png", "[1].jpg"):
        Path(name).touch()
    assert arguments.expanded(["*.jpg"]) == ["*.jpg"]  # other shells have done it
    monkeypatch.setattr(arguments.sys, "platform", "win32")
    words = ["*.png", "[1].jpg", "https://example.com/*.jpg", "missing*.gif"]
    assert arguments.expanded(words) == ["c.png", "[1].jpg", "https://example.com/*.jpg", "missing*.gif"]
    assert arguments.expanded(["?.jpg"]) == ["a.jpg", "b.jpg"]
