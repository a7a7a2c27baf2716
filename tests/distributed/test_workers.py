"""Two workers train as one with batches twice as large, and end in good order.

One job with several trainings in a row serves most of these tests: see worker_script.py.
"""

import contextlib
import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from mindclf.checkpoint import load_net, read_card, read_weights
from mindclf.config import VARIATION_FIELDS, merge
from mindclf.dataset import eval_pipeline, read_folder
from mindclf.dataset.splits import read_splits
from mindclf.distributed import collectives, worker
from mindclf.distributed.launch import _Job, launch
from mindclf.inference.logits import evaluate_net
from mindclf.train import fit
from mindclf.train.batches import check_count
from mindclf.train.callbacks import StopOnSignal
from mindclf.utils.files import write_json
from mindclf.utils.signals import Stopped, StopSignals
from tests.conftest import CLASS_INDEX, make_config

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "tests" / "support" / "worker_script.py"
TIMES = ("images_per_second", "seconds", "data_seconds")
STILL = {"scale": (1.0, 1.0), "ratio": (1.0, 1.0), **dict.fromkeys(VARIATION_FIELDS, 0.0)}

needs_msrun = pytest.mark.skipif(sys.platform != "linux" or os.cpu_count() < 2,
                                 reason="msrun needs Linux, and two workers two processor cores")


