"""The head-only garbage recipe with three seeds, nothing cached: accuracy and wall time, from pictures to checkpoint.

    python benchmarks/garbage_head.py                  # about 4 minutes on two cores; writes benchmarks/garbage_head.json
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RECIPE = "recipes/garbage_mobilenet_v2.py"
RESULT = Path(__file__).with_suffix(".json")


def main():
    runs = []
    for seed in (1, 2, 3):
        with tempfile.TemporaryDirectory() as folder:
            command = [RECIPE, "train", f"seed={seed}", "feature_cache=", f"output={folder}/run"]
            started = time.perf_counter()
            subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL)
            seconds = time.perf_counter() - started
            card = json.loads((Path(folder) / "run" / "best.json").read_text(encoding="utf-8"))
        runs.append({"seed": seed, "top1": card["metrics"]["test"]["top1"], "top5": card["metrics"]["test"]["top5"],
                     "seconds": round(seconds, 1)})
        print(runs[-1], flush=True)
    summary = {"command": "python benchmarks/garbage_head.py", "recipe": RECIPE, "data": card["data"]["origin"],
               "start": card["start"], "test_pictures": card["data"]["test"], "device": card["device"],
               "versions": card["versions"], "runs": runs, "mean_top1": round(statistics.mean(run["top1"] for run in runs), 6),
               "median_seconds": statistics.median(run["seconds"] for run in runs)}
    RESULT.write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    print(f"mean top-1 {summary['mean_top1']:.2%}, median {summary['median_seconds']} s")


if __name__ == "__main__":
    main()
