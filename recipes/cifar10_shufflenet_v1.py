"""CIFAR-10, 10 classes: ShuffleNetV1 1.5x with 3 groups from fresh weights, at the images' own 32 x 32 pixels.

    python recipes/cifar10_shufflenet_v1.py train
    python recipes/cifar10_shufflenet_v1.py predict photo.jpg https://example.com/cat.jpg

A stem for small images costs 93.0 M multiply-accumulates an image, where the tutorial resizes to 224 and takes 2.0x: 522.1 M.
Two Xeon cores with MINDCLF_KERNELS=amx, seed 1, JPEG copy: 88.65 % of the 10,000 test images (top-5 99.55 %) in 151 min with
other work beside it (benchmarks/results/runs/cifar10_shufflenet_v1_independent/); checkpoints/cifar10_shufflenet_v1.ckpt is of
a run before the random choices were independent: 88.52 % in 106 min. The tutorial publishes 81.52 %
(top-5 97.5 %) after 250 epochs, and 94.34 % (99.33 %) in an earlier version; its own run is cifar10_shufflenet_v1_as_written.py.
"""

import sys

from mindclf.cli import main

config = dict(
    dataset="cifar10",
    valid_fraction=0.02,   # 1,000 images choose the best epoch
    image_height=32,
    image_width=32,
    crop_pct=1.0,
    augment="padded_crop",
    cutout=8,
    color_adjust=0.0,
    net="shufflenet_v1",
    net_options=dict(model_size="1.5x", group=3, stem="cifar"),
    batch_size=128,        # 382 steps = 49,000 / 128
    eval_batch_size=128,
    optimizer="sgd",
    nesterov=True,
    schedule="one_cycle",
    weight_decay=5e-4,
    label_smoothing=0.1,
    phases=(               # one line of rates, first on images of 24 pixels, which take 0.6 of the time
        dict(train_scale=0.75, epochs=10, lr_max=0.15, min_lr=0.09, warmup_epochs=2),
        dict(epochs=12, lr_max=0.09),
    ),
    grid_rows=2,
    grid_columns=8,
    output="outputs/cifar10_shufflenet_v1",
)

if __name__ == "__main__":
    sys.exit(main(config=config))
