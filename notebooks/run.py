"""Executes notebooks and keeps what they show.

    python notebooks/run.py                          # all, quick, in place: what `make notebooks` does
    python notebooks/run.py traps caltech16_compare  # these
    python notebooks/run.py --full traps             # on the real data, into outputs/notebooks/full/

In place only what is drawn is shown: full mode shows photos, which are not committed.
"""

import argparse
import os
import shutil
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

HERE = Path(__file__).resolve().parent
TOP = HERE.parent
QUICK_OUTPUT = Path("outputs") / "notebooks"
METADATA = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"}}


def main(argv=None):
    """Exit status: 0, or 1 if a notebook failed."""
    names = sorted(path.stem for path in HERE.glob("*.ipynb"))
    parser = argparse.ArgumentParser(description="Executes notebooks and keeps what they show.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"default: {', '.join(names)}")
    parser.add_argument("--full", action="store_true", help="on the real data, into outputs/notebooks/full/")
    arguments = parser.parse_args(argv)
    for name in set(arguments.names) - set(names):
        parser.error(f"no notebook is called {name!r}: there are {', '.join(names)}")
    failed = False
    for name in arguments.names or names:
        started, cpu_before = time.perf_counter(), cpu_seconds()
        try:
            notebook = execute(HERE / f"{name}.ipynb", HERE, quick=not arguments.full)
        except CellExecutionError as error:
            print(f"{name} failed: {error}", file=sys.stderr)
            failed = True
            continue
        target = TOP / QUICK_OUTPUT / "full" if arguments.full else HERE
        target.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, target / f"{name}.ipynb")
        print(f"{name}: {time.perf_counter() - started:.0f} s, of the processor {cpu_seconds() - cpu_before:.0f} s", flush=True)
    return int(failed)


def execute(path, folder, quick=True):
    """The notebook at `path` after all its cells ran, one after another, in a Python of their own in `folder`.

    What would differ from run to run without a reason, such as times, is left out. Raises CellExecutionError.
    """
    notebook = nbformat.read(path, as_version=4)
    if quick:  # else training would find that it was done before
        shutil.rmtree((TOP if folder == HERE else Path(folder)) / QUICK_OUTPUT / path.stem, ignore_errors=True)
    paths = [str(TOP), str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])]
    client = NotebookClient(notebook, timeout=None, kernel_name="python3", record_timing=False, coalesce_streams=True,
                            extra_arguments=["--log-level=40"],
                            resources={"metadata": {"path": str(folder)}})
    client.execute(env={**os.environ, "MINDCLF_QUICK": str(int(quick)), "PYTHONPATH": os.pathsep.join(paths)})
    notebook.metadata = nbformat.from_dict(METADATA)
    return notebook


def cpu_seconds():
    """Of processes that this one started and that have ended; 0 on Windows, which does not say."""
    used = os.times()
    return used.children_user + used.children_system


if __name__ == "__main__":
    sys.exit(main())
