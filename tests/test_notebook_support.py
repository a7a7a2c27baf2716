"""What the notebooks share: the mode, the folder, the figures that they quote and the images that they show."""

import io
import json
import os

import numpy as np
import pytest
from mindspore import Tensor, nn
from PIL import Image

from mindclf.config import merge
from mindclf.dataset import read_folder
from notebooks import support
from tests.conftest import CLASS_INDEX

RUNS, TABLES = "benchmarks/results/runs", "benchmarks/results/tables"


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """A clone without results."""
    monkeypatch.setattr(support, "TOP", tmp_path)
    for folder in ("recipes", "notebooks", "benchmarks/results/runs/run", "benchmarks/results/runs/old",
                   "benchmarks/results/runs/old_independent", "benchmarks/results/tables", "checkpoints"):
        (tmp_path / folder).mkdir(parents=True)
    return tmp_path


def write(path, **content):
    path.write_text(json.dumps(content), encoding="utf-8")


@pytest.mark.parametrize(("word", "asked", "quick"), [
    (None, True, True), (None, False, False), ("1", False, True), ("0", True, False)])
def test_the_environment_has_the_last_word_on_quick_mode(monkeypatch, word, asked, quick):
    monkeypatch.delenv("MINDCLF_QUICK", raising=False)
    if word:
        monkeypatch.setenv("MINDCLF_QUICK", word)
    assert support.begin(asked) is quick


def test_a_word_that_is_no_mode_is_refused(monkeypatch):
    monkeypatch.setenv("MINDCLF_QUICK", "yes")
    with pytest.raises(ValueError, match="MINDCLF_QUICK=yes must be 1 or 0"):
        support.begin(True)


def test_a_notebook_goes_from_its_folder_to_the_top_and_stays_elsewhere(clone, monkeypatch):
    monkeypatch.chdir(clone / "notebooks")
    support.begin(True)
    assert os.getcwd() == str(clone)
    monkeypatch.chdir(clone / "recipes")
    support.begin(True)
    assert os.getcwd() == str(clone / "recipes")


def test_without_a_clone_it_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(support, "TOP", tmp_path)
    with pytest.raises(ValueError, match="`mindclf recipes --to DIR` copies both"):
        support.begin(True)


def test_a_recipe_is_found_with_those_that_it_builds_on(monkeypatch):
    monkeypatch.setattr("sys.path", list(__import__("sys").path))
    assert support.recipe("garbage_mobilenet_v2_all_layers").config["output"] == "outputs/garbage_mobilenet_v2_all_layers"


def test_what_was_not_measured_is_called_so(clone):
    assert "`recipes/other.py` | | **尚未测量 not measured yet**" in support.measured("other")


def test_figures_come_from_cards_comparisons_and_seeds(clone):
    data = {"origin": "photos", "test": 40}
    write(clone / "checkpoints" / "a.ckpt.json", command="python recipes/a.py train", seconds=90, data=data,
          seen_images={}, metrics={"test": {"images": 40, "top1": 0.75}})
    write(clone / RUNS / "run" / "compare.json", command="python recipes/b.py compare", data=data,
          rows=[{"variant": "one", "seeds": [1, 2], "top1": [0.5, 0.7], "seconds_without_pauses": [60, 120]},
                {"variant": "two", "seeds": [], "top1": [], "seconds_without_pauses": []}])
    (clone / RUNS / "run" / "runs").mkdir()
    write(clone / RUNS / "run" / "runs" / "one-seed1.json", seen_images={})
    write(clone / RUNS / "run" / "runs" / "one-seed2.json")
    write(clone / TABLES / "c.json", command="python benchmarks/c.py", recipe="recipes/c.py", test_images=40,
          data="photos", runs=[{"top1": 0.8, "seconds": 30}, {"top1": 0.9, "seconds": 30}])
    write(clone / TABLES / "speed.json", command="python benchmarks/speed.py")
    for name, top1 in (("old", 0.25), ("old_independent", 0.125)):
        write(clone / RUNS / name / "card.json", command="python recipes/d.py train epochs=5", seconds=60, data=data,
              metrics={"test": {"images": 40, "top1": top1}}, device={"kernels": "amx"})
    *lines, blank, note = support.measured("a", "b", "c", "d").splitlines()[2:]
    assert note.startswith("† ") and not blank
    assert lines == [  # † is for runs without the mark of independent draws
        "| `python recipes/a.py train` | 40 | 75.00% | 1.5 | photos | `checkpoints/a.ckpt.json` |",
        "| one，2 个种子的平均 mean of 2 seeds | 40 | 60.00% † | 1.5 | photos | `benchmarks/results/runs/run/compare.json` |",
        "| two | 40 | **失败 failed** | | photos | `benchmarks/results/runs/run/compare.json` |",
        "| `python recipes/c.py train`，2 个种子的平均 mean of 2 seeds | 40 | 85.00% | 0.5 | photos "
        f"| `{TABLES}/c.json` |",
        "| `MINDCLF_KERNELS=amx python recipes/d.py train epochs=5` | 40 | 25.00% † | 1.0 | photos "
        f"| `{RUNS}/old/card.json` |",
        "| `MINDCLF_KERNELS=amx python recipes/d.py train epochs=5` | 40 | 12.50% | 1.0 | photos "
        f"| `{RUNS}/old_independent/card.json` |"]
    assert "†" not in support.measured("a", "c")
    assert support.measured("a", "b", "c").splitlines()[0].count("|") == lines[0].count("|")


