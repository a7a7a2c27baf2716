"""The commands of the README, in their order, print what it shows; figures, classes and paths are those of other photos.

Both READMEs show the same commands and outputs: see test_documents.py. How the README installs mindclf is tried by
docs/newcomer.py, which takes minutes.
"""

import logging
import re
import shlex
import shutil
from pathlib import Path

import pytest
from PIL import Image

from mindclf.cli import main
from mindclf.published import NotFound

pytestmark = pytest.mark.usefixtures("uncompiled", "brief")

README = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")
# A command line in a block of its own, and the block with what it prints.
SHOWN = re.findall(r"```\n(mindclf [^\n]+)\n```\n```\n(.*?)```", README, re.DOTALL)
PYTHON = re.search(r"```python\n(.*?)```", README, re.DOTALL)[1]
QUICKER = {"train my_photos": ["image_height=64", "image_width=64"], "--best": ["epochs=2", "batch_size=8"]}
NUMBER = re.compile(r"\d[\d,.]*(?:e[-+]\d+)?")


def skeleton(line):
    """`line` with 0 for each number; of the line of a prediction the number of its columns."""
    if re.match(r"  \S.* \d+\.\d%$", line):
        return f"prediction in {len(re.split(r' {2,}', line.strip()))} columns"
    return NUMBER.sub("0", " ".join(line.split()))


@pytest.fixture(scope="module")
def working_folder(colour_folder, tmp_path_factory):
    """A folder with photo.jpg and my_photos/, which has 10 images each of three classes."""
    folder = tmp_path_factory.mktemp("readme")
    shutil.copytree(colour_folder / "train", folder / "my_photos")
    Image.open(colour_folder / "test" / "red" / "0.png").save(folder / "photo.jpg")
    return folder


@pytest.fixture
def offline(monkeypatch, working_folder):
    """The working folder, and no data or weights but those that come with mindclf."""
    monkeypatch.chdir(working_folder)
    monkeypatch.setenv("MINDCLF_DATA", "")
    def nothing_to_be_had(rows):
        raise NotFound("no network")

    monkeypatch.setattr("mindclf.pretrained.imagenet_on_disk", lambda: None)
    monkeypatch.setattr("mindclf.pretrained.on_disk", dict)
    monkeypatch.setattr("mindclf.pretrained.find_imagenet_mobilenet_v2", lambda check: None)
    monkeypatch.setattr("mindclf.pretrained.obtain", nothing_to_be_had)


def test_the_readme_shows_what_four_commands_print():
    assert [command.split()[1] for command, _ in SHOWN] == ["predict", "train", "predict", "train"]


def test_the_commands_of_the_readme_print_what_it_shows(offline, capsys, caplog):
    """In one test, for the second prediction is by the net that the first training made."""
    for command, output in SHOWN:
        caplog.clear()
        quicker = [word for part, words in QUICKER.items() if part in command for word in words]
        with caplog.at_level(logging.INFO, logger="mindclf"):
            assert main([*shlex.split(command)[1:], *quicker]) == 0, command
        printed = [skeleton(line) for line in (*caplog.messages, *capsys.readouterr().out.splitlines())]
        shown = [skeleton(line) for line in output.splitlines() if line != "..."]
        missing = [line for line in shown if line not in printed]
        assert not missing, (command, printed)
        assert [printed.index(line) for line in shown] == sorted(printed.index(line) for line in shown), command


def test_the_five_lines_of_python_run(offline, capsys):
    exec(PYTHON, {})
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 and all(re.fullmatch(r"[\w ]+ [\u4e00-\u9fff]+ [a-z]+ \d+%", line) for line in lines)
