"""How many images a second mindclf sorts, reading and decoding included, in MindSpore and in ONNX Runtime.

    python benchmarks/predict_speed.py               # some minutes on two cores; writes results/tables/predict_speed.json
    python benchmarks/predict_speed.py --count 128   # of fewer images; writes outputs/predict_speed.json

What `mindclf predict` does between its start and its last answer, but for printing: `gather`, then `Predictor.predict_iter`, on
training photos of the garbage set, taken evenly from all classes, with the sorter that comes with mindclf (MobileNetV2 at 224
pixels), and with its .onnx, which `export` writes first. Each runtime has warmed up; rounds alternate, and the figure is the
median of the rounds. A folder of photos is sorted twice at the least, so files come from the system's cache.
"""

import argparse
import importlib.metadata
import platform
import tempfile
import time
from pathlib import Path

from common import ROOT, TABLES, provenance, require_photos, write_result
from speed import spread
from speed_case import busy_seconds, cores

COUNT = 512   # images
ROUNDS = 5
WARM_UP = 48  # images: three batches


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=COUNT, help=f"images ({COUNT})")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"default: {ROUNDS}")
    arguments = parser.parse_args(argv)

    from mindclf.checkpoint import GARBAGE_SORTER
    from mindclf.dataset.locate import find_garbage26
    from mindclf.device import describe_device, use_device
    from mindclf.export import export
    from mindclf.predict import Predictor

    use_device("CPU")
    found = find_garbage26()
    require_photos(found.origin)
    files = some_files(found.path / "train", arguments.count)
    with tempfile.TemporaryDirectory() as folder:
        models = {"mindspore": GARBAGE_SORTER, "onnxruntime": export(GARBAGE_SORTER, "onnx", Path(folder) / "sorter.onnx")}
        predictors = {runtime: Predictor(model, runtime=runtime) for runtime, model in models.items()}
        measured = measure(predictors, files, arguments.rounds)
    is_whole = (arguments.count, arguments.rounds) == (COUNT, ROUNDS)
    destination = (TABLES if is_whole else ROOT / "outputs") / "predict_speed.json"
    versions = {"python": platform.python_version(),
                **{name: importlib.metadata.version(name) for name in ("mindspore", "onnxruntime", "pillow")}}
    write_result(destination, {
        **provenance(describe_device("CPU")), "usable_cores": cores(), "system": f"{platform.system()} {platform.machine()}",
        "versions": versions, "data": found.origin, "images": len(files), "net": "mobilenet_v2", "size": 224,
        "mean_kib": round(sum(map(size_of, files)) / len(files) / 2**10, 1), "rounds": arguments.rounds, **measured})


def some_files(folder, count):
    """The paths of `count` files, or of all if there are fewer, from all over the folder."""
    files = sorted(str(file) for file in folder.rglob("*") if file.is_file())
    step = max(1, len(files) // count)
    return files[::step][:count]


def measure(predictors, files, rounds):
    """{"images_per_second": {runtime: spread over the rounds}, "cores_taken_by_others": {runtime: the most in a round}}."""
    for predictor in predictors.values():
        predict_all(predictor, files[:WARM_UP])
    rates, others = ({runtime: [] for runtime in predictors} for _ in range(2))
    for number in range(rounds):
        names = list(predictors)
        for runtime in names[number % len(names):] + names[:number % len(names)]:
            started, idle = time.perf_counter(), busy_seconds() - time.process_time()
            predict_all(predictors[runtime], files)
            seconds = time.perf_counter() - started
            rates[runtime].append(len(files) / seconds)
            others[runtime].append((busy_seconds() - time.process_time() - idle) / seconds)
            print(f"round {number + 1} {runtime}: {rates[runtime][-1]:.1f} images/s; others took "
                  f"{others[runtime][-1]:.2f} cores", flush=True)
    return {"images_per_second": {runtime: spread(values) for runtime, values in rates.items()},
            "cores_taken_by_others": {runtime: round(max(values), 3) for runtime, values in others.items()}}


def predict_all(predictor, files):
    """Sorts the files as `mindclf predict` does. Raises ValueError for an image that cannot be read: it would count as fast."""
    from mindclf.inference.sources import gather

    for _, found in predictor.predict_iter(gather(files)):
        if isinstance(found, ValueError):
            raise found


def size_of(file):
    return Path(file).stat().st_size


if __name__ == "__main__":
    main()
