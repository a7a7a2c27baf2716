"""Calibration of a run: its temperature and threshold, on the validation images that the best weights were not fitted to."""

import logging

from mindclf.calibration import calibrated, described, uncalibrated
from mindclf.card import read_card
from mindclf.dataset import eval_pipeline
from mindclf.distributed import collectives
from mindclf.inference.logits import predict_logits
from mindclf.preprocessing import Preprocessing

log = logging.getLogger(__name__)


def calibration_of(checkpoint, net, splits, seen_before, config):
    """What the card of `checkpoint`, whose weights `net` has, keeps as "calibration".

    A head that was solved on its validation images brings its own. Otherwise it is that of the validation images, without those
    that are training images too, or that are among `seen_before`, a `Seen` of what the weights were initialised from. Of several
    workers each looks at a shard, and the main process knows the answer; the others get {} if the card had it.
    """
    card = read_card(checkpoint) if collectives.is_main_process() else {}
    if collectives.all_reduce_sum(["calibration" in card]).any():
        found = card.get("calibration", {})
    else:
        trained_on, digests = set(splits.digests["train"]), splits.digests["validation"]
        kinds = zip(digests, seen_before.of(digests))
        known, unseen = splits.valid.divided([digest not in trained_on and kind != "train" for digest, kind in kinds])
        found = _measured(net, unseen, len(known), config)
    log.info("not sure %s", described(found))
    return found


def _measured(net, images, left_out, config):
    """The calibration by `images`, an `ImageSet` perhaps without any."""
    if not len(images):
        return uncalibrated(f"all {left_out} validation images were trained on" if left_out else "there are no validation images")
    batches = eval_pipeline(collectives.shard(images), Preprocessing.from_config(config), config.eval_batch_size)
    logits, labels = (collectives.unshard(rows, len(images)) for rows in predict_logits(net, batches))
    return calibrated(logits, labels, config.target_error, f"{len(images):,} validation images")
