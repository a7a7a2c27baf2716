"""Cross-validation: a net for each fold of the images, trained without that fold and measured on it."""

from __future__ import annotations

import hashlib
import logging
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mindclf.checkpoint import card_path, load_checkpoint, read_card
from mindclf.config import SOLVED, merge, phases_of
from mindclf.dataset import ImageSet, eval_pipeline
from mindclf.dataset.content import chosen_for_validation
from mindclf.dataset.draws import Draws
from mindclf.dataset.folder import check_class_index
from mindclf.dataset.near_duplicates import content_groups
from mindclf.dataset.splits import Splits
from mindclf.distributed import collectives
from mindclf.inference.logits import predict_logits
from mindclf.preprocessing import Preprocessing
from mindclf.pretrained import parent_card, start_net
from mindclf.report.cross_validation import CrossValidation
from mindclf.report.history import HISTORY, HistoryFile
from mindclf.train.batches import check_count
from mindclf.train.checkpointing import CheckpointManager, run_card
from mindclf.train.class_weights import weights_of_classes
from mindclf.train.features import SharedFeatures, feature_batches
from mindclf.train.phase import Run
from mindclf.train.resume import FREE_FIELDS, earlier_run
from mindclf.train.state import write_arrays
from mindclf.train.tuning import folds_of

log = logging.getLogger(__name__)

FOLDS, PREDICTIONS = "folds", "predictions.npz"  # folder in the output of a run, and file in the folder of a fold


@dataclass(frozen=True)
class Folds:
    """The training and validation `images` of a run (n), the `fold` of each (n,), from 0, and the `splits` of each fold's run.

    `whole` are the splits of the run itself.
    """

    whole: Splits
    images: ImageSet
    fold: np.ndarray
    splits: tuple[Splits, ...]

    @classmethod
    def of(cls, config, splits: Splits) -> Folds:
        """config.folds folds of the training and validation images of `splits`, drawn by config.seed.

        Each class is spread evenly over the folds. Images that show the same (see `content_groups`) share a fold. Of the images
        that a net is trained on, a fraction is for validation as in `splits`. Raises ValueError where no class has so many
        different images.
        """
        images = splits.train.joined(splits.valid)
        groups = content_groups(images)
        fold = folds_of(np.asarray(images.labels), groups, Draws(config.seed, 0, 0).generator("cross-validation"), config.folds)
        if fold.max() + 1 < config.folds:
            raise ValueError(f"folds={config.folds} needs a class with so many different images to train on, and the largest "
                             f"here has {fold.max() + 1}: set fewer, or add images")
        alone = [name for label, name in enumerate(images.classes)
                 if len(set(groups[np.asarray(images.labels) == label])) == 1]
        if alone:
            log.warning("cross-validation: of class %s all images show the same, so that no net has seen it that is measured on "
                        "it", ", ".join(alone))
        fraction = len(splits.valid) / len(images)
        return cls(splits, images, fold, tuple(_without(images, fold == number, fraction, splits, config.seed)
                                       for number in range(config.folds)))

    @property
    def least(self) -> int:
        """The number of training images in the fold that has the fewest."""
        return min(len(splits.train) for splits in self.splits)


def _without(images, is_test, fraction, splits, seed):
    """The Splits of the run that is measured on the images for which `is_test`."""
    rest, test = images.divided(is_test)
    train, valid = rest.divided(chosen_for_validation(rest.digests(), rest.labels, fraction, seed))
    return Splits(train, valid, test, splits.origin, splits.path)


