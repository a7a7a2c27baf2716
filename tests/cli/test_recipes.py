"""`mindclf recipes` shows what comes with mindclf, and copies it so that it runs elsewhere, overwriting nothing."""

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from mindclf.cli import main
from mindclf.utils.shipped import SHIPPED, shipped

ROOT = Path(__file__).resolve().parents[2]


def test_every_recipe_is_listed_with_what_it_trains(capsys):
    assert main(["recipes"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == sorted(file.stem for file in (ROOT / "recipes").glob("*.py"))
    assert any("26 classes" in line for line in lines)


def test_recipes_and_notebooks_are_copied_into_a_new_folder(tmp_path, capsys):
    assert main(["recipes", "--to", str(tmp_path / "lessons")]) == 0
    for kind, pattern in (("recipes", "*.py"), ("notebooks", "*.ipynb"), ("benchmarks/results", "tables/*.json"),
                          ("checkpoints", "*.json")):
        copied, own = ({file.name: file.read_bytes() for file in (top / kind).glob(pattern)}
                       for top in (tmp_path / "lessons", ROOT))
        assert copied == own and own
    recipe = tmp_path / "lessons" / "recipes" / "garbage_mobilenet_v2_all_layers.py"  # which imports its neighbour
    done = subprocess.run([sys.executable, str(recipe), "--help"], capture_output=True, encoding="utf-8", cwd=tmp_path,
                          env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == 0 and "train" in done.stdout, done.stderr


def test_a_notebook_that_was_copied_finds_the_results_and_says_where_the_tables_are(tmp_path):
    main(["recipes", "--to", str(tmp_path / "lessons")])
    support = runpy.run_path(str(tmp_path / "lessons" / "notebooks" / "support.py"))
    card = json.loads((ROOT / "checkpoints" / "cifar10_mobilenet_v1.ckpt.json").read_text(encoding="utf-8"))
    assert f"{card['metrics']['test']['top1']:.2%}" in support["measured"]("cifar10_mobilenet_v1")
    assert "docs" in support["table_of_page"]("traps", "traps")


@pytest.mark.parametrize("kind", ["a file", "a folder with something in it"])
def test_what_is_there_is_not_overwritten(tmp_path, capsys, kind):
    place = tmp_path / "there"
    if kind == "a file":
        place.write_text("mine", encoding="utf-8")
    else:
        (place / "recipes").mkdir(parents=True)
    assert main(["recipes", "--to", str(place)]) == 2
    assert "is not an empty folder: nothing is overwritten" in capsys.readouterr().err
    assert place.is_file() or [entry.name for entry in place.rglob("*")] == ["recipes"]


def test_an_installed_package_has_inside_what_a_clone_has_beside_it(tmp_path):
    for name, place in SHIPPED.items():
        (tmp_path / "clone" / place).mkdir(parents=True)
        (tmp_path / "site" / "mindclf" / name).mkdir(parents=True)
        assert shipped(name, tmp_path / "clone" / "mindclf") == tmp_path / "clone" / place
        assert shipped(name, tmp_path / "site" / "mindclf") == tmp_path / "site" / "mindclf" / name
    assert shipped("recipes", tmp_path / "nowhere") == tmp_path / "nowhere"
