"""Recipes, and what their recorded runs say of them."""

import json
import runpy
import shlex
from pathlib import Path

import pytest

from mindclf.config import DEFAULTS, merge
from mindclf.own_images import own_images
from notebooks.support import command_of

ROOT = Path(__file__).resolve().parents[1]
RECIPES = sorted((ROOT / "recipes").glob("*.py"))
CARDS = sorted(
    file.relative_to(ROOT) for pattern in ("checkpoints/*.json", "benchmarks/results/runs/*/card.json",
                                                  "benchmarks/results/runs/*/runs/*-seed?.json")
    for file in ROOT.glob(pattern))
GIVEN_UP = "_rate"  # in the name of a card: a run at a rate that the recipe no longer has
OF_THE_RUN = (
    "mean", "std", "net_options",  # which it completes from its images and first weights
    "class_index", "output", "seed",  # which a card has elsewhere, and a comparison gives to each of its runs
)


def load_recipe(path, monkeypatch):
    """The names in the recipe at `path`, which may import its neighbours."""
    monkeypatch.syspath_prepend(str(path.parent))
    return runpy.run_path(str(path))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_has_a_valid_config_and_a_docstring_with_its_command(path, monkeypatch):
    recipe = load_recipe(path, monkeypatch)
    merge(recipe["config"], {})
    assert f"python recipes/{path.name} train" in recipe["__doc__"]
    assert recipe["config"]["output"] == f"outputs/{path.stem}"


@pytest.mark.parametrize("file", [file for file in CARDS if GIVEN_UP not in file.name], ids=str)
def test_the_command_of_a_recorded_run_still_asks_for_that_run(file, monkeypatch):
    card = json.loads((ROOT / file).read_text(encoding="utf-8"))
    words = shlex.split(command_of(card))
    words = words[words.index("python"):]  # without variables of the environment
    overrides = [word for word in words if "=" in word]
    if words[1:4] == ["-m", "mindclf", "train"]:
        config = own_images(words[4], overrides)
    else:
        recipe = load_recipe(ROOT / words[1], monkeypatch)
        config = {**recipe["config"], **recipe.get("variants", {}).get(file.stem.partition("-")[0], {})}
    asked = json.loads(json.dumps(merge(config, overrides)))
    recorded = json.loads(json.dumps(merge(card["config"])))
    assert [(name, recorded[name], asked[name]) for name in DEFAULTS
            if name not in OF_THE_RUN and recorded[name] != asked[name]] == []
    assert asked["net_options"].items() <= recorded["net_options"].items()
