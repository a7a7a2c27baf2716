"""What happens during training besides training: one thing each."""

import csv
import math
import sys
import time

from mindspore.train import Callback

HISTORY_FIELDS = ("phase", "epoch", "steps", "learning_rate", "train_loss", "watched", "loss", "top1", "top5",
                  "images_per_second", "seconds")


class StopOnBadLoss(Callback):
    """Stops training with ValueError as soon as the loss is not a finite number."""

    def __init__(self, learning_rates):
        super().__init__()
        self.learning_rates = learning_rates

    def on_train_step_end(self, run_context):
        state = run_context.original_args()
        loss = float(state.net_outputs.asnumpy())
        if not math.isfinite(loss):
            rate = self.learning_rates[state.cur_step_num - 1]
            raise ValueError(f"the loss is {loss} at step {state.cur_step_num}, rate {rate:.6g}: try a smaller lr_max")


class Progress(Callback):
    """Shows loss, rate, pictures a second and the time left: a line that renews itself on a terminal, nothing in a log."""

    def __init__(self, title, learning_rates, batch_size, stream=sys.stderr):
        super().__init__()
        self.title, self.learning_rates, self.batch_size, self.stream = title, learning_rates, batch_size, stream
        self.started = self.shown = None

    def on_train_begin(self, run_context):
        self.started = self.shown = time.perf_counter()

    def on_train_step_end(self, run_context):
        now = time.perf_counter()
        if not self.stream.isatty() or now - self.shown < 0.2:
            return
        self.shown = now
        state = run_context.original_args()
        done, total = state.cur_step_num, len(self.learning_rates)
        left = (now - self.started) / done * (total - done)
        self.stream.write(f"\r{self.title} [{'#' * (30 * done // total):30}] {done}/{total}  "
                          f"loss {float(state.net_outputs.asnumpy()):.4f}  rate {self.learning_rates[done - 1]:.2e}  "
                          f"{done * self.batch_size / (now - self.started):.0f} pictures/s  {left:.0f} s left \x1b[K")
        self.stream.flush()

    def on_train_epoch_end(self, run_context):
        if self.stream.isatty():
            self.stream.write("\r\x1b[K")


class History(Callback):
    """Evaluates after each epoch, writes a row of HISTORY_FIELDS to a CSV file, and passes it on: after_epoch(row, report).

    `evaluate()` gives the Report on the pictures called `watched`. The file grows by whole lines, so a run that is killed leaves
    the epochs that it finished.
    """

    def __init__(self, path, phase, learning_rates, batch_size, watched, evaluate, after_epoch):
        super().__init__()
        self.path, self.phase, self.learning_rates, self.batch_size = path, phase, learning_rates, batch_size
        self.watched, self.evaluate, self.after_epoch = watched, evaluate, after_epoch

    def on_train_epoch_begin(self, run_context):
        self.started, self.losses = time.perf_counter(), []

    def on_train_step_end(self, run_context):
        self.losses.append(float(run_context.original_args().net_outputs.asnumpy()))

    def on_train_epoch_end(self, run_context):
        state = run_context.original_args()
        seconds = time.perf_counter() - self.started
        report = self.evaluate()
        row = {
            "phase": self.phase, "epoch": state.cur_epoch_num, "steps": state.cur_step_num,
            "learning_rate": self.learning_rates[state.cur_step_num - 1],
            "train_loss": sum(self.losses) / len(self.losses),
            "watched": self.watched, "loss": report.loss, "top1": report.top1, "top5": report.top5,
            "images_per_second": len(self.losses) * self.batch_size / seconds, "seconds": seconds,
        }
        append_row(self.path, row)
        self.after_epoch(row, report)


def start_history(path):
    """Begins the CSV file at `path` with its header line."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.DictWriter(file, HISTORY_FIELDS).writeheader()


def append_row(path, row):
    """Adds a row to the CSV file at `path`."""
    with open(path, "a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, HISTORY_FIELDS)
        writer.writerow({name: f"{value:.6g}" if isinstance(value, float) else value for name, value in row.items()})


def read_history(path):
    """The rows of a history file, numbers as numbers."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row.update({name: float(value) for name, value in row.items() if name != "watched"})
    return rows
