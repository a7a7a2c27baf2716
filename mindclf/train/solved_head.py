"""HeadSolver: the phase of training with optimizer=lbfgs, in which a head is solved on stored features."""

import logging
import time

import numpy as np
from mindspore import Tensor, nn
from mindspore.train import CheckpointConfig

from mindclf.calibration import calibrated, uncalibrated
from mindclf.dataset.draws import Draws
from mindclf.dataset.seen import with_validation_trained_on
from mindclf.distributed import collectives
from mindclf.metrics import compute_metrics
from mindclf.nets import freeze
from mindclf.report.history import shown_name
from mindclf.train.checkpointing import CardCheckpoint
from mindclf.train.softmax_regression import solve
from mindclf.train.state import save_state, state_path
from mindclf.train.tensorboard import EventFiles
from mindclf.train.tuning import Choice, Rows, choose_weight_decay

log = logging.getLogger(__name__)


class HeadSolver:
    """Solves the head of the net of `run`, a `Run`, in the phase of this `number` as the phase's `config` says.

    The head must be one dense layer, behind a pool and perhaps dropout, which does not act here. The backbone is frozen. What
    happens, in `train`:
    1. The weight decay is chosen (config.tune_weight_decay), by the metric config.monitor: on the validation images, of layers
       that the training images made, or by cross-validation over both. Only the first phase may do the latter: later ones have
       features of a backbone that saw the training images.
    2. The head is solved on the training images. A row of the history is an iteration of L-BFGS: its "epoch", its step length as
       "learning_rate", and the metrics on the monitored images, which this head has not seen.
    3. In the last phase (`is_last`) it is solved again on training and validation images together, and that head is kept. The
       card's metrics are those of 1 and 2, from before.
    The phase is one piece: nothing of it is saved before it is over, and a run that is killed begins it anew, with the same
    result. Of several workers the first one solves, and the others take its head; their number changes nothing.
    """

    def __init__(self, run, number, config, is_last=True):
        self.run, self.number, self.config, self.is_last = run, number, config, is_last
        self.num_classes = len(run.splits.classes)
        self.dense = dense_layer_of(run.net, config.net)
        freeze(run.net.backbone)

    def train(self):
        """Solves the head, and saves the net and the state of the run."""
        run, config = self.run, self.config
        monitored, self.monitored_name = run.splits.monitored
        train = run.features(run.net, run.splits.train, config, config.cached_views)
        measured = run.features(run.net, monitored, config)
        if collectives.is_main_process():
            self._solve(train, measured)
        collectives.broadcast_parameters(run.net.head)
        if not collectives.is_main_process():
            self._begin()
        collectives.barrier()

    def _solve(self, train, measured):
        run, config, checkpoints = self.run, self.config, self.run.checkpoints
        _check_finite(train[0], measured[0])
        has_validation = self.monitored_name == "held out"
        features, labels = train
        if has_validation:  # both in one array, of which train and measured become parts: features of many images take gigabytes
            features, labels = (np.concatenate(pair) for pair in zip(train, measured))
            count = len(train[1])
            train, measured = (features[:count], labels[:count]), (features[count:], labels[count:])
        options = {"label_smoothing": config.label_smoothing, "class_weights": run.class_weights}
        log.info("phase %d (head): solved by L-BFGS on features of %d images", self.number, len(labels))
        choice = self._tuned(features, labels, options)
        weight_decay = choice.weight_decay
        rows, result = self._iterations(train, measured, weight_decay, options)
        self._begin()
        for row in rows:
            run.history.append(row)
        solution, solved_on = result["solution"], "training images"
        if self.is_last and has_validation:
            solved_on = "training and validation images"
            solution = solve(features, labels, self.num_classes, weight_decay, start=solution.layer, **options)
            log.info("solved again on training and validation images: the validation metrics are from before that")
            seen = checkpoints.card.get("seen_images")
            if seen:
                checkpoints.card["seen_images"] = with_validation_trained_on(seen)
        if not solution.converged:
            log.warning("L-BFGS stopped after %d iterations before the gradient was small", solution.iterations)
        self._fill(solution.layer)
        how = f"head solved by L-BFGS on {solved_on}, weight decay {weight_decay:g}, {choice.how}"
        if solved_on != "training images":
            how += "; the validation metrics are of the head solved on training images alone"
        checkpoints.card["solved"] = {
            "weight_decay": weight_decay, "chosen": choice.how, "solved_on": solved_on, "iterations": solution.iterations,
            "converged": solution.converged,
            "trials": [{"weight_decay": trial.weight_decay, **trial.metrics.scalars()} for trial in choice.tried]}
        out_of_fold = {"out of fold": choice.best.metrics.scalars()} if choice.is_out_of_fold else {}
        fields = {"chosen": how}
        if self.is_last:
            fields["calibration"] = self._calibrated(labels, choice, result["logits"])
        checkpoints.after_solving(rows[-1], result["metrics"].scalars(), fields, out_of_fold)
        self._save(rows[-1])

    def _tuned(self, features, labels, options):
        """The `Choice` of the weight decay that the config asks for."""
        config, splits = self.config, self.run.splits
        by, valid = config.tune_weight_decay, len(splits.valid)
        if by == "no":
            return Choice(config.weight_decay, "as the config says")
        if by == "validation" and not valid:
            raise ValueError("tune_weight_decay=validation needs validation images, and there are none: set valid_fraction, or "
                             "tune_weight_decay=cross_validation")
        if by == "auto" and valid and self.number > 1:
            by = "validation"
        return choose_weight_decay(features, labels, self.num_classes, self._rows(),
                                   Draws(config.seed, self.number, 0).generator("folds"), by, config.monitor, **options)

    def _rows(self):
        splits = self.run.splits
        return Rows(len(splits.train), self.config.cached_views, len(splits.valid),
                    [*splits.train.digests(), *splits.valid.digests()])

    def _calibrated(self, labels, choice, logits):
        """What the card keeps as "calibration", of images that neither the head which gave the logits nor the backbone has seen.

        The logits are those of the `choice` where it was measured, else `logits`, those of the monitored images.
        """
        rows, first_valid = self._rows(), len(labels) - len(self.run.splits.valid)
        if choice.best:
            logits, measured = choice.best.logits, choice.measured
        elif self.monitored_name == "held out":
            measured = np.arange(first_valid, len(labels))
        else:
            return uncalibrated("there are no validation images, and the weight decay was not tuned in folds")
        digests = [rows.digests[image] for image in rows.of_image[measured]]
        copies = set() if choice.is_out_of_fold else set(rows.digests[:rows.images])  # which folds keep together
        before = self.run.seen_before.of(digests)
        seen = np.array([digest in copies or kind == "train" for digest, kind in zip(digests, before)])
        unseen = ~seen & ((self.number == 1) | (measured >= first_valid))
        count = unseen.sum()
        source = f"out-of-fold predictions of {count:,} images" if choice.is_out_of_fold else f"{count:,} validation images"
        return calibrated(logits[unseen], labels[measured[unseen]], self.config.target_error, source)

    def _iterations(self, train, measured, weight_decay, options):
        """(the rows of the history, {"solution", "logits", "metrics": of the monitored images}) of solving on training images."""
        features, labels = train
        rows, clock = [], [time.perf_counter()]

        def record(iteration, layer, loss, step):
            seconds = max(time.perf_counter() - clock[0], 1e-6)
            own = compute_metrics(layer.logits(features), labels, self.num_classes)
            seen = compute_metrics(layer.logits(measured[0]), measured[1], self.num_classes)
            rows.append({
                "phase": self.number, "epoch": iteration, "steps": iteration, "learning_rate": float(step),
                "train_loss": own.loss, "train_top1": own.top1, "watched": self.monitored_name, "loss": seen.loss,
                "top1": seen.top1, "top5": seen.top5, "images_per_second": len(labels) / seconds, "seconds": seconds,
                "data_seconds": 0.0})
            clock[0] = time.perf_counter()

        solution = solve(features, labels, self.num_classes, weight_decay, each=record, **options)
        if not rows:  # there is nothing to learn
            record(1, solution.layer, solution.loss, 0.0)
        logits = solution.layer.logits(measured[0])
        return rows, {"solution": solution, "logits": logits,
                      "metrics": compute_metrics(logits, measured[1], self.num_classes)}

    def _begin(self):
        if self.run.begin:
            self.run.begin()

    def _fill(self, layer):
        for parameter, value in ((self.dense.weight, layer.kernel), (self.dense.bias, layer.bias)):
            parameter.set_data(Tensor(value.astype(np.float32), parameter.dtype))

    def _save(self, row):
        """Writes the net into epochs/, then the state of the run, then the best weights, as after an epoch of other phases."""
        run, config, checkpoints = self.run, self.config, self.run.checkpoints
        checkpoint = CardCheckpoint(f"phase{self.number}", checkpoints.output / "epochs", CheckpointConfig(
            save_checkpoint_steps=1, keep_checkpoint_max=config.keep_checkpoint_max, saved_network=run.net),
            lambda: checkpoints.card_of("newest epoch of a run"))
        checkpoint.pattern = "phase*.ckpt"
        file = checkpoints.output / "epochs" / f"phase{self.number}-{row['epoch']}_1.ckpt"
        checkpoints.check()
        checkpoint.save(file, run.net)
        checkpoints.newest = file
        save_state(state_path(checkpoints.output), {"phase": self.number, "epochs": config.epochs, "steps": 0}, run.parts)
        checkpoints.save_best()
        checkpoint.delete_old()
        if config.tensorboard:
            events = EventFiles(checkpoints.output / "tensorboard")
            events.add(run.history.rows())
            events.close()
        log.info("%s top-1 %.2f%%, loss %.4f, after %d iterations", shown_name(row["watched"]), 100 * row["top1"], row["loss"],
                 row["epoch"])


def dense_layer_of(net, name):
    """The nn.Dense that the head of `net` is. Raises ValueError for a head with other weights, or with none."""
    layers = [cell for _, cell in net.head.cells_and_names() if isinstance(cell, nn.Dense)]
    own = sum(parameter.size for parameter in net.head.get_parameters())
    if len(layers) != 1 or not layers[0].has_bias or own != layers[0].weight.size + layers[0].bias.size:
        raise ValueError(f"optimizer=lbfgs solves a head that is one dense layer with a bias, and that of {name} is another: set "
                         f"optimizer=momentum")
    return layers[0]


def _check_finite(*arrays):
    for values in arrays:
        if not np.isfinite(values).all():
            raise ValueError("the backbone gives features that are not finite numbers: are its weights, pretrained=..., damaged?")
