"""CIFAR-10, 10 classes: MobileNetV1 from fresh weights, at the pictures' own 32 x 32 pixels.

    python recipes/cifar10_mobilenet_v1.py train
    python recipes/cifar10_mobilenet_v1.py predict photo.jpg https://example.com/cat.jpg

Two Xeon cores, seed 1, JPEG copy: 88.7 % of the 10,000 test pictures, 128 min with other work beside it
(checkpoints/cifar10_mobilenet_v1.ckpt.json, benchmarks/cifar10_mobilenet_v1/). The tutorial publishes 69.23 % after 20
epochs; its own run is cifar10_mobilenet_v1_as_written.py.
"""

import sys

from mindclf.cli import main

config = dict(
    dataset="cifar10",
    image_height=32,
    image_width=32,
    crop_share=1.0,
    augment="padded_crop",
    cutout=10,
    color_adjust=0.0,
    net="mobilenet_v1",
    net_options=dict(stem="cifar8"),
    batch_size=128,        # 351 steps = 45,000 / 128; the other 5,000 choose the best epoch
    eval_batch_size=128,
    optimizer="sgd",
    nesterov=True,
    schedule="one_cycle",
    weight_decay=5e-4,
    label_smoothing=0.1,
    phases=(               # one line of rates, first on pictures of 24 pixels, which take 0.6 of the time
        dict(size_share=0.75, epochs=4, lr_max=0.15, lr_end=0.12, warmup_epochs=1),
        dict(epochs=16, lr_max=0.12),
    ),
    grid_rows=8,
    grid_columns=8,
    output="outputs/cifar10_mobilenet_v1",
)

if __name__ == "__main__":
    sys.exit(main(config=config))
