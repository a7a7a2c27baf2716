"""A run that gets more epochs goes on: where it was, at the learning rates of the new number, and its card says so."""

import json
import logging
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from mindspore import nn

from mindclf.checkpoint import read_card, read_weights
from mindclf.compare import compare, compared_folder
from mindclf.config import merge
from mindclf.report.history import HistoryFile
from mindclf.train import create_optimizer, fit
from mindclf.train.resume import _best_score
from mindclf.train.state import OptimizerState
from tests.conftest import ONLY_HEAD, make_config

pytestmark = pytest.mark.usefixtures("uncompiled")

STEPS = 4  # an epoch: 24 images in batches of 6


def last_rates(schedule, epochs, lr_max=0.05):
    """The learning rate of the last step of each epoch, from the formulas of the schedules."""
    step = np.arange(1, epochs + 1) * STEPS - 1
    total = epochs * STEPS
    return lr_max * {"cosine": (1 + np.cos(np.pi * step / total)) / 2, "one_cycle": 1 - step / total}[schedule]


@pytest.fixture(scope="module")
def finished(colour_folder, tmp_path_factory):
    """The config of a run of a head that has ended after 2 epochs; read it, do not change it."""
    config = {**make_config(colour_folder, tmp_path_factory.mktemp("extend")), **ONLY_HEAD, "epochs": 2}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules["mindclf.train.fit"], "write_report", lambda *arguments: None)
        fit(config)
    return config


@pytest.fixture
def run(finished, tmp_path):
    """As `finished`, of a copy, ready to go on."""
    return {**finished, "output": str(shutil.copytree(finished["output"], tmp_path / "run")), "resume": True}


def rows(config):
    return HistoryFile(Path(config["output"]) / "history.csv").rows()


def test_a_finished_run_goes_on_at_the_rates_of_the_new_number_of_epochs(run, caplog):
    """And again. Nothing of what it had is lost; the weights are where it left them, and learn on."""
    before, weights = rows(run), read_weights(Path(run["output"]) / "last.ckpt")
    with caplog.at_level(logging.INFO, logger="mindclf"):
        fit({**run, "epochs": 4})
    assert (f"the run in {run['output']} had epochs=2 and now has 4: from epoch 3 of phase 1 on its learning rates are those of "
            "the new number, and momenta begin anew") in caplog.text
    after = rows(run)
    assert after[:2] == before and [row["epoch"] for row in after] == [1, 2, 3, 4]
    assert [row["steps"] for row in after] == [4, 8, 12, 16]
    assert [row["learning_rate"] for row in after[2:]] == pytest.approx(last_rates("cosine", 4)[2:], rel=1e-5)
    new = read_weights(Path(run["output"]) / "last.ckpt")
    assert {name for name in new if not np.array_equal(new[name], weights[name])} == {"head.1.weight", "head.1.bias"}
    card = read_card(Path(run["output"]) / "last.ckpt")
    assert (card["epoch"], card["config"]["epochs"]) == (4, 4)
    [entry] = card["extended"]
    assert (entry["phase"], entry["epoch"], entry["planned_epochs"]) == (1, 2, [2]) and entry["command"]
    fit({**run, "epochs": 5})
    assert [row["learning_rate"] for row in rows(run)[4:]] == pytest.approx(last_rates("cosine", 5)[4:], rel=1e-5)
    assert [entry["planned_epochs"] for entry in read_card(Path(run["output"]) / "last.ckpt")["extended"]] == [[2], [4]]
    assert not (Path(run["output"]) / "epochs").exists()


@pytest.mark.parametrize("choose_epoch", ["best", "latest"])
def test_without_momentum_a_run_that_was_extended_is_the_longer_run_to_the_last_bit(tiny_config, choose_epoch):
    """At a constant rate nothing tells the two apart: images, order, steps and dropout are those of the longer run."""
    config = {**tiny_config, **ONLY_HEAD, "schedule": "constant", "optimizer": "sgd", "momentum": 0.0,
              "choose_epoch": choose_epoch, "net_options": {**tiny_config["net_options"], "has_dropout": True}}
    whole, part = ({**config, "output": f"{config['output']}-{name}"} for name in ("whole", "part"))
    fit({**whole, "epochs": 3})
    fit({**part, "epochs": 1})
    fit({**part, "epochs": 3, "resume": True})
    for file in ("last.ckpt", "best.ckpt"):
        expected, got = (read_weights(Path(run["output"]) / file) for run in (whole, part))
        for name, value in expected.items():
            np.testing.assert_array_equal(got[name], value, err_msg=f"{file} {name}")
    for row, other in zip(rows(whole), rows(part), strict=True):
        assert [row[name] for name in ("epoch", "steps", "learning_rate", "train_loss", "top1")] == [
            other[name] for name in ("epoch", "steps", "learning_rate", "train_loss", "top1")]


