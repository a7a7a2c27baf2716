"""Calibration of a run: its temperature and threshold, on images that the weights which predict them were not fitted to."""

import logging

import numpy as np

from mindclf.calibration import calibrated, described, uncalibrated
from mindclf.card import read_card
from mindclf.dataset import eval_pipeline
from mindclf.distributed import collectives
from mindclf.inference.logits import predict_logits
from mindclf.preprocessing import Preprocessing

log = logging.getLogger(__name__)


def calibration_of(checkpoint, net, splits, seen_before, config, folds=None):
    """What the card of `checkpoint`, whose weights `net` has, keeps as "calibration".

    A head that was solved on its validation images brings its own. Otherwise it is that of the validation images, without those
    that are training images too, or that are among `seen_before`, a `Seen` of what the weights were initialised from. Where
    none is left, it is that of the out-of-fold predictions of `folds`, a `CrossValidation` of the same run: each is by a net that
    was trained on fewer images, and so is a little less sure than one with these weights. Of several workers each looks at a
    shard, and the main process knows the answer; the others get {} if the card had it.
    """
    card = read_card(checkpoint) if collectives.is_main_process() else {}
    before = card.get("calibration", {})
    if collectives.all_reduce_sum([bool(before) and not (folds and "missing" in before)]).any():
        found = before
    else:
        trained_on, digests = set(splits.digests["train"]), splits.digests["validation"]
        kinds = zip(digests, seen_before.of(digests))
        known, unseen = splits.valid.divided([digest not in trained_on and kind != "train" for digest, kind in kinds])
        if len(unseen) or not folds:
            found = _measured(net, unseen, len(known), config)
        else:
            found = _out_of_fold(folds, seen_before, config)
    log.info("not sure %s", described(found))
    return found


def _out_of_fold(folds, seen_before, config):
    """The calibration by the out-of-fold predictions of `folds`, but of images that the nets of all folds had seen before."""
    unseen = np.array([kind != "train" for kind in seen_before.of(folds.images.digests())])
    return calibrated(folds.logits[unseen], np.asarray(folds.images.labels)[unseen], config.target_error,
                      f"out-of-fold predictions of {unseen.sum():,} images")


def _measured(net, images, left_out, config):
    """The calibration by `images`, an `ImageSet` perhaps without any."""
    if not len(images):
        return uncalibrated(f"all {left_out} validation images were trained on" if left_out else "there are no validation images")
    batches = eval_pipeline(collectives.shard(images), Preprocessing.from_config(config), config.eval_batch_size)
    logits, labels = (collectives.unshard(rows, len(images)) for rows in predict_logits(net, batches))
    return calibrated(logits, labels, config.target_error, f"{len(images):,} validation images")
