"""`train FOLDER --best`: a solved head and then all layers, what it says before, and that it can be resumed."""

import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from mindclf import own_images
from mindclf.checkpoint import read_card, read_weights
from mindclf.cli import main
from mindclf.report.history import HistoryFile
from mindclf.train import estimate, fit, train_folder
from mindclf.train.estimate import TimeEstimate
from mindclf.train.phase import PhaseTrainer
from mindclf.utils.durations import rough_time
from tests.conftest import ONLY_HEAD, TINY_NET
from tests.train.test_resume import TIMES

SMALL = {"net_options": TINY_NET, "image_height": 32, "image_width": 32, "device_target": "CPU"}
QUICK = {**SMALL, "epochs": 2, "batch_size": 6, "lr_max": 0.01}


@pytest.fixture
def start(tiny_config, tmp_path):
    """Weights to begin with: as random as they come."""
    tiny = {name: value for name, value in tiny_config.items() if name not in ("batch_size", "epochs", "lr_max")}
    return str(fit({**tiny, **ONLY_HEAD, "optimizer": "lbfgs", "output": str(tmp_path / "start")}).checkpoint)


def as_words(fields):
    return [f"{name}={value}" for name, value in fields.items()]


def test_a_best_run_that_is_stopped_within_the_second_phase_goes_on_to_the_same_bits(start, colour_folder, tmp_path, monkeypatch):
    fields = {"pretrained": start, **QUICK}
    whole = train_folder(colour_folder, best=True, output=str(tmp_path / "whole"), **fields).checkpoint
    trained = PhaseTrainer.after_epoch

    def killed(trainer, row, result):
        trained(trainer, row, result)
        if row["epoch"] == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(PhaseTrainer, "after_epoch", killed)
        with pytest.raises(KeyboardInterrupt):
            train_folder(colour_folder, best=True, output=str(tmp_path / "cut"), **fields)
    cut = train_folder(colour_folder, best=True, output=str(tmp_path / "cut"), resume=True, **fields).checkpoint
    assert read_card(cut)["resumed"] == 1
    weights, others = (read_weights(checkpoint.with_name("last.ckpt")) for checkpoint in (whole, cut))
    assert all(np.array_equal(weights[name], others[name]) for name in weights)
    rows, other_rows = ([{name: value for name, value in row.items() if name not in TIMES}
                         for row in HistoryFile(checkpoint.parent / "history.csv").rows()] for checkpoint in (whole, cut))
    assert rows == other_rows and [row["phase"] for row in rows][-2:] == [2, 2]
    card = read_card(whole)
    assert card["phase"] in (1, 2) and "calibration" in card
    assert card["chosen"] == "latest epoch within one standard error of the best on the validation images"


def test_a_best_run_of_fewer_images_than_a_batch_is_extended_and_says_what_was_added(start, colour_folder, tmp_path):
    """Batches of 32 do not fit, and nobody asked for them. More images are named as the reason, not the batches."""
    folder = shutil.copytree(colour_folder, tmp_path / "colours")  # the other tests want theirs as it is
    fields = {"pretrained": start, **SMALL, "output": str(tmp_path / "run"), "lr_max": 1e-3}
    first = train_folder(folder, best=True, epochs=2, **fields).checkpoint
    assert read_card(first.with_name("last.ckpt"))["config"]["phases"][1]["batch_size"] < 32
    train_folder(folder, best=True, epochs=3, resume=True, **fields)
    rows = HistoryFile(first.with_name("history.csv")).rows()
    assert [(row["phase"], row["epoch"]) for row in rows if row["phase"] == 2] == [(2, 1), (2, 2), (2, 3)]
    source = next((folder / "train").glob("*/*"))
    Image.open(source).rotate(90).save(source.with_name("one_more.png"))
    with pytest.raises(ValueError, match="it had 2[0-9] train images, and now there are 2[0-9]: restore them"):
        train_folder(folder, best=True, epochs=3, resume=True, **fields)


