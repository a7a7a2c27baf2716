"""Trains in processes that something happens to. As a script it imports mindclf once, and forks for each line that it reads."""

import faulthandler
import importlib
import json
import os
import resource
import signal
import sys
import time
import traceback

HANGS = 240  # seconds: no training here takes nearly as long


def call_before_or_after(job):
    """Has job["does"] happen at call number job["call"] of the function job["name"] of a module, before it or after."""
    parent = importlib.import_module(job["module"])
    *path, name = job["name"].split(".")
    for part in path:
        parent = getattr(parent, part)
    function, calls = getattr(parent, name), []

    def happen():
        if job["does"] == "disk full":
            resource.setrlimit(resource.RLIMIT_FSIZE, (job["bytes"], job["bytes"]))
        else:
            for _ in range(job.get("times", 1)):
                os.kill(os.getpid(), signal.Signals[job["does"]])
            time.sleep(0.5)  # SIGINT is answered by way of another thread

    def watched(*args, **kwargs):
        calls.append(1)
        if job["before"] and len(calls) == job["call"]:
            happen()
        result = function(*args, **kwargs)
        if not job["before"] and len(calls) == job["call"]:
            happen()
        return result

    setattr(parent, name, watched)


def train(job):
    from mindclf.cli import main

    log = os.open(job["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    faulthandler.dump_traceback_later(HANGS, exit=True)
    sys.modules["mindclf.train.fit"].write_report = lambda *arguments: None  # takes as long as all the training
    if "does" in job:
        call_before_or_after(job)
    status = main(["train"], config=job["config"])
    sys.stdout.flush()
    return status


def serve():
    import mindclf.train  # noqa: F401  all that takes long

    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has what it starts in the background ignore it
    for line in sys.stdin:
        job, started = json.loads(line), time.perf_counter()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                status = train(job)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        ended, status = 0, 0
        while not ended:
            if time.perf_counter() - started > job.get("seconds", float("inf")):
                os.kill(child, signal.SIGKILL)
            ended, status = os.waitpid(child, os.WNOHANG)
            time.sleep(0.001)
        print(json.dumps([os.waitstatus_to_exitcode(status), time.perf_counter() - started]), flush=True)


if __name__ == "__main__":
    serve()
