"""Callbacks: what happens during training besides training, one thing each.

MindSpore's own callbacks serve where they do what is needed. Where they do not (in MindSpore 2.10.0, as its source has it; that
OnRequestExit lets a training go on was tried):

| MindSpore's               | here                  | why not MindSpore's                                                      |
|---------------------------|-----------------------|--------------------------------------------------------------------------|
| ModelCheckpoint           | CardCheckpoint, a     | writes in place, so that a killed run leaves half a file; has no card;   |
|                           | subclass of it        | takes another prefix where files of that name are                        |
| LossMonitor, TimeMonitor  | Progress              | print a line a step, into logs too; show no learning rate, no time left  |
| History                   | History               | keeps its lists in memory, which a killed run loses                      |
| ReduceLROnPlateau         | schedules.Schedule    | refuses an optimizer with a list of learning rates, hence any warm-up    |
| OnRequestExit             | StopOnSignal          | does not stop the training                                               |
| BackupAndRestore          | mindclf.train.state   | restores net and optimizer, but not the epoch, the order of the images,  |
|                           |                       | or what dropout draws                                                    |
| EarlyStopping             | early_stopping        | forgets the epochs so far when a run is resumed; needs Model.fit;        |
|                           | .EarlyStopping        | takes a metric of 0 for none                                             |
"""

import contextlib
import math
import time

from mindspore.train import Callback

from mindclf.device import exclusive
from mindclf.distributed import collectives
from mindclf.utils.language import columns, translate
from mindclf.utils.progress import progress_bar

LEAST_BAR = 4  # columns of the bar itself that Progress leaves for it


class MetricTracker(Callback):
    """Reads what a step gave, once for all the callbacks after it: step, learning rate, loss, correct predictions.

    `rates` has the learning rate of each step. `loss` is that of this worker's batch of `batch_size` images. At an epoch's end
    `losses` and `correct_predictions` become means over the workers. Where a run is resumed, it tells MindSpore's other
    callbacks the number of the step, `cur_step_num`, which Model.train counts from 0.
    """

    def __init__(self, rates, batch_size, steps_per_epoch):
        super().__init__()
        self.rates, self.batch_size, self.steps_per_epoch = rates, batch_size, steps_per_epoch
        self.step = self.first_step = 0
        self.loss = None
        self.losses, self.correct_predictions = [], 0

    def on_train_begin(self, run_context):
        run_context.original_args().cur_step_num = self.step

    def on_train_step_end(self, run_context):
        state = run_context.original_args()
        if self.step % self.steps_per_epoch == 0:
            self.losses, self.correct_predictions = [], 0
        self.step += 1
        self.loss = float(state.net_outputs.asnumpy())
        self.losses.append(self.loss)
        self.correct_predictions += int(state.train_network.loss.correct_predictions.asnumpy())
        if self.step % self.steps_per_epoch == 0:
            self.sync()

    def sync(self):
        """Averages over the workers; all of them must call it. A second call changes nothing."""
        if collectives.size() > 1:
            summed = collectives.all_reduce_sum([*self.losses, self.correct_predictions])
            *self.losses, self.correct_predictions = (summed / collectives.size()).tolist()

    def state_dict(self):
        """The step, and the epoch's losses and correct predictions so far."""
        return {"step": self.step, "losses": self.losses, "correct_predictions": self.correct_predictions}

    def load_state_dict(self, state):
        """Takes what `state_dict` gave."""
        self.step = self.first_step = state["step"]
        self.losses, self.correct_predictions = list(state["losses"]), state["correct_predictions"]

    @property
    def rate(self):
        """The learning rate of the step."""
        return self.rates[self.step - 1]

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
        """The fraction of the epoch's images so far that were predicted correctly; at its end over all workers."""
        return self.correct_predictions / (len(self.losses) * self.batch_size)


class SyncBatchNormStatistics(Callback):
    """Gives `net`, at the end of an epoch, the means of its moving statistics over all workers."""

    def __init__(self, net, metrics):
        super().__init__()
        self.net, self.metrics = net, metrics

    def on_train_step_end(self, run_context):
        if self.metrics.step % self.metrics.steps_per_epoch == 0:
            collectives.average_statistics(self.net)


class TerminateOnNaN(Callback):
    """Stops training with ValueError as soon as the loss is not a finite number; newest() is the last good checkpoint's path."""

    def __init__(self, metrics, newest):
        super().__init__()
        self.metrics, self.newest = metrics, newest

    def on_train_step_end(self, run_context):
        self.check(self.metrics.loss)

    def check(self, loss, of=""):
        """Stops if `loss`, of the step or of what `of` names, is not finite."""
        if not math.isfinite(loss):
            good = self.newest()
            raise ValueError(f"the loss{of} is {loss} at step {self.metrics.step}, learning rate {self.metrics.rate:.6g}: try a "
                             f"smaller lr_max; "
                             + (f"the last good checkpoint is {good}" if good else "no epoch was finished"))


class FirstStep(Callback):
    """Calls `then()` after the first step that it sees."""

    def __init__(self, then):
        super().__init__()
        self.then, self.is_over = then, False

    def on_train_step_end(self, run_context):
        if not self.is_over:
            self.then()
        self.is_over = True


