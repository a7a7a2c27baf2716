"""16 Caltech-101 classes: AsymmNet against MobileNetV2, ResNet50 and VGG19, from fresh weights under one recipe.

    python recipes/caltech16_compare.py compare                                              # 3 seeds of each; goes on if stopped
    python recipes/caltech16_compare.py compare --only asymmnet_large --seeds 1 epochs=5 output=outputs/short
    python recipes/caltech16_compare.py train net=asymmnet_large                             # one of them, once
    python recipes/caltech16_compare.py compare --only mobilenet_v2 --only asymmnet_large image_height=256 image_width=256 \\
        epochs=100 lr_max=0.01 output=outputs/full

The last one has the tutorial's size, length and rate, for accelerators, and was not run. Augmentation is the tutorial's rotation,
and crops and flips besides. "mobilenet_v2_imagenet" is no part of that contest: it starts from ImageNet weights, with
their pixel statistics, larger images, fewer epochs and a smaller rate; where these are not at hand, --only takes the others.

Two cores of an AMD EPYC, bfloat16, of 357 test images, means of three seeds: mobilenet_v2 81.1 %, asymmnet_large 84.2 %,
asymmnet_small 79.7 %, mobilenet_v2_imagenet 99.3 %, two to five minutes a run; one seed: resnet50 68.9 %, 25 minutes, vgg19_bn
75.4 %, 102 minutes, and vgg19, which does not learn (benchmarks/results/runs/caltech16_compare/). The tutorial publishes curves
only, and claims that AsymmNet converges faster than MobileNetV2, and is smaller: docs/results.md says how far.
"""

import sys

from mindclf.cli import main

config = dict(
    dataset="caltech16",
    image_height=128,
    image_width=128,
    mean=(133.88, 130.47, 123.94),  # of the training images: `mindclf split`, then `mindclf stats`
    std=(81.45, 79.70, 82.30),
    scale=(0.35, 1.0),
    rotation=10.0,
    net="mobilenet_v2",
    epochs=30,
    batch_size=32,                  # 41 steps = 1,314 / 32
    lr_max=0.02,
    warmup_epochs=2,
    weight_decay=1e-4,
    grid_rows=4,
    grid_columns=4,
    output="outputs/caltech16_compare",
)

variants = {
    "mobilenet_v2": dict(net="mobilenet_v2"),
    "asymmnet_large": dict(net="asymmnet_large"),
    "asymmnet_small": dict(net="asymmnet_small"),
    "resnet50": dict(net="resnet50"),
    "vgg19_bn": dict(net="vgg19_bn", lr_max=0.002),  # at 0.02 its loss is NaN in the fourth epoch
    "vgg19": dict(net="vgg19", epochs=5),  # the tutorial's, without batch norm: five epochs, to see whether it learns
    "mobilenet_v2_imagenet": dict(net="mobilenet_v2", pretrained="imagenet", mean=(), std=(), image_height=192, image_width=192,
                                  epochs=12, warmup_epochs=1, lr_max=0.004),
}

if __name__ == "__main__":
    sys.exit(main(config=config, variants=variants))
