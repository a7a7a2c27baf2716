"""PhaseTrainer: one phase of training, which layers learn, from what, and for how long."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

from mindspore.train import CheckpointConfig

from mindclf.dataset import eval_pipeline
from mindclf.dataset.seen import Seen
from mindclf.distributed import collectives
from mindclf.inference.logits import predict_logits
from mindclf.metrics import compute_metrics
from mindclf.nets import freeze, seed_dropout, set_drop_path, unfreeze
from mindclf.preprocessing import Preprocessing
from mindclf.report.history import HistoryFile, shown_name
from mindclf.train.accumulation import looks_in_step
from mindclf.train.batches import GivenBatches
from mindclf.train.callbacks import (
    ExclusiveSteps,
    FirstStep,
    History,
    MetricTracker,
    Progress,
    StopOnSignal,
    SyncBatchNormStatistics,
    TerminateOnNaN,
)
from mindclf.train.checkpointing import CardCheckpoint, CheckpointManager
from mindclf.train.distillation import DistilledBatches, Teacher, is_distilled
from mindclf.train.early_stopping import EarlyStopping
from mindclf.train.ema import EMA
from mindclf.train.estimate import TimeEstimate
from mindclf.train.features import feature_batches, stored_features
from mindclf.train.given import Given
from mindclf.train.groups import rate_factors
from mindclf.train.model import create_model
from mindclf.train.phase_batches import phase_batches
from mindclf.train.schedules import Schedule, rates_of
from mindclf.train.state import NetWeights, OptimizerState, save_state, state_path
from mindclf.train.tensorboard import EventFiles
from mindclf.utils.signals import StopSignals

log = logging.getLogger(__name__)


@dataclass
class Run:
    """What the phases of a run share. `begin` is called after its first step; `given` are objects of the caller's own.

    `class_weights` (classes,) say how much the images of each class count; None is all the same. `seen_before` are the images
    that the weights had seen before this run. `features` is what computes features for heads: `stored_features`, or what does as
    that. `teacher` is that of config.teacher.
    """

    net: object
    splits: object
    checkpoints: CheckpointManager
    history: HistoryFile
    signals: StopSignals
    begin: object = None
    given: Given = field(default_factory=Given)
    class_weights: object = None
    seen_before: Seen = field(default_factory=Seen)
    features: Callable = stored_features
    teacher: Teacher | None = None

    @property
    def parts(self):
        """The parts of the training state that outlive a phase, by name."""
        return {"net": NetWeights(self.net), "checkpoints": self.checkpoints, "history": self.history}


class PhaseTrainer:
    """Trains the net of `run`, a `Run`, in the phase of this `number` as the phase's `config` says.

    trainable="head" freezes the backbone for good. With cached_views the head alone is trained, on stored features. After each
    epoch the whole net goes to epochs/ with its card, in the place of the one before, and so does the training state: what a run
    that is killed leaves behind. With save_checkpoint_steps they go there within an epoch too. On a signal the run saves the
    same after the current step, and stops. Nothing is written before the first step.

    `parts` has all that a resumed run needs, by name. Each part has `state_dict` and `load_state_dict` (see
    mindclf.train.state).
    """

    def __init__(self, run, number, config):
        self.run, self.number, self.config = run, number, config
        given = run.given
        if config.trainable == "head":
            freeze(run.net.backbone)
        else:
            unfreeze(run.net)
        set_drop_path(run.net, config.drop_path_rate if config.trainable == "all" else 0.0)
        self.trained = run.net.head if config.cached_views else run.net
        self.monitored, self.monitored_name = run.splits.monitored
        self.batches = self._prepare_data()
        self.steps = self.batches.get_dataset_size()
        self.schedule = Schedule(config, self.steps)
        made = given.optimizer(self.trained, self.schedule.rates) if given.makes_optimizer else given.optimizer
        self.model = create_model(self.trained, config, self.schedule.rates, given.loss, made, run.class_weights)
        optimizer = self.model.train_network.optimizer
        rates = self.schedule.rates
        if given.optimizer is None or given.makes_optimizer:
            self.schedule.attach(optimizer, rate_factors(self.trained, config))
        else:
            rates = rates_of(optimizer, config.epochs * self.steps)
        self.metrics, self.own_metrics = MetricTracker(rates, self.batches.batch_size, self.steps), {}
        self.ema = EMA(self.trained, config.ema_decay, self.steps) if config.ema_decay else None
        self.terminate_on_nan = TerminateOnNaN(self.metrics, lambda: run.checkpoints.newest)
        self.recorder = History(run.history, number, self.metrics, self.batches, self.monitored_name, self.evaluate,
                                self.after_epoch)
        self.early_stopping = EarlyStopping(number, config, run.checkpoints)
        self.checkpoint = PhaseCheckpoint(self)
        self.events = cache(lambda: EventFiles(run.checkpoints.output / "tensorboard"))  # made after the first epoch
        self.parts = {**run.parts, "optimizer": OptimizerState(optimizer), "schedule": self.schedule, "metrics": self.metrics,
                      "clock": self.recorder, "early_stopping": self.early_stopping,
                      **({"ema": self.ema} if self.ema else {}), **given.parts()}

    def load_state_dict(self, state):
        """Goes on from `state`, the dicts of all parts by name that a run saved. Raises ValueError if a part lacks."""
        for name, part in self.parts.items():
            if name not in state:
                raise ValueError(f"the run kept no state of its part {name!r}: resume it with the callbacks that it had, or "
                                 f"start it afresh, without resume")
            if name not in self.run.parts:  # those of the run are in place
                part.load_state_dict(state[name])

    def train(self):
        """Trains until the phase is over, or to the step at which a signal stops it (raises Stopped)."""
        config, metrics, signals = self.config, self.metrics, self.run.signals
        epochs, steps = divmod(metrics.step, self.steps)
        self.batches.resume(epochs, steps)
        self.schedule.resume(epochs)
        self.checkpoint.resume(metrics.step)
        seed_dropout(self.trained, [collectives.per_rank_seed(config.seed), self.number],
                     draws=looks_in_step(config) * metrics.step)
        if config.schedule == "plateau" and self.monitored_name == "test":
            log.warning("there are no validation images: the learning rate follows the test images, whose metrics then look too "
                        "good")
        title = f"phase {self.number} ({config.trainable})"
        log.info("%s: %d epochs of %d steps of %d images, %s, lr up to %g", title, config.epochs, self.steps,
                 metrics.images_per_step, type(self.model.train_network.optimizer).__name__, max(metrics.rates))
        signals.deferred = True
        self.model.train(config.epochs, self.batches, initial_epoch=epochs, dataset_sink_mode=False, callbacks=[
            metrics,
            self.terminate_on_nan,
            *([FirstStep(self.run.begin)] if self.run.begin else []),
            *([TimeEstimate(metrics, lambda: signals.advice)] if config.trainable == "all" else []),
            Progress(f"phase {self.number}", metrics),
            SyncBatchNormStatistics(self.trained, metrics),
            *([self.ema] if self.ema else []),  # from an epoch's end to the next one's begin the net holds the average
            self.recorder,
            *self.run.given.callbacks,
            self.checkpoint,
            StopOnSignal(signals, metrics, self.number, self.checkpoint.save_now),
            self.early_stopping,
            ExclusiveSteps(),
        ])
        signals.deferred = False
        if self._has_events:
            self.events().close()

    def evaluate(self):
        """The `Metrics` on the validation images, or on the test images where there are none."""
        logits, labels = (collectives.unshard(rows, len(self.monitored))
                          for rows in predict_logits(self.trained, self.monitored_batches))
        self.trained.set_train(True)
        result, name = compute_metrics(logits, labels, len(self.run.splits.classes)), shown_name(self.monitored_name)
        self.terminate_on_nan.check(result.loss, f" on the {name} images")  # the last step may have broken the weights
        self.own_metrics = self.run.given.measure(logits, labels, name)
        return result

    def after_epoch(self, row, result):
        """Takes the row of the history of an epoch that is over; the checkpoint comes after this."""
        self.schedule.after_epoch(row)
        self.early_stopping.after_epoch(row["epoch"], result.scalars())
        self.run.checkpoints.after_epoch(row, {**result.scalars(), **self.own_metrics})
        if self._has_events:
            self.events().add(self.run.history.rows())  # before the state: a run that is killed in between finds them

    def sync(self):
        """Makes what is saved within an epoch the same in all workers; at its end it is."""
        if self.metrics.step % self.steps:
            self.metrics.sync()
            collectives.average_statistics(self.trained)
            if self.ema:
                self.ema.sync()

    def save_state(self):
        """Writes the training state."""
        epochs, steps = divmod(self.metrics.step, self.steps)
        save_state(state_path(self.run.checkpoints.output), {"phase": self.number, "epochs": epochs, "steps": steps}, self.parts)

    @property
    def _has_events(self):
        return self.config.tensorboard and collectives.is_main_process()

    def _prepare_data(self):
        """The training batches; sets `monitored_batches`."""
        config, net, given = self.config, self.run.net, self.run.given.train_dataset
        batches = GivenBatches(given) if given is not None else phase_batches(
            net, self.run.splits.train, config, self.number, self.run.features)
        if config.cached_views:
            self.monitored_batches = feature_batches(*self.run.features(net, self.monitored, config), config.eval_batch_size,
                                                     collectives.shard_indices(len(self.monitored)))
        else:
            self.monitored_batches = eval_pipeline(collectives.shard(self.monitored), Preprocessing.from_config(config),
                                                   config.eval_batch_size)
        return DistilledBatches(batches, self.run.teacher) if is_distilled(config) else batches


class PhaseCheckpoint(CardCheckpoint):
    """The checkpoints in epochs/ of a phase: weights with their card, then the training state, then the best weights."""

    def __init__(self, trainer):
        config = trainer.config
        super().__init__(f"phase{trainer.number}", trainer.run.checkpoints.output / "epochs", CheckpointConfig(
            save_checkpoint_steps=config.save_checkpoint_steps or trainer.steps, keep_checkpoint_max=config.keep_checkpoint_max,
            saved_network=trainer.run.net), self._card)
        self.trainer, self.pattern = trainer, "phase*.ckpt"

    def resume(self, step):
        """Goes on after so many steps of the phase."""
        self._last_triggered_step = step

    def step_end(self, run_context):
        if self.trainer.metrics.step % self.trainer.steps:  # an epoch is evaluated before it is saved
            super().step_end(run_context)

    def epoch_end(self, run_context):
        self.save_now(run_context)

    def save_now(self, run_context):
        """Saves after this step, whatever save_checkpoint_steps says."""
        self._save_ckpt(run_context.original_args(), True)

    def save(self, file, net):
        trainer, checkpoints = self.trainer, self.trainer.run.checkpoints
        trainer.sync()
        if collectives.is_main_process():
            checkpoints.check()
            super().save(file, net)
        checkpoints.newest = file
        if collectives.is_main_process():
            trainer.save_state()
        if trainer.metrics.step % trainer.steps == 0:
            checkpoints.save_best()  # after the state: a run that is killed in between does this when it goes on
        collectives.barrier()  # before any worker goes on or ends: an end of one is the end of all

    def delete_old(self):
        if collectives.is_main_process():
            super().delete_old()

    def _card(self):
        epochs, steps = divmod(self.trainer.metrics.step, self.trainer.steps)
        if not steps:
            return self.trainer.run.checkpoints.card_of("newest epoch of a run")
        return self.trainer.run.checkpoints.card_of(
            "newest step of a run", phase=self.trainer.number, epoch=epochs, steps=steps, metrics={})
