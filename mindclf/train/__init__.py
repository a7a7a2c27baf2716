"""Training: schedule, model, phases, and `fit`, which puts them together."""

from mindclf.train.fit import Fitted, fit
from mindclf.train.model import create_model, create_optimizer
from mindclf.train.schedules import cosine_decay_lr

__all__ = ["Fitted", "cosine_decay_lr", "create_model", "create_optimizer", "fit"]
