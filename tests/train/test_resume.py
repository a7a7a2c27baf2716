"""A run that is killed and goes on ends as one that was never interrupted, to the last bit."""

import csv
import json
import logging
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from mindspore import Tensor, nn
from mindspore.nn.utils import no_init_parameters

from mindclf.checkpoint import read_card, read_weights
from mindclf.config import merge
from mindclf.nets import create_net
from mindclf.train import create_optimizer, fit, resume
from mindclf.train.keeper import Keeper

TIMES = ("images_per_second", "seconds", "data_seconds")
# A process that trains, and kills itself with SIGKILL at the given call of one of our functions, or right after it.
VICTIM = """
import importlib, json, os, signal, sys
config, module, name, call, before = json.loads(sys.argv[1])
parent = importlib.import_module(module)
for part in name.split(".")[:-1]:
    parent = getattr(parent, part)
name, calls = name.split(".")[-1], []
function = getattr(parent, name)

def deadly(*args, **kwargs):
    calls.append(1)
    if before and len(calls) == call:
        os.kill(os.getpid(), signal.SIGKILL)
    result = function(*args, **kwargs)
    if len(calls) == call:
        os.kill(os.getpid(), signal.SIGKILL)
    return result

setattr(parent, name, deadly)
from mindclf.train import fit
fit(config)
"""


@pytest.fixture
def all_at_once(tiny_config):
    """Two phases with everything that has a state: stored features, plateau, momentum, average, mixup, warm-up."""
    return {**tiny_config, "schedule": "plateau", "plateau_patience": 0, "plateau_factor": 0.5, "ema_decay": 0.9,
            "mixup_alpha": 0.4, "phases": [{"layers": "head", "cached_views": 2, "epochs": 3},
                                           {"layers": "all", "epochs": 3, "warmup_epochs": 1, "lr_max": 0.02}]}


def kill(config, module, name, call, before):
    run = subprocess.run([sys.executable, "-c", VICTIM, json.dumps([config, module, name, call, before])], capture_output=True,
                         timeout=300)
    assert run.returncode == -signal.SIGKILL, run.stderr.decode()[-2000:]


def outcome(output):
    """Weights of best and last, the rows of the history without times, and what the cards say of the epochs."""
    output = Path(output)
    with open(output / "history.csv", newline="") as file:
        rows = [{name: value for name, value in row.items() if name not in TIMES} for row in csv.DictReader(file)]
    cards = [read_card(output / name) for name in ("best.ckpt", "last.ckpt")]
    return ([read_weights(output / name) for name in ("best.ckpt", "last.ckpt")], rows,
            [(card["phase"], card["epoch"], card["metrics"]) for card in cards])


def assert_same(first, second):
    for weights, others in zip(first[0], second[0]):
        assert weights.keys() == others.keys()
        for name, value in weights.items():
            np.testing.assert_array_equal(value, others[name], err_msg=name)
    assert first[1:] == second[1:]


# Where it is killed: an epoch of the first phase has 8 steps, of the second 4; each has 3 epochs.
MOMENTS = [
    ("mindclf.train.callbacks", "StepFigures.on_train_step_end", 13, False),  # in the second epoch of the head
    ("mindclf.train.phases", "save_state", 3, False),                         # between the phases
    ("mindclf.train.callbacks", "append_row", 4, False),                      # history written, state not
    ("mindclf.train.keeper", "Keeper.save_best", 4, True),                    # state written, best weights not
    ("mindclf.train.keeper", "save_checkpoint", 2, False),                    # just after best weights
    ("mindclf.train.keeper", "Keeper.finish", 1, True),                       # all trained, last weights not written
    ("mindclf.train.fit", "complete_card", 1, True),                          # nothing left but to report
]


