"""What happens during training besides training: one thing each."""

import contextlib
import csv
import logging
import math
import sys
import time
from pathlib import Path

from mindspore.train import Callback

from mindclf.device import exclusive
from mindclf.distributed import collectives
from mindclf.train.output import HISTORY
from mindclf.utils.files import writing

log = logging.getLogger(__name__)

HISTORY_FIELDS = ("phase", "epoch", "steps", "learning_rate", "train_loss", "train_top1", "watched", "loss", "top1", "top5",
                  "images_per_second", "seconds", "data_seconds")


class StepFigures(Callback):
    """Reads what a step gave, once for all the callbacks after it: number, rate and loss, and what an epoch needs of them.

    `loss` is that of this worker's batch of `batch_size` images. From an epoch's end on `losses` and `right_answers` are the
    means over the workers.
    """

    def __init__(self, learning_rates, batch_size, steps_per_epoch):
        super().__init__()
        self.learning_rates, self.batch_size, self.steps_per_epoch = learning_rates, batch_size, steps_per_epoch
        self.step = self.first_step = 0
        self.loss = None
        self.losses, self.right_answers = [], 0

    def on_train_step_end(self, run_context):
        state = run_context.original_args()
        if self.step % self.steps_per_epoch == 0:
            self.losses, self.right_answers = [], 0
        self.step += 1
        self.loss = float(state.net_outputs.asnumpy())
        self.losses.append(self.loss)
        self.right_answers += int(state.train_network.loss.right_answers.asnumpy())
        if self.step % self.steps_per_epoch == 0:
            self.agree()

    def agree(self):
        """Takes the means over the workers; all of them must call it. Then a second time changes nothing."""
        if collectives.size() > 1:
            summed = collectives.all_reduce_sum([*self.losses, self.right_answers])
            *self.losses, self.right_answers = (summed / collectives.size()).tolist()

    def state(self):
        """What `restore` takes, as JSON can hold it."""
        return {"step": self.step, "losses": self.losses, "right_answers": self.right_answers}

    def restore(self, state):
        """Goes on from what `state` gave."""
        self.step = self.first_step = state["step"]
        self.losses, self.right_answers = list(state["losses"]), state["right_answers"]

    @property
    def rate(self):
        """The learning rate of the step."""
        return self.learning_rates[self.step - 1]

    @property
    def images(self):
        """Images that all workers have trained on so far in the epoch."""
        return len(self.losses) * self.images_per_step

    @property
    def images_per_step(self):
        """Images that all workers together train on in a step."""
        return self.batch_size * collectives.size()

    @property
    def top1(self):
        """The part of the epoch's images, so far, that were right; at its end of those of all workers."""
        return self.right_answers / (len(self.losses) * self.batch_size)


class EqualStatistics(Callback):
    """Gives `net`, at the end of an epoch, the means of its moving statistics over all workers."""

    def __init__(self, net, figures):
        super().__init__()
        self.net, self.figures = net, figures

    def on_train_step_end(self, run_context):
        if self.figures.step % self.figures.steps_per_epoch == 0:
            collectives.average_statistics(self.net)


class StopOnBadLoss(Callback):
    """Stops training with ValueError as soon as the loss is not a finite number; newest() is the last good checkpoint's path."""

    def __init__(self, figures, newest):
        super().__init__()
        self.figures, self.newest = figures, newest

    def on_train_step_end(self, run_context):
        self.check(self.figures.loss)

    def check(self, loss, of=""):
        """Stops if `loss`, of the step or of what `of` names, is not finite."""
        if not math.isfinite(loss):
            good = self.newest()
            raise ValueError(f"the loss{of} is {loss} at step {self.figures.step}, rate {self.figures.rate:.6g}: try a smaller "
                             f"lr_max; " + (f"the last good checkpoint is {good}" if good else "no epoch was finished"))


class FirstStep(Callback):
    """Calls `then()` after the first step that it sees."""

    def __init__(self, then):
        super().__init__()
        self.then, self.is_over = then, False

    def on_train_step_end(self, run_context):
        if not self.is_over:
            self.then()
        self.is_over = True


class StopWhenAsked(Callback):
    """Ends training when `signals`, a StopSignals, received one: after the step, when save() kept it, or after the epoch.

    Where several workers train, the signal of any of them stops all after the same step.

    The epoch's end keeps all by itself, so this callback comes after whatever does that.
    """

    def __init__(self, signals, figures, phase, save):
        super().__init__()
        self.signals, self.figures, self.phase, self.save = signals, figures, phase, save

    def on_train_step_end(self, run_context):
        asked = self._asked()
        if asked and self.figures.step % self.figures.steps_per_epoch:
            self.save()
            self._stop(asked)

    def on_train_epoch_end(self, run_context):
        asked = self._asked()
        if asked:
            self._stop(asked)

    def _asked(self):
        """The signal that all workers answer now.

        One that comes while they ask each other is for the next time. That of another worker is not noted as received here: this
        worker may get its own a moment later, which is not the second one that stops at once.
        """
        asked = self.signals.received
        return int(collectives.all_gather([asked or 0]).max()) if collectives.size() > 1 else asked

    def _stop(self, asked):
        self.signals.received = asked
        self.signals.stop(f" after step {self.figures.step} of {len(self.figures.learning_rates)} in phase {self.phase}")


