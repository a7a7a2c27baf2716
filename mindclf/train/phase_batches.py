"""The training batches that a phase asks for: of augmented images, or of stored features."""

from functools import partial

import numpy as np

from mindclf.dataset import epoch_pipeline
from mindclf.train.batches import EpochBatches, images_in_step
from mindclf.train.features import feature_batches, stored_features
from mindclf.train.mixing import Mixing


def phase_batches(net, images, config, number, features=stored_features):
    """The EpochBatches of `images`, an ImageSet, for the phase of this number with this config; `features` has `net` make them.

    A batch has the images of a step, accumulation_steps x batch_size.
    """
    views, batch_size = max(config.cached_views, 1), images_in_step(config)
    if config.cached_views:
        stored, labels = features(net, images, config, config.cached_views)
        make_batches = lambda _, indices: feature_batches(stored, labels, batch_size, indices)  # noqa: E731
    else:
        make_batches = partial(epoch_pipeline, images, {**config, "batch_size": batch_size})
    balanced = np.tile(images.labels, views) if config.balanced_sampling else None
    mixes = config.mixup_alpha or config.cutmix_alpha
    mixing = Mixing(config.mixup_alpha, config.cutmix_alpha, len(images.classes)) if mixes else None
    return EpochBatches(make_batches, len(images) * views, batch_size, config.seed, number, mixing, balanced)
