"""What the workers of test_workers.py run: several trainings in a row, each worker writing down what it saw. Takes `train`."""

import json
import os
import signal
import sys
from pathlib import Path

import numpy as np

from mindclf.train import checkpointing

FOLDER = Path(os.environ["WORKER_TEST_FOLDER"])
written = []  # what this process writes, makes or renames below a folder that is the output of a run


def watch(event, arguments):
    writes = event in ("os.mkdir", "os.rename", "os.remove", "os.rmdir") or (
        event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"))
    if writes and "run-" in str(arguments[0]):
        written.append(f"{event} {arguments[0]}")


def main():
    from mindclf.distributed import collectives
    from mindclf.train import callbacks, fit
    from mindclf.utils.signals import Stopped

    sys.addaudithook(watch)
    configs = json.loads((FOLDER / "configs.json").read_text())
    weights = {}

    def keep(self, run_context, share=callbacks.SyncBatchNormStatistics.on_train_step_end):
        for when in ("before", "after"):
            if self.metrics.step % self.metrics.steps_per_epoch == 0:
                weights.update({f"{p.name}/{when}": p.asnumpy().copy() for p in self.net.get_parameters()})
            if when == "before":
                share(self, run_context)

    def save(self, name, choice, save=checkpointing.CheckpointManager._save):
        weights.update({p.name: p.asnumpy().copy() for p in self.net.get_parameters()})
        save(self, name, choice)

    callbacks.SyncBatchNormStatistics.on_train_step_end, checkpointing.CheckpointManager._save = keep, save
    module = sys.modules["mindclf.train.fit"]
    module.write_report = lambda *arguments: None  # takes as long as all the training
    for name, config in configs.items():
        happens = config.pop("happens", {})
        steps, taken = callbacks.MetricTracker.on_train_step_end, []

        def step(self, run_context, name=name, steps=steps, taken=taken, happens=happens):
            steps(self, run_context)
            taken.append(self.step)
            if len(taken) == happens.get("step") and collectives.rank() == 1:
                (FOLDER / "happens").write_text(name)
                if "signal" in happens:  # else somebody outside waits for the file
                    os.kill(os.getpid(), signal.Signals[happens["signal"]])

        callbacks.MetricTracker.on_train_step_end = step
        weights.clear()
        facts = {}
        try:
            fitted = fit(config)
            facts = {"report": fitted.report.as_dict()}
        except Stopped as stop:
            facts = {"stopped": str(stop)}
            if "signal" not in happens:
                print(f"mindclf: {stop}", file=sys.stderr)
                return stop.status
        finally:
            callbacks.MetricTracker.on_train_step_end = steps
            np.savez(FOLDER / f"{name}-{collectives.rank()}.npz", **weights)
            (FOLDER / f"{name}-{collectives.rank()}.json").write_text(json.dumps(
                {**facts, "written": list(written), "cores": sorted(os.sched_getaffinity(0))}))
            written.clear()
    return 0


if __name__ == "__main__":
    sys.exit(main())
