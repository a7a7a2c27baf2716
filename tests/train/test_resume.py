"""A run that is killed and goes on ends as one that was never interrupted, to the last bit."""

import csv
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from mindspore import Tensor, nn

from mindclf import kernels
from mindclf.checkpoint import card_path, load_net, read_card, read_weights
from mindclf.config import GRADIENT_DESCENT, merge
from mindclf.report.history import HistoryFile
from mindclf.train import create_optimizer, fit, state
from mindclf.train.checkpointing import CardCheckpoint, CheckpointManager
from mindclf.train.state import OptimizerState, load_state, save_state, state_path
from tests.conftest import ONLY_HEAD, make_config

ROOT = Path(__file__).resolve().parents[2]
TIMES = ("images_per_second", "seconds", "data_seconds")
KILLS = int(os.environ.get("MINDCLF_TEST_KILLS", 1))  # how many of the lists below are tried, and random moments
takes_long = pytest.mark.skipif(KILLS == 1, reason="takes long: set MINDCLF_TEST_KILLS=20 to have it run")


@pytest.fixture(scope="module")
def all_at_once(colour_folder, tmp_path_factory):
    """Two phases with everything that has a state or is drawn: stored features, plateau, momentum, average, mixup, dropout ..."""
    tiny_config = make_config(colour_folder, tmp_path_factory.mktemp("all_at_once"))
    net_options = {"last_channel": 32, "inverted_residual_setting": [[1, 8, 2, 2]], "has_dropout": True}  # with a residual block
    return {**tiny_config, "net_options": net_options, "schedule": "plateau", "plateau_patience": 0, "plateau_factor": 0.5,
            "ema_decay": 0.9, "mixup_alpha": 0.4, "policy": "trivial_augment", "erasing_prob": 0.5, "phases": [
                {"trainable": "head", "cached_views": 2, "epochs": 3},
                {"trainable": "all", "epochs": 3, "warmup_epochs": 1, "lr_max": 0.02, "sam_rho": 0.05 if KILLS > 1 else 0.0,
                 "cutmix_alpha": 1.0, "drop_path_rate": 0.5}]}


