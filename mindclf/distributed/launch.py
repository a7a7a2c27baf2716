"""`mindclf launch`: a training by several workers on this machine, processes that MindSpore's `msrun` starts.

Nothing here imports MindSpore; the processes do (see mindclf.distributed.worker).
"""

import contextlib
import io
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from mindclf.distributed.worker import COMMAND, DONE, LOGS, STOPPED
from mindclf.utils.cores import usable_cores
from mindclf.utils.files import command_line
from mindclf.utils.language import translate

CHATTER = re.compile(r"\[(INFO|WARNING)\] \w+\(\d+,")  # how lines of MindSpore's C++ begin that tell a user nothing
CLOSED = getattr(signal, "SIGHUP", signal.SIGTERM)  # the terminal was closed; Windows has no such signal, and no msrun
GRACE = 30                    # seconds from the first worker's stop to the last one's


def launch(count, command):
    """Runs `command`, as in ["recipe.py", "train", "epochs=2"] or ["train", "my_photos"], by `count` workers; its exit status.

    Shows what the first worker prints. When a worker fails, all end, and its error is shown: status 2 for what the user can mend,
    else 1, and then the logs are kept. SIGINT and SIGTERM go to all workers, which stop after the same step.
    """
    _check(count, command)
    logs = Path(tempfile.mkdtemp(prefix="mindclf-launch-"))
    job = _Job(logs, count)
    before = {number: signal.signal(number, job.pass_on) for number in (signal.SIGINT, signal.SIGTERM, CLOSED)
              if signal.getsignal(number) is not signal.SIG_IGN}
    try:
        job.run(command)
        status, message = job.outcome()
    finally:
        job.end()
        for number, handler in before.items():
            signal.signal(number, handler)
    if message and message not in job.errors_shown:
        print(f"{COMMAND}{translate(message)}", file=sys.stderr)
    if status != 1:
        shutil.rmtree(logs)
    return status


def _check(count, command):
    """Raises ValueError for a number of workers or a command that cannot be."""
    if sys.platform != "linux":
        raise ValueError("launch needs MindSpore's msrun, which is for Linux: train without launch, by one process on all cores")
    cores = usable_cores()
    if not 1 <= count <= cores:
        raise ValueError(f"--workers {count} must lie between 1 and {cores}, the processor cores that may be used here")
    example = f"as in mindclf launch --workers {count} recipes/garbage_mobilenet_v2.py train"
    if not command:
        raise ValueError(f"launch needs a recipe and train, {example}")
    if command[0] != "train":
        if not Path(command[0]).is_file():
            raise ValueError(f"{command[0]} does not exist: name a recipe, {example}")
        if command[1:2] != ["train"]:
            raise ValueError(f"launch is for train alone, {example}, not for {' '.join(command[1:2]) or 'a recipe without it'}")