def test_a_recipe_is_not_taken_for_one_whose_name_begins_alike(clone):
    write(clone / "checkpoints" / "a.ckpt.json", command="python recipes/a_all_layers.py train", seconds=90,
          data={"origin": "photos"}, metrics={"test": {"images": 40, "top1": 0.75}})
    assert "not measured" in support.measured("a") and "75.00%" in support.measured("a_all_layers")


def test_tables_of_both_languages(clone):
    (clone / "docs").mkdir()
    for document, cell in (("docs/traps.md", "cost"), ("docs/traps.zh.md", "代价")):
        (clone / document).write_text(f"text\n<!-- table traps -->\n| {cell} |\n|---|\n<!-- end -->\nmore\n", encoding="utf-8")
    assert support.table_of_page("traps", "traps") == "| 代价 |\n|---|\n\n| cost |\n|---|\n"
    with pytest.raises(ValueError, match="docs/traps.zh.md has no table other"):
        support.table_of_page("traps", "other")


def test_training_views_are_colours_again(colour_folder):
    config = merge({}, dict(class_index=CLASS_INDEX, image_height=32, image_width=32, batch_size=6, color_adjust=0.0, seed=3))
    views = support.training_views(read_folder(colour_folder / "train", CLASS_INDEX), config)
    assert len(views) == 6 and views.classes == ("green", "blue", "red")
    for pixels, label in zip(views.paths, views.labels):
        assert pixels.shape == (32, 32, 3) and pixels.dtype == np.uint8
        assert pixels.mean((0, 1)).argmax() == {"red": 0, "green": 1, "blue": 2}[views.classes[label]]


def test_weights_are_copied_in_order_and_those_of_groups_joined():
    grouped = nn.CellList([nn.Conv2d(2, 3, 1), nn.Conv2d(2, 3, 1), nn.Dense(4, 5)])
    whole = nn.SequentialCell(nn.Conv2d(4, 6, 1, group=2), nn.Dense(4, 5))
    support.copy_weights(grouped, whole)
    first, second, dense, bias = (weight.asnumpy() for weight in grouped.get_parameters())
    joined, copied, copied_bias = (weight.asnumpy() for weight in whole.get_parameters())
    assert (joined[:3] == first).all() and (joined[3:] == second).all() and (first != second).any()
    assert (copied == dense).all() and (copied_bias == bias).all()


@pytest.mark.parametrize(("other", "message"), [
    (nn.Dense(4, 6), r"weight is \(6, 4\), and what the other Cell has there \(5, 4\)"),
    (nn.Dense(4, 5, has_bias=False), "the other Cell has 1 weights more"),
    (nn.SequentialCell(nn.Dense(4, 5), nn.Dense(5, 1)), r"1.weight is \(1, 5\), and what the other Cell has there nothing"),
], ids=["shape", "too many", "too few"])
def test_weights_that_do_not_fit_are_refused(other, message):
    with pytest.raises(ValueError, match=message):
        support.copy_weights(nn.Dense(4, 5), other)


@pytest.mark.parametrize(("answer", "says"), [
    (None, "Not answered yet"), ([1.0, 2.0005], "Right"), (Tensor([1.0, 2.0]), "Right")])
def test_an_answer_may_be_missing_or_right(answer, says, capsys):
    support.check(answer, [1.0, 2.0])
    assert says in capsys.readouterr().out


@pytest.mark.parametrize(("answer", "message"), [
    ([1, 2.01], "Not right yet"), ([2, 1], "Not right yet"), (1, r"shape should be \(2,\)")])
def test_a_wrong_answer_raises_and_the_right_one_is_not_told(answer, message):
    with pytest.raises(AssertionError, match=message) as told:
        support.check(answer, [1.0, 2.0])
    assert "1.0" not in str(told.value) and "2.0" not in str(told.value)


def test_whole_numbers_must_be_the_same(capsys):
    support.check(100_000, 100_000)
    assert "Right" in capsys.readouterr().out
    with pytest.raises(AssertionError, match="Not right yet"):
        support.check(100_001, 100_000)


def test_images_are_shown_as_jpeg_of_the_width_asked_for(tmp_path):
    pytest.importorskip("IPython", reason="needs IPython, of the extra 'notebooks'")
    Image.new("RGBA", (40, 20), (10, 200, 30, 255)).save(tmp_path / "green.png")
    for image, pixels, size in ((tmp_path / "green.png", None, (40, 20)), (Image.new("L", (40, 20)), 80, (80, 40))):
        shown = Image.open(io.BytesIO(support.show(image, pixels).data))
        assert (shown.format, shown.size) == ("JPEG", size)