class Forks:
    """A process that has imported mindclf, and forks to train."""

    def __init__(self, log):
        self.log = log
        self.process = subprocess.Popen([sys.executable, "-m", "tests.support.forks"], stdin=subprocess.PIPE, encoding="utf-8",
                                        stdout=subprocess.PIPE, cwd=ROOT, env={**os.environ, "MINDCLF_DATA": ""})

    def run(self, config, **job):
        """(exit status, seconds) of `mindclf train` in a new process, to which happens what `job` says (see forks.py)."""
        self.process.stdin.write(json.dumps({"config": config, "log": str(self.log), **job}) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def happens(self, config, does, module, name, call, before, **job):
        """The exit status of a run to which something happens at a call of one of our functions, and what it printed."""
        status, _ = self.run(config, does=does, module=module, name=name, call=call, before=before, **job)
        return status, self.log.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def forks(tmp_path_factory):
    forks = Forks(tmp_path_factory.mktemp("forks") / "log")
    yield forks
    forks.process.stdin.close()
    assert forks.process.wait(timeout=60) == 0


def kill(forks, config, *moment):
    status, printed = forks.happens(config, "SIGKILL", *moment)
    assert status == -signal.SIGKILL, printed


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


@pytest.fixture(scope="module")
def whole(all_at_once):
    """A run of `all_at_once` that nothing happened to."""
    return fit({**all_at_once, "output": all_at_once["output"] + "-whole"})


@pytest.fixture(scope="module")
def expected(whole):
    return outcome(whole.checkpoint.parent)


# Where it is killed: an epoch of the first phase has 8 steps, of the second 4; each has 3 epochs. The riskiest come first.
MOMENTS = [
    ("mindclf.card", "next_card_path", 4, True),                                # best weights written, their card not
    ("mindclf.train.callbacks", "MetricTracker.on_train_step_end", 13, False),  # in the second epoch of the head
    ("mindclf.train.batches", "EpochBatches.__next__", 12, True),               # while the data set is read
    ("mindclf.train.phase", "predict_logits", 2, True),                         # while it evaluates
    ("mindspore", "save_checkpoint", 3, False),                                 # while a checkpoint is written
    ("mindclf.train.phase", "save_state", 3, False),                            # between the phases
    ("mindclf.report.history", "HistoryFile.append", 4, False),                 # history written, state not
    ("mindclf.train.checkpointing", "CheckpointManager.save_best", 4, True),    # state written, best weights not
    ("mindclf.train.checkpointing", "save_checkpoint", 2, False),               # just after best weights
    ("mindclf.train.checkpointing", "CheckpointManager.finish", 1, True),       # all trained, last weights not written
    ("mindclf.train.fit", "complete_card", 1, True),                            # nothing left but to report
]


def assert_whole(output):
    """Whatever is called best or last has its card, and nobody need do anything to use it."""
    for name in ("best.ckpt", "last.ckpt"):
        path = Path(output) / name
        assert path.is_file() or not card_path(path).exists()
        if path.is_file():
            assert load_net(path)[1]["net"] == "mobilenet_v2"


def test_a_run_that_is_killed_goes_on_to_the_same_end(forks, all_at_once, expected):
    assert [(row["phase"], row["epoch"]) for row in expected[1]] == [(p, e) for p in "12" for e in "123"]
    for number, moment in enumerate(MOMENTS[:KILLS]):
        config = {**all_at_once, "output": f"{all_at_once['output']}-{number}"}
        kill(forks, config, *moment)
        assert_whole(config["output"])
        fit({**config, "resume": True})
        assert_same(outcome(config["output"]), expected)
        assert {file.suffix for file in Path(config["output"]).iterdir()} == {".ckpt", ".json", ".csv"}
        assert read_card(Path(config["output"]) / "last.ckpt").get("resumed", 0) == (moment[1] != "complete_card")


@takes_long
def test_runs_that_are_killed_at_random_moments_go_on_to_the_same_end(forks, all_at_once, whole, expected):
    """Each is killed, and goes on, until it ends; the moments spread evenly over what a whole run takes."""
    config = {**all_at_once, "output": all_at_once["output"] + "-random", "resume": True, "feature_cache": ""}
    shares, seconds = np.random.default_rng(0).uniform(0, 1, KILLS), whole.seconds
    kills = ends = status = 0
    while kills < KILLS or status != 0:
        is_fresh = status == 0
        status, took = forks.run(config, **({"seconds": seconds * shares[kills]} if kills < KILLS else {}))
        assert status in (0, -signal.SIGKILL), forks.log.read_text(encoding="utf-8")
        kills += status != 0
        assert_whole(config["output"])
        if status == 0:
            assert_same(outcome(config["output"]), expected)
            shutil.rmtree(config["output"])
            ends += 1
            seconds = min(seconds, took) if is_fresh else seconds
    assert kills == KILLS and ends >= 1


# One run that signals stop again and again. What it prints says after which step: of 24 of the head, and 12 of all layers.
A_STEP = ("mindclf.train.callbacks", "MetricTracker.on_train_step_end")
STOPS = [
    ("SIGTERM", "mindclf.train.features", "predict_logits", 1, True, "SIGTERM: nothing is trained yet, start it again"),
    ("SIGINT", *A_STEP, 13, True, "SIGINT after step 13 of 24 in phase 1: "),
    ("SIGTERM", "mindclf.train.batches", "EpochBatches.__next__", 9, True, "SIGTERM after step 21 of 24 in phase 1: "),
    ("SIGINT", "mindclf.train.phase", "predict_logits", 2, True, "SIGINT after step 4 of 12 in phase 2: "),
    ("SIGTERM", *A_STEP, 5, False, "SIGTERM after step 9 of 12 in phase 2: "),
    ("SIGINT", *A_STEP, 2, False, "SIGINT after step 11 of 12 in phase 2: "),
    ("SIGTERM", "mindclf.train.fit", "complete_card", 1, True, "the same command with resume=true makes the report"),
]


def test_a_signal_ends_the_step_saves_and_says_how_to_go_on(forks, all_at_once, expected):
    config = {**all_at_once, "output": all_at_once["output"] + "-signals", "feature_cache": ""}
    for number, (name, *moment, said) in enumerate(STOPS[:KILLS + 1]):
        status, printed = forks.happens({**config, "resume": number > 0}, name, *moment)
        assert status == 128 + getattr(signal, name), printed  # 130 and 143
        last = printed.splitlines()[-1]
        assert last.startswith(f"mindclf: stopped by {name}") and said in last
        assert ("resume=true" in last) == (number == len(STOPS) - 1)
        assert last.endswith({0: "start it again", len(STOPS) - 1: " makes the report"}.get(
            number, f" goes on with the run in {config['output']}"))
        assert_whole(config["output"])
    fit({**config, "resume": True})
    assert_same(outcome(config["output"]), expected)
    assert not list(Path(config["output"]).glob(".writing-*"))


def test_a_second_signal_stops_at_once(forks, tiny_config):
    """The first is answered only after the epoch's evaluation, which the second cuts short."""
    status, printed = forks.happens(tiny_config, "SIGTERM", "mindclf.train.phase", "predict_logits", 1, True, times=2)
    assert status == 143 and "finishing the step and saving; the next signal stops at once" in printed
    assert "phase epoch  train loss " not in printed


FULL = [(1.1, "epochs/state.npz"), (0.5, "epochs/phase1-2_8.ckpt")]  # how many times the weights a file may have, which it is


@pytest.mark.parametrize(("share", "named"), FULL[:KILLS])
def test_a_full_disk_leaves_what_was_saved_and_says_so(forks, all_at_once, whole, expected, share, named):
    """A limit on the size of files stands in for the disk; of the weights, or only of the larger state."""
    config = {**all_at_once, "output": f"{all_at_once['output']}-full-{share}"}
    moment = ("mindclf.train.checkpointing", "CheckpointManager.after_epoch", 2, True)
    status, printed = forks.happens(config, "disk full", *moment, bytes=int(share * whole.checkpoint.stat().st_size))
    assert status == 2 and "Traceback" not in printed
    last = printed.splitlines()[-1]
    assert last == (f"mindclf: {config['output']}/{named} cannot be written: File too large: allow larger files (ulimit -f), "
                    f"or take a disk that has them; what was saved before is whole, and the same command with resume=true "
                    f"goes on with the run in {config['output']}")
    assert not [file for file in Path(config["output"]).rglob("*") if ".writing-" in file.name]
    assert_whole(config["output"])
    assert read_card(Path(config["output"]) / "best.ckpt")["epoch"] == 1
    assert load_net(Path(config["output"]) / "epochs" / "phase1-1_8.ckpt")[1]["epoch"] == 1
    fit({**config, "resume": True})
    assert_same(outcome(config["output"]), expected)


@takes_long
def test_a_small_disk_that_is_full_leaves_what_was_saved(all_at_once, expected, tmp_path):
    """A tmpfs of 8 MiB."""
    if sys.platform != "linux" or subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode:
        pytest.skip("needs `unshare -rm`, which mounts a small disk, and this system has or allows none")
    disk, copies = tmp_path / "disk", tmp_path / "copies"
    disk.mkdir()
    script = [sys.executable, "-m", "tests.support.full_disk", json.dumps(all_at_once), disk, copies]
    done = subprocess.run(["unshare", "-rm", *script], cwd=ROOT,
                          env={**os.environ, "MINDCLF_DATA": ""}, capture_output=True, encoding="utf-8", timeout=300)
    assert done.returncode == 0 and json.loads(done.stdout.splitlines()[-1]) == [2, 0], done.stderr
    [said] = [line for line in done.stderr.splitlines() if line.startswith("mindclf: ")]
    assert said.endswith(f" cannot be written: No space left on device: make room; what was saved before is whole, and the same "
                         f"command with resume=true goes on with the run in {disk}/run")
    assert_whole(copies / "full")
    assert read_card(copies / "full" / "best.ckpt")["epoch"] == 1
    assert not [file for file in (copies / "full").rglob("*") if ".writing-" in file.name]
    assert_same(outcome(copies / "end"), expected)


def test_one_seed_gives_the_same_weights_in_two_processes(tiny_config, tmp_path):
    """With the CPU kernels, where they are compiled. One process is fresh, the other is this one."""
    script = ("import json, sys; from mindclf import kernels; from mindclf.train import fit; fit(json.loads(sys.argv[1])); "
              "print(kernels.in_use())")
    config = {**tiny_config, "feature_cache": "", "seed": 3, "phases": [
        {"trainable": "head", "cached_views": 2, "epochs": 1}, {"trainable": "all", "epochs": 1}]}
    fit({**config, "output": str(tmp_path / "a")})
    done = subprocess.run([sys.executable, "-c", script, json.dumps({**config, "output": str(tmp_path / "b")})], check=True,
                          capture_output=True, timeout=300)
    assert done.stdout.split()[-1] == str(kernels.in_use()).encode()
    first, other = (read_weights(tmp_path / run / "last.ckpt") for run in "ab")
    for name, value in first.items():
        np.testing.assert_array_equal(value, other[name], err_msg=name)


def test_nets_with_dropout_train_repeatably(tiny_config):
    """And what was drawn before, by another run in the same process, does not matter."""
    config = {**tiny_config, **ONLY_HEAD, "net_options": {**tiny_config["net_options"], "has_dropout": True}, "epochs": 1}
    first, second = (read_weights(fit({**config, "output": f"{config['output']}-{number}"}).checkpoint) for number in range(2))
    for name, value in first.items():
        np.testing.assert_array_equal(value, second[name], err_msg=name)


@pytest.fixture(scope="module")
def stopped(colour_folder, tmp_path_factory):
    """The config of a run of 3 epochs that stopped in its second; no epoch is better than the first by as much as counts."""
    config = make_config(colour_folder, tmp_path_factory.mktemp("stopped"))
    config = {**config, **ONLY_HEAD, "epochs": 3, "sam_rho": 0.05, "net_options": {**config["net_options"], "has_dropout": True},
              "schedule": "plateau", "plateau_patience": 0, "lr_max": 1e-6}

    def stop(self, row, report, after_epoch=CheckpointManager.after_epoch):
        if row["epoch"] == 2:
            raise KeyboardInterrupt
        after_epoch(self, row, report)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(CheckpointManager, "after_epoch", stop)
        fit(config)
    return config


@pytest.fixture
def interrupted(stopped, tmp_path):
    """As `stopped`, of a copy."""
    return {**stopped, "output": str(shutil.copytree(stopped["output"], tmp_path / "run"))}


def save_again(kept):
    """Writes a TrainingState that was read, and perhaps changed."""
    parts = {name: SimpleNamespace(state_dict=partial(dict, part)) for name, part in kept.parts.items()}
    save_state(kept.path, kept.position, parts)


@pytest.mark.parametrize(("field", "value", "message"), [
    ("lr_max", 0.1, "it had lr_max=1e-06, and now it is 0.1"),
    ("phases", [{"epochs": 3}, {"epochs": 1}], "it had phases=\\[\\], and now they are \\[{}, {}\\]"),
    ("seed", 2, "it had seed=1, and now it is 2"),
    ("net_options", {"last_channel": 48}, "it had net_options={"),
    ("class_index", {"red": 0, "green": 1, "blue": 2}, "it had another class_index"),
])
def test_another_config_cannot_go_on(interrupted, field, value, message):
    with pytest.raises(ValueError, match=f"^the run in .* cannot go on: {message}"):
        fit({**interrupted, field: value, "resume": True})


def test_other_images_cannot_go_on(interrupted, tmp_path):
    kept = load_state(state_path(interrupted["output"]))
    kept.parts["checkpoints"]["card"]["data"]["train"] += 5
    save_again(kept)
    with pytest.raises(ValueError, match="it had 29 train images, and now there are 24"):
        fit({**interrupted, "resume": True})


@pytest.mark.parametrize("split", ["train", "test"])
def test_other_images_of_the_same_names_cannot_go_on(interrupted, tmp_path, split):
    replaced = shutil.copytree(interrupted["dataset_path"], tmp_path / "images")
    image = replaced / split / "red" / "2.png"
    image.write_bytes(image.read_bytes() + b"x")  # of the same pixels, but no longer the same file
    with pytest.raises(ValueError, match="it had other images or labels: restore them, or take another output"):
        fit({**interrupted, "dataset_path": str(replaced), "resume": True})


def test_as_many_images_of_other_names_cannot_go_on(interrupted, tmp_path):
    """For they are in another order."""
    renamed = shutil.copytree(interrupted["dataset_path"], tmp_path / "images")
    (renamed / "train" / "red" / "0.png").rename(renamed / "train" / "red" / "a.png")
    with pytest.raises(ValueError, match="it had other images or labels"):
        fit({**interrupted, "dataset_path": str(renamed), "resume": True})


def test_a_run_that_an_older_version_began_is_refused_with_the_reason(interrupted):
    kept = load_state(state_path(interrupted["output"]))
    del kept.parts["checkpoints"]["card"]["seen_images"]
    kept.parts["checkpoints"]["card"]["data"]["digest"] = "0" * 16
    save_again(kept)
    with pytest.raises(ValueError, match="or an older mindclf began it, which knew them by their names"):
        fit({**interrupted, "resume": True})


def test_a_run_goes_on_elsewhere_with_a_warning(interrupted, caplog):
    kept = load_state(state_path(interrupted["output"]))
    kept.parts["checkpoints"]["card"]["versions"]["mindspore"] = "1.0.0"
    save_again(kept)
    fit({**interrupted, "resume": True})
    assert "began with other versions of software: it goes on, but perhaps not to the last bit" in caplog.text


def test_a_state_of_another_version_is_refused(interrupted, monkeypatch):
    monkeypatch.setattr(state, "STATE_FORMAT", state.STATE_FORMAT + 1)
    with pytest.raises(ValueError, match="is damaged: another version of mindclf wrote it; start the run afresh"):
        fit({**interrupted, "resume": True})


def test_a_run_goes_on_to_the_same_end_wherever_its_files_are_and_whatever_trains(stopped, interrupted, tmp_path):
    """Plateau and dropout of sharpness-aware steps too: the second epoch lowers the rate, for the first one was as good."""
    moved = tmp_path / "elsewhere"
    Path(interrupted["output"]).rename(moved)
    fit({**interrupted, "output": str(moved), "feature_cache": "", "device_target": "auto", "resume": True})
    whole = fit({**stopped, "output": str(tmp_path / "whole")}).checkpoint.parent
    assert_same(outcome(moved), outcome(whole))
    rates = [row["learning_rate"] for row in HistoryFile(whole / "history.csv").rows()]
    assert rates == pytest.approx([1e-6, 1e-6, 5e-7], abs=1e-9)


@pytest.mark.parametrize("damage", [lambda data: data[:1000], lambda data: b"", lambda data: data[:5000] + b"x" + data[5001:]])
def test_a_damaged_state_is_named(interrupted, damage):
    path = state_path(interrupted["output"])
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=r"epochs/state.npz is damaged: .*; start the run afresh") as raised:
        fit({**interrupted, "resume": True})
    assert "\n" not in str(raised.value)


