"""What is written into a card when training is over."""

from pathlib import Path

import numpy as np
import pytest

from mindclf.checkpoint import read_card, save_checkpoint
from mindclf.metrics import compute_metrics, standard_error
from mindclf.train.checkpointing import CheckpointManager, complete_card

from ..test_checkpoint import CARD, small_net


def test_speed_is_that_of_all_epochs_of_a_phase(tmp_path):
    save_checkpoint(small_net(), tmp_path / "best.ckpt", {**CARD, "metrics": {"held out": {"top1": 0.5}}})
    history = [  # 100 images in 1 s and 900 in 3 s: 1000 in 4 s, of which 0.4 s without data
        {"phase": 1.0, "images_per_second": 100.0, "seconds": 1.0, "data_seconds": 0.1},
        {"phase": 1.0, "images_per_second": 300.0, "seconds": 3.0, "data_seconds": 0.3},
        {"phase": 2.0, "images_per_second": 50.0, "seconds": 2.0, "data_seconds": 1.0},
    ]
    complete_card(tmp_path / "best.ckpt", compute_metrics(np.eye(3), np.arange(3), 3).scalars(), history)
    card = read_card(tmp_path / "best.ckpt")
    assert card["speed"] == [{"phase": 1, "images_per_second": 250.0, "data_share": 0.1},
                             {"phase": 2, "images_per_second": 50.0, "data_share": 0.5}]
    assert card["metrics"]["held out"] == {"top1": 0.5} and card["metrics"]["test"]["top1"] == 1.0


def kept(images, correct, choose_epoch):
    """The epoch of best.ckpt after epochs in which so many of the `images` were `correct`; the loss falls."""
    checkpoints = CheckpointManager(None, Path(), {}, choose_epoch=choose_epoch)
    for epoch, right in enumerate(correct, start=1):
        row = {"phase": 1.0, "epoch": float(epoch), "watched": "held out"}
        checkpoints._compare(row, {"top1": round(right / images, 6), "loss": 1 / epoch, "images": images})
    return checkpoints.best_epoch["epoch"]


@pytest.mark.parametrize(("images", "correct", "best", "latest"), [
    (15, (13, 15, 14, 13), 2, 3),  # one standard error of 15 of 15 is 1.06 images
    (15, (13, 15, 13, 13), 2, 2),
    (345, (240, 262, 255, 254), 2, 3),  # 7.93 images
    (345, (262, 254, 253, 262), 4, 4),
    (345, (250, 262, 240, 255, 253), 2, 4),
    (10_000, (8850, 8860, 8829, 8828), 2, 3),  # 31.8 images
    (100, (90, 92, 95, 99), 4, 4),
    (100, (0, 0, 2, 1), 3, 4),  # 1.89 images
    (100, (0, 0, 2, 0), 3, 3)])
def test_with_few_images_the_latest_epoch_within_one_standard_error_is_kept(images, correct, best, latest):
    assert (kept(images, correct, "best"), kept(images, correct, "latest")) == (best, latest)


@pytest.mark.parametrize(("correct", "images"), [(15, 15), (262, 345), (8860, 10_000), (2, 100), (0, 1)])
def test_a_standard_error_is_numpys_with_two_more_of_each_kind(correct, images):
    right = np.repeat([1.0, 0.0], [correct + 2, images - correct + 2])
    assert standard_error(correct / images, images) == pytest.approx(right.std() / np.sqrt(len(right)))
