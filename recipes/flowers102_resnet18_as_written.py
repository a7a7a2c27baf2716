"""Oxford's 102 flowers: ResNet18 with the hyper-parameters of the PyTorch tutorial, from fresh weights.

    python recipes/flowers102_resnet18_as_written.py train
    python recipes/flowers102_resnet18_as_written.py train pretrained=resnet18.ckpt     # ImageNet's, from `mindclf convert`

Adam, 20 epochs of the head from 1e-2, a tenth of it after 10, then 10 epochs of all layers at 1e-3 all along: the tutorial's
second scheduler steps the first optimizer. Training sees two thirds of a photo's sides and validation all of it, as there. What
differs: crops lie anywhere, the frozen batch norm keeps still, Adam's moments begin anew after epoch 10, and the test images are
those of test/, not of valid/.
Two Zen 4 cores with MINDCLF_KERNELS=bf16, seed 1: 34.3 % of the 819 test images, 10 min
(benchmarks/results/runs/flowers102_resnet18_as_written/). The tutorial shows 30.2 % of the validation images, from ImageNet's
weights; flowers102_resnet18_64px.py trains all layers for as many epochs.
"""

import sys

from mindclf.cli import main

config = dict(
    dataset="flowers102",
    image_height=64,
    image_width=64,
    crop_pct=1.0,
    scale=(4 / 9, 4 / 9),  # 64 of 96 pixels
    ratio=(1.0, 1.0),
    rotation=45.0,
    vertical_flip_prob=0.5,
    color_adjust=0.1,
    hue_adjust=0.1,
    grey_prob=0.025,
    net="resnet18",
    batch_size=128,        # 51 steps = 6,552 / 128
    optimizer="adam",
    schedule="constant",
    weight_decay=0.0,
    phases=(
        dict(trainable="head", epochs=10, lr_max=1e-2),
        dict(trainable="head", epochs=10, lr_max=1e-3),
        dict(trainable="all", epochs=10, lr_max=1e-3),
    ),
    grid_rows=2,
    grid_columns=4,
    output="outputs/flowers102_resnet18_as_written",
)

if __name__ == "__main__":
    sys.exit(main(config=config))
