"""Learning-rate range test: the loss while the learning rate rises from step to step (Smith, arXiv:1506.01186, section 3.3)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from mindspore.train import Callback

from mindclf.config import SOLVED, merge, phases_of
from mindclf.dataset.folder import check_class_index
from mindclf.dataset.splits import read_splits, with_statistics
from mindclf.device import exclusive, use_device
from mindclf.nets import freeze, seed_dropout
from mindclf.pretrained import check_start, start_net
from mindclf.train.batches import check_count, images_in_step
from mindclf.train.class_weights import weights_of_classes
from mindclf.train.model import create_model
from mindclf.train.phase_batches import phase_batches
from mindclf.utils.progress import progress_bar

LOWEST, HIGHEST = 1e-6, 10.0  # learning rates of the first and the last step
WINDOW = 4                    # a smoothed loss is the mean over so many steps before and after, too
DIVERGED = 4.0                # times the lowest loss so far: the test ends
FRACTION = 0.1                # the suggested rate is that of the lowest loss times this
LEAST_FALL = 0.05             # of the loss at the first rates; if it falls by less, nothing is suggested


@dataclass(frozen=True)
class RangeTest:
    """What a range test found: `rates` and `losses` (steps,) of its steps, the images of a step, the optimizer."""

    rates: np.ndarray
    losses: np.ndarray
    images: int
    optimizer: str
    planned_steps: int

    @property
    def smoothed(self) -> np.ndarray:
        """The losses (steps,), each the mean with its neighbours: WINDOW on each side, fewer near the ends."""
        return np.array([self.losses[max(step - WINDOW, 0):step + WINDOW + 1].mean() for step in range(len(self.losses))])

    @property
    def lowest(self) -> int:
        """The step with the lowest smoothed loss."""
        return int(self.smoothed.argmin())

    @property
    def suggestion(self) -> float | None:
        """FRACTION of the learning rate at which the smoothed loss is lowest; None if no rate lowers it by LEAST_FALL.

        Where the loss is lowest, larger rates do harm already. A tenth of that rate is a common choice, as in fastai.
        """
        smoothed = self.smoothed
        return float(FRACTION * self.rates[self.lowest]) if smoothed.min() < (1 - LEAST_FALL) * smoothed[0] else None


def find_lr(config: Mapping, steps: int = 100) -> RangeTest:
    """The `RangeTest` of the first phase of `config`, a dict of fields: so many steps as training would begin with.

    The learning rate rises from LOWEST to HIGHEST by the same factor each step, until the loss is no number or DIVERGED times
    the lowest one. Images, order, augmentation, optimizer, clipping and all else are those of training; the seed decides them.
    Nothing is written, but for features in their cache. Raises ValueError as `fit` does.
    """
    config = merge(config, {})
    phase = phases_of(config)[0]
    if phase.optimizer in SOLVED:
        raise ValueError(f"optimizer={phase.optimizer} has no learning rate: name one of gradient descent, as in "
                         f"optimizer=momentum")
    check_start(config)
    use_device(config.device_target)
    splits = read_splits(config)
    check_count(len(splits.train) * max(phase.cached_views, 1), phase.batch_size, phase.accumulation_steps)
    weights = weights_of_classes(config.class_weights, splits.train, check_class_index(config.class_index))
    net, config, _ = start_net(with_statistics(config, splits.train), len(splits.classes))
    phase = phases_of(config)[0]
    if phase.trainable == "head":
        freeze(net.backbone)
    trained, batches = net.head if phase.cached_views else net, phase_batches(net, splits.train, phase, 1)
    epochs = -(-steps // batches.get_dataset_size())
    rates = np.geomspace(LOWEST, HIGHEST, steps)
    listed = [*rates, *[HIGHEST] * (epochs * batches.get_dataset_size() - steps)]
    model = create_model(trained, phase, listed, class_weights=weights)
    seed_dropout(trained, [config.seed, 1])
    recorder = Losses(steps)
    with exclusive():
        model.train(epochs, batches, callbacks=recorder, dataset_sink_mode=False)
    losses = np.array(recorder.losses)
    if not len(losses):
        raise ValueError("the loss of the first step is no number: are the weights, pretrained=..., damaged?")
    return RangeTest(rates[:len(losses)], losses, images_in_step(phase), phase.optimizer, steps)


class Losses(Callback):
    """Keeps the loss of each step, and ends training after so many `steps`, or when it has diverged."""

    def __init__(self, steps):
        super().__init__()
        self.steps, self.losses = steps, []
        self.bar = progress_bar(steps, title="learning rates")

    def on_train_step_end(self, run_context):
        self.bar.update()
        loss = float(run_context.original_args().net_outputs.asnumpy())
        if math.isfinite(loss):
            self.losses.append(loss)
        if not math.isfinite(loss) or loss > DIVERGED * min(self.losses) or len(self.losses) == self.steps:
            run_context.request_stop()

    def __exit__(self, *_):  # MindSpore calls it however the training ends
        self.bar.close()
