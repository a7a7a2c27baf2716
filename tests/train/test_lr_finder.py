"""The learning-rate range test: which rates it tries, when it ends, and what it suggests."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from mindclf.cli import main
from mindclf.cli.parser import make_parser, parse
from mindclf.train import fit
from mindclf.train.callbacks import MetricTracker
from mindclf.train.lr_finder import Losses, RangeTest, find_lr
from tests.conftest import ONLY_HEAD

pytestmark = pytest.mark.usefixtures("uncompiled")


def test_a_tenth_of_the_rate_of_the_lowest_loss_is_suggested():
    """A valley around a rate of 0.1, and noise of which the smoothed loss has a third: its single lowest loss is elsewhere."""
    rates = np.geomspace(1e-6, 10, 141)  # 20 steps a decade
    losses = 1 + np.log10(rates / 0.1) ** 2 / 5
    losses[60] = 0.1
    test = RangeTest(rates, losses, 16, "momentum", 141)
    assert losses.argmin() == 60 and test.rates[test.lowest] == pytest.approx(0.1, rel=0.13)  # a step or less
    assert test.suggestion == pytest.approx(0.1 * test.rates[test.lowest])
    np.testing.assert_allclose(test.smoothed[[0, 2, 70, 140]], [losses[:5].mean(), losses[:7].mean(), losses[66:75].mean(),
                                                                losses[136:].mean()])


@pytest.mark.parametrize("fall", [0.0, 0.04])
def test_nothing_is_suggested_where_the_loss_hardly_falls(fall):
    losses = np.concatenate([np.full(50, 2.0), np.full(50, 2.0 * (1 - fall))])
    assert RangeTest(np.geomspace(1e-6, 10, 100), losses, 16, "momentum", 100).suggestion is None


@pytest.mark.parametrize(("losses", "kept"), [
    ([1.0, 0.5, 1.9, 2.1, 0.1], 4), ([1.0, np.nan, 0.5], 1), ([1.0, 2.0, np.inf], 2), ([1.0] * 9, 6), ([np.nan], 0)])
def test_the_test_ends_when_the_loss_has_diverged_or_all_steps_are_done(losses, kept):
    recorder, asked = Losses(6), []
    for loss in losses:
        state = SimpleNamespace(net_outputs=SimpleNamespace(asnumpy=lambda loss=loss: np.float32(loss)))
        recorder.on_train_step_end(SimpleNamespace(original_args=lambda state=state: state, request_stop=lambda: asked.append(1)))
        if asked:
            break
    assert asked and len(recorder.losses) == kept


def test_it_begins_as_training_does_and_repeats_itself_by_its_seed(tiny_config, monkeypatch):
    config = {**tiny_config, **ONLY_HEAD, "phases": [{"epochs": 1}, {"lr_max": 9.0}], "lr_max": 1e-6,
              "net_options": {**tiny_config["net_options"], "has_dropout": True}}
    test, again = find_lr(config, 8), find_lr(config, 8)
    np.testing.assert_allclose(test.losses, again.losses, rtol=1e-3)
    np.testing.assert_allclose(test.rates[:3], 1e-6 * 10.0 ** np.arange(3))
    assert not Path(tiny_config["output"]).exists() and len(test.losses) > 5
    losses = []
    step = MetricTracker.on_train_step_end
    monkeypatch.setattr(MetricTracker, "on_train_step_end", lambda self, context: (step(self, context), losses.append(self.loss)))
    fit({**config, "phases": [], "epochs": 1})
    assert test.losses[0] == pytest.approx(losses[0], rel=1e-6)  # the steps after it are at other rates


def test_the_command_of_a_recipe_writes_its_plot_and_nothing_else(tiny_config, tmp_path, capsys):
    plot = tmp_path / "plot.png"
    before = set(tmp_path.iterdir())
    assert main(["find-lr", "--steps", "20", "--to", str(plot), "feature_cache="], config={**tiny_config, **ONLY_HEAD}) == 0
    printed = capsys.readouterr().out
    assert "20 steps of 6 images, momentum, from 1e-06 to 10" in printed and "\nsuggested " in printed
    assert set(tmp_path.iterdir()) - before == {plot} and Image.open(plot).size[0] > 500


@pytest.mark.parametrize(("words", "message"), [
    (["--steps", "3"], "--steps 3 must lie between 20 and 100,000"),
    (["optimizer=lbfgs", "epochs=10", "batch_size=16"],
     "optimizer=lbfgs has no learning rate: name one of gradient descent, as in optimizer=momentum"),
    (["batch_size=99"], "batch_size=99 is more than the 24 training images"),
])
def test_what_cannot_be_tested_is_one_line(tiny_config, capsys, words, message):
    assert main(["find-lr", *words], config={**tiny_config, **ONLY_HEAD}) == 2
    assert capsys.readouterr().err.splitlines()[-1] == f"mindclf: {message}"


@pytest.mark.parametrize(("words", "options"), [
    (["photos"], ["optimizer=momentum"]), (["photos", "optimizer=adamw"], []), (["dataset=garbage26"], [])])
def test_of_ones_own_folder_the_head_is_not_solved_here(words, options):
    assert parse(make_parser(None), ["find-lr", *words], False).options == options