def test_a_head_that_stays_the_best_is_said_to(start, colour_folder, tmp_path, caplog):
    """A learning rate that ruins all layers: every epoch after the head is worse."""
    fields = {"pretrained": start, **QUICK, "lr_max": 100.0, "epochs": 3, "output": str(tmp_path / "ruined")}
    with caplog.at_level("INFO", logger="mindclf"):
        card = read_card(train_folder(colour_folder, best=True, **fields).checkpoint)
    assert card["phase"] == 1
    assert "best.ckpt is the head of phase 1: no epoch after it was as good on the validation images" in caplog.messages


def test_the_command_says_what_best_takes_and_best_keeps_the_first_run(start, colour_folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["train", str(colour_folder), f"pretrained={start}"]
    assert main([*words, *as_words(SMALL)]) == 0
    said = capsys.readouterr().out
    [line] = [line for line in said.splitlines() if line.startswith("fine-tune")]
    assert line.endswith(f" train {colour_folder} --best") and "trains all layers, in about 10 s here" in said
    assert main([*words, *as_words(QUICK), "--best"]) == 0
    assert "fine-tune " not in capsys.readouterr().out
    outputs = tmp_path / "outputs"
    assert {path.name for path in outputs.iterdir()} == {colour_folder.name, f"{colour_folder.name}-best"}
    card = read_card(outputs / f"{colour_folder.name}-best" / "best.ckpt")
    assert [phase["trainable"] for phase in card["config"]["phases"]] == ["head", "all"]


def test_best_without_a_folder_is_refused(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["train", "--best", "dataset=garbage26"])
    assert stop.value.code == 2 and "--best is for a folder of your own images: name it" in capsys.readouterr().err


class Clock:
    """A clock that steps of `seconds` move on."""

    def __init__(self, seconds):
        self.seconds, self.now = seconds, 0.0

    def perf_counter(self):
        return self.now


@pytest.mark.parametrize(("first", "seconds", "steps", "said"), [
    (0, 1.5, 200, "about 5 min to go: 190 steps of 1.50 s; Ctrl-C stops it, and then so"), (0, 1.5, 40, None),
    (100, 1.5, 200, "about 2 min to go: 90 steps of 1.50 s; Ctrl-C stops it, and then so"), (0, 9.0, 5, None)])
def test_the_time_to_go_is_that_of_the_first_steps_but_those_that_compile(monkeypatch, caplog, first, seconds, steps, said):
    clock, metrics = Clock(seconds), SimpleNamespace(step=first, first_step=first, rates=[0.1] * steps)
    monkeypatch.setattr(estimate, "time", clock)
    callback = TimeEstimate(metrics, lambda: "then so")
    with caplog.at_level("INFO", logger="mindclf"):
        for step in range(first, steps):
            clock.now += 60.0 if step == first else seconds  # the first one compiles
            metrics.step += 1
            callback.on_train_step_end(None)
    assert caplog.messages == [said][:bool(said)]


def test_the_time_of_best_follows_the_images_and_the_speed_here(monkeypatch):
    clock = Clock(None)
    monkeypatch.setattr(estimate, "time", clock)
    took = iter([9.0, 0.5, 0.4])  # the first one compiles

    def run(net, batch):
        assert batch.shape == (8, 3, 64, 32)
        clock.now += next(took)

    monkeypatch.setattr(estimate, "run_net", run)
    config = SimpleNamespace(eval_batch_size=8, image_height=64, image_width=32, dataset_path="")
    found = estimate.best_seconds(None, config, 2000)
    assert found == pytest.approx(20 * 2000 * 0.4 / 8 * own_images.BEST_EVAL_FACTOR)


@pytest.mark.parametrize(("seconds", "words"), [
    (0, "10 s"), (4, "10 s"), (44, "40 s"), (89, "90 s"), (90, "2 min"), (1500, "25 min"), (5399, "90 min"), (5400, "1.5 h"),
    (10_000, "2.8 h")])
def test_durations_in_words_are_rough(seconds, words):
    assert rough_time(seconds) == words
