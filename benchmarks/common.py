"""What every result says of how it came about."""

import json
import subprocess
import sys
from pathlib import Path

import mindclf  # before MindSpore, which it tunes
from mindclf.device import describe_device

ROOT = Path(__file__).resolve().parent.parent
TABLES = ROOT / "benchmarks" / "results" / "tables"
RUNS = ROOT / "benchmarks" / "results" / "runs"


def provenance(device):
    """The command, the version, the commit (with "+" if files differ from it) and the device of a result."""
    def git(*arguments):
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, encoding="utf-8", check=True).stdout.strip()

    changed = "+" if git("status", "--porcelain", "--untracked-files=no") else ""
    command = ["python", Path(sys.argv[0]).resolve().relative_to(ROOT).as_posix(), *sys.argv[1:]]
    return {"command": " ".join(command), "mindclf": mindclf.__version__,
            "commit": git("rev-parse", "--short=12", "HEAD") + changed, "device": device}


def require_photos(origin):
    """Raises ValueError if a result would be one about drawings."""
    if "no photos" in origin:
        raise ValueError("this result is about photos: put them into data/data_en, or set MINDCLF_DATA")


def add_rows(table, work, **facts):
    """Measures what `work`, [(function that gives fields, fields that name the row)], has and the `table` has not yet.

    Each row names its processor and kernels: a table may be measured on several machines. `facts` stand above the rows.
    """
    path = TABLES / f"{table}.json"
    rows = json.loads(path.read_text(encoding="utf-8"))["rows"] if path.is_file() else []
    for measure, key in work:
        if any(key.items() <= row.items() for row in rows):
            continue
        device = describe_device("CPU")
        rows.append({**key, "processor": device["processor"], "kernels": device["kernels"], **measure()})
        print(rows[-1], flush=True)
        rows.sort(key=lambda row: [str(row[name]) for name in key])
        write_result(path, {**provenance(device), **facts, "rows": rows})


def write_result(script, result):
    """Writes the result of a script into results/tables/, as JSON; or to the .json file that `script` names."""
    path = Path(script)
    path = path if path.suffix == ".json" else TABLES / f"{path.stem}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"written: {path.name}")
