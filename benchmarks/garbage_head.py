"""The head-only garbage recipe with three seeds, nothing cached: accuracy and wall time, from images to checkpoint.

    python benchmarks/garbage_head.py                  # about 4 minutes on two cores; writes results/tables/garbage_head.json
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import provenance, require_photos, write_result

from mindclf.checkpoint import read_card

RECIPE = "recipes/garbage_mobilenet_v2.py"


def main():
    runs = []
    for seed in (1, 2, 3):
        with tempfile.TemporaryDirectory() as folder:
            command = [RECIPE, "train", f"seed={seed}", "feature_cache=", f"output={folder}/run"]
            started = time.perf_counter()
            subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL)
            seconds = time.perf_counter() - started
            card = read_card(Path(folder) / "run" / "best.ckpt")
        require_photos(card["data"]["origin"])
        figures = card["metrics"]["test"]
        runs.append({"seed": seed, "top1": figures["top1"], "top5": figures["top5"], "seconds": round(seconds, 1)})
        print(runs[-1], flush=True)
    write_result(__file__, {
        **provenance(card["device"]), "recipe": RECIPE, "data": card["data"]["origin"], "start": card["start"],
        "test_images": card["data"]["test"], "versions": card["versions"], "runs": runs,
        "mean_top1": round(statistics.mean(run["top1"] for run in runs), 6),
        "median_seconds": statistics.median(run["seconds"] for run in runs)})


if __name__ == "__main__":
    main()
