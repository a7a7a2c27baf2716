"""Photos of five flowers: the ShuffleNetV1 of CIFAR-10, trained further, against the same net from fresh weights.

    python recipes/flower_photos_shufflenet.py compare                      # both, 3 seeds each
    python recipes/flower_photos_shufflenet.py train                        # the first one only
    python recipes/flower_photos_shufflenet.py predict flower.jpg

MindSpore's ShuffleNet tutorial announces this and does not show it. Two Xeon cores, seed 1, before the random choices were
independent, of 860 test images: 76.0 % from CIFAR-10's weights, those before today's, 61.7 % from fresh ones, 14 minutes a run
if left alone (benchmarks/results/runs/flower_photos_shufflenet/).
"""

import sys

from mindclf.cli import main

config = dict(
    dataset="flower_photos",
    image_height=64,
    image_width=64,
    mean=(125.35, 123.02, 113.95),  # what the weights of CIFAR-10 saw, for both
    std=(62.57, 61.93, 66.48),
    scale=(0.35, 1.0),
    net="shufflenet_v1",
    net_options=dict(model_size="1.5x", group=3, stem="cifar"),
    pretrained="cifar10_shufflenet_v1",  # comes with mindclf
    batch_size=64,
    schedule="one_cycle",
    label_smoothing=0.1,
    phases=(                             # one line of rates, first on images of 48 pixels, which take half the time
        dict(train_scale=0.75, epochs=8, lr_max=0.05, min_lr=0.02, warmup_epochs=1),
        dict(epochs=4, lr_max=0.02),
    ),
    grid_rows=2,
    grid_columns=8,
    output="outputs/flower_photos_shufflenet",
)

variants = {
    "from_cifar10": {},
    "from_fresh_weights": dict(pretrained=""),
}

if __name__ == "__main__":
    sys.exit(main(config=config, variants=variants))
