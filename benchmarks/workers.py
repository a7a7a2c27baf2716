"""The garbage recipe over all layers, by one worker and by two that share its batches: accuracy and wall time.

    python benchmarks/workers.py                          # the recipe's minutes twice over; writes results/tables/workers.json
    python benchmarks/workers.py --to FILE epochs=1       # a trial: any fields of the config
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import provenance, require_photos, write_result

from mindclf.checkpoint import read_card

RECIPE = "recipes/garbage_mobilenet_v2_all_layers.py"
RUNS = (  # workers, what starts them, and fields: 64 images a step in the first phase and 32 in the second, with both
    (1, [RECIPE, "train"]),
    (2, ["-m", "mindclf", "launch", "--workers", "2", RECIPE, "train", "batch_size=32", "phases.1.batch_size=16"]),
)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--to", default=__file__, metavar="FILE", help="default: benchmarks/results/tables/workers.json")
    parser.add_argument("fields", nargs="*", metavar="field=value", help="for both runs")
    arguments = parser.parse_args()
    runs = []
    for count, command in RUNS:
        with tempfile.TemporaryDirectory() as folder:
            command = [*command, *arguments.fields]
            started = time.perf_counter()
            subprocess.run([sys.executable, *command, "feature_cache=", f"output={folder}/run"], check=True,
                           stdout=subprocess.DEVNULL)
            seconds = time.perf_counter() - started
            card = read_card(Path(folder) / "run" / "best.ckpt")
        require_photos(card["data"]["origin"])
        figures = card["metrics"]["test"]
        runs.append({"workers": count, "command": " ".join(["python", *command]), "top1": figures["top1"],
                     "top5": figures["top5"], "loss": figures["loss"], "right": round(figures["top1"] * figures["images"]),
                     "images": figures["images"], "seconds": round(seconds, 1), "speed": card["speed"]})
        print(runs[-1], flush=True)
    write_result(arguments.to, {**provenance(card["device"]), "recipe": RECIPE, "data": card["data"]["origin"],
                                "start": card["start"], "versions": card["versions"], "runs": runs})


if __name__ == "__main__":
    main()