class StopOnSignal(Callback):
    """Ends training when `signals`, a StopSignals, received one: after the step, once save(run_context) kept it, or the epoch.

    Where several workers train, the signal of any of them stops all after the same step.

    Checkpoints of an epoch are saved at its end, so this callback comes after the one that does that.
    """

    def __init__(self, signals, metrics, phase, save):
        super().__init__()
        self.signals, self.metrics, self.phase, self.save = signals, metrics, phase, save

    def on_train_step_end(self, run_context):
        received = self._received()
        if received and self.metrics.step % self.metrics.steps_per_epoch:
            self.save(run_context)
            self._stop(received)

    def on_train_epoch_end(self, run_context):
        received = self._received()
        if received:
            self._stop(received)

    def _received(self):
        """The signal that all workers answer now.

        A signal that arrives during this exchange is handled at the next step. That of another worker is not noted as received
        here: this worker may get its own a moment later, which is not the second one that stops at once.
        """
        received = self.signals.received
        return int(collectives.all_gather([received or 0]).max()) if collectives.size() > 1 else received

    def _stop(self, received):
        self.signals.received = received
        self.signals.stop(f" after step {self.metrics.step} of {len(self.metrics.rates)} in phase {self.phase}")


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
    """Shows on a terminal a bar for the steps of a phase.

    It has the time left, and as far as they fit the loss, images a second and the learning rate. While an epoch is evaluated the
    bar is away.
    """

    def __init__(self, title, metrics, stream=None):
        super().__init__()
        self.title, self.metrics, self.stream, self.bar = title, metrics, stream, None

    def on_train_begin(self, run_context):
        self.bar = progress_bar(len(self.metrics.rates), title=self.title, stream=self.stream, initial=self.metrics.first_step)

    def on_train_step_end(self, run_context):
        if not self.bar.disable:
            self.bar.set_postfix_str(self._postfix(), refresh=False)
            self.bar.update()

    def on_train_epoch_end(self, run_context):
        self.bar.clear()

    def __exit__(self, *_):  # MindSpore calls it however the training ends
        if self.bar is not None:
            self.bar.close()

    def _postfix(self):
        """The figures that leave the bar a few columns."""
        shown, metrics = self.bar.format_dict, self.metrics
        rate = shown["rate"] or 0
        used = columns(f"{translate(self.title)} 100%|| {shown['total']}/{shown['total']} 00:00:00 left") + LEAST_BAR
        figures = (f"loss {metrics.loss:.4f}", f"{rate * metrics.images_per_step:.0f} images/s", f"lr {metrics.rate:.1e}")
        postfix = ""
        for figure in map(translate, figures):
            if used + columns(f", {postfix}, {figure}") > (shown["ncols"] or 0):
                break
            postfix = f"{postfix}, {figure}" if postfix else figure
        return postfix


class History(Callback):
    """Evaluates after each epoch, adds a row to `file`, a HistoryFile, and passes it on: after_epoch(row, metrics).

    `evaluate()` gives the `Metrics` on the images called `monitored`. "train_loss" and "train_top1" are those of the training
    batches as the net saw them: augmented, perhaps mixed, and while it was changing. "seconds" are those of training, without
    evaluation; for "data_seconds" of them training had to wait for `batches`, an EpochBatches.
    """

    def __init__(self, file, phase, metrics, batches, monitored, evaluate, after_epoch):
        super().__init__()
        self.file, self.phase, self.metrics, self.batches = file, phase, metrics, batches
        self.monitored, self.evaluate, self.after_epoch = monitored, evaluate, after_epoch
        self.started = None  # of the epoch, while one is trained
        self.earlier = {"seconds": 0.0, "waited": 0.0}  # spent on the epoch by a run that was interrupted in it

    def on_train_epoch_begin(self, run_context):
        self.started = time.perf_counter() - self.earlier["seconds"]
        self.waited = self.batches.waited - self.earlier["waited"]
        self.earlier = {"seconds": 0.0, "waited": 0.0}

    def state_dict(self):
        """The seconds spent on the epoch so far; 0 between two epochs."""
        if self.started is None:
            return dict(self.earlier)
        return {"seconds": time.perf_counter() - self.started, "waited": self.batches.waited - self.waited}

    def load_state_dict(self, state):
        """Takes what `state_dict` gave."""
        self.earlier = dict(state)

    def on_train_epoch_end(self, run_context):
        seconds, waited = time.perf_counter() - self.started, self.batches.waited - self.waited
        self.started = None
        metrics = self.metrics
        result = self.evaluate()
        row = {
            "phase": self.phase, "epoch": run_context.original_args().cur_epoch_num, "steps": metrics.step,
            "learning_rate": metrics.rate,
            "train_loss": sum(metrics.losses) / len(metrics.losses), "train_top1": metrics.top1,
            "watched": self.monitored, "loss": result.loss, "top1": result.top1, "top5": result.top5,
            "images_per_second": metrics.images / seconds, "seconds": seconds, "data_seconds": waited,
        }
        if collectives.is_main_process():
            self.file.append(row)
        self.after_epoch(row, result)