def test_a_run_that_is_killed_goes_on_to_the_same_end(all_at_once):
    whole = {**all_at_once, "output": all_at_once["output"] + "-whole"}
    fit(whole)
    expected = outcome(whole["output"])
    assert [(row["phase"], row["epoch"]) for row in expected[1]] == [(p, e) for p in "12" for e in "123"]
    for number, moment in enumerate(MOMENTS):
        config = {**all_at_once, "output": f"{all_at_once['output']}-{number}"}
        kill(config, *moment)
        fit({**config, "resume": True})
        assert_same(outcome(config["output"]), expected)
        assert not (Path(config["output"]) / "epochs").exists()
        assert read_card(Path(config["output"]) / "last.ckpt").get("resumed", 0) == (moment[1] != "complete_card")


def test_a_run_can_be_killed_again_and_again(tiny_config):
    whole = {**tiny_config, "output": tiny_config["output"] + "-whole", "epochs": 3}
    fit(whole)
    config = {**tiny_config, "epochs": 3}
    kill(config, "mindclf.train.phases", "save_state", 1, False)
    kill({**config, "resume": True}, "mindclf.train.phases", "save_state", 1, False)  # gets one epoch further
    fit({**config, "resume": True})
    assert_same(outcome(config["output"]), outcome(whole["output"]))
    assert read_card(Path(config["output"]) / "last.ckpt")["resumed"] == 2


@pytest.fixture
def interrupted(tiny_config, monkeypatch):
    """The config of a run of 3 epochs that stopped in its second."""
    config = {**tiny_config, "epochs": 3}

    def stop(self, row, report, snapshot, after_epoch=Keeper.after_epoch):
        if row["epoch"] == 2:
            raise KeyboardInterrupt
        after_epoch(self, row, report, snapshot)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Keeper, "after_epoch", stop)
        fit(config)
    return config


@pytest.mark.parametrize(("field", "value", "message"), [
    ("lr_max", 0.1, "lr_max=0.1 differs from 0.05 of the run in"),
    ("epochs", 4, "epochs=4 differs from 3 of the run in"),
    ("seed", 2, "seed=2 differs from 1 of the run in"),
    ("net_options", {"last_channel": 48}, "net_options={"),
    ("class_index", {"red": 0, "green": 1, "blue": 2}, "class_index differs from that of the run in"),
])
def test_another_config_cannot_go_on(interrupted, field, value, message):
    with pytest.raises(ValueError, match=f"^resume=true, but {message}"):
        fit({**interrupted, field: value, "resume": True})


def test_other_pictures_cannot_go_on(interrupted, tmp_path):
    state = resume.load_state(resume.state_path(interrupted["output"]))
    state.facts["card"]["data"]["train"] += 5
    resume.save_state(state.path, state.facts)
    with pytest.raises(ValueError, match="there are 24 train pictures and the run in .* had 29"):
        fit({**interrupted, "resume": True})


def test_as_many_pictures_of_other_names_cannot_go_on(interrupted, tmp_path):
    moved = shutil.copytree(interrupted["dataset_path"], tmp_path / "pictures")
    picture = next((moved / "train" / "red").iterdir())
    picture.rename(picture.with_name(f"a{picture.name}"))
    with pytest.raises(ValueError, match="the pictures or their labels differ from those of the run in"):
        fit({**interrupted, "dataset_path": str(moved), "resume": True})


def test_a_run_goes_on_elsewhere_with_a_warning(interrupted, caplog):
    state = resume.load_state(resume.state_path(interrupted["output"]))
    state.facts["card"]["versions"]["mindspore"] = "1.0.0"
    resume.save_state(state.path, state.facts, **{name: state.group(name) for name in ("net", "optimizer", "raw")})
    fit({**interrupted, "resume": True})
    assert "began with other versions of software: it goes on, but perhaps not to the last bit" in caplog.text


def test_a_state_of_another_version_is_refused(interrupted, monkeypatch):
    monkeypatch.setattr(resume, "STATE_FORMAT", 2)
    with pytest.raises(ValueError, match="is damaged: another version of mindclf wrote it; start the run afresh"):
        fit({**interrupted, "resume": True})


def test_where_files_are_and_what_trains_may_change(interrupted, tmp_path):
    moved = tmp_path / "elsewhere"
    Path(interrupted["output"]).rename(moved)
    fitted = fit({**interrupted, "output": str(moved), "feature_cache": "", "device_target": "auto", "resume": True})
    assert read_card(fitted.checkpoint.parent / "last.ckpt")["epoch"] == 3


