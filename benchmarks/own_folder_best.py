"""Own folders: `mindclf train FOLDER`, the same with --best, and logistic regression: accuracy on test images, and seconds.

    python benchmarks/own_folder_best.py --choose       # writes results/tables/own_folder_best_choice.json
    python -m pip install scikit-learn
    python benchmarks/own_folder_best.py                # writes results/tables/own_folder_best.json

--choose trains the ways of WAYS on some images of each class of a data set, and compares them on others: the epoch that some
more images choose, as the command does it, and the last epoch. The command tests with none of these. Without --choose each data
set is trained on whole, as the command does it; logistic regression is scikit-learn's on the features of the fast head, all
training and validation images. With --sets and --seeds only those are measured, and the others stay in the table. A run that is
killed goes on with the same command.
"""

import argparse
import logging
import time
from pathlib import Path

import numpy as np
from common import ROOT, add_rows

from mindclf.checkpoint import load_net, read_card
from mindclf.config import merge
from mindclf.dataset.content import chosen_for_test
from mindclf.dataset.draws import Draws
from mindclf.dataset.folder import read_folder
from mindclf.dataset.layout import class_folders, split_folders
from mindclf.dataset.registry import DATA_SETS
from mindclf.dataset.splits import read_splits
from mindclf.evaluation import evaluate
from mindclf.metrics import wilson_interval
from mindclf.own_images import own_images
from mindclf.report.history import HISTORY, HistoryFile
from mindclf.train import fit, train_folder
from mindclf.train.features import stored_features
from mindclf.train.own_folder import prepared

SETS = ("caltech16", "flower_photos", "flowers102", "garbage26")
OUTPUTS = ROOT / "outputs" / "own_folder_best"
CHOICE = {"caltech16": (30, 4, 20), "flower_photos": (60, 7, 60), "garbage26": (25, 3, 15)}  # of each class: train, valid, test
BASE = dict(lr_max=0.006, epochs=10, scale=(0.35, 1.0), image_height=224, image_width=224, label_smoothing=0.1,
            choose_epoch="best")
WAYS = {  # what differs from BASE
    "base": {},
    "lr_max=0.003": {"lr_max": 0.003},
    "lr_max=0.0015": {"lr_max": 0.0015},
    "epochs=30": {"epochs": 30},
    "image_height=160 image_width=160": {"image_height": 160, "image_width": 160},
}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--choose", action="store_true")
    parser.add_argument("--sets", nargs="+", choices=SETS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[1])
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    options = parser.parse_args()
    logging.getLogger("mindclf").setLevel(logging.WARNING)
    if options.choose:
        add_rows("own_folder_best_choice", [
            (lambda name=name, way=way, seed=seed: chosen(name, way, seed), {"dataset": name, "way": way, "seed": seed})
            for way in options.ways for name in options.sets or CHOICE for seed in options.seeds])
    else:
        add_rows("own_folder_best", [
            (lambda name=name, seed=seed: compared(name, seed), {"dataset": name, "seed": seed})
            for name in options.sets or SETS for seed in options.seeds])


def compared(name, seed):
    """The row of a data set: accuracy on its test images with the 95 % interval, and seconds, by way."""
    folder = photos(name)
    fast = train_folder(folder, seed=seed, output=str(OUTPUTS / f"{name}-{seed}-fast"), feature_cache="")
    best = train_folder(folder, best=True, seed=seed, output=str(OUTPUTS / f"{name}-{seed}-best"), resume=True)
    started = time.perf_counter()
    regression = regressed(folder, fast.checkpoint, seed)
    epochs = HistoryFile(best.checkpoint.parent / HISTORY).rows()
    seconds = {"fast": fast.seconds, "best": sum(row["seconds"] for row in epochs),
               "logistic_regression": time.perf_counter() - started}
    top1 = {"fast": fast.report.top1, "best": best.report.top1, "logistic_regression": regression}
    epoch = {part: read_card(best.checkpoint)[part] for part in ("phase", "epoch")}
    return {"test_images": fast.report.images, "top1": {way: round(float(value), 6) for way, value in top1.items()},
            "interval": {way: [round(end, 4) for end in wilson_interval(round(value * fast.report.images), fast.report.images)]
                         for way, value in top1.items()},
            "seconds": {way: round(value, 1) for way, value in seconds.items()}, "best_epoch": epoch}


def regressed(folder, checkpoint, seed):
    """The accuracy of scikit-learn's logistic regression on the features of the backbone of `checkpoint`."""
    from sklearn.linear_model import LogisticRegression

    config = prepared(merge(own_images(str(folder)), {"seed": seed, "feature_cache": ""}), folder)
    net, card = load_net(checkpoint)
    config = merge(config, {name: card[name] for name in ("mean", "std")})
    splits = read_splits(config)
    parts = [stored_features(net, images, config) for images in (splits.train, splits.valid, splits.test) if len(images)]
    features, labels = (np.concatenate(pair) for pair in zip(*parts[:-1]))
    return LogisticRegression(max_iter=1000).fit(features, labels).score(*parts[-1])


def chosen(name, way, seed):
    """The row of a way on some images of a data set: accuracy on others by head, best epoch and last epoch, and seconds."""
    folder = some_images(name, seed)
    output = OUTPUTS / f"{name}-{seed}-{way}".replace(" ", "_").replace("=", "-")
    asked = {**BASE, **WAYS[way]}
    config = merge(own_images(str(folder), asked, best=True), {**asked, "seed": seed, "output": str(output), "resume": True})
    head = train_folder(folder, seed=seed, output=f"{output}-head", image_height=asked["image_height"],
                        image_width=asked["image_width"])
    best = fit(prepared(config, folder))
    last = evaluate(best.checkpoint.with_name("last.ckpt"), folder)
    rows = HistoryFile(output / HISTORY).rows()
    return {"epochs": int(rows[-1]["epoch"]), "test_images": last.images, "best_epoch": read_card(best.checkpoint)["epoch"],
            "top1": {"head": round(head.report.top1, 6), "best": round(best.report.top1, 6), "last": round(last.top1, 6)},
            "seconds": round(sum(row["seconds"] for row in rows), 1)}


def some_images(name, seed):
    """A folder of links: of each class so many images in train/, valid/ and test/ as CHOICE says."""
    folder = OUTPUTS / f"{name}-images-{seed}"
    if folder.is_dir():
        return folder
    images, order = untested(name), Draws(seed, 0, 0).generator("some images")
    order = order.permutation(len(images))
    for label, class_name in enumerate(images.classes):
        of_class = [index for index in order if images.labels[index] == label]
        parts = np.split(of_class, np.cumsum(CHOICE[name]))
        for split, indices in zip(("train", "valid", "test"), parts):
            place = folder / split / class_name
            place.mkdir(parents=True)
            for index in indices:
                source = Path(images.paths[index]).resolve()
                (place / source.name).symlink_to(source)
    return folder


def untested(name):
    """The images of a data set that `mindclf train FOLDER` does not test with."""
    folder = photos(name)
    divided = split_folders(folder)
    if divided:
        return read_folder(divided["train"], sorted(class_folders(divided["train"])))
    images = read_folder(folder, sorted(class_folders(folder)))
    tests = chosen_for_test(images.digests(), images.labels)
    return images.take([index for index, is_test in enumerate(tests) if not is_test])


def photos(name):
    return DATA_SETS[name].find(only_on_disk=True).path


if __name__ == "__main__":
    main()
