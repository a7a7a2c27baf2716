"""Garbage sorting, 26 classes: MobileNetV2, the head first and then all layers.

    python recipes/garbage_mobilenet_v2_all_layers.py train

Two Xeon cores, 1 seed: 97.7 % of the 130 test photos (127), 26 minutes. Log: benchmarks/results/runs/garbage26_mobilenet_v2/.
This made checkpoints/garbage26_mobilenet_v2.ckpt, before a change of the random draws (see its card): a run today starts from
another draw of the head, so its figure may differ by some photos.
"""

import sys

from garbage_mobilenet_v2 import config as head_only

from mindclf.cli import main

config = dict(
    head_only,
    scale=(0.35, 1.0),
    phases=(
        {},  # the head, as in garbage_mobilenet_v2.py
        dict(trainable="all", cached_views=0, epochs=8, batch_size=32, lr_max=0.004, warmup_epochs=1, weight_decay=1e-4),
    ),
    output="outputs/garbage_mobilenet_v2_all_layers",
)

if __name__ == "__main__":
    sys.exit(main(config=config))
