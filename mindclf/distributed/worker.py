"""Worker of a launch: the process that MindSpore's `msrun` starts, as python -m mindclf.distributed.worker RECIPE train ...

It reports its number and its exit status in files of the folder that LOGS names, which mindclf.distributed.launch reads.
"""

import os
import runpy
import signal
import sys
from pathlib import Path

from mindclf.utils.files import write_text
from mindclf.utils.language import translate

LOGS = "MINDCLF_LAUNCH_LOGS"  # environment variable: the folder for what the processes print, and for their numbers
COMMAND = "mindclf: "         # begins the line that says why a command failed
STOPPED = (128 + signal.SIGINT, 128 + signal.SIGTERM)
DONE = (0, *STOPPED)  # exit statuses of a worker that wrote all it had to


def work(command):
    """Runs `command` as the process of a launch that msrun has started; returns the exit status."""
    if os.environ["MS_ROLE"] == "MS_SCHED":
        from mindclf.distributed import collectives

        collectives.join()
        return 0
    logs, rank = Path(os.environ[LOGS]), int(os.environ["RANK_ID"])
    write_text(logs / f"{rank}.pid", str(os.getpid()))
    _take_cores(rank, int(os.environ["MS_WORKER_NUM"]))
    status = 1
    try:
        status = _run(command)
    finally:
        write_text(logs / f"{rank}.status", str(status))
    if status in DONE:
        from mindclf.distributed import collectives  # not before this process has its cores

        collectives.barrier()  # if this process crashes at its exit, msrun ends the others: they have written all they had to
    return 0 if status in STOPPED else status  # msrun would kill those that have yet to say where they stopped


def _run(command):
    try:
        if command[0] == "train":
            sys.argv = ["mindclf", *command]
            runpy.run_module("mindclf", run_name="__main__")
        else:
            sys.argv = command
            sys.path.insert(0, str(Path(command[0]).resolve().parent))
            runpy.run_path(command[0], run_name="__main__")
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(f"{COMMAND}{translate(str(end.code))}", file=sys.stderr)
        return 1
    return 0


def _take_cores(rank, count):
    """Keeps this worker to its part of the processor cores, if there are enough: more threads than cores slow each other."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []  # not on macOS
    if len(cores) >= count:
        os.sched_setaffinity(0, cores[rank * len(cores) // count:(rank + 1) * len(cores) // count])


if __name__ == "__main__":
    sys.exit(work(sys.argv[1:]))
