"""Features of a frozen backbone, computed once and stored, so that training a head takes seconds."""

import hashlib
import logging
import zipfile
from pathlib import Path

import numpy as np
from mindspore import dataset as ds
from mindspore import nn

from mindclf import workers
from mindclf.config import VARIATION_FIELDS
from mindclf.dataset import augmented_pipeline, eval_pipeline
from mindclf.device import data_seed
from mindclf.evaluate import predict_logits
from mindclf.train.batches import SharedBatches
from mindclf.train.resume import write_arrays

log = logging.getLogger(__name__)


class PooledFeatures(nn.Cell):
    """Images (N, 3, H, W) -> what the head of `net` takes in place of maps, mostly (N, channels): backbone and pool."""

    def __init__(self, net):
        super().__init__(auto_prefix=False)
        self.backbone = net.backbone
        self.pool = net.head.pool

    def construct(self, images):
        return self.pool(self.backbone(images))


def feature_batches(net, pictures, config, views=1, shuffle=False):
    """(feature, label) batches of `pictures` seen by the frozen backbone of `net`, `views` times each.

    View 0 is the centre crop that evaluation takes; the others are random training views. Feature batches are float32, what
    net.head.pool makes of the maps; with shuffle=True in a new order each epoch and without an incomplete last batch. Where
    several workers train, each gets its part of the batches, or without shuffle of the pictures; so it does of the computing.
    """
    if shuffle and len(pictures) * views < config.batch_size:
        raise ValueError(f"batch_size={config.batch_size} is more than the {len(pictures) * views} training pictures")
    pooled = PooledFeatures(net)
    identity = _identity(net.backbone, pictures, config)
    features = labels = None
    for view in range(views):  # put in place one by one: maps that a head convolves take gigabytes
        rows, own_labels = _stored_view(pooled, pictures, config, view, identity)
        if features is None:
            features, labels = np.empty((views, *rows.shape), rows.dtype), np.tile(own_labels, views)
        features[view] = rows
    features = features.reshape(-1, *features.shape[2:])

    def batched(places=slice(None), shuffle=shuffle):
        source = ds.NumpySlicesDataset((features[places], labels[places]), ["feature", "label"], shuffle=shuffle,
                                       num_parallel_workers=1)
        return source.batch(config.batch_size, drop_remainder=shuffle)

    if workers.size() == 1:
        return batched()
    if shuffle:
        return SharedBatches(lambda places: batched(places, shuffle=False), len(labels), config.batch_size)
    return batched(workers.part_of_places(len(labels)))


def _stored_view(net, pictures, config, view, identity):
    drawn_by = f"-seed{config.seed}" + (f"-{workers.size()}workers" if workers.size() > 1 else "") if view else ""
    file = Path(config.feature_cache) / f"{identity}-{view}{drawn_by}.npz"
    stored = _read(file) if config.feature_cache and file.is_file() else None
    if workers.total(stored is not None) == workers.size():
        return stored
    log.info("computing features of %d pictures, view %d", len(pictures), view)
    part = workers.part_of(pictures)
    dataset = augmented_pipeline(part, config) if view else eval_pipeline(part, config)
    with data_seed(workers.own_seed(config.seed + view)):
        features, labels = (workers.whole(rows, len(pictures)) for rows in predict_logits(net, dataset))
    if config.feature_cache and workers.is_first():
        file.parent.mkdir(parents=True, exist_ok=True)
        write_arrays(file, features=features, labels=labels)
    return features, labels


def _read(file):
    """(features, labels) in `file`; None if it is damaged."""
    try:
        with np.load(file, allow_pickle=False) as archive:
            return archive["features"], archive["labels"]
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
        log.warning("%s is damaged: computing it again", file)
        return None


def _identity(backbone, pictures, config):
    """A name that changes with anything that the features depend on: weights, pictures, preprocessing."""
    digest = hashlib.sha256()
    for parameter in backbone.get_parameters():
        digest.update(parameter.asnumpy().tobytes())
    for identity, label in zip(pictures.identities(), pictures.labels):
        digest.update(f"{identity} {label}\n".encode(errors="surrogateescape"))  # names of files need not be UTF-8
    fields = ("image_height", "image_width", "size_share", "mean", "std", "crop_share", "augment", "crop_padding", "cutout",
              "scale", "ratio", *VARIATION_FIELDS, "net", "net_options")
    digest.update(repr([config[field] for field in fields]).encode())
    return digest.hexdigest()[:16]