@pytest.mark.parametrize(("choose_epoch", "expected"), [("best", [0.8, -0.5]), ("latest", [0.9, -0.7])])
def test_a_run_that_is_extended_knows_the_best_epoch_that_it_had(choose_epoch, expected):
    """best.ckpt has the third one, which is within one standard error of the second."""
    rows = [{"watched": "held out", "top1": top1, "loss": loss} for top1, loss in ((0.7, 0.4), (0.9, 0.7), (0.8, 0.5))]
    history = SimpleNamespace(rows=lambda: rows)
    assert _best_score({"choose_epoch": choose_epoch}, rows[-1], history) == expected


def test_the_best_epoch_stays_the_best_if_no_later_one_is_better(run):
    best = Path(run["output"]) / "best.ckpt"
    before, card = best.read_bytes(), read_card(best)
    fit({**run, "epochs": 3})
    scores = [(row["top1"], -row["loss"]) for row in rows(run)]
    after = read_card(best)
    assert after["epoch"] == 1 + scores.index(max(scores))
    if after["epoch"] == card["epoch"]:
        assert best.read_bytes() == before and "extended" not in after


@pytest.mark.parametrize(("fields", "message"), [
    ({"epochs": 1}, "it has begun epoch 2 of phase 1, and now epochs=1: set 2 or more, or take another output$"),
    ({"epochs": 4, "lr_max": 0.1}, "it had lr_max=0.05, and now it is 0.1: set it so, or take another output$"),
])
def test_what_cannot_be_changed_is_named_and_changes_nothing(run, fields, message):
    before = {path.name: path.read_bytes() for path in Path(run["output"]).iterdir()}
    with pytest.raises(ValueError, match=f"^the run in {run['output']} cannot go on: {message}"):
        fit({**run, **fields})
    assert {path.name: path.read_bytes() for path in Path(run["output"]).iterdir()} == before


def test_a_phase_that_is_over_keeps_its_epochs_and_the_last_may_have_more(tiny_config):
    config = {**tiny_config, "phases": [
        {"trainable": "head", "cached_views": 1, "epochs": 1},
        {"trainable": "head", "cached_views": 1, "epochs": 2, "schedule": "plateau", "warmup_epochs": 1, "plateau_patience": 0,
         "plateau_factor": 0.5, "lr_max": 1e-6}]}
    fit(config)
    config["resume"] = True
    with pytest.raises(ValueError, match=r"it had phases.0.epochs=1, and now it is 3: set it so, or take another output$"):
        fit(merge(config, {"epochs": 3}))
    fit(merge(config, {"phases.1.epochs": 4}))
    assert [(row["phase"], row["epoch"]) for row in rows(config)] == [(1, 1), (2, 1), (2, 2), (2, 3), (2, 4)]
    # At so small a rate no epoch improves by a ten-thousandth: the plateau goes on from the loss of the first one after warm-up,
    # and halves.
    assert [row["learning_rate"] for row in rows(config)[1:]] == pytest.approx([1e-6, 1e-6, 1e-6, 5e-7], abs=1e-9)


@pytest.mark.parametrize("name", ["momentum", "sgd", "adam"])
def test_momenta_are_kept_and_rates_are_those_of_the_new_number(name):
    """Of an interrupted run; one that was finished kept none, and only its steps count on."""
    def optimizer(rates):
        return create_optimizer(nn.SequentialCell(nn.Dense(3, 2)), merge({}, {"optimizer": name}), rates)

    def kept(optimizer):
        return OptimizerState(optimizer).state_dict()

    old, longer = optimizer([0.1] * 5), optimizer([0.2] * 9)
    state = {key: np.full_like(value, 3) for key, value in kept(old).items()}
    OptimizerState(longer).load_state_dict(state)
    np.testing.assert_array_equal(longer.learning_rate.learning_rate.asnumpy(), np.full(9, 0.2, np.float32))
    for key, value in kept(longer).items():
        np.testing.assert_array_equal(value, state[key], err_msg=key)
    anew, untouched = optimizer([0.2] * 9), kept(optimizer([0.2] * 9))
    OptimizerState(anew).load_state_dict({"global_step": np.array([5], np.int32)})
    for key, value in kept(anew).items():
        np.testing.assert_array_equal(value, [5] if key == "global_step" else untouched[key], err_msg=key)


def test_a_run_without_its_history_is_not_extended(run):
    (Path(run["output"]) / "history.csv").unlink()
    (Path(run["output"]) / "history.csv").mkdir()
    with pytest.raises(ValueError, match="output=.* exists and is not the folder of an earlier run"):
        fit({**run, "epochs": 4})


def test_a_comparison_extends_no_run(run):
    """What one variant had in two pieces another would have in one."""
    config = merge({**run, "resume": False, "epochs": 3}, {})
    folder = compared_folder(config) / "one-seed1"
    shutil.copytree(run["output"], folder)
    [row] = compare(config, {"one": {}}, [1])
    assert row["failed"] and "it had epochs=2, and now it is 3: set it so" in row["failed"][0]
    assert json.loads((folder / "last.ckpt.json").read_text())["epoch"] == 2
