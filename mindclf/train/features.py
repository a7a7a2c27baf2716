"""Features of a frozen backbone, computed once and stored, so that training a head takes seconds."""

import hashlib
import logging
import zipfile

import numpy as np
from mindspore import dataset as ds

from mindclf.config import DEFAULTS, ERASING_FIELDS, POLICY_FIELDS, VARIATION_FIELDS
from mindclf.dataset import augmented_pipeline, eval_pipeline
from mindclf.dataset.draws import DRAWS_VERSION, STORED_VIEWS, Draws
from mindclf.device import numerics
from mindclf.distributed import collectives
from mindclf.inference.features import PooledFeatures
from mindclf.inference.logits import predict_logits
from mindclf.preprocessing import Preprocessing
from mindclf.utils.arrays import write_arrays
from mindclf.utils.cache import feature_folder
from mindclf.utils.files import CannotWrite, writing

log = logging.getLogger(__name__)


def stored_features(net, images, config, views=1):
    """(features, labels): what the frozen backbone of `net` makes of `images`, seen `views` times each, view after view.

    View 0 is the centre crop that evaluation takes; the others are random training views. Features are float32, what
    net.head.pool makes of the maps. Where several workers train, each computes its part, and all get the whole.
    """
    pooled = PooledFeatures(net)
    digests = images.digests()
    identity = _identity(net.backbone, images, digests, config)
    features = labels = None
    for view in range(views):  # put in place one by one: maps that a head convolves take gigabytes
        rows, own_labels = _stored_view(pooled, images, config, view, identity, digests)
        if features is None:
            features, labels = np.empty((views, *rows.shape), rows.dtype), np.tile(own_labels, views)
        features[view] = rows
    return features.reshape(-1, *features.shape[2:]), labels


class SharedFeatures:
    """Stored features of some of the images of `sets`, as of a fold: they are computed set by set, and kept for one backbone."""

    def __init__(self, *sets):
        self.sets, self.kept = sets, (None, None)
        sources = [source for images in sets for source in images.paths]
        self.row_of = {id(source): row for row, source in enumerate(sources)}

    def of(self, net, images, config, views=1):
        """As `stored_features`, for images that `joined`, `take` or `divided` made of the sets."""
        identity = [_identity(net.backbone, part, part.digests(), config) for part in self.sets], views, config.seed
        if self.kept[0] != identity:
            parts = [stored_features(net, part, config, views) for part in self.sets if len(part)]
            features = np.concatenate([rows.reshape(views, -1, *rows.shape[1:]) for rows, _ in parts], axis=1)
            labels = np.concatenate([part_labels[:len(part_labels) // views] for _, part_labels in parts])
            self.kept = identity, (features, labels)
        features, labels = self.kept[1]
        rows = [self.row_of[id(source)] for source in images.paths]
        chosen = features[:, rows]
        return chosen.reshape(-1, *chosen.shape[2:]), np.tile(labels[rows], views)


def feature_batches(features, labels, batch_size, indices):
    """(feature, label) batches of the rows at `indices`, in that order, the last one as short as it comes.

    An index of so many rows or more is that of a row again: see `Draws.balanced_order`.
    """
    indices = np.asarray(indices) % len(labels)
    rows = ds.NumpySlicesDataset((features[indices], labels[indices]), ["feature", "label"], shuffle=False,
                                 num_parallel_workers=1)
    return rows.batch(batch_size)


def _stored_view(net, images, config, view, identity, digests):
    folder = feature_folder(config.feature_cache)
    file = folder and folder / f"{identity}-{view}{f'-seed{config.seed}' if view else ''}.npz"
    stored = _read(file) if file and file.is_file() else None
    if collectives.all_reduce_sum(stored is not None) == collectives.size():
        return stored
    log.info("computing features of %d images, view %d", len(images), view)
    if view:
        draws = Draws(config.seed, STORED_VIEWS, view)
        dataset = augmented_pipeline(images, config, draws, collectives.shard_indices(len(images)))
    else:
        dataset = eval_pipeline(collectives.shard(images), Preprocessing.from_config(config), config.eval_batch_size)
    features, labels = (collectives.unshard(rows, len(images)) for rows in predict_logits(net, dataset, f"features, view {view}"))
    if not images.raw_size and images.digests() != digests:
        log.warning("images changed while their features were computed, which are not stored")
    elif file and collectives.is_main_process():
        _store(file, features, labels)
    return features, labels


def _store(file, features, labels):
    """Writes what `_read` reads, or warns: the run has its features, and only the next one must compute them again."""
    try:
        with writing(file):
            file.parent.mkdir(parents=True, exist_ok=True)
            write_arrays(file, features=features, labels=labels)
    except CannotWrite as error:
        log.warning("%s; features are not stored: set feature_cache to another folder, or leave it empty", error)


def _read(file):
    """(features, labels) in `file`; None if it is damaged."""
    try:
        with np.load(file, allow_pickle=False) as archive:
            return archive["features"], archive["labels"]
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
        log.warning("%s is damaged: computing it again", file)
        return None


def _identity(backbone, images, digests, config):
    """A name that changes with anything that the features depend on: weights, images, preprocessing, what computes them."""
    digest = hashlib.sha256(f"draws {DRAWS_VERSION} {numerics()}".encode())
    for parameter in backbone.get_parameters():
        digest.update(parameter.asnumpy().tobytes())
    for image, label in zip(digests, images.labels):
        digest.update(f"{image} {label}\n".encode())
    fields = ("image_height", "image_width", "train_scale", "mean", "std", "crop_pct", "augment", "crop_padding", "cutout",
              "scale", "ratio", *VARIATION_FIELDS, "net", "net_options")
    white = images.reading.white
    newer = {field: config[field] for field in (*POLICY_FIELDS, *ERASING_FIELDS) if config[field] != DEFAULTS[field]}
    values = [config[field] for field in fields] + ([white] if white else []) + ([newer] if newer else [])
    digest.update(repr(values).encode())
    return digest.hexdigest()[:16]
