"""CIFAR-10, 10 classes: ShuffleNetV1 2.0x at 224 pixels for 250 epochs, with the hyper-parameters of MindSpore's tutorial.

    python recipes/cifar10_shufflenet_v1_as_written.py train device_target=Ascend

Written for accelerators, not run: an image costs 522.1 M multiply-accumulates, and the tutorial speaks of 21 hours.
The rate rises and falls as the tutorial's text says; its code trains with the last rate of its schedule throughout. Unlike in
the tutorial, biases and batch norm do not decay.
The tutorial publishes 81.52 % of the test images (top-5 97.5 %), and in an earlier version 94.34 % (99.33 %).
"""

import sys

from mindclf.cli import main

config = dict(
    dataset="cifar10",
    valid_fraction=0.0,
    image_height=224,      # images are shifted and mirrored at 32 pixels and resized afterwards
    image_width=224,
    mean=(0.4914 * 255, 0.4822 * 255, 0.4465 * 255),
    std=(0.2023 * 255, 0.1994 * 255, 0.2010 * 255),
    crop_pct=1.0,
    augment="padded_crop",
    color_adjust=0.0,
    net="shufflenet_v1",
    net_options=dict(model_size="2.0x", group=3),
    epochs=250,
    batch_size=128,        # 390 steps = 50,000 / 128
    eval_batch_size=128,
    lr_max=0.05,
    min_lr=0.0005,
    warmup_epochs=4,
    weight_decay=4e-5,
    label_smoothing=0.1,
    loss_scale=1024,
    grid_rows=2,
    grid_columns=8,
    output="outputs/cifar10_shufflenet_v1_as_written",
)

if __name__ == "__main__":
    sys.exit(main(config=config))