@pytest.mark.parametrize("damage", [lambda data: data[:1000], lambda data: b"", lambda data: data[:5000] + b"x" + data[5001:]])
def test_a_damaged_state_is_named(interrupted, damage):
    path = resume.state_path(interrupted["output"])
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=r"epochs/state.npz is damaged: .*; start the run afresh") as raised:
        fit({**interrupted, "resume": True})
    assert "\n" not in str(raised.value)


def test_a_finished_run_is_reported_again_without_training(tiny_config, caplog, monkeypatch):
    first = fit(tiny_config)
    before = outcome(tiny_config["output"])
    for name in ("report.json", "curves.png"):
        (Path(tiny_config["output"]) / name).unlink()
    monkeypatch.setattr(sys.modules["mindclf.train.fit"], "train_phase", None)
    with caplog.at_level(logging.INFO, logger="mindclf"):
        again = fit({**tiny_config, "resume": True})
    assert f"the run in {tiny_config['output']} is finished: reporting it again" in caplog.text
    assert again.report.as_dict() == first.report.as_dict()
    assert_same(outcome(tiny_config["output"]), before)
    for name in ("report.json", "curves.png"):
        assert (Path(tiny_config["output"]) / name).is_file()
    with pytest.raises(ValueError, match="lr_max=0.1 differs from 0.05"):
        fit({**tiny_config, "lr_max": 0.1, "resume": True})


def test_without_an_earlier_run_it_starts_afresh_and_says_so(tiny_config, caplog):
    with caplog.at_level(logging.INFO, logger="mindclf"):
        fit({**tiny_config, "epochs": 1, "resume": True})
    assert f"no run with a finished epoch in {tiny_config['output']}: starting afresh" in caplog.text


def test_the_snapshot_of_a_run_that_goes_on_is_the_newest_only(interrupted, monkeypatch):
    names = []

    def look(self, row, report, snapshot, after_epoch=Keeper.after_epoch):
        after_epoch(self, row, report, snapshot)
        names.append({file.suffix for file in snapshot.parent.iterdir()} | {sum(1 for _ in snapshot.parent.iterdir())})

    monkeypatch.setattr(Keeper, "after_epoch", look)
    fit({**interrupted, "resume": True})
    assert names == [{".ckpt", ".json", ".npz", 3}] * 2


@pytest.mark.parametrize(("optimizer", "scale"), [("momentum", 1024), ("sgd", 1024), ("adam", 1024), ("adamw", 1)])
def test_the_state_of_every_optimizer_is_kept(optimizer, scale):
    """All that changes in four steps, and only the weights are left out."""
    config = merge({}, {"optimizer": optimizer, "loss_scale": scale})
    net = nn.Dense(3, 2)
    first, second = (create_optimizer(net, config, [0.1] * 8) for _ in range(2))
    gradients = tuple(Tensor(np.full(p.shape, 0.5, np.float32)) for p in net.trainable_params())
    for _ in range(4):
        first(gradients)
    state = {name: value.copy() for name, value in resume.optimizer_state(first).items()}
    assert not {"weight", "bias"} & set(state) and state["global_step"] == 4
    resume.restore_optimizer(second, state)
    before = {p.name: p.asnumpy().copy() for p in net.get_parameters()}
    first(gradients)
    expected = {p.name: p.asnumpy().copy() for p in net.get_parameters()}
    for parameter in net.get_parameters():
        parameter.set_data(Tensor(before[parameter.name]))
    second(gradients)
    for parameter in net.get_parameters():
        np.testing.assert_array_equal(parameter.asnumpy(), expected[parameter.name])


@pytest.mark.parametrize(("name", "options", "expected"), [
    ("asymmnet_small", {}, True), ("asymmnet_small", {"dropout": 0.0}, False), ("mobilenet_v1", {}, False)])
def test_a_net_with_dropout_is_known(name, options, expected):
    with no_init_parameters():
        assert resume.has_dropout(create_net(name, 10, **options)) is expected
