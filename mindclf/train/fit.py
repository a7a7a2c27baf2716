"""fit(config): from images to a checkpoint with its card, and to what shows how good it is."""

import logging
import re
import time
from dataclasses import dataclass, replace
from pathlib import Path

from mindclf.checkpoint import fill_net, load_checkpoint
from mindclf.config import merge, phases_of
from mindclf.dataset import eval_pipeline
from mindclf.dataset.seen import seen_by, warn_of_seen
from mindclf.dataset.splits import read_splits, with_statistics
from mindclf.device import describe_device, use_device
from mindclf.distributed import collectives
from mindclf.evaluate import predict_logits
from mindclf.metrics import Metrics, compute_metrics
from mindclf.preprocessing import Preprocessing
from mindclf.pretrained import check_start, parent_card, start_net
from mindclf.report import plots
from mindclf.report.html import Measured, page
from mindclf.train.batches import check_count
from mindclf.train.callbacks import read_history, start_history
from mindclf.train.checkpointing import Keeper, complete_card, make_card
from mindclf.train.output import HISTORY, OutputFolder, numbered
from mindclf.train.phase import train_phase
from mindclf.train.resume import earlier_run
from mindclf.train.tensorboard import check_tensorboard
from mindclf.utils.cache import use_cache
from mindclf.utils.files import REMEDIES, CannotWrite, cannot_write, first_line, is_below, write_json, write_text
from mindclf.utils.signals import StopSignals

log = logging.getLogger(__name__)

FEW_TEST_IMAGES = 20  # fewer, and one of them is more than 5 points of accuracy
NOT_BEGUN = "nothing is trained yet, start it again"  # what a run that is stopped says before its first step


@dataclass(frozen=True)
class Fitted:
    """What `fit` made: the checkpoint to use, its report on the test images of `classes`, where data and weights came from."""

    checkpoint: Path
    report: Metrics
    data_origin: str
    weights_origin: str
    classes: tuple
    seconds: float = 0.0


def fit(config, shrink_batches=False, or_next=False, may_extend=True):
    """Trains as `config` says (see mindclf.config.DEFAULTS) and returns a `Fitted`.

    With `shrink_batches` a batch_size that is more than the training images becomes as many as there are, and the log says so.

    Writes to config.output: best.ckpt and last.ckpt with their cards, epochs/ with the newest finished epoch, history.csv, and
    what `write_report` writes. The report is that of the best weights (see `Keeper`) on the test images. With none held out
    those are also watched after each epoch: they choose nothing, but a rate that follows what is watched, schedule="plateau",
    follows them, and the log and the card say so. Raises ValueError for what a user can mend in the config, the images or the
    weights.

    The folder config.output belongs to this run until it ends. If another run that is alive has it, `or_next` has this one take
    the next free name, see `OutputFolder`; otherwise that raises InUse, a ValueError. An earlier run in it is moved aside after
    the first step of training, when all that can be wrong with a command has shown.

    With resume=True it goes on with a run in config.output that was interrupted, even killed, and ends with the same weights and
    figures to the last bit, on the same machine. A run that is finished is only reported again. With other epochs, of a phase
    that is not over or of the last one of a finished run, it goes on too, if it `may_extend`: from there on the learning rates
    are those of a schedule over the new number of epochs, and the card says so. SIGINT and SIGTERM raise
    `Stopped`, in training after the step, once that is kept; a run that is killed goes on from the end of its newest epoch. What
    cannot be written, as on a full disk, raises CannotWrite, and what was saved before stays.

    Where `msrun` started several workers (see mindclf.distributed.launch), all of them call this. Each trains on its part of
    every batch, and the first one writes. On several machines resume=True needs an output folder that all of them see.
    """
    with StopSignals(NOT_BEGUN) as signals:
        config = merge(config, {})
        use_cache(config.cache_dir)
        try:
            return _fit(config, signals, shrink_batches, or_next, may_extend)
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


def _fit(config, signals, shrink_batches, or_next, may_extend):
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
    folder = OutputFolder(config.output, or_next) if collectives.is_main_process() else None
    try:
        number = int(collectives.all_reduce_sum([folder.number if folder else 0])[0])
        again = ""
        if number:
            config.output = str(numbered(config.output, number))
            again = f"output={config.output} "
        fitted = _fit_in(folder, config, signals, device, again, shrink_batches, may_extend)
    finally:
        if folder:
            folder.release()
    return replace(fitted, seconds=time.perf_counter() - started)


