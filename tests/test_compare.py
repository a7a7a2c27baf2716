"""Several nets under one recipe: what is trained, what is kept, and what the command prints."""

import json
import shutil
import sys

import pytest
from PIL import Image

from mindclf.checkpoint import read_card
from mindclf.cli import main
from mindclf.compare import compare, compared_folder
from mindclf.config import merge
from mindclf.report import plots
from mindclf.train import fit
from tests.conftest import ONLY_HEAD, TINY_NET, make_config

pytestmark = pytest.mark.usefixtures("uncompiled")

SMALL = {"net_options": {**TINY_NET, "last_channel": 16}}
VARIANTS = {"tiny": {}, "smaller": SMALL}
WILD = {"lr_max": 1000.0, "weight_decay": 1000.0, "epochs": 3}  # each step makes the weights a million times as large


@pytest.fixture(scope="module", autouse=True)
def brief():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules["mindclf.train.fit"], "write_report", lambda *arguments: None)  # the longest part of a run
        yield


@pytest.fixture
def config(tiny_config):
    return merge({**tiny_config, **ONLY_HEAD, "epochs": 1}, {})


@pytest.fixture(scope="module")
def compared(colour_folder, tmp_path_factory):
    """(config, rows) of a comparison; other seeds and settings may be tried with the config, the runs must stay."""
    config = merge({**make_config(colour_folder, tmp_path_factory.mktemp("compared")), **ONLY_HEAD, "epochs": 1}, {})
    return config, compare(config, VARIANTS, (1, 2))


@pytest.fixture
def never_trains(monkeypatch):
    monkeypatch.setattr(sys.modules["mindclf.train.fit"], "_train", lambda *arguments: pytest.fail("trains"))


def test_every_variant_is_trained_with_every_seed(compared):
    config, rows = compared
    output = compared_folder(config)
    assert [(row["variant"], row["seeds"], row["failed"]) for row in rows] == [("tiny", [1, 2], []), ("smaller", [1, 2], [])]
    for row in rows:
        cards = [read_card(output / f"{row['variant']}-seed{seed}" / "best.ckpt") for seed in (1, 2)]
        assert row["top1"] == [card["metrics"]["test"]["top1"] for card in cards]
        assert row["mean_top1"] == pytest.approx(sum(row["top1"]) / 2)
        assert [card["seed"] for card in cards] == [1, 2]
    # the last convolution makes 16 channels less of 8, each with two numbers of batch norm and three weights to the classes
    assert rows[0]["parameters"] - rows[1]["parameters"] == 8 * 16 + 2 * 16 + 3 * 16
    assert json.loads((output / "compare.json").read_text())["rows"] == rows
    assert Image.open(output / "compare.png").width > 1000
    fit(config)  # a single run of the same recipe moves nothing aside
    assert (output / "compare.json").is_file()


def test_what_is_finished_is_not_trained_again(compared, request):
    config, rows = compared
    request.getfixturevalue("never_trains")
    assert compare(config, VARIANTS, (1, 2)) == rows
    assert compare(config, {"smaller": SMALL}, (1, 2)) == rows[1:]  # and the other's row stays
    assert json.loads((compared_folder(config) / "compare.json").read_text())["rows"] == rows
    changed = compare(merge(config, {"lr_max": 0.1}), VARIANTS, (1,))
    assert ["it had lr_max=0.05, and now it is 0.1: set it so, or take another output" in row["failed"][0]
            for row in changed] == [True, True]


@pytest.mark.usefixtures("never_trains")
@pytest.mark.parametrize(("fields", "message"), [
    ({"ner": "vgg19"}, "unknown field 'ner'"), ({"net": "vgg20"}, "net='vgg20' is not known"),
    ({"pretrained": "nowhere.ckpt"}, "^wrong: checkpoint nowhere.ckpt does not exist; --only compares the others"),
    ({"dataset": "flowers102", "dataset_path": ""}, "the 102 flowers are neither in data/ nor in"),
])
def test_a_variant_that_is_wrong_stops_before_the_first_is_trained(config, fields, message, monkeypatch):
    monkeypatch.setenv("MINDCLF_DATA", "")
    with pytest.raises(ValueError, match=message):
        compare(config, {**VARIANTS, "wrong": fields}, (1,))


@pytest.mark.usefixtures("never_trains")
def test_a_damaged_image_stops_before_the_first_is_trained(config, tmp_path):
    folder = shutil.copytree(config.dataset_path, tmp_path / "damaged")
    (folder / "train" / "red" / "0.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match="^tiny: 1 problem in .*0.png.* --only compares the others"):
        compare(merge(config, {"dataset_path": str(folder)}), VARIANTS, (1, 2))


def test_where_nothing_came_of_it_no_table_is_promised(config, capsys):
    variants = {"wild": WILD}
    assert main(["compare", "--seeds", "1"], config=dict(config), variants=variants) == 2
    assert capsys.readouterr().out.strip() == ""


def test_a_run_that_fails_does_not_cost_the_others(config, capsys):
    variants = {"wild": WILD, "tiny": {}}
    rows = compare(config, variants, (1,))
    assert rows[0]["seeds"] == [] and rows[0]["failed"][0].startswith("seed 1: the loss is ")
    assert rows[1]["seeds"] == [1]
    assert main(["compare", "--seeds", "1"], config=dict(config), variants=variants) == 2
    printed = capsys.readouterr()
    assert "tiny" in printed.out and "wild" not in printed.out
    assert printed.err.splitlines()[-1].startswith("mindclf: wild: seed 1: the loss is ")


def test_the_command_shows_a_row_a_variant(config, capsys):
    config = dict(config)
    assert main(["compare", "--only", "smaller", "--seeds", "1"], config=config, variants=VARIANTS) == 0
    head, row, _, note = capsys.readouterr().out.splitlines()[1:]
    assert head.split() == ["variant", "parameters", "MACs", "top-1,", "mean", "least", "greatest", "seeds", "seconds"]
    assert row.startswith("smaller  ") and row.count("%") == 3
    assert note == f"table and curves: {config['output']}-compared/compare.json, compare.png"
    for arguments, message in [(["--seeds", "0"], "--seeds 0 must lie between 1 and 1000"),
                               (["seed=2"], "seed is what compare sets itself: leave it out, or change the recipe"),
                               (["net_options.width_mult=2"], "net_options is what smaller sets itself")]:
        assert main(["compare", *arguments], config=config, variants=VARIANTS) == 2
        assert capsys.readouterr().err.startswith(f"mindclf: {message}")
    with pytest.raises(SystemExit):
        main(["compare"], config=config)  # a recipe without variants


def test_the_plot_has_a_line_and_three_dots_for_each_variant(tmp_path, monkeypatch):
    saved = []
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", lambda figure, path, **options: saved.append(figure) or path.touch())
    rows = [{"variant": name, "parameters": 1e6, "macs": 2e6, "top1": [0.5, 0.7], "mean_top1": 0.6, "mean_seconds": 30.0}
            for name in "ab"]
    history = [{"top1": share, "watched": "held out"} for share in (0.2, 0.4)]
    other = [{"top1": share, "watched": "held out"} for share in (0.4, 0.8)]
    plots.comparison(rows, {"a": [history, other], "b": [history, history]}, tmp_path / "compare.png")
    curves, *scatters = saved[0].axes
    assert [line.get_ydata().tolist() for line in curves.lines] == [pytest.approx([30, 60]), pytest.approx([20, 40])]
    for axis, value in zip(scatters, (1, 2, 30)):
        assert [container.lines[0].get_xydata().tolist() for container in axis.containers] == [[[value, 60]]] * 2