class _Job:
    """The processes of one launch, and what is known of them from the files that they write into `logs`."""

    def __init__(self, logs, count):
        self.logs, self.count = logs, count
        self.msrun, self.signal, self.told, self.errors_shown = None, None, set(), set()
        self.shown = 0  # characters of the first worker's log

    def run(self, command):
        """Starts the processes, shows what the first worker prints, and returns when the job has ended or failed."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        folder = Path(sys.executable).parent
        python = "python" if (folder / "python").exists() else "python3"  # msrun takes no other names
        environment = {
            **os.environ, LOGS: str(self.logs), "MINDCLF_COMMAND": command_line(), "PYTHONUNBUFFERED": "1",
            "PYTHONIOENCODING": "utf-8:backslashreplace", "PATH": f"{folder}{os.pathsep}{os.environ.get('PATH', '')}",
            "PYTHONPATH": os.pathsep.join(filter(None, (str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH")))),
            "PYTHONSAFEPATH": "1"}  # from Python 3.11 on: a queue.py in the working folder is not Python's own
        with open(self.logs / "msrun.log", "wb") as log:
            self.msrun = subprocess.Popen(
                [sys.executable, "-m", "mindspore.parallel.cluster.run", f"--worker_num={self.count}",
                 f"--local_worker_num={self.count}", "--master_addr=127.0.0.1", f"--master_port={port}",
                 f"--log_dir={self.logs}", "--join=True", f"--tail_worker_log={self.count}",  # of none: we show it ourselves
                 python, "-m", "mindclf.distributed.worker", *command],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True)
        while self.msrun.poll() is None and not self._failed_worker() and not self._waits_in_vain():
            self._tell()
            self._show()
            time.sleep(0.1)
        self._show()

    def pass_on(self, number, frame):
        """Handles a signal: the workers get it, and a second one too. A terminal that was closed (SIGHUP) asks to stop."""
        self.signal, self.told = signal.SIGTERM if number == CLOSED else number, set()

    def outcome(self):
        """(status, message) of the job that has ended."""
        statuses = [(status, rank) for _, status, rank in self._statuses()]
        failed = self._failed_worker()
        stopped = any(status in STOPPED for status, _ in statuses)
        # One that is done may still be ended by MindSpore's taking leave of the others, which has been seen to crash.
        done = self.msrun.returncode == 0 or len([status for status, _ in statuses if status in DONE]) == self.count
        if self.signal and (stopped or not done):
            return 128 + self.signal, None if stopped else f"stopped by {signal.Signals(self.signal).name}"
        if done:
            return next((status for status, rank in statuses if rank == 0), 0), None
        # Nor is such a crash the reason where a worker has said why: the one that crashed, or one whose error the user can mend.
        if failed and failed[1] < 0 and not any(status == 2 or (status and rank == failed[0]) for status, rank in statuses):
            return 1, f"worker {failed[0]} was ended by {signal.Signals(-failed[1]).name}; logs: {self.logs}"
        for status, rank in statuses:
            if status:
                lines = [line for line in self._log(rank).splitlines() if line.strip() and not CHATTER.match(line)]
                said = [line.removeprefix(COMMAND) for line in lines if line.startswith(COMMAND)]
                if said:
                    return status, said[-1] if said[-1] in self.errors_shown else f"worker {rank}: {said[-1]}"
                raised = [line for line in lines if re.match(r"[\w.]*(Error|Exception)\b", line)]
                message = f"worker {rank} failed: {(raised or lines or ['without a word'])[-1]}"
                return (2, message) if status == 2 else (1, f"{message}; logs: {self.logs}")
        lines = self._msrun_log().strip().splitlines()
        return 1, f"msrun failed: {(lines or ['without a word'])[-1]}; logs: {self.logs}"

    def end(self):
        """Ends every process that is left. msrun and what brings the workers together would wait half a minute."""
        if self.msrun and self.msrun.returncode == 0:
            return
        for pid in [*self._pids().values(), *([self.msrun.pid] if self.msrun else [])]:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
        if self.msrun:
            self.msrun.wait()

    def _pids(self):
        """Worker: its process, of those that have started."""
        return {int(path.stem): int(path.read_text(encoding="ascii")) for path in self.logs.glob("*.pid")}

    def _failed_worker(self):
        """(worker, exit code) of the one that msrun saw fail first; None if there is none."""
        found = re.search(r"Worker process (\d+) exit with exception\. Error code: (-?\d+)",
                          self._msrun_log())
        return found and next(((rank, int(found[2])) for rank, pid in self._pids().items() if pid == int(found[1])), None)

    def _msrun_log(self):
        return (self.logs / "msrun.log").read_text(encoding="utf-8", errors="replace")

    def _statuses(self):
        """(time, status, worker) of those that have ended, in this order."""
        return sorted((path.stat().st_mtime, int(path.read_text(encoding="ascii")), int(path.stem))
                      for path in self.logs.glob("*.status"))

    def _waits_in_vain(self):
        """Whether a worker has stopped for a signal, and others have not come to an end since: they wait for it."""
        return any(status in STOPPED and time.time() - ended > GRACE for ended, status, _ in self._statuses())

    def _tell(self):
        for rank, pid in self._pids().items() if self.signal else ():
            if rank not in self.told:
                self.told.add(rank)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, self.signal)

    def _log(self, rank):
        file = self.logs / f"worker_{rank}.log"
        return file.read_text(encoding="utf-8", errors="replace") if file.exists() else ""

    def _show(self):
        """Prints whole lines of the first worker that are new, its error as an error."""
        for line in io.StringIO(self._log(0)[self.shown:]):  # not splitlines, which knows other ends of lines too
            if not line.endswith("\n"):
                break
            self.shown += len(line)
            if CHATTER.match(line):
                continue
            is_error = line.startswith(COMMAND)
            if is_error:
                self.errors_shown.add(line.strip().removeprefix(COMMAND))
            with contextlib.suppress(OSError):  # nobody reads it any more: the training goes on
                print(line, end="", file=sys.stderr if is_error else sys.stdout, flush=True)
