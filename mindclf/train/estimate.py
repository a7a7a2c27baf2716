"""Estimates of how long a training takes, measured on the machine that it is for."""

import logging
import time

import numpy as np
from mindspore.train import Callback

from mindclf.inference.logits import run_net
from mindclf.own_images import BEST_EVAL_FACTOR, best_epochs, best_image_size
from mindclf.utils.durations import rough_time

log = logging.getLogger(__name__)

FIRST, COUNTED = 2, 8  # steps: those that compile the graph and fill the pipeline, and those that are measured
WORTH_SAYING = 60.0    # seconds


class TimeEstimate(Callback):
    """Logs once, after the first steps, how long the rest of a phase takes, unless that is less than a minute.

    `metrics` is the MetricTracker of the phase, and advice() says how to go on with a run that is stopped.
    """

    def __init__(self, metrics, advice):
        super().__init__()
        self.metrics, self.advice, self.started = metrics, advice, None

    def on_train_step_end(self, run_context):
        done = self.metrics.step - self.metrics.first_step
        if done == FIRST:
            self.started = time.perf_counter()
        elif done == FIRST + COUNTED and self.started is not None:
            step = (time.perf_counter() - self.started) / COUNTED
            left = len(self.metrics.rates) - self.metrics.step
            if step * left >= WORTH_SAYING:
                log.info("about %s to go: %d steps of %.2f s; Ctrl-C stops it, and %s", rough_time(step * left), left, step,
                         self.advice())


def best_seconds(net, config, images):
    """About how many seconds --best takes here for so many training images, from how fast `net` evaluates a batch now."""
    size = best_image_size(config.dataset_path) if config.dataset_path else None
    batch = np.zeros((config.eval_batch_size, 3, size or config.image_height, size or config.image_width), np.float32)
    seconds = []
    for _ in range(3):  # the first one may compile
        started = time.perf_counter()
        run_net(net, batch)
        seconds.append(time.perf_counter() - started)
    return images * best_epochs(images) * BEST_EVAL_FACTOR * min(seconds) / len(batch)
