"""Ways to fine-tune all layers on few images: learning rates, clipping, a slower backbone, optimizers.

    python benchmarks/optimisation.py --seeds 3        # writes results/tables/optimisation.json

MobileNetV2 with ImageNet's weights on photos of 5 flowers: 30 of each class train, drawn by the seed, 20 others validate, and
40 that `mindclf train FOLDER` tests with test. Images have 96 x 96 pixels. Each way has the same epochs, batches and seeds.
With --only NAME that way alone is measured, and the others stay in the table.
"""

import argparse
import json
import logging
import statistics
import tempfile
from pathlib import Path

from common import TABLES, provenance, write_result

from mindclf.dataset.content import chosen_for_test
from mindclf.dataset.draws import Draws
from mindclf.dataset.folder import read_folder
from mindclf.dataset.layout import class_folders
from mindclf.dataset.registry import DATA_SETS
from mindclf.device import describe_device
from mindclf.report.history import HISTORY, HistoryFile
from mindclf.train import fit

TRAIN, VALID, TEST = 30, 20, 40  # images of each class
COMMON = dict(net="mobilenet_v2", pretrained="imagenet", image_height=96, image_width=96, epochs=5, batch_size=16,
              eval_batch_size=50, warmup_epochs=1, device_target="CPU")
WAYS = {
    "momentum 0.05": dict(lr_max=0.05),
    "momentum 0.05, backbone_lr_factor=0.1": dict(lr_max=0.05, backbone_lr_factor=0.1),
    "momentum 0.005": dict(lr_max=0.005),
    "momentum 0.05, clip_norm=1": dict(lr_max=0.05, clip_norm=1.0),
    "momentum 0.05, layer_decay=0.8": dict(lr_max=0.05, layer_decay=0.8),
    "lion 0.0001": dict(optimizer="lion", lr_max=1e-4, weight_decay=0.05),
    "adamw 0.0005": dict(optimizer="adamw", lr_max=5e-4, weight_decay=0.01),
}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", action="append", choices=WAYS)
    parser.add_argument("--seeds", type=int, default=1)
    options = parser.parse_args()
    chosen, seeds = options.only or list(WAYS), range(1, options.seeds + 1)
    logging.getLogger("mindclf").setLevel(logging.ERROR)
    found = DATA_SETS["flower_photos"].find(only_on_disk=True)
    images = read_folder(found.path, list(class_folders(found.path)))
    rows = {}
    path = TABLES / "optimisation.json"
    if path.is_file():
        rows = {row["way"]: row for row in json.loads(path.read_text(encoding="utf-8"))["rows"]}
    with tempfile.TemporaryDirectory() as temporary:
        for seed in seeds:
            divide(images, Path(temporary) / f"images{seed}", seed)
        for name in chosen:
            runs = [measure(Path(temporary), name, seed) for seed in seeds]
            rows[name] = {"way": name, "fields": WAYS[name], "valid_top1": [run[0] for run in runs],
                          "test_top1": [run[1] for run in runs], "mean_valid": round(statistics.mean(run[0] for run in runs), 4),
                          "mean_test": round(statistics.mean(run[1] for run in runs), 4)}
            print(rows[name], flush=True)
            write_result(__file__, {**provenance(describe_device("CPU")), "data": found.origin, "common": COMMON,
                                    "seeds": list(seeds), "images_a_class": [TRAIN, VALID, TEST],
                                    "rows": [rows[way] for way in WAYS if way in rows]})


def divide(images, folder, seed):
    """Links images into train/, valid/ and test/ of `folder`, drawn by the seed; the test images are the same for all."""
    tests = chosen_for_test(images.digests(), images.labels)
    order = Draws(seed, 0, 0).generator("few images").permutation(len(images))
    for label, name in enumerate(images.classes):
        test = [index for index in range(len(images)) if images.labels[index] == label and tests[index]][:TEST]
        others = [index for index in order if images.labels[index] == label and not tests[index]]
        for split, chosen in (("train", others[:TRAIN]), ("valid", others[TRAIN:TRAIN + VALID]), ("test", test)):
            place = folder / split / name
            place.mkdir(parents=True)
            for index in chosen:
                source = Path(images.paths[index]).resolve()
                (place / source.name).symlink_to(source)


def measure(folder, name, seed):
    """(best validation accuracy, test accuracy of that epoch) of a way with a seed."""
    images, output = folder / f"images{seed}", folder / f"run-{len(list(folder.iterdir()))}"
    classes = sorted(path.name for path in (images / "train").iterdir())
    fitted = fit(COMMON, **WAYS[name], dataset_path=str(images), class_index=classes, seed=seed, output=str(output))
    return max(row["top1"] for row in HistoryFile(output / HISTORY).rows()), round(fitted.report.top1, 4)


if __name__ == "__main__":
    main()