@contextlib.contextmanager
def launched(*command, folder, working_folder=ROOT):
    """`mindclf launch --workers 2 COMMAND`, which must have ended at the end of the block."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MINDCLF_DATA": "", "WORKER_TEST_FOLDER": str(folder),
                   "PYTHONIOENCODING": "utf-8", "TMPDIR": str(folder)}
    job = subprocess.Popen([sys.executable, "-m", "mindclf", "launch", "--workers", "2", *map(str, command)],
                           cwd=working_folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8")
    try:
        yield job
    finally:
        if job.poll() is None:
            job.terminate()


def ends(job):
    """(exit status, lines of standard error that say why) of a job."""
    _, errors = job.communicate(timeout=600)
    return job.returncode, [line for line in errors.splitlines() if line.startswith("mindclf: ")]


def rows_of(output):
    """The rows of a run's history, without times."""
    with open(Path(output) / "history.csv", newline="") as file:
        return [{name: value for name, value in row.items() if name not in TIMES} for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def config(colour_folder, tmp_path_factory):
    """Batches of 3 for each of two workers; 24 images train, 6 are held out, 9 test."""
    return {**make_config(colour_folder, tmp_path_factory.mktemp("workers")), "batch_size": 3, "feature_cache": ""}


@pytest.fixture(scope="module")
def plain(config):
    """A net without batch norm and dropout, on images as they are, in sharpness-aware steps."""
    return {**config, **STILL, "net": "alexnet", "net_options": {"dropout": 0.0, "hidden_channels": 32}, "image_height": 64,
            "image_width": 64, "lr_max": 0.02, "sam_rho": 0.05}


@pytest.fixture(scope="module")
def everything(config):
    """All that has a state; 21 images, of which 3 are left out of each epoch, and 9 held out."""
    return {**config, "valid_fraction": 0.3, "net_options": {**config["net_options"], "has_dropout": True}, "ema_decay": 0.9,
            "mixup_alpha": 0.4, "schedule": "plateau", "plateau_patience": 0}


@pytest.fixture(scope="module")
def job(plain, everything, config, tmp_path_factory):
    """What the trainings of one job left: (folder, exit status, why)."""
    folder = shared_folder(tmp_path_factory, "job")
    result = folder.with_name("job.json")
    if not claimed(folder):
        return folder, *awaited(result)

    def named(name, config, **changes):
        return {**config, "output": str(folder / f"run-{name}"), **changes}

    configs = {
        "plain": named("plain", plain),
        "whole": named("whole", everything),
        "stopped": named("stopped", everything, happens={"step": 2, "signal": "SIGTERM"}),  # of 6, 3 an epoch
        "resumed": named("stopped", everything, resume=True),
        "endless": named("endless", config, trainable="head", cached_views=2, epochs=1000, keep_checkpoint_max=2,
                         happens={"step": 9}),
    }
    (folder / "configs.json").write_text(json.dumps(configs))
    with launched(SCRIPT, "train", folder=folder) as job:
        happens = folder / "happens"
        while job.poll() is None and not (happens.exists() and "endless" in happens.read_text()):
            time.sleep(0.1)
        job.send_signal(signal.SIGTERM)
        status, why = ends(job)
        write_json(result, [status, why])
        assert happens.exists(), why
        return folder, status, why


def shared_folder(tmp_path_factory, name):
    """The path of a temporary folder that all processes of pytest-xdist share, which would each make what is in it."""
    base = tmp_path_factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name


def claimed(folder):
    """Makes `folder`; False if another process has."""
    try:
        folder.mkdir()
    except FileExistsError:
        return False
    return True


def awaited(result):
    """What the JSON file `result` holds, once another process has written it."""
    for _ in range(6000):
        if result.exists():
            return json.loads(result.read_text())
        time.sleep(0.1)
    pytest.fail(f"{result} is not there: the process that should write it failed")


def saw(job, name):
    """What each worker wrote down of a training: [(weights, facts)]."""
    return [(dict(np.load(job[0] / f"{name}-{rank}.npz")), json.loads((job[0] / f"{name}-{rank}.json").read_text()))
            for rank in range(2)]


@needs_msrun
def test_the_loss_curve_is_that_of_one_worker_with_batches_twice_as_large(job, plain):
    alone = fit({**plain, "batch_size": 6})
    rows = [rows_of(output) for output in (alone.checkpoint.parent, job[0] / "run-plain")]
    assert len(rows[0]) == 2 and rows[0][0].keys() == rows[1][0].keys()
    for one, two in zip(*rows):
        for name in ("steps", "learning_rate", "train_top1", "top1", "top5"):
            assert float(one[name]) == float(two[name]), name
        for name in ("train_loss", "loss"):
            assert float(one[name]) == pytest.approx(float(two[name]), abs=1e-5), name
    weights = read_weights(alone.checkpoint)
    for name, value in read_weights(job[0] / "run-plain" / "best.ckpt").items():
        np.testing.assert_allclose(value, weights[name], atol=1e-5, err_msg=name)
    assert abs(float(rows[0][0]["train_loss"]) - float(rows[0][1]["train_loss"])) > 1e-4, "it did not learn: this shows nothing"


def statistics_in(weights):
    """The names of the statistics of batch norm among the weights; there are some."""
    names = [name for name in weights if name.endswith(collectives.STATISTICS)]
    assert names
    return names


@needs_msrun
def test_all_workers_hold_the_same_weights_and_the_mean_of_their_statistics(job):
    first, second = (weights for weights, _ in saw(job, "whole"))
    statistics = statistics_in(first)
    for name in first:
        if "/" not in name:
            np.testing.assert_array_equal(first[name], second[name], err_msg=name)
    before = [name for name in first if name.endswith("/before") and not np.array_equal(first[name], second[name])]
    assert before == [f"{name}/before" for name in statistics], "only statistics differ before they are averaged"


@needs_msrun
def test_statistics_are_averaged_over_workers(job):
    first, second = (weights for weights, _ in saw(job, "whole"))
    statistics = statistics_in(first)
    for name in statistics:
        mean = (first[f"{name}/before"] + second[f"{name}/before"]) / 2
        for weights in (first, second):
            np.testing.assert_array_equal(weights[f"{name}/after"], mean, err_msg=name)


@needs_msrun
def test_evaluation_counts_every_image_once(job, colour_folder):
    """9 test images and 9 held-out ones for two workers."""
    checkpoint = job[0] / "run-whole" / "best.ckpt"
    net, card = load_net(checkpoint)
    images = read_folder(colour_folder / "test", CLASS_INDEX)
    report = evaluate_net(net, eval_pipeline(images, card.preprocessing, 4), 3).as_dict()
    for _, facts in saw(job, "whole"):
        assert facts["report"]["images"] == 9
        assert facts["report"]["confusion"] == report["confusion"]
        assert facts["report"]["loss"] == pytest.approx(report["loss"], abs=1e-6)
    assert card["metrics"]["held out"]["images"] == 9 and card["data"]["train"] == 21
    assert card["workers"] == 2 and "launch --workers 2" in card["command"]


@needs_msrun
@pytest.mark.parametrize("name", ["plain", "whole", "stopped", "resumed", "endless"])
def test_the_first_worker_alone_writes(job, name):
    (_, first), (_, second) = saw(job, name)
    assert first["written"] and not second["written"]


@needs_msrun
def test_workers_share_the_cores(job):
    first, second = (set(facts["cores"]) for _, facts in saw(job, "plain"))
    assert first == second if len(os.sched_getaffinity(0)) < 2 else not first & second


@needs_msrun
def test_a_signal_to_one_worker_stops_all_after_the_same_step_and_the_run_goes_on(job):
    """Stopped in the first epoch, by a signal to the second worker."""
    for _, facts in saw(job, "stopped"):
        assert facts["stopped"] == ("stopped by SIGTERM after step 2 of 6 in phase 1: the same command with resume=true goes on "
                                    f"with the run in {job[0]}/run-stopped")
    for one, two in zip(rows_of(job[0] / "run-whole"), rows_of(job[0] / "run-stopped")):
        assert one.keys() == two.keys()
        for name, value in one.items():
            assert value == two[name] if name == "watched" else float(value) == pytest.approx(float(two[name]), rel=1e-4), name
    whole, resumed = (read_weights(job[0] / name / "last.ckpt") for name in ("run-whole", "run-stopped"))
    for name, value in whole.items():
        np.testing.assert_allclose(value, resumed[name], rtol=1e-5, atol=1e-6, err_msg=name)


@needs_msrun
def test_a_signal_to_the_launch_stops_all_in_good_order(job):
    _, status, why = job
    assert status == 128 + signal.SIGTERM
    assert len(why) == 1 and why[0].startswith("mindclf: stopped by SIGTERM after step "), why
    assert (job[0] / "run-endless" / "epochs" / "state.npz").exists()


@needs_msrun
def test_shared_features_are_those_of_one_worker(job, config):
    """Of the held-out images, 6 for two workers: the loss on them is that of the head that was saved, on all of them."""
    snapshots = (job[0] / "run-endless" / "epochs").glob("*.ckpt")
    snapshot = next(file for file in snapshots if read_card(file)["metrics"])  # the newest is within an epoch
    net, card = load_net(snapshot)
    held_out = read_splits(merge(config, {})).valid
    report = evaluate_net(net, eval_pipeline(held_out, card.preprocessing, 4), 3)
    assert card["metrics"]["held out"]["images"] == report.images == 6
    assert card["metrics"]["held out"]["loss"] == pytest.approx(report.loss, abs=1e-5)


@pytest.fixture(scope="module")
def failed(config, colour_folder, tmp_path_factory):
    """{name: (folder, exit status, why)} of two jobs side by side: msrun takes half a minute to see that a worker has ended.

    "killed" loses a worker. "differing" is as on two machines: each worker has a folder of its own, and they differ in a byte of
    a training image.
    """
    killed, differing = (tmp_path_factory.mktemp(name) for name in ("killed", "differing"))
    (killed / "configs.json").write_text(json.dumps({"killed": {
        **config, "output": str(killed / "run-killed"), "epochs": 1000, "trainable": "head", "happens": {
            "step": 1, "signal": "SIGKILL"}}}))
    for rank in "01":
        shutil.copytree(colour_folder, differing / rank / "images")
    image = differing / "1" / "images" / "train" / "red" / "5.png"
    image.write_bytes(image.read_bytes()[:-1] + b"x")
    (differing / "recipe.py").write_text(
        "import os, sys\nfrom mindclf.cli import main\n"
        f"os.chdir(os.path.join({str(differing)!r}, os.environ['RANK_ID']))\n"
        f"sys.exit(main(config={ {**config, 'dataset_path': 'images', 'output': 'run'}!r}))\n")
    with (launched(SCRIPT, "train", folder=killed) as first,
          launched(differing / "recipe.py", "train", folder=differing) as second):
        return {"killed": (killed, *ends(first)), "differing": (differing, *ends(second))}


@needs_msrun
def test_a_worker_that_is_killed_ends_the_job(failed):
    _, status, why = failed["killed"]
    assert status == 1
    assert len(why) == 1 and why[0].startswith("mindclf: worker 1 was ended by SIGKILL; logs: "), why
    logs = Path(why[0].partition("logs: ")[2])
    assert {"worker_0.log", "worker_1.log"} <= {file.name for file in logs.iterdir()}
    for pid in (file.read_text() for file in logs.glob("*.pid")):
        state = Path("/proc", pid, "stat")
        assert not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z", "it still runs"


@needs_msrun
def test_a_worker_with_other_images_of_the_same_names_ends_the_job(failed):
    folder, status, why = failed["differing"]
    assert status == 2 and len(why) == 1
    assert why[0].endswith("worker 1 has other images than worker 0: give all of them the same")
    assert not (folder / "0" / "run").exists()


@needs_msrun
def test_a_wrong_field_is_one_line(tmp_path, tmp_path_factory):
    """Also where the working folder has a file that is called as a module of Python's, if Python can be told to pass it over."""
    working_folder = tmp_path_factory.mktemp("own")
    if sys.version_info >= (3, 11):
        (working_folder / "queue.py").write_text("raise RuntimeError('my own queue')")
    recipe = ROOT / "recipes" / "garbage_mobilenet_v2.py"
    with launched(recipe, "train", "epoch=2", folder=tmp_path, working_folder=working_folder) as job:
        assert ends(job) == (2, ["mindclf: unknown field 'epoch'; did you mean 'epochs'?"])
    assert not list(tmp_path.iterdir()), "logs are kept for what a user cannot mend"


@pytest.mark.parametrize(("count", "command", "message"), [
    (0, ["recipe.py", "train"], "--workers 0 must lie between 1 and"),
    (100_000, ["recipe.py", "train"], "--workers 100000 must lie between 1 and"),
    (1, [], "launch needs a recipe and train, as in mindclf launch --workers 1 recipes/"),
    (1, ["no_recipe.py", "train"], "no_recipe.py does not exist: name a recipe, as in"),
    (1, [str(SCRIPT), "predict"], "launch is for train alone, as in .*, not for predict"),
])
def test_what_cannot_be_launched_is_refused(count, command, message):
    with pytest.raises(ValueError, match=message):
        launch(count, command)


@pytest.mark.parametrize(("exits", "printed", "killed", "expected"), [
    ({0: 2, 1: 2}, {0: "mindclf: no such\n", 1: "mindclf: no such\n"}, None, (2, "worker 0: no such")),
    ({1: 2}, {0: "epoch 1\n", 1: "mindclf: the loss is nan\n"}, None, (2, "worker 1: the loss is nan")),
    ({1: 1}, {1: "Traceback\n  File\nTypeError: no\n[INFO] RPC(7,a)\n"}, None, (1, "worker 1 failed: TypeError: no; logs: LOGS")),
    ({0: 1}, {0: "RuntimeError: nobody answers\n"}, (1, -9), (1, "worker 1 was ended by SIGKILL; logs: LOGS")),
    ({0: 0}, {}, (1, -11), (1, "worker 1 was ended by SIGSEGV; logs: LOGS")),
    ({1: 0, 0: 0}, {}, (1, -11), (0, None)),  # both were done by then
    ({1: 143, 0: 143}, {}, (1, -11), (143, None)),
    ({0: 2, 1: 2}, {0: "mindclf: no such\n", 1: "mindclf: no such\n"}, (1, -11), (2, "worker 0: no such")),
    ({0: 2}, {0: "mindclf: no such\n"}, (1, -11), (2, "worker 0: no such")),
    ({1: 1}, {1: "TypeError: no\n"}, (1, -11), (1, "worker 1 failed: TypeError: no; logs: LOGS")),
    ({1: 0}, {}, (1, -11), (1, "worker 1 was ended by SIGSEGV; logs: LOGS")),
    ({}, {}, None, (1, "msrun failed: port in use; logs: LOGS")),
])
def test_the_worker_that_failed_first_is_the_one_that_is_named(tmp_path, exits, printed, killed, expected):
    """`exits` are in the order of time."""
    job = _Job(tmp_path, 2)
    job.msrun = SimpleNamespace(returncode=1)
    for number, (rank, status) in enumerate(exits.items()):
        file = tmp_path / f"{rank}.status"
        file.write_text(str(status))
        os.utime(file, (1000 + number, 1000 + number))
    for rank, text in printed.items():
        (tmp_path / f"worker_{rank}.log").write_text(text)
        (tmp_path / f"{rank}.pid").write_text(str(500 + rank))
    (tmp_path / "msrun.log").write_text("port in use\n")
    if killed:
        rank, code = killed
        (tmp_path / f"{rank}.pid").write_text(str(500 + rank))
        (tmp_path / "msrun.log").write_text(f"[ERROR] Worker process {500 + rank} exit with exception. Error code: {code}.\n")
    status, message = job.outcome()
    assert (status, message and message.replace(str(tmp_path), "LOGS")) == expected


@pytest.mark.parametrize(("images", "size", "batch_size"), [(24, 2, 3), (25, 2, 4), (23, 2, 6), (37, 3, 4), (7, 7, 1)])
def test_batches_are_shared_without_loss_or_double(images, size, batch_size):
    """Batch by batch the workers have, together, what one worker has with batches as large as theirs together."""
    order = np.random.default_rng(0).permutation(images)
    parts = [collectives.shard_batches(order, batch_size, rank, size) for rank in range(size)]
    steps = images // (batch_size * size)
    for part in parts:
        assert len(part) == steps * batch_size
    for step in range(steps):
        together = [place for part in parts for place in part[step * batch_size:(step + 1) * batch_size]]
        assert sorted(together) == sorted(order[step * batch_size * size:(step + 1) * batch_size * size])


@pytest.mark.parametrize(("count", "size"), [(9, 2), (5, 3), (2, 4), (1, 2)])
def test_every_image_is_looked_at_once(as_worker, monkeypatch, count, size):
    """Rows that say which image they are of, from workers with unequal parts, or none at all."""
    sent = []
    monkeypatch.setattr(collectives, "all_reduce_sum", lambda values: sent.append(values) or values)
    for rank in range(size):
        as_worker(rank, size)
        collectives.unshard(np.array([[place + 1, 100 + place] for place in collectives.shard_indices(count)], np.float32), count)
    np.testing.assert_array_equal(sum(sent), [[place + 1, 100 + place] for place in range(count)])


def test_a_signal_that_comes_while_workers_ask_each_other_is_answered_next_time(as_worker, monkeypatch):
    as_worker(0, 2)
    signals, saved = StopSignals("advice"), []
    figures = SimpleNamespace(step=1, steps_per_epoch=4, rates=[0.1] * 4)
    stop = StopOnSignal(signals, figures, 1, lambda run_context: saved.append(1))

    def gather(values):
        signals.received = signal.SIGTERM
        return np.array([values, values])

    monkeypatch.setattr(collectives, "all_gather", gather)
    stop.on_train_step_end(None)
    assert not saved
    with pytest.raises(Stopped, match="^stopped by SIGTERM after step 1 of 4 in phase 1: advice$"):
        stop.on_train_step_end(None)
    assert saved


def test_a_signal_that_another_worker_got_first_does_not_count_twice(as_worker, monkeypatch):
    """This worker's own copy comes while it saves."""
    as_worker(0, 2)
    saved = []

    def save(run_context):
        signals._answer(signal.SIGTERM, None)
        saved.append(1)

    signals = StopSignals("advice")
    signals.deferred = True
    monkeypatch.setattr(collectives, "all_gather", lambda values: np.array([values, [signal.SIGTERM]]))
    figures = SimpleNamespace(step=1, steps_per_epoch=4, rates=[0.1] * 4)
    with pytest.raises(Stopped, match="after step 1 of 4"):
        StopOnSignal(signals, figures, 1, save).on_train_step_end(None)
    assert saved


def test_a_terminal_that_is_closed_asks_the_workers_to_stop(tmp_path):
    job = _Job(tmp_path, 2)
    job.pass_on(signal.SIGHUP, None)
    assert job.signal == signal.SIGTERM


def test_all_that_the_first_worker_prints_is_shown(tmp_path, capsys):
    """Also after a line with what Python takes for the end of one; a line that is not whole yet comes later."""
    job = _Job(tmp_path, 2)
    log = tmp_path / "worker_0.log"
    log.write_text("one\x85two\x0cthree\nfour\nfi", encoding="utf-8")
    job._show()
    log.write_text("one\x85two\x0cthree\nfour\nfive\n", encoding="utf-8")
    job._show()
    assert capsys.readouterr().out == "one\x85two\x0cthree\nfour\nfive\n"


@pytest.mark.parametrize(("ends", "status"), [("sys.exit('no such word')", 1), ("sys.exit(2)", 2), ("sys.exit()", 0), ("", 0)])
def test_however_a_recipe_ends_it_has_a_status(tmp_path, monkeypatch, capsys, ends, status):
    recipe = tmp_path / "recipe.py"
    recipe.write_text(f"import sys\n{ends}\n")
    monkeypatch.setattr(sys, "argv", [])
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    assert worker._run([str(recipe), "train"]) == status
    assert capsys.readouterr().err == ("mindclf: no such word\n" if status == 1 else "")


def test_arguments_that_are_none_are_the_users_mistake():
    assert worker._run(["train", "photos", "--epochs", "5"]) == 2


def test_dropout_of_each_worker_has_a_seed_of_its_own(as_worker):
    seeds = []
    for rank in range(3):
        as_worker(rank, 3)
        seeds.append(collectives.per_rank_seed(7))
    assert seeds[0] == 7 and len(set(seeds)) == 3


def test_batches_larger_than_the_data_set_are_refused(as_worker):
    as_worker(0, 2)
    check_count(24, 12)
    with pytest.raises(ValueError, match="^batch_size=13 for each of 2 workers is more than the 24 training images$"):
        check_count(24, 13)