@pytest.mark.report
def test_a_finished_run_is_reported_again_without_training(tiny_config, caplog, monkeypatch):
    first = fit(tiny_config)
    before = outcome(tiny_config["output"])
    for name in ("report.json", "curves.png"):
        (Path(tiny_config["output"]) / name).unlink()
    monkeypatch.setattr(sys.modules["mindclf.train.fit"], "PhaseTrainer", None)
    with caplog.at_level(logging.INFO, logger="mindclf"):
        again = fit({**tiny_config, "resume": True})
    assert f"the run in {tiny_config['output']} is finished: reporting it again" in caplog.text
    assert again.report.as_dict() == first.report.as_dict()
    assert_same(outcome(tiny_config["output"]), before)
    for name in ("report.json", "curves.png"):
        assert (Path(tiny_config["output"]) / name).is_file()
    with pytest.raises(ValueError, match="it had lr_max=0.05, and now it is 0.1"):
        fit({**tiny_config, "lr_max": 0.1, "resume": True})


def test_without_an_earlier_run_it_starts_afresh_and_says_so(tiny_config, caplog):
    with caplog.at_level(logging.INFO, logger="mindclf"):
        fit({**tiny_config, "epochs": 1, "resume": True})
    assert f"there is no run in {tiny_config['output']} to resume: starting afresh" in caplog.text


