"""Schedules: the learning rates of a phase, one for each step."""

import math
from types import MappingProxyType

import mindspore as ms
from mindspore import Parameter, Tensor
from mindspore.nn.learning_rate_schedule import LearningRateSchedule


class Schedule:
    """The learning rates of the phase `config`: `rates` has one for each step. "plateau" lowers those that are left.

    `attach` gives it the optimizer that is to follow; an optimizer of one's own has its own learning rates.
    """

    def __init__(self, config, steps_per_epoch):
        self.config, self.steps_per_epoch, self.followers = config, steps_per_epoch, {}
        self.rates = learning_rates(config, steps_per_epoch)
        self.plateau = plateau_of(config)

    def attach(self, optimizer, factors=MappingProxyType({})):
        """Has `optimizer`, which was made with `rates`, follow from now on; weights have the rates times `factors`, by name."""
        for weight in optimizer.parameters:
            rates = optimizer.get_lr_parameter(weight)  # one for all weights of a group
            self.followers[id(rates)] = rates, factors.get(weight.name, 1.0)

    def after_epoch(self, row):
        """Takes the row of the history of an epoch that is over."""
        if row["epoch"] > self.config.warmup_epochs:
            self.plateau.step(row[self.plateau.monitor])
        self._keep_rate(row["epoch"])

    def state_dict(self):
        """That of the plateau."""
        return self.plateau.state_dict()

    def load_state_dict(self, state):
        """Takes what `state_dict` gave."""
        self.plateau.load_state_dict(state)

    def resume(self, epochs):
        """Goes on after so many epochs."""
        self._keep_rate(epochs)

    def _keep_rate(self, epochs):
        if self.config.schedule != "plateau" or epochs <= self.config.warmup_epochs:
            return
        first = epochs * self.steps_per_epoch
        self.rates[first:] = [self.plateau.rate] * (len(self.rates) - first)
        for rates, factor in self.followers.values():
            rates.set_data(Tensor([factor * rate for rate in self.rates], ms.float32))


def rates_of(optimizer, total_steps):
    """The learning rate of each step of an `optimizer` that was not made here: of a number, a list, or a LearningRateSchedule."""
    rates = optimizer.learning_rate
    if isinstance(rates, Parameter):
        return [float(rates.asnumpy())] * total_steps
    if isinstance(rates, LearningRateSchedule):
        return [float(rates(Tensor(step, ms.int32)).asnumpy()) for step in range(total_steps)]
    rates = rates.learning_rate.asnumpy().tolist()
    if len(rates) < total_steps:
        raise ValueError(f"the optimizer has learning rates for {len(rates)} steps, and the phase takes {total_steps}: give as "
                         f"many")
    return rates[:total_steps]


def plateau_of(config):
    """The `ReduceLROnPlateau` that the phase `config` asks for."""
    return ReduceLROnPlateau(config.lr_max, config.plateau_monitor, config.plateau_factor, config.plateau_patience, config.min_lr)


def learning_rates(config, steps_per_epoch):
    """The list of learning rates, one a step, that config.schedule asks for over config.epochs.

    "cosine": `cosine_decay_lr`. "one_cycle": `one_cycle_lr`. "constant" and "plateau": linear warm-up, then lr_max;
    `ReduceLROnPlateau` lowers it between epochs.
    """
    total_steps, warmup_steps = config.epochs * steps_per_epoch, config.warmup_epochs * steps_per_epoch
    if config.schedule == "cosine":
        return cosine_decay_lr(config.lr_max, total_steps, warmup_steps, config.min_lr)
    if config.schedule == "one_cycle":
        return one_cycle_lr(config.lr_max, total_steps, warmup_steps, config.min_lr)
    return _warmup(config.lr_max, total_steps, warmup_steps) + [config.lr_max] * (total_steps - warmup_steps)


def cosine_decay_lr(lr_max, total_steps, warmup_steps=0, lr_end=0.0):
    """A list of one learning rate a step, where mindspore.nn.cosine_decay_lr has one an epoch and no warm-up.

    It has `total_steps` values: linear warm-up to `lr_max`, then half a cosine down towards `lr_end`. MindSpore's arguments
    max_lr, min_lr, total_step are lr_max, lr_end, total_steps here; step_per_epoch and decay_epoch have no counterpart.
    Warm-up step i has lr_max * (i + 1) / warmup_steps. Of the n steps after it, step i has
    lr_end + (lr_max - lr_end) * (1 + cos(pi * i / n)) / 2: it starts at lr_max and would reach lr_end one step after the last.
    Source: arXiv:1608.03983, equation 5, without restarts.

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


class ReduceLROnPlateau:
    """The learning rate of one epoch after the other, lower when the monitored metric has stopped improving.

    As PyTorch's ReduceLROnPlateau with its defaults: the metric improves if it beats the best so far by THRESHOLD of it. After
    more than `patience` epochs in a row without improvement the rate is multiplied by `factor`, not below `lr_end`, and the
    count of epochs starts anew. A change of less than SMALLEST_CHANGE is not made. `monitor` is "loss" (less is better) or
    "top1" (more is). MindSpore's callback of this name takes no list of learning rates, and so no warm-up.
    """

    THRESHOLD = 1e-4
    SMALLEST_CHANGE = 1e-8

    def __init__(self, lr_max, monitor="loss", factor=0.5, patience=5, lr_end=0.0):
        self.rate, self.monitor, self.factor, self.patience, self.lr_end = lr_max, monitor, factor, patience, lr_end
        self.best, self.bad_epochs = -math.inf if monitor == "top1" else math.inf, 0

    def step(self, value):
        """The learning rate after an epoch that ended with `value` of the monitored metric."""
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

    def state_dict(self):
        """Rate, best value, and epochs without improvement."""
        return {"rate": self.rate, "best": self.best, "bad_epochs": self.bad_epochs}

    def load_state_dict(self, state):
        """Takes what `state_dict` gave."""
        self.rate, self.best, self.bad_epochs = state["rate"], state["best"], state["bad_epochs"]

    def _improves(self, value):
        if self.monitor == "top1":
            return value > self.best * (1 + self.THRESHOLD)
        return value < self.best * (1 - self.THRESHOLD)
