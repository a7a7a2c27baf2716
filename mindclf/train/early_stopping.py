"""Early stopping: a phase ends once the monitored metric has not improved for some epochs."""

import logging
from types import MappingProxyType

from mindspore.train import Callback

from mindclf.metrics import score_of

log = logging.getLogger(__name__)

NOTHING_SEEN = MappingProxyType({"best": None, "best_epoch": None, "bad_epochs": 0})  # the state of a phase that begins


class EarlyStopping(Callback):
    """Ends the phase of this `number` after `patience` epochs in a row without improvement; never, if `patience` is 0.

    An epoch improves if `monitor`, of its validation images, beats the best value of the phase so far by more than `min_delta`,
    as in Keras; see `score_of` for its names. Epochs of warm-up do not count. `checkpoints`, the CheckpointManager, notes that
    the phase has stopped, and keeps the best weights anyway. All workers know the same metrics, and stop after the same step.
    """

    def __init__(self, number, config, checkpoints):
        super().__init__()
        self.number, self.checkpoints, self.monitor = number, checkpoints, config.monitor
        self.patience, self.min_delta = config.early_stopping_patience, config.min_delta
        self.epochs, self.warmup_epochs = config.epochs, config.warmup_epochs
        self.load_state_dict(NOTHING_SEEN)

    def after_epoch(self, epoch, metrics):
        """Takes the `metrics`, as on a card, of an epoch that is over."""
        if not self.patience or epoch <= self.warmup_epochs:
            return
        value = score_of(metrics, self.monitor)[0]
        if self.best is None or value > self.best + self.min_delta:
            self.best, self.best_epoch, self.bad_epochs = value, epoch, 0
        else:
            self.bad_epochs += 1
        if self.bad_epochs >= self.patience and epoch < self.epochs:
            self.checkpoints.note_stop(self.number, epoch, self.epochs, self.best_epoch)

    def on_train_epoch_end(self, run_context):
        if self.checkpoints.stopped(self.number):
            log.info("phase %d stopped early, after epoch %d of %d: %s has not improved%s since epoch %d", self.number,
                     run_context.original_args().cur_epoch_num, self.epochs, self.monitor,
                     f" by more than {self.min_delta:g}" if self.min_delta else "", self.best_epoch)
            run_context.request_stop()

    def state_dict(self):
        """The best value and its epoch, and how many epochs there were since then."""
        return {"best": self.best, "best_epoch": self.best_epoch, "bad_epochs": self.bad_epochs}

    def load_state_dict(self, state):
        """Takes what `state_dict` gave."""
        self.best, self.best_epoch, self.bad_epochs = state["best"], state["best_epoch"], state["bad_epochs"]


def has_stopped(card, phase):
    """Whether the `card` of a run says that its phase of this number has stopped early."""
    return any(stop["phase"] == phase for stop in card.get("stopped_early", ()))


def let_go_on(state, phase):
    """Has the phase of this number, which has stopped early in `state`, a TrainingState, go on: its count begins anew."""
    card = state.parts["checkpoints"]["card"]
    card["stopped_early"] = [stop for stop in card["stopped_early"] if stop["phase"] != phase]
    state.parts["early_stopping"] = NOTHING_SEEN
