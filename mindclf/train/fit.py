"""fit(config): from images to a checkpoint with its card, and to what shows how good it is."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mindspore import nn
from mindspore.dataset import Dataset
from mindspore.train import Callback, Metric

from mindclf.checkpoint import load_checkpoint
from mindclf.config import SOLVED, merge, phases_of
from mindclf.dataset import eval_pipeline
from mindclf.dataset.folder import check_class_index
from mindclf.dataset.seen import Seen, seen_by, warn_of_seen
from mindclf.dataset.splits import read_splits, with_statistics
from mindclf.device import describe_device, use_device
from mindclf.distributed import collectives
from mindclf.inference.logits import predict_logits
from mindclf.metrics import Metrics, compute_metrics
from mindclf.nets import ImageClassifier
from mindclf.preprocessing import Preprocessing
from mindclf.pretrained import check_start, parent_card, start_net
from mindclf.report.cross_validation import CrossValidation
from mindclf.report.history import HISTORY, HistoryFile
from mindclf.report.html import Measured
from mindclf.report.write import write_report
from mindclf.train.batches import check_count
from mindclf.train.calibrating import calibration_of
from mindclf.train.checkpointing import CheckpointManager, complete_card, run_card
from mindclf.train.class_weights import weights_of_classes
from mindclf.train.distillation import Teacher
from mindclf.train.estimate import best_seconds
from mindclf.train.folds import Folds, FoldTrainer, check_folds
from mindclf.train.given import Given
from mindclf.train.output import OutputFolder, numbered
from mindclf.train.phase import PhaseTrainer, Run
from mindclf.train.resume import earlier_run
from mindclf.train.solved_head import HeadSolver, dense_layer_of
from mindclf.train.tensorboard import check_tensorboard
from mindclf.utils.cache import use_cache
from mindclf.utils.files import REMEDIES, CannotWrite, cannot_write, first_line, is_below
from mindclf.utils.logs import shown_log
from mindclf.utils.signals import StopSignals

log = logging.getLogger(__name__)

FEW_TEST_IMAGES = 20  # fewer, and one of them is more than 5 points of accuracy
NOT_BEGUN = "nothing is trained yet, start it again"  # what a run that is stopped says before its first step


@dataclass(frozen=True)
class Fitted:
    """What `fit` made: the checkpoint to use, its report on the test images of `classes`, where data and weights came from.

    `folds` is the cross-validation, with config.folds. `best_seconds` is about how long `train FOLDER --best` would take here,
    measured where a head alone was solved, else 0.
    """

    checkpoint: Path
    report: Metrics
    data_origin: str
    weights_origin: str
    classes: tuple
    folds: CrossValidation | None = None
    seconds: float = 0.0
    calibration: Mapping = field(default_factory=dict)  # the card's, see mindclf.calibration
    best_seconds: float = 0.0


@dataclass(frozen=True)
class Rules:
    """How `fit` treats what a config leaves open, see there."""

    shrink_batches: bool = False
    or_next: bool = False
    may_extend: bool = True


def fit(config: Mapping | None = None, /, *, net: ImageClassifier | str | None = None, loss: nn.Cell | None = None,
        optimizer: nn.Optimizer | Callable | str | None = None, metrics: Mapping[str, Metric] | None = None,
        callbacks: Sequence[Callback] = (), train_dataset: Dataset | None = None, shrink_batches: bool = False,
        or_next: bool = False, may_extend: bool = True, verbose: bool = True, **fields: Any) -> Fitted:
    """Trains as `config` says, a dict of fields (see docs/config.md), and returns a `Fitted`.

    Fields may also be keyword arguments: fit(dataset="garbage26", net="resnet18", epochs=5). The log, a table with a line an
    epoch, appears unless the caller has set up Python's logging, which then decides; with verbose=False only warnings do.

    Writes to config.output: best.ckpt and last.ckpt with their cards, epochs/ with the newest finished epoch, history.csv, and
    what `write_report` writes. The report is that of the best weights (see `CheckpointManager`) on the test images. Without
    validation images the test images are monitored after each epoch: they choose nothing, but a learning rate that follows what
    is monitored, schedule="plateau", follows them, and the log and the card say so. Raises ValueError for what a user can fix in
    the config, the images or the weights.

    Objects of one's own take the place of those that the config names: `net`, an ImageClassifier as `create_net` makes it, with
    its weights; `loss`, a Cell of (logits (N, classes), labels); `optimizer`, an nn.Optimizer with the config's loss_scale, or
    of several phases a function of (net, learning_rates) that makes one; `metrics`, {name: mindspore.train.Metric} that see
    logits and labels and are logged and kept in the card; `callbacks`, MindSpore's; `train_dataset`, a MindSpore dataset of
    (images (N, 3, height, width), labels) batches. What of these cannot be resumed is refused with resume=True.

    The folder config.output belongs to this run until it ends. If another run that is alive has it, `or_next` has this one take
    the next free name, see `OutputFolder`; otherwise that raises InUse, a ValueError. An earlier run in it is moved aside after
    the first step of training, when all that can be wrong with a command has shown. With `shrink_batches` a batch_size that is
    more than the training images becomes as many as there are, and the log says so.

    With resume=True it goes on with a run in config.output that was interrupted, even killed, and ends with the same weights and
    metrics to the last bit, on the same machine. A run that is finished is only reported again. With other epochs, of a phase
    that is not over or of the last one of a finished run, it goes on too, if it `may_extend`: from there on the learning rates
    are those of a schedule over the new number of epochs, and the card says so. SIGINT and SIGTERM raise `Stopped`, in training
    after the step, once that is saved; a run that is killed goes on from the newest checkpoint in epochs/. What cannot be
    written, as on a full disk, raises CannotWrite, and what was saved before stays.

    Where `msrun` started several workers (see mindclf.distributed.launch), all of them call this. Each trains on its shard of
    every batch, and the main process writes. On several machines resume=True needs an output folder that all of them see.
    """
    if isinstance(net, str):
        fields["net"], net = net, None
    if isinstance(optimizer, str):
        fields["optimizer"], optimizer = optimizer, None
    given = Given(net, loss, optimizer, metrics or {}, tuple(callbacks), train_dataset)
    with shown_log(verbose), StopSignals(NOT_BEGUN) as signals:
        config = merge(config or {}, fields)
        given.check(config)
        use_cache(config.cache_dir)
        try:
            return _claimed_fit(config, signals, given, Rules(shrink_batches, or_next, may_extend))
        except OSError as error:
            if isinstance(error, CannotWrite):
                said = first_line(error)
            elif error.errno in REMEDIES and is_below(error, Path(config.output)):
                said = cannot_write(error.filename or config.output, error)
            else:
                raise
            saved = "what was saved before is whole, and " if signals.advice != NOT_BEGUN else ""
            raise CannotWrite(f"{said}; {saved}{signals.advice}") from error
        except RuntimeError as error:  # what MindSpore makes of an error in the pipeline, as for an image that is gone by now
            cause = re.search(r"^\s*(?:ValueError|[\w.]+RefusedError): (?!Traceback)(.+)", str(error), re.MULTILINE)
            if not cause:
                raise
            raise ValueError(f"{cause[1]}; {signals.advice}") from error


def _claimed_fit(config, signals, given, rules):
    """As `fit`, with a merged config: sets up the device and claims the output folder for as long as it trains."""
    started = time.perf_counter()
    if config.tensorboard:
        check_tensorboard()
    check_start(config)
    device = use_device(config.device_target)
    collectives.join()
    if not collectives.is_main_process():
        logging.getLogger("mindclf").setLevel(logging.ERROR)
    log.info("device %(target)s: %(processor)s, %(cores)d cores, oneDNN instruction set %(onednn_isa)s, kernels %(kernels)s",
             describe_device(device))
    if collectives.size() > 1:
        log.info("%d workers, which train on %d times the batch_size", collectives.size(), collectives.size())
    folder = OutputFolder(config.output, rules.or_next) if collectives.is_main_process() else None
    try:
        number = int(collectives.all_reduce_sum([folder.number if folder else 0])[0])
        again = ""
        if number:
            config.output = str(numbered(config.output, number))
            again = f"output={config.output} "
        fitted = _train_and_report(folder, config, signals, device, again, given, rules)
    finally:
        if folder:
            folder.release()
    return replace(fitted, seconds=time.perf_counter() - started)


def _train_and_report(folder, config, signals, device, again, given, rules):
    """As `fit`, once `folder` is claimed. `again` is what the same command needs to find it, besides resume=true."""
    with collectives.rank_zero_first():
        splits = read_splits(config)
    log.info("%d training, %d validation and %d test images of %d classes: %s (%s)", len(splits.train), len(splits.valid),
             len(splits.test), len(splits.classes), splits.origin, splits.path)
    folds = Folds.of(config, splits) if config.folds else None
    config = _checked_against(splits, config, given, rules, folds)
    weights = weights_of_classes(config.class_weights, splits.train, check_class_index(config.class_index))
    with collectives.rank_zero_first():
        net, config, weights_origin = start_net(with_statistics(config, splits.train), len(splits.classes), given.net)
    if any(phase.optimizer in SOLVED for phase in phases_of(config)):
        dense_layer_of(net, config.net)
    parent = parent_card(config)
    for purpose, images in (("validation", splits.valid), ("test", splits.test)):
        warn_of_seen(images, seen_by(parent), f"pretrained={config.pretrained}", purpose)
    if folds:
        warn_of_seen(folds.images, seen_by(parent), f"pretrained={config.pretrained}", "cross-validation")
    teacher = Teacher(config, splits) if config.teacher else None
    card = run_card(config, splits, weights_origin, device, parent, teacher)
    if weights is not None:
        card["class_weights"] = {name: round(float(weight), 6) for name, weight in zip(splits.classes, weights)}
        log.info("class weights: %s", ", ".join(f"{name} {weight:.3g}" for name, weight in card["class_weights"].items()))
    collectives.check_same(images=splits.digest(), classes=repr(splits.classes), fields=repr(card["config"]),
                           versions=repr(card["versions"]))
    collectives.broadcast_parameters(net)
    with collectives.rank_zero_first():
        state = earlier_run(config.output, card, rules.may_extend) if config.resume else None
    collectives.check_same(**{"state of the run to resume": repr(state and getattr(state, "position", state))})
    output, check = Path(config.output), folder.check if folder else lambda: None
    if state == "finished":
        log.info("the run in %s is finished: reporting it again", output)
        best = output / "best.ckpt"
    else:
        how = "" if config.resume else f" with {again}resume=true"
        history = HistoryFile(output / HISTORY, check)
        run = Run(net, splits, CheckpointManager(net, output, card, check, config.monitor, config.choose_epoch), history, signals,
                  _beginning(folder, history, signals, f"the same command{how} goes on with the run in {output}"), given, weights,
                  seen_by(parent) or Seen(), teacher=teacher)
        best = _train(run, config, state)
    found, more = None, f"the weights are in {output}; the same command with {again}resume=true"
    if folds:
        signals.advice = f"{more} goes on with the folds"
        found = FoldTrainer(folds, config, device, given, signals, check, _train, teacher).run(best)
    signals.advice = f"{more} makes the report"

    if collectives.is_main_process():
        load_checkpoint(best, net)
    collectives.broadcast_parameters(net)
    batches = eval_pipeline(collectives.shard(splits.test), Preprocessing.from_config(config), config.eval_batch_size)
    logits, labels = (collectives.unshard(rows, len(splits.test)) for rows in predict_logits(net, batches))
    result = compute_metrics(logits, labels, len(splits.classes))
    if collectives.is_main_process():
        folder.check()  # the card in it is read next
    calibration = calibration_of(best, net, splits, seen_by(parent) or Seen(), config, found)
    is_head_alone = all(phase.optimizer in SOLVED for phase in phases_of(config))
    fitted = Fitted(best, result, splits.origin, weights_origin, splits.classes, found, calibration=calibration,
                    best_seconds=best_seconds(net, config, len(splits.train)) if is_head_alone else 0.0)
    if not collectives.is_main_process():
        return fitted
    rows = HistoryFile(output / HISTORY).rows()
    folder.check()
    card = complete_card(best, {**result.scalars(), **given.measure(logits, labels, "test")}, rows,
                         calibration, **({"cross_validation": found.summary()} if found else {}))
    write_report(output, Measured(best, net, card, splits.origin, splits.test, logits, result, rows, folds=found), config)
    log.info("%s: top-1 %.2f%%, top-5 %.2f%%, loss %.4f on %d test images", best.name, 100 * result.top1, 100 * result.top5,
             result.loss, result.images)
    imbalance = result.imbalance(splits.classes)
    if imbalance:
        log.info("balanced accuracy %s", imbalance)
    return fitted


def _checked_against(splits, config, given, rules, folds):
    """The config, perhaps with smaller batches. Raises ValueError, or warns, for too few classes or images."""
    if len(splits.classes) < 2:
        raise ValueError(f"there is one class, {splits.classes[0]!r}: a net needs two to tell apart")
    descends = any(phase.optimizer not in SOLVED for phase in phases_of(config))
    if rules.shrink_batches and descends:
        config = _with_smaller_batches(config, folds.least if folds else len(splits.train))
    if folds:
        check_folds(folds, config)
    if given.train_dataset is None:
        for phase in phases_of(config):
            if phase.optimizer not in SOLVED:
                check_count(len(splits.train) * max(phase.cached_views, 1), phase.batch_size, phase.accumulation_steps)
    patience = max(phase.early_stopping_patience for phase in phases_of(config))
    if patience and not len(splits.valid):
        raise ValueError(f"early_stopping_patience={patience} needs validation images, and there are none: set valid_fraction, "
                         f"or early_stopping_patience=0")
    _warn_of_few(splits, config, descends)
    return config


def _beginning(folder, history, signals, advice):
    """What a run calls after its first step: clears `folder`, its OutputFolder, and begins the history.

    From then on `advice` says what to do when a signal stops the run.
    """
    def begin():
        if collectives.is_main_process():
            folder.clear()
            history.begin()  # from here on the folder is known as that of a run
        signals.advice = advice

    begin.advice = advice
    return begin


def _with_smaller_batches(config, count):
    """`config` with batches that `count` training images fill, for each worker, in all phases that descend."""
    largest = max(1, count // collectives.size())
    too_large = [phase.batch_size for phase in phases_of(config) if phase.optimizer not in SOLVED and phase.batch_size > largest]
    if not too_large:
        return config
    log.warning("batch_size=%d is more than the training images, %d: it is %d here", max(too_large), count, largest)
    phases = [{**phase, **({"batch_size": min(phase["batch_size"], largest)} if "batch_size" in phase else {})}
              for phase in config.phases]
    return merge(config, {"batch_size": min(config.batch_size, largest), "phases": phases})


def _warn_of_few(splits, config, descends):
    if len(splits.test) < FEW_TEST_IMAGES:
        log.warning("there are %d test images: accuracy on them means little, for one is %.0f points", len(splits.test),
                    100 / len(splits.test))
    if config.valid_fraction and not len(splits.valid) and descends:
        log.warning("the %d training images are too few for a validation set: the last epoch is kept, not the best",
                    len(splits.train))


def _train(run, config, state=None):
    """Trains the net of `run` in all phases, from `state` on if that is a TrainingState; returns the path of the best weights."""
    position = {"phase": 1, "epochs": 0}
    if state is None:
        if config.resume:
            log.info("there is no run in %s to resume: starting afresh", config.output)
    else:
        run.signals.advice, run.begin = run.begin.advice, None
        position = state.position
        log.info("going on after epoch %d of phase %d%s", position["epochs"], position["phase"],
                 f" and {position['steps']} steps of the next" if position["steps"] else "")
        for name, part in run.parts.items():
            if name != "history" or collectives.is_main_process():
                part.load_state_dict(state.parts[name])
        if not position["steps"] and run.checkpoints.newest.parent.name == "epochs":
            run.checkpoints.save_best()  # the run may have been killed before it could
    for number, phase in enumerate(phases_of(config), start=1):
        if (number, phase.epochs) <= (position["phase"], position["epochs"]) or run.checkpoints.stopped(number):
            continue
        if phase.optimizer in SOLVED:
            HeadSolver(run, number, phase, is_last=number == len(phases_of(config))).train()
            run.begin = None
            continue
        trainer = PhaseTrainer(run, number, phase)
        if state and number == position["phase"]:
            trainer.load_state_dict(state.parts)
        trainer.train()
        run.begin = None
    run.checkpoints.note_changes(run.splits)
    return run.checkpoints.finish(keep_epochs=config.keep_checkpoint_max != 1)
