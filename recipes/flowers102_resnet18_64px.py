"""Oxford's 102 flowers: ResNet18 from fresh weights at the tutorial's 64 pixels, for comparison with flowers102_two_phase.py.

    python recipes/flowers102_resnet18_64px.py train

Its 30 epochs are the 20 and 10 of the tutorial's two phases, which need weights that know ImageNet. Who has them, from
`mindclf convert`, runs `flowers102_two_phase.py train net=resnet18 pretrained=resnet18.ckpt image_height=64 image_width=64`.
Two Xeon cores, seed 1: 65.8 % of the 819 test images, 18 min (benchmarks/results/runs/flowers102_resnet18_64px/).
"""

import sys

from flowers102_two_phase import config as two_phase

from mindclf.cli import main

config = dict(
    two_phase,
    image_height=64,
    image_width=64,
    net="resnet18",
    pretrained="",
    phases=(),
    epochs=30,
    batch_size=128,        # 51 steps = 6,552 / 128
    lr_max=0.1,
    warmup_epochs=2,
    weight_decay=5e-4,
    output="outputs/flowers102_resnet18_64px",
)

if __name__ == "__main__":
    sys.exit(main(config=config))
