"""Training: `fit` does all of it; its pieces (schedule, model, checkpoints) also serve a training loop of one's own."""

from mindclf.train.checkpointing import CardCheckpoint
from mindclf.train.fit import Fitted, fit
from mindclf.train.model import create_model, create_optimizer
from mindclf.train.own_folder import train_folder
from mindclf.train.schedules import cosine_decay_lr

__all__ = ["CardCheckpoint", "Fitted", "cosine_decay_lr", "create_model", "create_optimizer", "fit", "train_folder"]
