"""Early stopping: when a phase ends, what is kept, and how such a run goes on."""

import logging
import shutil
import sys
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from mindclf.checkpoint import read_card
from mindclf.config import merge
from mindclf.metrics import Metrics
from mindclf.report.history import HistoryFile
from mindclf.train import fit
from mindclf.train.checkpointing import CheckpointManager
from mindclf.train.early_stopping import EarlyStopping
from mindclf.train.phase import PhaseTrainer
from tests.conftest import ONLY_HEAD, make_config

pytestmark = pytest.mark.usefixtures("uncompiled")


def stops_after(values, patience, min_delta=0.0, monitor="top1", warmup_epochs=0, restart=None):
    """(the epoch after which a phase of these validation values stops, or None; its best epoch).

    After the epoch `restart` another object goes on with the state of the first.
    """
    config = merge({}, {"epochs": len(values), "early_stopping_patience": patience, "min_delta": min_delta, "monitor": monitor,
                        "warmup_epochs": warmup_epochs})
    checkpoints = CheckpointManager(None, Path(), {})
    stopping = EarlyStopping(1, config, checkpoints)
    for epoch, value in enumerate(values, start=1):
        stopping.after_epoch(epoch, {"loss": 0.5, "top1": 0.5, monitor: value})
        asked = []
        stopping.on_train_epoch_end(SimpleNamespace(original_args=lambda: SimpleNamespace(cur_epoch_num=epoch),  # noqa: B023
                                                    request_stop=lambda: asked.append(True)))  # noqa: B023
        assert bool(asked) == checkpoints.stopped(1)
        if asked:
            [stop] = checkpoints.card["stopped_early"]
            assert stop == {"phase": 1, "epoch": epoch, "planned_epochs": len(values), "best_epoch": stopping.best_epoch}
            return epoch, stopping.best_epoch
        if epoch == restart:
            state, stopping = stopping.state_dict(), EarlyStopping(1, config, checkpoints)
            stopping.load_state_dict(state)
    return None, stopping.best_epoch


@pytest.mark.parametrize("restart", [None, 1, 3, 4])
@pytest.mark.parametrize(("values", "patience", "fields", "expected"), [
    ([0.2, 0.5, 0.4, 0.5, 0.3, 0.9], 3, {}, (5, 2)),          # as good is not better
    ([0.2, 0.5, 0.4, 0.5, 0.3, 0.9], 4, {}, (None, 6)),
    ([0.5, 0.4, 0.6, 0.5, 0.4, 0.9], 2, {}, (5, 3)),          # the count begins anew
    ([0.5, 0.55, 0.61, 0.65, 0.7, 0.9], 2, {"min_delta": 0.1}, (5, 3)),   # 0.7 is not more than 0.61 + 0.1
    ([2.0, 1.0, 1.5, 0.9, 0.95, 0.92, 0.1], 2, {"monitor": "loss"}, (6, 4)),
    ([2.0, 1.0, 0.95, 0.91, 0.1], 2, {"monitor": "loss", "min_delta": 0.2}, (4, 2)),
    ([0.9, 0.1, 0.2, 0.1, 0.1, 0.3], 2, {"warmup_epochs": 2}, (5, 3)),    # what warm-up had does not count
    ([0.5, 0.4, 0.4, 0.4], 3, {}, (None, 1)),                 # after the last epoch there is nothing to stop
    ([0.5] * 9, 0, {}, (None, None)),
])
def test_a_phase_stops_after_so_many_epochs_without_improvement(values, patience, fields, expected, restart):
    assert stops_after(values, patience, restart=restart, **fields) == expected


# The validation accuracy of each epoch of the runs below, whatever they learn.
STOP = {"phase": 1, "epoch": 4, "planned_epochs": 9, "best_epoch": 2}  # of those with a patience of 2
TOP1 = [0.1, 0.6, 0.5, 0.3, 0.7, 0.8, 0.2, 0.1, 0.1]


