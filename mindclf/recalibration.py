"""Recalibration: a temperature and a threshold for a checkpoint that has none, by images that it has not been trained on."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from mindclf.calibration import calibrated
from mindclf.card import card_path, read_card, settle
from mindclf.checkpoint import CheckpointFile
from mindclf.config import merge, own_names
from mindclf.dataset.layout import split_folders
from mindclf.dataset.seen import seen_by, short
from mindclf.dataset.splits import find_folder, is_perhaps_of_training, labelled_for, read_splits
from mindclf.inference.runner import EXPORTED, Runner
from mindclf.labels import number_classes
from mindclf.utils.claim import claimed
from mindclf.utils.files import write_json

log = logging.getLogger(__name__)


def recalibrate(checkpoint: str | Path | CheckpointFile, config: Mapping) -> dict:
    """Writes "calibration" into the card of `checkpoint`, and returns it (see `mindclf.calibration.calibrated`).

    `config`, a full one, names the images and has the target_error. Of the data that the net was trained on they are its
    validation images; of other images, in a folder with the net's class folders, they are all that the card does not know
    as trained on or tested with. Raises ValueError where no image may choose a threshold: test images may not, nor may those
    that the weights were fitted to.
    """
    path = CheckpointFile.of(checkpoint).path
    if path.suffix in EXPORTED:
        raise ValueError(f"{path} has the calibration of the checkpoint that it was exported from: calibrate that, and export it "
                         f"again")
    card = read_card(path)
    images, source = _images(card, config)
    logits, labels = Runner(path).logits(images, config.eval_batch_size)
    record = calibrated(logits, labels, config.target_error, source)
    if "missing" in record:
        raise ValueError(f"{card_path(path)} stays as it is: {record['missing']}")
    with claimed(path, is_file=True):
        settle(path)
        write_json(card_path(path), {**read_card(path), "calibration": record})
    return record


def _images(card, config):
    """(the `ImageSet` that may choose, what it is in words)."""
    folder, _ = find_folder(config)
    seen = seen_by(card)
    valid = _validation_images(card, config)
    if valid is not None:
        kinds = seen.of(valid.digests()) if seen else [""] * len(valid)
        trained_on, unseen = valid.divided([kind != "train" for kind in kinds])
        if not len(unseen):
            raise ValueError("the net was trained on its validation images too, in the end: name a folder of others" if trained_on
                             else "the training had no validation images: name a folder of images that it had not seen")
        return unseen, f"{len(unseen):,} validation images"
    if config.dataset or split_folders(folder):
        raise ValueError(f"{folder} is divided, and has not the images of the training: name a folder of class folders alone, "
                         f"with images that the net was neither trained on nor tested with")
    images = labelled_for(card, folder, "all", config)
    if seen is None and is_perhaps_of_training(card, folder, len(images)):
        raise ValueError(f"{folder} is perhaps what the net was trained on, and its card does not say on which images: name "
                         f"others")
    if seen is None:
        log.warning("the card does not say which images the net was trained on: whether these are among them cannot be known")
        return images, f"{len(images):,} images of your own"
    digests = images.digests()
    _, unseen = images.divided([kind != "train" and short(digest) not in seen.test
                                for kind, digest in zip(seen.of(digests), digests)])
    if not len(unseen):
        raise ValueError(f"the net was trained on, or tested with, all {len(images)} images in {folder}: name others")
    return unseen, f"{len(unseen):,} images that training had not seen"


def _validation_images(card, config):
    """Those of the training that `card` is of, where `config` names its data; None where it names others."""
    if "digest" not in card.data:
        return None
    places = {name: config[name] for name in ("dataset", "dataset_path") if config[name]}
    own = {**own_names(card.get("config", {})), "class_index": number_classes(card.class_folders)}
    try:
        splits = read_splits(merge(own, places))
    except ValueError:  # other classes: whoever looks at the folder next says so
        return None
    return splits.valid if splits.digest() == card.data["digest"] else None