def test_the_checkpoint_of_a_run_that_goes_on_is_the_newest_only(interrupted, monkeypatch):
    names = []

    def look(self, delete_old=CardCheckpoint.delete_old):
        delete_old(self)
        names.append(sorted(file.name for file in self.folder.iterdir()))

    monkeypatch.setattr(CardCheckpoint, "delete_old", look)
    fit({**interrupted, "resume": True})
    assert names == [[f"phase1-{epoch}_4.ckpt", f"phase1-{epoch}_4.ckpt.json", "state.npz"] for epoch in (2, 3)]


@pytest.mark.parametrize("optimizer", GRADIENT_DESCENT)
def test_the_state_of_every_optimizer_is_kept(optimizer):
    """All that changes in four steps, and only the weights are left out."""
    config = merge({}, {"optimizer": optimizer})
    net = nn.Dense(3, 2)
    first, second = (create_optimizer(net, config, [0.1 / (step + 1) for step in range(8)]) for _ in range(2))
    gradients = tuple(Tensor(np.full(p.shape, 0.5, np.float32)) for p in net.trainable_params())
    for _ in range(4):
        first(gradients)
    kept = {name: value.copy() for name, value in OptimizerState(first).state_dict().items()}
    assert not {"weight", "bias"} & set(kept) and kept["global_step"] == 4
    OptimizerState(second).load_state_dict(kept)
    before = {p.name: p.asnumpy().copy() for p in net.get_parameters()}
    first(gradients)
    expected = {p.name: p.asnumpy().copy() for p in net.get_parameters()}
    for parameter in net.get_parameters():
        parameter.set_data(Tensor(before[parameter.name]))
    second(gradients)
    for parameter in net.get_parameters():
        np.testing.assert_array_equal(parameter.asnumpy(), expected[parameter.name])


@pytest.mark.parametrize("earlier", ["adam_m.weight", "moment1.bias"])
def test_the_state_of_another_optimizer_is_refused(earlier):
    """Until MindSpore's AdamWeightDecay gave way to AdamW, the moments of "adamw" were adam_m and adam_v."""
    optimizer = create_optimizer(nn.Dense(3, 2), merge({}, {"optimizer": "adamw"}), [0.1] * 8)
    kept = OptimizerState(optimizer).state_dict()
    kept[earlier] = kept.pop("moment1.weight")
    with pytest.raises(ValueError, match="another optimizer than AdamW .*start the run afresh") as error:
        OptimizerState(optimizer).load_state_dict(kept)
    assert "\n" not in str(error.value)
