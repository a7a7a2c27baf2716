"""Pipelines of evaluation as a config asks for them."""

from mindclf.config import DEFAULTS
from mindclf.dataset import eval_pipeline
from mindclf.preprocessing import Preprocessing


def preprocessing_of(config):
    """The `Preprocessing` of a config; fields that it does not have are the defaults."""
    return Preprocessing.from_config({**DEFAULTS, **config})


def evaluated(images, config):
    """The batches of evaluation of `images` as a config, full or not, says."""
    return eval_pipeline(images, preprocessing_of(config), {**DEFAULTS, **config}["eval_batch_size"])
