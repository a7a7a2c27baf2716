"""What the user sees while training."""

import io
from types import SimpleNamespace

from mindspore import Tensor

from mindclf.train.callbacks import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def run_steps(stream, clock, monkeypatch):
    """Four of eight steps of 10 pictures, one second each, of an epoch of four."""
    monkeypatch.setattr("time.perf_counter", lambda: clock[0])
    progress = Progress("phase 1 (all)", [0.5, 0.4, 0.3, 0.2, 0.1, 0.1, 0.1, 0.1], batch_size=10, stream=stream)
    progress.on_train_begin(None)
    for step in range(1, 5):
        clock[0] += 1
        state = SimpleNamespace(cur_step_num=step, net_outputs=Tensor(1.5 / step))
        progress.on_train_step_end(SimpleNamespace(original_args=lambda state=state: state))
    progress.on_train_epoch_end(None)
    return stream.getvalue()


def test_progress_shows_loss_rate_speed_and_the_time_left(monkeypatch):
    shown = run_steps(Terminal(), [100.0], monkeypatch)
    last = shown.split("\r")[4]
    for part in ("phase 1 (all)", "4/8", "loss 0.3750", "rate 2.00e-01", "10 pictures/s", "4 s left"):
        assert part in last
    assert last.count("#") == 15  # half of 30
    assert shown.endswith("\r\x1b[K"), "the line is not wiped before the epoch is logged"


def test_progress_leaves_logs_alone(monkeypatch):
    assert run_steps(io.StringIO(), [0.0], monkeypatch) == ""


def test_progress_does_not_flood_a_terminal(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: clock[0])
    stream = Terminal()
    progress = Progress("p", [0.1] * 100, batch_size=1, stream=stream)
    progress.on_train_begin(None)
    for step in range(1, 101):
        clock[0] += 0.01
        state = SimpleNamespace(cur_step_num=step, net_outputs=Tensor(1.0))
        progress.on_train_step_end(SimpleNamespace(original_args=lambda state=state: state))
    assert stream.getvalue().count("\r") <= 5  # one second, at most every fifth of it