def _fit_in(folder, config, signals, device, again, shrink_batches, may_extend):
    """As `fit`, once `folder` is claimed. `again` is what the same command needs to find it, besides resume=true."""
    with collectives.rank_zero_first():
        splits = read_splits(config)
    log.info("%d training, %d held-out and %d test images of %d classes: %s (%s)", len(splits.train), len(splits.valid),
             len(splits.test), len(splits.classes), splits.origin, splits.path)
    if len(splits.classes) < 2:
        raise ValueError(f"there is one class, {splits.classes[0]!r}: a net needs two to tell apart")
    if shrink_batches:
        config = _with_smaller_batches(config, len(splits.train))
    for phase in phases_of(config):
        check_count(len(splits.train) * max(phase.cached_views, 1), phase.batch_size)
    _warn_of_few(splits, config)
    with collectives.rank_zero_first():
        net, config, weights_origin = start_net(with_statistics(config, splits.train), len(splits.classes))
    parent = parent_card(config)
    for purpose, images in (("validation", splits.valid), ("test", splits.test)):
        warn_of_seen(images, seen_by(parent), f"pretrained={config.pretrained}", purpose)
    card = make_card(config, splits, weights_origin, device, parent)
    collectives.check_same(images=splits.digest(), classes=repr(splits.classes), fields=repr(card["config"]),
                       versions=repr(card["versions"]))
    collectives.broadcast_parameters(net)
    with collectives.rank_zero_first():
        state = earlier_run(config.output, card, may_extend) if config.resume else None
    collectives.check_same(**{"state of the run to go on with": repr(state and getattr(state, "facts", state))})
    output = Path(config.output)
    if state == "finished":
        log.info("the run in %s is finished: reporting it again", output)
        best = output / "best.ckpt"
    else:
        how = "" if config.resume else f" with {again}resume=true"
        best = train(net, config, splits, card, signals, f"the same command{how} goes on with the run in {output}", folder, state)
    signals.advice = f"the weights are in {output}; the same command with {again}resume=true makes the report"

    if collectives.is_main_process():
        load_checkpoint(best, net)
    collectives.broadcast_parameters(net)
    batches = eval_pipeline(collectives.shard(splits.test), Preprocessing.from_config(config), config.eval_batch_size)
    logits, labels = (collectives.unshard(rows, len(splits.test)) for rows in predict_logits(net, batches))
    result = compute_metrics(logits, labels, len(splits.classes))
    fitted = Fitted(best, result, splits.origin, weights_origin, splits.classes)
    if not collectives.is_main_process():
        return fitted
    history = read_history(output / HISTORY)
    card = complete_card(best, result, history)
    write_report(output, Measured(best, net, card, splits.origin, splits.test, logits, result, history), config)
    log.info("%s: top-1 %.2f%%, top-5 %.2f%%, loss %.4f on %d test images", best.name, 100 * result.top1, 100 * result.top5,
             result.loss, result.images)
    imbalance = result.imbalance(splits.classes)
    if imbalance:
        log.info("balanced accuracy %s", imbalance)
    return fitted


def _with_smaller_batches(config, count):
    """`config` with batches that `count` training images fill, for each worker."""
    largest = max(1, count // collectives.size())
    if config.batch_size <= largest:
        return config
    log.warning("batch_size=%d is more than the training images, %d: it is %d here", config.batch_size, count, largest)
    return merge(config, {"batch_size": largest})


def _warn_of_few(splits, config):
    if len(splits.test) < FEW_TEST_IMAGES:
        log.warning("there are %d test images: accuracy on them means little, for one is %.0f points", len(splits.test),
                    100 / len(splits.test))
    if config.valid_fraction and not len(splits.valid):
        log.warning("the %d training images are too few for a validation set: the last epoch is kept, not the best",
                    len(splits.train))


def train(net, config, splits, card, signals, goes_on, folder, state=None):
    """Trains `net` in all phases of `config`, from `state` on if that is a RunState; returns the path of the best checkpoint.

    After the first step it clears `folder`, the OutputFolder config.output of the first worker, and begins the history. From
    then on, what `goes_on` says is the advice of `signals`.
    """
    output = Path(config.output)
    keeper = Keeper(net, output, card)

    def begin():
        if collectives.is_main_process():
            folder.clear()
            start_history(output / HISTORY)  # from here on the folder is known as that of a run
        signals.advice = goes_on

    if state is None:
        if config.resume:
            log.info("nothing to go on with in %s: starting afresh", output)
        done = {"phase": 1, "epochs": 0}
    else:
        signals.advice = goes_on
        done = state.facts["position"]
        log.info("going on after epoch %d of phase %d%s", done["epochs"], done["phase"],
                 f" and {done['steps']} steps of the next" if done["steps"] else "")
        fill_net(net, state.group("net"), state.path)
        if collectives.is_main_process():
            write_text(output / HISTORY, state.facts["history"])
        keeper.restore(state.facts)
        if not done["steps"] and keeper.snapshot.exists():
            keeper.save_best()  # the run may have been killed before it could
    for number, phase in enumerate(phases_of(config), start=1):
        if (number, phase.epochs) > (done["phase"], done["epochs"]):
            train_phase(net, number, phase, splits, keeper, signals, begin if state is None and number == 1 else None,
                        state if number == done["phase"] else None)
    return keeper.finish()


def write_report(output, measured, config):
    """Writes report.json, classes.png, confusion.png, predictions.png and report.html about `measured` into the folder `output`.

    And curves.png, if it has a history. predictions.png has config.grid_rows x config.grid_columns of the images. report.html
    (see `page`) has everything but that grid in one file, and the worst mistakes with their heat.
    """
    images, result = measured.images, measured.metrics
    output.mkdir(parents=True, exist_ok=True)
    write_json(output / "report.json", {"classes": list(images.classes), **result.as_dict()})
    plots.confusion_matrix(result.confusion, images.classes, output / "confusion.png")
    plots.class_accuracy(result.per_class, images.classes, output / "classes.png")
    plots.prediction_grid(images, measured.logits, output / "predictions.png", config.grid_rows, config.grid_columns)
    if measured.history:
        plots.training_curves(measured.history, output / "curves.png")
    write_text(output / "report.html", page(measured, output))
