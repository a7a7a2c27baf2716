"""The main job where there is neither network nor data: what `make demo` does on such a machine, with fewer drawings."""

import functools
import json
import runpy
from pathlib import Path

import pytest

from mindclf import cli, published
from mindclf.dataset import locate
from mindclf.drawings.generate import draw_garbage26

RECIPE = Path(__file__).resolve().parents[1] / "recipes" / "garbage_mobilenet_v2.py"


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """An empty working folder, addresses that nobody answers, and a small drawn set."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MINDCLF_DATA", "")
    for name in ("GARBAGE26_URL", "IMAGENET_URL"):
        monkeypatch.setattr(locate, name, "http://127.0.0.1:9/nothing.zip")
    monkeypatch.setattr(published, "ADDRESSES", dict.fromkeys(published.ADDRESSES, ("https://127.0.0.1:9/",)))
    monkeypatch.setattr(locate, "draw_garbage26", functools.partial(draw_garbage26, train_per_class=4, test_per_class=1))
    return tmp_path


def test_the_demo_works_offline_and_says_what_it_used(offline, capsys, caplog):
    config = runpy.run_path(str(RECIPE))["config"]
    with caplog.at_level("INFO", logger="mindclf"):
        assert cli.main(["train", "epochs=30", "batch_size=26"], config=config) == 0
    printed = capsys.readouterr().out
    assert "drawings made by mindclf, no photos" in printed and "has seen drawings only" in printed
    assert "http://127.0.0.1:9/nothing.zip cannot be downloaded" in caplog.text
    card = json.loads((offline / "outputs" / "garbage_mobilenet_v2" / "best.ckpt.json").read_text(encoding="utf-8"))
    assert card["data"]["origin"] == "drawings made by mindclf, no photos"
    assert card["start"] == "the backbone of mindclf's own garbage sorter"
    assert card["metrics"]["test"]["images"] == 26
    assert card["metrics"]["test"]["top1"] > 5 / 26  # chance is 1 / 26
