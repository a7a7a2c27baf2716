"""Training images a second that the pipelines of the recipes prepare, beside those of another checkout if one is named.

    python benchmarks/pipeline_speed.py                    # 7 minutes on two cores; writes results/pipeline_speed.json
    python benchmarks/pipeline_speed.py --beside CHECKOUT  # and the pipelines of that clone of mindclf, in turn: 15 minutes
    python benchmarks/pipeline_speed.py --only flowers --rounds 1 --to outputs/pipeline_speed.json
    python benchmarks/pipeline_speed.py --only augmentation --to benchmarks/results/tables/augmentation_speed.json

The images are made here: noise for CIFAR-10, and smooth JPEG files in the sizes of the recipes' photos, and of those of a phone.
Each measurement is a process of its own, which reads two epochs and times the second. Rounds alternate between the checkouts,
so that a slow minute of the machine hits both; what is written are medians and quartiles over the rounds, and of the rounds' own
ratios. "Processor seconds" are those of all threads, for one image: what the pipeline takes from training on the same cores.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
ROUNDS = 5


@dataclass(frozen=True)
class Case:
    """The pipeline of a recipe in one of its phases, over `images` images of `size` (height, width); size None is CIFAR-10."""

    recipe: str
    phase: int = 0
    size: tuple | None = None
    images: int = 20_000
    fields: dict = field(default_factory=dict)


PHOTOS = Case("garbage_mobilenet_v2_all_layers", size=(224, 224), images=2048)
SMALL = Case("cifar10_mobilenet_v1")
AT_32 = dict(phases=(), image_height=32, image_width=32, cutout=0, batch_size=128)
AUGMENTATIONS = {
    "light": dict(color_adjust=0.4),  # in the place of which a policy comes
    "neither": dict(color_adjust=0.0),
    "trivial_augment": dict(policy="trivial_augment"),
    "rand_augment": dict(policy="rand_augment"),
    "auto_augment": dict(policy="auto_augment"),
    "auto_augment_cifar10": dict(policy="auto_augment_cifar10"),
    "random erasing": dict(color_adjust=0.0, erasing_prob=0.25),
}
CASES = {
    "CIFAR-10, 32 px, MobileNetV1": Case("cifar10_mobilenet_v1", fields=AT_32),
    "CIFAR-10, 48 px, MobileNetV1": Case("cifar10_mobilenet_v1", phase=1),
    "CIFAR-10, 24 px, ShuffleNetV1": Case("cifar10_shufflenet_v1"),
    "CIFAR-10, 32 px, ShuffleNetV1": Case("cifar10_shufflenet_v1", phase=1),
    "CIFAR-10, 224 px, ShuffleNetV1 as written": Case("cifar10_shufflenet_v1_as_written", images=4000),
    "garbage, 224 px": Case("garbage_mobilenet_v2_all_layers", size=(224, 224), images=2048),
    "flowers, 192 px": Case("flowers102_two_phase", phase=1, size=(160, 213), images=2048),
    "flowers, 64 px": Case("flowers102_resnet18_64px", size=(160, 213), images=2048),
    "Caltech, 128 px": Case("caltech16_compare", size=(200, 300), images=2048),
    "flower photos, 48 px": Case("flower_photos_shufflenet", size=(128, 128), images=4096),
    "flower photos, 64 px": Case("flower_photos_shufflenet", phase=1, size=(128, 128), images=4096),
    "photos of 12 megapixels, 224 px": Case("garbage_mobilenet_v2_all_layers", size=(3000, 4000), images=64,
                                            fields={"batch_size": 16}),
    **{f"augmentation, {data}, {name}": replace(case, fields={**fields, **augmentation})
       for data, case, fields in (("224 px", PHOTOS, {}), ("CIFAR-10, 32 px", SMALL, AT_32))
       for name, augmentation in AUGMENTATIONS.items()},
}


def main(argv=None):
    if argv is None and sys.argv[1:2] == ["--worker"]:
        return worker(*sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--beside", type=Path, metavar="CHECKOUT", help="another clone of mindclf, with its kernels compiled")
    parser.add_argument("--only", default="", metavar="TEXT", help="cases whose names contain it")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--to", type=Path, default=HERE / "results" / "pipeline_speed.json", metavar="FILE")
    arguments = parser.parse_args(argv)

    from common import provenance, write_result

    from mindclf.device import describe_device
    checkouts = {"mindclf": ROOT, **({"beside": arguments.beside.resolve()} if arguments.beside else {})}
    origin = {**provenance(describe_device("CPU")), "rounds": arguments.rounds}
    origin["command"] = origin["command"].replace(str(arguments.beside), "CHECKOUT")
    if arguments.beside:
        origin["beside"] = commit_of(checkouts["beside"])
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, case in CASES.items():
            if arguments.only in name:
                data = make_images(case, Path(folder))
                rounds = [{key: measure(checkout, name, data) for key, checkout in checkouts.items()}
                          for _ in range(arguments.rounds)]
                rows.append({"case": name, "recipe": case.recipe, "phase": case.phase, **summary(rounds)})
                print(json.dumps(rows[-1]), flush=True)
    write_result(arguments.to, {**origin, "rows": rows})
    return 0


def make_images(case, folder):
    """The folder of the images of a case, made the first time that it is asked for."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    target = folder / ("cifar10" if case.size is None else f"{case.size[0]}x{case.size[1]}")
    if target.exists():
        return target
    target.mkdir()
    if case.size is None:
        for name in [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]:
            records = rng.integers(0, 256, (10_000, 3073), dtype=np.uint8)
            records[:, 0] %= 10
            records.tofile(target / name)
        return target
    height, width = case.size
    for number in range(min(case.images, 256)):  # which are read again and again
        small = rng.integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
        Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC).save(target / f"{number}.jpg", quality=90)
        if height > 1000 and number == 7:
            break
    return target