class FoldTrainer:
    """Trains and measures the nets of `folds`, one after another, in folders of their own below that of the run.

    `train` makes the best weights of a `Run`, as in the run itself, from (run, config, state). What a fold predicts is kept in
    its folder, and its weights are not. A run that is killed goes on with the fold that it was at, from where that was last
    saved. `check` is called before anything is written. Of several workers the main one writes.
    """

    def __init__(self, folds: Folds, config, device, given, signals, check: Callable, train: Callable, teacher=None):
        self.folds, self.config, self.device, self.given = folds, config, device, given
        self.signals, self.check, self.train, self.teacher = signals, check, train, teacher
        self.features = SharedFeatures(folds.whole.train, folds.whole.valid)

    def run(self, best: Path) -> CrossValidation:
        """What comes out. `best` are the weights of the run itself, after which this comes.

        The weight decay that was tuned there is taken for all folds, so that heads take seconds: of a few candidates, chosen on
        all of these images, it makes the result look better by much less than its interval.
        """
        if len(phases_of(self.config)) == 1 and phases_of(self.config)[0].optimizer in SOLVED:
            decay = read_card(best)["solved"]["weight_decay"] if collectives.is_main_process() else 0.0
            self.config = merge(self.config, {"tune_weight_decay": "no",
                                              "weight_decay": float(collectives.all_reduce_sum([decay])[0])})
        logits = None
        for number, splits in enumerate(self.folds.splits):
            found = self._logits(number, splits)
            logits = np.empty((len(self.folds.fold), found.shape[1]), found.dtype) if logits is None else logits
            logits[self.folds.fold == number] = found
        result = CrossValidation(self.folds.images, self.folds.fold, logits)
        log.info("cross-validation: %s", result.described())
        return result

    def _logits(self, number, splits):
        """The logits of the images of a fold, by a net that is trained on the others, or as an earlier run kept them."""
        folder = Path(self.config.output) / FOLDS / str(number + 1)
        identity = self._identity(splits)
        kept = _kept(folder / PREDICTIONS, identity)
        if collectives.all_reduce_sum(kept is not None) == collectives.size():
            return kept
        log.info("fold %d of %d: %d training, %d validation and %d test images", number + 1, self.config.folds,
                 len(splits.train), len(splits.valid), len(splits.test))
        if collectives.is_main_process() and (folder / PREDICTIONS).exists():
            shutil.rmtree(folder)  # of another configuration
        collectives.barrier()
        net, config, best, features = self._trained(folder, splits)
        if collectives.is_main_process():
            load_checkpoint(best, net)
        collectives.broadcast_parameters(net)
        logits = _predicted(net, config, splits.test, features)
        if collectives.is_main_process():
            self.check()
            write_arrays(folder / PREDICTIONS, logits=logits, identity=np.array(identity))
            for name in ("best.ckpt", "last.ckpt"):
                (folder / name).unlink()
                card_path(folder / name).unlink()
        collectives.barrier()
        return logits

    def _trained(self, folder, splits):
        """(net, its config, the path of its best weights, what computes features) of a fold's run in `folder`."""
        config = self.config
        with collectives.rank_zero_first():
            net, config, origin = start_net(config, len(splits.classes), None)
        config.output = str(folder)
        weights = weights_of_classes(config.class_weights, splits.train, check_class_index(config.class_index))
        card = run_card(config, splits, origin, self.device, parent_card(config), self.teacher)
        collectives.broadcast_parameters(net)
        with collectives.rank_zero_first():
            state = earlier_run(folder, card)
        collectives.check_same(**{"state of the fold to resume": repr(state and getattr(state, "position", state))})
        features = lambda images, views=1: self.features.of(net, images, config, views)  # noqa: E731
        if state == "finished":
            return net, config, folder / "best.ckpt", features
        history = HistoryFile(folder / HISTORY, self.check)
        run = Run(net, splits, CheckpointManager(net, folder, card, self.check, config.monitor, config.choose_epoch), history,
                  self.signals, _Beginning(folder, history, self.signals.advice), self.given, weights,
                  features=self.features.of, teacher=self.teacher)
        config.resume = False  # of the run: whether the fold goes on is decided by now
        return net, config, self.train(run, config, state), features

    def _identity(self, splits):
        """A text that changes with the images of a fold and with every field that its weights depend on."""
        fields = sorted((name, repr(value)) for name, value in self.config.items() if name not in FREE_FIELDS)
        return hashlib.sha256(repr((splits.digest(), fields, collectives.size())).encode()).hexdigest()


class _Beginning:
    """What the run of a fold calls after its first step: begins the history. `advice` is what to do when a signal stops it."""

    def __init__(self, folder, history, advice):
        self.folder, self.history, self.advice = folder, history, advice

    def __call__(self):
        if collectives.is_main_process():
            self.history.check()
            self.folder.mkdir(parents=True, exist_ok=True)
            self.history.begin()


def check_folds(folds: Folds, config) -> None:
    """Raises ValueError where a batch is more than the training images of a fold."""
    for phase in phases_of(config):
        if phase.optimizer not in SOLVED:
            try:
                check_count(folds.least * max(phase.cached_views, 1), phase.batch_size)
            except ValueError as error:
                raise ValueError(f"{error} of a fold: set a smaller batch_size, or more folds") from None


def _predicted(net, config, images, features):
    """Logits (n, classes) of `images`; a head on stored features takes those."""
    indices = collectives.shard_indices(len(images))
    if phases_of(config)[-1].cached_views:
        net, batches = net.head, feature_batches(*features(images), config.eval_batch_size, indices)
    else:
        batches = eval_pipeline(collectives.shard(images), Preprocessing.from_config(config), config.eval_batch_size)
    return collectives.unshard(predict_logits(net, batches)[0], len(images))


def _kept(file, identity):
    """The logits in `file`; None where it is missing, damaged or of another identity."""
    if not file.is_file():
        return None
    try:
        with np.load(file, allow_pickle=False) as archive:
            return archive["logits"] if str(archive["identity"]) == identity else None
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
        log.warning("%s is damaged: its fold is trained again", file)
        return None
