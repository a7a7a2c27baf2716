"""Objects of one's own that `fit` takes in the place of those that the config names."""

import logging
from dataclasses import dataclass, field

from mindspore import Tensor, nn

from mindclf.config import DEFAULTS, SOLVED, phases_of

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Given:
    """`net` is an ImageClassifier with its weights, `loss` a Cell of (logits, labels).

    `optimizer` is an nn.Optimizer, or a function of (net, learning rates) that makes one. `metrics` are mindspore.train.Metric
    objects by name, `callbacks` MindSpore's callbacks, `train_dataset` a MindSpore dataset of (images, labels) batches. None, or
    empty, is what the config says.
    """

    net: object = None
    loss: object = None
    optimizer: object = None
    metrics: dict = field(default_factory=dict)
    callbacks: tuple = ()
    train_dataset: object = None

    @property
    def makes_optimizer(self):
        """Whether `optimizer` is a function that makes one."""
        return self.optimizer is not None and not isinstance(self.optimizer, nn.Optimizer)

    def measure(self, logits, labels, name):
        """What the own metrics say of logits (n, classes) and labels (n,) of the images called `name`, a dict; it is logged."""
        found = {}
        for key, metric in self.metrics.items():
            metric.clear()
            metric.update(Tensor(logits), Tensor(labels))
            found[key] = float(metric.eval())
        if found:
            log.info("%s: %s", name, ", ".join(f"{key} {value:.4f}" for key, value in found.items()))
        return found

    def parts(self):
        """Those of the callbacks that keep a state, by name."""
        return {f"{type(callback).__name__} {number}": callback for number, callback in enumerate(self.callbacks)
                if hasattr(callback, "state_dict")}

    def check(self, config):
        """Raises ValueError for what cannot be used with `config`: all that a run needs must be known before it begins."""
        if self.net is not None and config.pretrained:
            raise ValueError(f"pretrained={config.pretrained} and a net of your own exclude each other: give one")
        if isinstance(self.optimizer, nn.Optimizer) and len(config.phases) > 1:
            raise ValueError(f"an optimizer belongs to one phase, and there are {len(config.phases)}: give a function of (net, "
                             f"learning_rates) that makes one")
        if config.folds:
            self._check_folds(config)
        if config.teacher and (self.loss is not None or self.train_dataset is not None):
            own = "train_dataset" if self.loss is None else "a loss of your own"
            raise ValueError(f"teacher={config.teacher} and {own} exclude each other: the teacher's part is in mindclf's loss, "
                             f"and it takes images of mindclf's pipeline; leave one out")
        if self.loss is not None and config.class_weights:
            raise ValueError("class_weights and a loss of your own exclude each other: give it the weights")
        if self.optimizer is not None:
            for name in ("backbone_lr_factor", "layer_decay"):
                if any(phase[name] != DEFAULTS[name] for phase in phases_of(config)):
                    raise ValueError(f"{name} and an optimizer of your own exclude each other: give it groups of its own")
        if self.train_dataset is not None and any(phase.balanced_sampling for phase in phases_of(config)):
            raise ValueError("balanced_sampling and train_dataset exclude each other: draw as you like in your own data set")
        for name in ("policy", "erasing_prob", "mixup_alpha", "cutmix_alpha"):
            if self.train_dataset is not None and any(phase[name] for phase in phases_of(config)):
                raise ValueError(f"{name} and train_dataset exclude each other: change images in your own data set")
        if self.train_dataset is not None and any(phase.cached_views for phase in phases_of(config)):
            raise ValueError("cached_views and train_dataset exclude each other: views of one's own are not stored")
        own = {"loss": self.loss is not None, "optimizer": self.optimizer is not None, "callbacks": bool(self.callbacks)}
        for name, is_given in own.items():
            if is_given and any(phase.optimizer in SOLVED for phase in phases_of(config)):
                raise ValueError(f"{name} of your own and optimizer=lbfgs exclude each other: a head that is solved takes no "
                                 f"steps; set optimizer=momentum")
        if config.resume:
            self._check_resumable()

    def _check_folds(self, config):
        own = {"a net": self.net is not None, "train_dataset": self.train_dataset is not None, "callbacks": bool(self.callbacks),
               "an optimizer": isinstance(self.optimizer, nn.Optimizer)}
        for name, is_given in own.items():
            if is_given:
                raise ValueError(f"folds={config.folds} and {name} of your own exclude each other: each fold trains a net anew, "
                                 f"as the config says; leave one out")

    def _check_resumable(self):
        if self.train_dataset is not None:
            raise ValueError("resume=True and train_dataset exclude each other: only mindclf's own pipeline can go on within an "
                             "epoch with the same images; leave one out")
        for callback in self.callbacks:
            if not (hasattr(callback, "state_dict") and hasattr(callback, "load_state_dict")):
                raise ValueError(f"resume=True needs callbacks with state_dict() and load_state_dict(state), and "
                                 f"{type(callback).__name__} has none: add them (state_dict may return {{}}), or leave it out")
