"""What the user sees while training."""

import io
from types import SimpleNamespace

import numpy as np
import pytest
from mindspore import Tensor

from mindclf.metrics import Metrics
from mindclf.report.history import HISTORY_FIELDS, HistoryFile, history_beside
from mindclf.train.callbacks import History, MetricTracker, Progress, TerminateOnNaN
from tests.support.terminal import TextTerminal, screen, terminal


def step_that_gave(loss, correct_predictions=0):
    network = SimpleNamespace(loss=SimpleNamespace(correct_predictions=Tensor(correct_predictions)))
    state = SimpleNamespace(net_outputs=Tensor(loss), train_network=network)
    return SimpleNamespace(original_args=lambda: state)


def run_steps(stream, monkeypatch, written):
    """What is seen after four of eight steps of 10 images, one second each, and in the end."""
    clock = [100.0]
    monkeypatch.setattr("tqdm.std.time", lambda: clock[0])
    metrics = MetricTracker([0.5, 0.4, 0.3, 0.2, 0.1, 0.1, 0.1, 0.1], batch_size=10, steps_per_epoch=4)
    progress = Progress("phase 1", metrics, stream)
    progress.on_train_begin(None)
    for step in range(1, 5):
        clock[0] += 1
        metrics.on_train_step_end(step_that_gave(1.5 / step))
        progress.on_train_step_end(None)
    shown = written()
    progress.on_train_epoch_end(None)
    after_epoch = written()
    clock[0] += 1
    metrics.on_train_step_end(step_that_gave(1.0))
    progress.on_train_step_end(None)
    progress.__exit__()
    return shown, shown + after_epoch, shown + after_epoch + written()


@pytest.mark.parametrize(("columns", "figures"), [
    (80, "loss 0.3750, 10 images/s, lr 2.0e-01"), (56, "loss 0.3750"), (40, "")])
def test_progress_shows_the_time_left_and_the_figures_that_fit(monkeypatch, columns, figures):
    with terminal(columns) as (stream, written):
        shown, after_epoch, ended = run_steps(stream, monkeypatch, written)
    [line] = screen(shown, columns)
    assert line.startswith("phase 1  50%|") and line.endswith("| 4/8 00:04 left" + (f", {figures}" if figures else ""))
    assert screen(after_epoch, columns) == [""], "the bar is in the way of the line of the epoch"
    assert screen(ended, columns) == [""] and len(line) < columns


def test_a_row_that_a_full_disk_cut_short_does_not_count(tmp_path):
    history = HistoryFile(tmp_path / "history.csv")
    history.begin()
    row = dict.fromkeys(HISTORY_FIELDS, 1.0) | {"watched": "test"}
    for _ in range(2):
        history.append(row)
    text = (tmp_path / "history.csv").read_text()
    (tmp_path / "history.csv").write_text(text[:-9])
    assert HistoryFile(tmp_path / "history.csv").rows() == [row]


def test_progress_leaves_logs_alone(monkeypatch):
    stream = io.StringIO()
    assert run_steps(stream, monkeypatch, stream.getvalue)[-1] == ""


def test_progress_does_not_flood_a_terminal(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("tqdm.std.time", lambda: clock[0])
    stream = TextTerminal()
    metrics = MetricTracker([0.1] * 100, batch_size=1, steps_per_epoch=100)
    progress = Progress("p", metrics, stream)
    progress.on_train_begin(None)
    for _ in range(100):
        clock[0] += 0.01
        metrics.on_train_step_end(step_that_gave(1.0))
        progress.on_train_step_end(None)
    assert 4 <= stream.getvalue().count("%|") <= 6  # at the begin, and then for one second at most every fifth of it


@pytest.mark.parametrize("loss", [np.nan, np.inf])
def test_a_loss_that_is_not_finite_stops_with_step_and_rate(loss):
    metrics = MetricTracker([0.5, 0.25], batch_size=1, steps_per_epoch=2)
    newest = [None]
    stop = TerminateOnNaN(metrics, lambda: newest[0])
    metrics.on_train_step_end(step_that_gave(1.0))
    stop.on_train_step_end(None)
    metrics.on_train_step_end(step_that_gave(loss))
    said = f"^the loss is {loss} at step 2, learning rate 0.25: try a smaller lr_max; "
    with pytest.raises(ValueError, match=said + "no epoch was finished$"):
        stop.on_train_step_end(None)
    newest[0] = "run/epochs/phase1-1.ckpt"
    with pytest.raises(ValueError, match=said + "the last good checkpoint is run/epochs/phase1-1.ckpt$"):
        stop.on_train_step_end(None)


def test_an_epoch_sums_up_its_steps(tmp_path, monkeypatch):
    """Two steps of 4 images in 2 seconds, of which one is waiting: 4 images a second; 5 of 8 right.

    Half a second of either was spent by a run that was interrupted within the epoch.
    """
    clock = [10.0]
    monkeypatch.setattr("time.perf_counter", lambda: clock[0])
    metrics = MetricTracker([0.5, 0.25, 0.125, 0.0625], batch_size=4, steps_per_epoch=2)
    metrics.load_state_dict({"step": 2, "losses": [9.0, 9.0], "correct_predictions": 8})
    batches, rows = SimpleNamespace(waited=7.0), []
    history = History(HistoryFile(tmp_path / "history.csv"), 2, metrics, batches, "test", lambda: Metrics(0.9, 0.5, 1.0, 3, None),
                      lambda row, report: rows.append(row))
    history.load_state_dict({"seconds": 0.5, "waited": 0.25})
    history.on_train_epoch_begin(None)
    for loss, right in ((3.0, 1), (2.0, 4)):
        metrics.on_train_step_end(step_that_gave(loss, right))
    clock[0], batches.waited = 11.5, 7.75
    assert history.state_dict() == {"seconds": 2.0, "waited": 1.0}
    history.on_train_epoch_end(SimpleNamespace(original_args=lambda: SimpleNamespace(cur_epoch_num=2)))
    assert rows == [{"phase": 2, "epoch": 2, "steps": 4, "learning_rate": 0.0625, "train_loss": 2.5, "train_top1": 5 / 8,
                     "watched": "test", "loss": 0.9, "top1": 0.5, "top5": 1.0, "images_per_second": 4.0, "seconds": 2.0,
                     "data_seconds": 1.0}]


def test_the_history_beside_a_checkpoint_is_read_if_it_is_of_todays_form(tmp_path, caplog):
    assert history_beside(tmp_path / "best.ckpt") == []
    HistoryFile(tmp_path / "history.csv").begin()
    assert history_beside(tmp_path / "best.ckpt") == [] and not caplog.records
    row = {**dict.fromkeys(HISTORY_FIELDS, 0.5), "watched": "test"}
    HistoryFile(tmp_path / "history.csv").append(row)
    assert history_beside(tmp_path / "best.ckpt") == [row]
    whole = (tmp_path / "history.csv").read_text()
    for broken in (whole.replace("0.5", "x", 1), whole + ",\n" * 3 + "1," * 20 + "1\n"):
        (tmp_path / "history.csv").write_text(broken)
        assert history_beside(tmp_path / "best.ckpt") == []
        assert "history.csv has a row with something else than numbers" in caplog.text
        caplog.clear()
    (tmp_path / "history.csv").write_text("epoch,loss\n1,0.5\n")
    assert history_beside(tmp_path / "best.ckpt") == []
    assert "history.csv has not the columns that this mindclf writes: it is left out of the report" in caplog.text
