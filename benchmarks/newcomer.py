"""A newcomer's run: the commands of README.md in a fresh clone, one after another, with the seconds of each.

    python benchmarks/newcomer.py --photos FOLDER --photo FILE --new-photo FILE     # writes results/tables/newcomer.json

FOLDER has the photos to train on, a folder for each class. The first FILE is for the sorter that comes with mindclf, the other
one for the net that is trained on FOLDER. pip takes packages from where it is configured to; MINDCLF_DATA may have ImageNet's
weights.
"""

import argparse
import os
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from common import ROOT, provenance, write_result

from mindclf.device import describe_device

COMMAND = re.compile(r"git clone |python3 -m venv |source |pip install -e \.$|mindclf (?:predict|train) ")
OUTPUT_LINES = 100  # all that a training prints: README.md quotes it
ADDRESS = "ADDRESS_OF_THIS_REPOSITORY"  # as the README has it


def commands_of(readme):
    """The lines of the README's blocks that a newcomer types; its output blocks and its sentences are none."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", readme, re.DOTALL | re.MULTILINE)
    return [line for language, block in blocks for line in block.splitlines() if not language and COMMAND.match(line)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    for name in ("--photos", "--photo", "--new-photo"):
        parser.add_argument(name, type=Path, required=True)
    arguments = parser.parse_args()
    steps = []
    with tempfile.TemporaryDirectory() as folder:
        place, environment = Path(folder), {**os.environ, "MINDCLF_CACHE_DIR": f"{folder}/cache"}
        environment.pop("PYTHONPATH", None)
        for command in commands_of((ROOT / "README.md").read_text(encoding="utf-8")):
            clone = place / "mindclf"
            if clone.is_dir() and "photo.jpg" in command:
                photo = arguments.new_photo if "--checkpoint" in command else arguments.photo
                shutil.copyfile(photo, clone / "photo.jpg")
            if clone.is_dir() and command.startswith("mindclf train") and not (clone / "my_photos").exists():
                shutil.copytree(arguments.photos, clone / "my_photos")
            steps.append(run(command, clone if clone.is_dir() else place, environment))
    device = describe_device("CPU")
    command = "python benchmarks/newcomer.py --photos FOLDER --photo FILE --new-photo FILE"
    photos = sum(len(files) for *_, files in os.walk(arguments.photos))
    write_result(__file__, {**provenance(device), "command": command, "photos": photos, "steps": steps})


def run(command, folder, environment):
    """{"command", "seconds", "output"} of one command, in the environment that `source` has made by then."""
    line = command.replace(ADDRESS, str(ROOT))
    activated = ". .venv/bin/activate && " if (folder / ".venv").is_dir() else ""
    started = time.perf_counter()
    done = subprocess.run(["bash", "-c", activated + line], cwd=folder, env=environment, encoding="utf-8",
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    seconds = time.perf_counter() - started
    print(f"{seconds:7.1f} s  {command}\n{done.stdout[-2000:]}", flush=True)
    if done.returncode:
        raise SystemExit(f"status {done.returncode}: {command}")
    return {"command": command, "seconds": round(seconds, 1), "output": done.stdout.splitlines()[-OUTPUT_LINES:]
            if command.startswith("mindclf") else []}  # pip tells of the machine


if __name__ == "__main__":
    main()
