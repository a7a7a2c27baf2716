"""CIFAR-10: ways to train MobileNetV1 and ShuffleNetV1 compared in short runs, on images held out of the training ones.

    MINDCLF_KERNELS=bf16 python benchmarks/cifar10_choice.py --nets mobilenet_v1 --ways base cutmix

Writes results/tables/cifar10_choice.json, where the seconds of each way are. Each row is a way with one seed: loss and
accuracy on 5,000 images, a tenth of the training images, after the last of EPOCHS epochs at 32 pixels. The test images take no
part: nothing about them is kept. What is good in ten epochs need not be the best in sixty, for regularisation gains with length.
Rows that the table has are not measured again, and a run that is killed goes on with the same command.
"""

import argparse

from common import ROOT, add_rows

from mindclf.report.history import HISTORY, HistoryFile
from mindclf.train import fit

OUTPUTS = ROOT / "outputs" / "cifar10_choice"
EPOCHS = 10
BASE = dict(dataset="cifar10", valid_fraction=0.1, image_height=32, image_width=32, crop_pct=1.0, augment="padded_crop", cutout=8,
            color_adjust=0.0, batch_size=128, eval_batch_size=128, epochs=EPOCHS, optimizer="sgd", nesterov=True,
            schedule="one_cycle", lr_max=0.15, warmup_epochs=2, weight_decay=5e-4, label_smoothing=0.1, grid_rows=1)
NETS = {
    "mobilenet_v1": dict(net="mobilenet_v1", net_options=dict(stem="cifar")),
    "shufflenet_v1": dict(net="shufflenet_v1", net_options=dict(model_size="1.5x", group=3, stem="cifar")),
}
WAYS = {  # what differs from BASE
    "base": {},
    "lr_max=0.3": dict(lr_max=0.3),
    "weight_decay=0.001": dict(weight_decay=1e-3),
    "batch_size=64": dict(batch_size=64, lr_max=0.1),
    "mixup": dict(mixup_alpha=0.2),
    "cutmix": dict(cutmix_alpha=1.0),
    "trivial_augment": dict(policy="trivial_augment"),
    "ema": dict(ema_decay=0.999),
    "sam": dict(sam_rho=0.1),
}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--nets", nargs="+", choices=NETS, default=list(NETS))
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[1])
    options = parser.parse_args()
    add_rows("cifar10_choice", [
        (lambda net=net, way=way, seed=seed: measured(net, way, seed), {"net": net, "way": way, "seed": seed})
        for net in options.nets for way in options.ways for seed in options.seeds], epochs=EPOCHS)


def measured(net, way, seed):
    """The row of a way with a seed."""
    folder = OUTPUTS / f"{net}-{way}-{seed}".replace("=", "-")
    fit({**BASE, **NETS[net], **WAYS[way], "seed": seed, "output": str(folder), "resume": True}, verbose=False)
    rows = HistoryFile(folder / HISTORY).rows()
    last = {name: round(rows[-1][name], 5) for name in ("top1", "loss", "train_loss")}
    return {**last, "seconds": round(sum(row["seconds"] for row in rows))}


if __name__ == "__main__":
    main()
