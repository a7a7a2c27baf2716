"""Oxford's 102 flowers: a head on a frozen ImageNet backbone, then all layers with a fresh optimizer and schedule.

    python recipes/flowers102_two_phase.py train
    python recipes/flowers102_two_phase.py train net=resnet18 pretrained=resnet18.ckpt      # any net, see `mindclf convert`
    python recipes/flowers102_two_phase.py predict flower.jpg

Two Xeon cores, seed 1: 95.8 % of the 819 test images, 33 min, some of them stopped for other work
(benchmarks/results/runs/flowers102_two_phase/). The tutorial shows 30.2 % of the validation images; its own net and size are
flowers102_resnet18_64px.py.
"""

import sys

from mindclf.cli import main

config = dict(
    dataset="flowers102",
    image_height=192,
    image_width=192,
    scale=(0.35, 1.0),
    rotation=30.0,
    vertical_flip_prob=0.5,
    color_adjust=0.2,
    hue_adjust=0.05,
    grey_prob=0.025,
    net="mobilenet_v2",
    pretrained="imagenet",
    label_smoothing=0.1,
    phases=(
        dict(trainable="head", cached_views=2, epochs=20, batch_size=64, lr_max=0.1, weight_decay=4e-4),
        dict(trainable="all", epochs=10, batch_size=32, lr_max=0.006, warmup_epochs=1, weight_decay=1e-4),  # 204 steps
    ),
    grid_rows=2,
    grid_columns=4,
    output="outputs/flowers102_two_phase",
)

if __name__ == "__main__":
    sys.exit(main(config=config))
