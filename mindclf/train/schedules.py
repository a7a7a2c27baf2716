"""Learning rates, one for each step."""

import math


def learning_rates(config, steps_per_epoch):
    """The list of rates, one a step, that config.schedule asks for over config.epochs.

    "cosine": `cosine_decay_lr`. "one_cycle": `one_cycle_lr`. "constant" and "plateau": linear warm-up, then lr_max; `Plateau`
    lowers it between epochs.
    """
    total_steps, warmup_steps = config.epochs * steps_per_epoch, config.warmup_epochs * steps_per_epoch
    if config.schedule == "cosine":
        return cosine_decay_lr(config.lr_max, total_steps, warmup_steps, config.lr_end)
    if config.schedule == "one_cycle":
        return one_cycle_lr(config.lr_max, total_steps, warmup_steps, config.lr_end)
    return _warmup(config.lr_max, total_steps, warmup_steps) + [config.lr_max] * (total_steps - warmup_steps)


def cosine_decay_lr(lr_max, total_steps, warmup_steps=0, lr_end=0.0):
    """A list of `total_steps` learning rates: linear warm-up to `lr_max`, then half a cosine down towards `lr_end`.

    Warm-up step i has lr_max * (i + 1) / warmup_steps. Of the n steps after it, step i has
    lr_end + (lr_max - lr_end) * (1 + cos(pi * i / n)) / 2: it starts at lr_max and would reach lr_end one step after the last.
    Source: arXiv:1608.03983, equation 5, without restarts. MindSpore's own nn.cosine_decay_lr changes once an epoch.

    Raises ValueError if warm-up takes all steps.
    """
    decay_steps = total_steps - warmup_steps
    return _warmup(lr_max, total_steps, warmup_steps) + [
        lr_end + (lr_max - lr_end) * (1 + math.cos(math.pi * step / decay_steps)) / 2 for step in range(decay_steps)]


def one_cycle_lr(lr_max, total_steps, warmup_steps=0, lr_end=0.0):
    """A list of `total_steps` learning rates: linear warm-up to `lr_max`, then a straight line down towards `lr_end`.

    Warm-up is that of `cosine_decay_lr`. Of the n steps after it, step i has lr_max - (lr_max - lr_end) * i / n. Source: the
    triangle of the 1cycle policy, arXiv:1803.09820, section 4.3; its cyclic momentum is left out.

    Raises ValueError if warm-up takes all steps.
    """
    decay_steps = total_steps - warmup_steps
    return _warmup(lr_max, total_steps, warmup_steps) + [
        lr_max - (lr_max - lr_end) * step / decay_steps for step in range(decay_steps)]


def _warmup(lr_max, total_steps, warmup_steps):
    if not 0 <= warmup_steps < total_steps:
        raise ValueError(f"warmup_steps={warmup_steps} must be less than total_steps={total_steps}")
    return [lr_max * (step + 1) / warmup_steps for step in range(warmup_steps)]


class Plateau:
    """The rate of one epoch after the other, lower when a figure of merit has stopped to improve.

    As PyTorch's ReduceLROnPlateau with its defaults: the figure improves if it beats the best so far by THRESHOLD of it; after
    more than `patience` epochs in a row that do not improve, the rate is multiplied by `factor`, not below `lr_end`, and the
    count of epochs starts anew. A change of less than SMALLEST_CHANGE is not made. `figure` is "loss" (less is better) or
    "top1" (more is).
    """

    THRESHOLD = 1e-4
    SMALLEST_CHANGE = 1e-8

    def __init__(self, lr_max, figure="loss", factor=0.5, patience=5, lr_end=0.0):
        self.rate, self.figure, self.factor, self.patience, self.lr_end = lr_max, figure, factor, patience, lr_end
        self.best, self.bad_epochs = -math.inf if figure == "top1" else math.inf, 0

    def next_rate(self, value):
        """The rate after an epoch that ended with `value` of the figure."""
        if self._improves(value):
            self.best, self.bad_epochs = value, 0
        else:
            self.bad_epochs += 1
        if self.bad_epochs > self.patience:
            lower = max(self.rate * self.factor, self.lr_end)
            if self.rate - lower > self.SMALLEST_CHANGE:
                self.rate = lower
            self.bad_epochs = 0
        return self.rate

    def state(self):
        """What `restore` takes, as JSON can hold it."""
        return {"rate": self.rate, "best": self.best, "bad_epochs": self.bad_epochs}

    def restore(self, state):
        """Goes on from what `state` gave."""
        self.rate, self.best, self.bad_epochs = state["rate"], state["best"], state["bad_epochs"]

    def _improves(self, value):
        if self.figure == "top1":
            return value > self.best * (1 + self.THRESHOLD)
        return value < self.best * (1 - self.THRESHOLD)