@pytest.fixture(scope="module", autouse=True)
def scripted():
    """Has the runs measure TOP1 in turn, from the first on in each phase."""
    init = PhaseTrainer.__init__

    def trainer(self, *arguments):
        init(self, *arguments)
        self.recorder.evaluate = lambda: Metrics(1 - TOP1[self.metrics.step // self.steps - 1],
                                                 TOP1[self.metrics.step // self.steps - 1], 1.0, 6, np.eye(3, dtype=int))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PhaseTrainer, "__init__", trainer)
        patch.setattr(sys.modules["mindclf.train.fit"], "write_report", lambda *arguments: None)
        yield


@pytest.fixture(scope="module")
def stopped(scripted, colour_folder, tmp_path_factory):
    """The config of a run that has stopped early, after epoch 4; read it, do not change it."""
    config = {**make_config(colour_folder, tmp_path_factory.mktemp("stopped")), **ONLY_HEAD, "batch_size": 24, "epochs": 9,
              "early_stopping_patience": 2}
    fit(config)
    return config


@pytest.fixture
def config(stopped, tmp_path):
    """The config of a copy of that run, ready to go on."""
    return {**stopped, "output": str(shutil.copytree(stopped["output"], tmp_path / "run")), "resume": True}


def epochs_of(config):
    return [(row["phase"], row["epoch"]) for row in HistoryFile(Path(config["output"]) / "history.csv").rows()]


def cards(config):
    return [read_card(Path(config["output"]) / name) for name in ("best.ckpt", "last.ckpt")]


def test_a_run_that_stops_early_keeps_its_best_epoch_and_is_finished(config, caplog):
    assert epochs_of(config) == [(1, epoch) for epoch in range(1, 5)]
    best, last = cards(config)
    assert (best["epoch"], last["epoch"]) == (2, 4)
    assert best["stopped_early"] == last["stopped_early"] == [STOP]
    assert not (Path(config["output"]) / "epochs").exists()
    with caplog.at_level(logging.INFO, logger="mindclf"):
        fit(config)
    assert "is finished: reporting it again" in caplog.text and len(epochs_of(config)) == 4


@pytest.mark.parametrize(("changes", "ends", "stops"), [
    ({"early_stopping_patience": 0}, 9, []),
    ({"epochs": 12}, 8, [{"phase": 1, "epoch": 8, "planned_epochs": 12, "best_epoch": 6}]),
    ({"epochs": 4}, 4, [STOP]),
])
def test_it_goes_on_with_more_patience_or_other_epochs(config, changes, ends, stops, caplog):
    """The count of epochs begins anew; what was learned stays."""
    with caplog.at_level(logging.INFO, logger="mindclf"):
        fit({**config, **changes})
    assert epochs_of(config) == [(1, epoch) for epoch in range(1, ends + 1)]
    assert [card.get("stopped_early", []) for card in cards(config)] == [stops, stops]
    if ends == 8:
        assert "phase 1 stopped early, after epoch 8 of 12: top1 has not improved since epoch 6" in caplog.text
    assert ("stopped early after epoch 4 of phase 1, and now goes on" in caplog.text) == ("epochs" not in changes)
    assert [card["epoch"] for card in cards(config)] == [6 if ends > 4 else 2, ends]
    assert [entry["epoch"] for entry in cards(config)[1].get("extended", ())] == [4] * (ends > 4)


def test_a_run_that_is_killed_once_it_has_stopped_does_not_go_on(stopped, tmp_path, monkeypatch):
    """Nor does a phase before the one in which it is killed; phases stop for themselves."""
    config = {**stopped, "output": str(tmp_path / "run"), "phases": [{"epochs": 9}, {"epochs": 3, "early_stopping_patience": 1}]}

    def killed(*_, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(CheckpointManager, "note_changes", killed)
        fit(config)
    whole = shutil.copytree(config["output"], f"{config['output']}-whole")
    made = count()
    monkeypatch.setattr(PhaseTrainer, "train", lambda self: next(made))
    fit({**config, "resume": True})
    assert next(made) == 0, "it trained again"
    assert epochs_of(config) == epochs_of({"output": whole}) == [(1, epoch) for epoch in range(1, 5)] + [(2, 1), (2, 2), (2, 3)]
    assert cards(config)[0]["stopped_early"] == [STOP]


def test_without_validation_images_it_is_refused_before_training(tiny_config):
    with pytest.raises(ValueError, match="^early_stopping_patience=2 needs validation images, and there are none: set valid"):
        fit({**tiny_config, "valid_fraction": 0.0, "early_stopping_patience": 2})
    assert not (Path(tiny_config["output"]) / "epochs").exists()


def test_min_delta_alone_is_refused():
    with pytest.raises(ValueError, match="^min_delta=0.1 means nothing without early_stopping_patience: set that too$"):
        merge({}, {"min_delta": 0.1})
