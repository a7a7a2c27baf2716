"""CIFAR-10, 10 classes: MobileNetV1 from fresh weights, on the images of 32 x 32 pixels enlarged to 48 x 48.

    python recipes/cifar10_mobilenet_v1.py train
    python recipes/cifar10_mobilenet_v1.py predict photo.jpg https://example.com/cat.jpg

Two Xeon cores with MINDCLF_KERNELS=amx, seed 1, JPEG copy, before the random choices were independent: 89.76 % of the 10,000
test images, 204 min in four parts (checkpoints/cifar10_mobilenet_v1.ckpt.json, benchmarks/results/runs/cifar10_mobilenet_v1/).
The tutorial publishes 69.23 % after 20 epochs; its own run is cifar10_mobilenet_v1_as_written.py.
"""

import sys

from mindclf.cli import main

config = dict(
    dataset="cifar10",
    valid_fraction=0.02,   # 1,000 images choose the best epoch
    image_height=48,
    image_width=48,
    crop_pct=1.0,
    augment="padded_crop",
    cutout=12,
    color_adjust=0.0,
    net="mobilenet_v1",
    net_options=dict(stem="cifar8"),
    batch_size=64,         # 765 steps = 49,000 / 64
    eval_batch_size=128,
    optimizer="sgd",
    nesterov=True,
    schedule="one_cycle",
    sam_rho=0.1,           # sharpness-aware steps, by a fourth of each batch
    weight_decay=5e-4,
    label_smoothing=0.1,
    phases=(               # two epochs on images of 40 pixels, then the rate falls in a line
        dict(train_scale=5 / 6, epochs=2, lr_max=0.1, min_lr=0.07, warmup_epochs=1),
        dict(epochs=18, lr_max=0.07),
    ),
    grid_rows=8,
    grid_columns=8,
    output="outputs/cifar10_mobilenet_v1",
)

if __name__ == "__main__":
    sys.exit(main(config=config))
