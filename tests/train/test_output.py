"""The folder of a run: one run at a time has it, and an earlier one in it is not displaced before the new one trains."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from mindclf.checkpoint import save_checkpoint
from mindclf.cli import main
from mindclf.compare import compare
from mindclf.config import merge
from mindclf.export import export
from mindclf.train import callbacks, checkpointing, fit
from mindclf.train.output import OutputFolder
from mindclf.utils.claim import CLAIM, InUse, claimed
from mindclf.utils.files import CannotWrite
from tests.conftest import ONLY_HEAD

from ..test_checkpoint import CARD, small_net

pytestmark = pytest.mark.usefixtures("uncompiled")

fit_module = sys.modules["mindclf.train.fit"]  # the package has a function of this name


@pytest.fixture
def finished(tiny_config):
    """What a run left in the output of `tiny_config`, and a function that says what is there now."""
    output = Path(tiny_config["output"])
    output.mkdir()
    for name in ("history.csv", "best.ckpt", "last.ckpt"):
        (output / name).write_text(f"earlier {name}")
    return output


def content(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


MISTAKES = {
    "batch_size": ({"batch_size": 500}, "^batch_size=500 is more than the 24 training images$"),
    "of a later phase": ({"phases": [{"epochs": 1}, {"epochs": 1, "batch_size": 25}]}, "^batch_size=25 is more than the 24"),
    "config": ({"epochs": 0}, "^epochs=0 must lie between"),
    "data": ({"dataset_path": "nowhere"}, "nowhere"),
    "class_index": ({"class_index": {"red": 0}}, "red|green|blue"),
    "no such weights": ({"pretrained": "nowhere.ckpt"}, "^pretrained=nowhere.ckpt: there is no such checkpoint$"),
    "net": ({"net": "mobilenet"}, "mobilenet"),
    "size": ({"net": "inception_v3", "net_options": {}}, "are too small for training inception_v3"),
    "resume": ({"resume": True}, "last.ckpt"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistaken_command_displaces_no_finished_run(tiny_config, finished, mistake):
    fields, message = MISTAKES[mistake]
    before = content(finished)
    with pytest.raises(ValueError, match=message):
        fit({**tiny_config, **fields})
    assert content(finished) == before
    assert [path.name for path in finished.parent.iterdir()] == [finished.name]


def test_weights_that_do_not_fit_displace_no_finished_run(tiny_config, finished, tmp_path_factory):
    weights = save_checkpoint(small_net(), tmp_path_factory.mktemp("other") / "other.ckpt", CARD)
    before = content(finished)
    with pytest.raises(ValueError, match="other.ckpt"):
        fit({**tiny_config, "net_options": {"last_channel": 48}, "pretrained": str(weights)})
    assert content(finished.parent) == {f"{finished.name}/{name}": data for name, data in before.items()}


def test_a_first_step_that_fails_displaces_no_finished_run(tiny_config, finished, monkeypatch):
    """What shows only when a net trains: too large a rate, too little memory. The second attempt is told what to do."""
    def broken(self, run_context, on_train_step_end=callbacks.MetricTracker.on_train_step_end):
        on_train_step_end(self, run_context)
        self.loss = float("nan")

    monkeypatch.setattr(callbacks.MetricTracker, "on_train_step_end", broken)
    before = content(finished)
    with pytest.raises(ValueError, match="no epoch was finished"):
        fit({**tiny_config, **ONLY_HEAD, "feature_cache": ""})
    assert content(finished.parent) == {f"{finished.name}/{name}": data for name, data in before.items()}


def test_a_run_that_trains_moves_the_earlier_one_aside_whole(tiny_config, finished, monkeypatch):
    """Also while the folder is claimed: nobody else gets either of the two."""
    before, seen = content(finished), []

    def look(self, row, report, after_epoch=checkpointing.CheckpointManager.after_epoch):
        after_epoch(self, row, report)
        with pytest.raises(InUse):
            OutputFolder(finished)
        seen.append(sorted(path.name for path in finished.parent.iterdir() if path.name.startswith("run")))

    monkeypatch.setattr(checkpointing.CheckpointManager, "after_epoch", look)
    fit({**tiny_config, **ONLY_HEAD, "epochs": 1})
    assert seen == [["run", "run-1"]]
    assert content(finished.with_name("run-1")) == before
    assert (finished / "best.ckpt").stat().st_size > 1000


def test_a_run_beside_a_live_one_takes_the_next_name_or_stops(tmp_path, caplog):
    live, output = OutputFolder(tmp_path / "run"), tmp_path / "run"
    said = f"^output={output} is in use by process {os.getpid()} on .*: wait for its end, or name another$"
    with pytest.raises(InUse, match=said):
        OutputFolder(output)
    (tmp_path / "run-1").mkdir()  # an earlier run, moved aside
    beside = [OutputFolder(output, or_next=True) for _ in range(2)]
    assert [(folder.path.name, folder.number) for folder in beside] == [("run-2", 2), ("run-3", 3)]
    assert caplog.messages[0].endswith(f": this run goes to {tmp_path}/run-2")
    for folder in (live, *beside):
        folder.release()
    assert [path.name for path in tmp_path.iterdir()] == ["run-1"]
    with_nobody = OutputFolder(output, or_next=True)
    assert with_nobody.number == 0
    with_nobody.release()


def test_a_live_run_is_never_moved_aside(tmp_path):
    output = tmp_path / "run"
    live = OutputFolder(output)
    (output / "history.csv").write_text("live")
    beside = OutputFolder(output, or_next=True)
    beside.clear()
    assert (output / "history.csv").read_text() == "live" and beside.path.name == "run-1"
    beside.release()
    live.release()
    later = OutputFolder(output)
    later.clear()
    assert (tmp_path / "run-1" / "history.csv").read_text() == "live" and list(tmp_path.glob("run/*")) == [later.claim.file]
    later.release()


def test_two_fits_of_one_output_at_once(tiny_config):
    """The second one stops before it reads anything; given leave, it trains beside and its card says where."""
    with claimed(tiny_config["output"]):
        with pytest.raises(InUse, match="^output=.*run is in use by process"):
            fit({**tiny_config, "dataset_path": "nowhere"})
        fitted = fit({**tiny_config, **ONLY_HEAD, "epochs": 1}, or_next=True)
    assert fitted.checkpoint.parent == Path(f"{tiny_config['output']}-1")
    assert checkpointing.read_card(fitted.checkpoint)["config"]["output"] == f"{tiny_config['output']}-1"
    assert not Path(tiny_config["output"]).exists()


def taken_by_another_run(output):
    """As a run does that took over the claim of one that it believes dead, on another host."""
    (output / CLAIM).write_text('{"pid": 7, "host": "elsewhere", "since": "now"}')


def moved_and_made_by_another_run(output):
    output.rename(output.with_name("good"))
    output.mkdir()
    taken_by_another_run(output)
    (output / "history.csv").write_text("of another run")


LOSSES = {shutil.rmtree: "it was moved or removed", lambda output: output.rename(output.with_name("good")): "it was moved or",
          taken_by_another_run: "it is that of process 7 on elsewhere since now",
          moved_and_made_by_another_run: "it is that of process 7 on elsewhere since now"}


@pytest.mark.parametrize("lose", LOSSES)
@pytest.mark.parametrize("moment", ["StopOnSignal.on_train_step_end", "MetricTracker.on_train_epoch_end",
                                    "ExclusiveSteps.on_train_epoch_end"])
def test_a_run_writes_nothing_into_a_folder_that_is_no_longer_its_own(tiny_config, monkeypatch, lose, moment):
    """It is lost before the state is saved within an epoch, before the history grows, or between epochs; the run stops."""
    owner, name = moment.split(".")
    owner, output, left = getattr(callbacks, owner), Path(tiny_config["output"]), []
    original = getattr(owner, name)

    def losing(self, run_context):
        original(self, run_context)
        if not left and (output / "history.csv").exists():
            lose(output)
            left.append(content(output))

    monkeypatch.setattr(owner, name, losing)
    said = f"^output={output} is no longer the folder of this command: {LOSSES[lose]}"
    with pytest.raises(ValueError, match=said) as raised:
        fit({**tiny_config, **ONLY_HEAD, "epochs": 3, "save_checkpoint_steps": 1})
    assert "output=THERE resume=true goes on" in str(raised.value)
    assert [content(output)] == left


def test_the_report_of_a_run_goes_into_no_other_run(tiny_config, monkeypatch):
    def measuring(*arguments, compute_metrics=fit_module.compute_metrics):
        moved_and_made_by_another_run(Path(tiny_config["output"]))
        return compute_metrics(*arguments)

    monkeypatch.setattr(fit_module, "compute_metrics", measuring)
    with pytest.raises(ValueError, match="is no longer the folder of this command"):
        fit({**tiny_config, **ONLY_HEAD, "epochs": 1})
    assert sorted(content(Path(tiny_config["output"]))) == [CLAIM, "history.csv"]


def test_where_nothing_may_be_written_a_run_stops_before_it_reads(tiny_config, monkeypatch):
    def refuse(path, flags, *rest, open_file=os.open):
        if flags & os.O_CREAT:
            raise PermissionError(13, "Permission denied", str(path))
        return open_file(path, flags, *rest)

    monkeypatch.setattr(os, "open", refuse)
    said = ("run/.running cannot be written: Permission denied: get the permission to write there, or name another place; "
            "nothing is trained yet, start it again$")
    with pytest.raises(CannotWrite, match=said):
        fit({**tiny_config, "dataset_path": "nowhere"})
    assert not Path(tiny_config["output"]).exists()


def test_what_others_write_stops_beside_a_live_command_too(fitted, tiny_config, tmp_path, capsys, monkeypatch):
    report, exported = tmp_path / "report", tmp_path / "net.safetensors"
    compared = f"{tiny_config['output']}-compared"
    monkeypatch.chdir(tmp_path)
    with claimed(report), claimed(exported, is_file=True), claimed(compared):
        assert main(["eval", "--checkpoint", str(fitted.checkpoint), "dataset_path=nowhere", "--report", "report"]) == 2
        assert "mindclf: report is in use by process" in capsys.readouterr().err
        with pytest.raises(InUse, match="net.safetensors is in use by process"):
            export(fitted.checkpoint, "safetensors", exported)
        with pytest.raises(InUse, match="run-compared is in use by process"):
            compare(merge(tiny_config, {}), {"one": {}}, [1])
    assert not list(tmp_path.rglob("*.safetensors"))


def test_the_command_line_takes_the_next_name_only_where_nobody_named_one(tiny_config, monkeypatch):
    asked = []

    def stand_in(config, or_next, **others):
        asked.append(or_next)
        raise ValueError("not trained")

    monkeypatch.setattr("mindclf.train.fit", stand_in)
    for fields in ([], ["seed=2"], ["output=here"], ["resume=true"]):
        assert main(["train", *fields], config=tiny_config) == 2
    assert asked == [True, True, False, False]