class ExclusiveSteps(Callback):
    """Has threads that make or run other nets do so between the steps of this training: see `mindclf.device.exclusive`.

    A step lasts until the callbacks before this one have read what it gave.
    """

    def __init__(self):
        super().__init__()
        self.step = contextlib.ExitStack()

    def on_train_step_begin(self, run_context):
        self.step.enter_context(exclusive())

    def on_train_step_end(self, run_context):
        self.step.close()

    def __exit__(self, *_):  # MindSpore calls it however the training ends
        self.step.close()


class Progress(Callback):
    """Shows loss, rate, images a second and the time left: a line that renews itself on a terminal, nothing in a log."""

    def __init__(self, title, figures, stream=None):
        super().__init__()
        self.title, self.figures, self.stream = title, figures, stream or sys.stderr
        self.started = self.shown = None

    def on_train_begin(self, run_context):
        self.started = self.shown = time.perf_counter()

    def on_train_step_end(self, run_context):
        now = time.perf_counter()
        if not self.stream.isatty() or now - self.shown < 0.2:
            return
        self.shown = now
        figures, done, total = self.figures, self.figures.step, len(self.figures.learning_rates)
        steps_per_second = (done - figures.first_step) / (now - self.started)
        self.stream.write(f"\r{self.title} [{'#' * (30 * done // total):30}] {done}/{total}  "
                          f"loss {figures.loss:.4f}  rate {figures.rate:.2e}  "
                          f"{steps_per_second * figures.images_per_step:.0f} images/s  "
                          f"{(total - done) / steps_per_second:.0f} s left \x1b[K")
        self.stream.flush()

    def on_train_epoch_end(self, run_context):
        if self.stream.isatty():
            self.stream.write("\r\x1b[K")


class History(Callback):
    """Evaluates after each epoch, writes a row of HISTORY_FIELDS to a CSV file, and passes it on: after_epoch(row, report).

    `evaluate()` gives the Report on the images called `watched`. "train_loss" and "train_top1" are those of the training
    batches as the net saw them: augmented, perhaps mixed, and while it was changing. "seconds" are those of training, without
    evaluation; for "data_seconds" of them training had to wait for `batches`, an EpochBatches. The file grows by whole lines, so
    a run that is killed leaves the epochs that it finished.
    """

    def __init__(self, path, phase, figures, batches, watched, evaluate, after_epoch):
        super().__init__()
        self.path, self.phase, self.figures, self.batches = path, phase, figures, batches
        self.watched, self.evaluate, self.after_epoch = watched, evaluate, after_epoch
        self.earlier = {"seconds": 0.0, "waited": 0.0}  # spent on the epoch by a run that was interrupted in it

    def on_train_epoch_begin(self, run_context):
        self.started = time.perf_counter() - self.earlier["seconds"]
        self.waited = self.batches.waited - self.earlier["waited"]
        self.earlier = {"seconds": 0.0, "waited": 0.0}

    def state(self):
        """What `earlier` is for a run that goes on within the epoch."""
        return {"seconds": time.perf_counter() - self.started, "waited": self.batches.waited - self.waited}

    def on_train_epoch_end(self, run_context):
        seconds = time.perf_counter() - self.started
        figures = self.figures
        report = self.evaluate()
        row = {
            "phase": self.phase, "epoch": run_context.original_args().cur_epoch_num, "steps": figures.step,
            "learning_rate": figures.rate,
            "train_loss": sum(figures.losses) / len(figures.losses), "train_top1": figures.top1,
            "watched": self.watched, "loss": report.loss, "top1": report.top1, "top5": report.top5,
            "images_per_second": figures.images / seconds, "seconds": seconds,
            "data_seconds": self.batches.waited - self.waited,
        }
        if collectives.is_main_process():
            append_row(self.path, row)
        self.after_epoch(row, report)


def start_history(path):
    """Begins the CSV file at `path` with its header line."""
    with writing(path), open(path, "w", newline="", encoding="utf-8") as file:
        csv.DictWriter(file, HISTORY_FIELDS).writeheader()


def append_row(path, row):
    """Adds a row to the CSV file at `path`."""
    with writing(path), open(path, "a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, HISTORY_FIELDS)
        writer.writerow({name: f"{value:.6g}" if isinstance(value, float) else value for name, value in row.items()})


def read_history(path):
    """The rows of a history file, numbers as numbers."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if None not in row.values()]  # a full disk may have cut the last one short
    for row in rows:
        row.update({name: float(value) for name, value in row.items() if name != "watched"})
    return rows


def history_beside(checkpoint):
    """The rows of the history.csv beside a checkpoint; none if there is no such file, or one with other columns than today's."""
    path = Path(checkpoint).parent / HISTORY
    if not path.is_file():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        columns = next(csv.reader(file), [])
    if tuple(columns) != HISTORY_FIELDS:
        log.warning("%s has not the columns that this mindclf writes: it is left out of the report", path)
        return []
    return read_history(path)
