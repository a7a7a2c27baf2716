"""What is written into a card when training is over."""

import numpy as np

from mindclf.checkpoint import read_card, save_checkpoint
from mindclf.metrics import compute_metrics
from mindclf.train.checkpointing import complete_card

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