def measure(checkout, name, data):
    """What `worker` prints of a case, in a process that imports mindclf from `checkout`."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(checkout), str(checkout / "recipes")])}
    command = [sys.executable, str(Path(__file__).resolve()), "--worker", name, str(data)]
    return json.loads(subprocess.run(command, cwd=checkout, env=environment, check=True, stdout=subprocess.PIPE).stdout)


def worker(name, data):
    """Prints images and processor seconds a second of the second epoch of a case, as JSON."""
    import importlib

    sys.path.remove(str(HERE))  # the benchmarks of this checkout are none of the other's modules

    from mindclf.config import merge, phases_of
    from mindclf.dataset import ImageSet, train_pipeline
    from mindclf.dataset.cifar10 import read_cifar10

    case = CASES[name]
    config = merge(importlib.import_module(case.recipe).config, case.fields)
    config = merge(phases_of(config)[case.phase], {"mean": (120.0, 120.0, 120.0), "std": (60.0, 60.0, 60.0)})
    if case.size is None:
        image_set = read_cifar10(data, "train").take(range(case.images))
    else:
        files = sorted(map(str, Path(data).iterdir()))
        image_set = ImageSet(tuple(files[number % len(files)] for number in range(case.images)), (0,) * case.images, ("a",))
    dataset = train_pipeline(image_set, config)
    for _ in range(2):
        started, used, count = time.perf_counter(), time.process_time(), 0
        for images, _labels in dataset.create_tuple_iterator(num_epochs=1, do_copy=False):
            count += len(images)
        seconds, processor = time.perf_counter() - started, time.process_time() - used
    print(json.dumps({"images_per_second": count / seconds, "processor_seconds": processor / count}))
    return 0


def summary(rounds):
    """Medians and quartiles over `rounds`, dicts of what `worker` prints by checkout, and of the ratios to "beside"."""
    from speed import spread

    figures = {}
    for checkout in rounds[0]:
        figures[checkout] = {key: spread([row[checkout][key] for row in rounds]) for key in rounds[0][checkout]}
    if "beside" in rounds[0]:
        figures["ratio"] = {key: spread([row["mindclf"][key] / row["beside"][key] for row in rounds])
                            for key in rounds[0]["mindclf"]}
    return figures


def commit_of(checkout):
    return subprocess.run(["git", "rev-parse", "--short=12", "HEAD"], cwd=checkout, capture_output=True, encoding="utf-8",
                          check=True).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
