"""What benchmarks/speed.py times, and how a worker process answers it. Every framework's worker imports this: NumPy at most.

A worker builds its net, warms up, prints one line of JSON with facts about itself, and then, for each line on its standard
input, runs one round and prints {"seconds": of its median step, "steps": how many it ran, "others": processor cores that other
processes took meanwhile, "peak_mib": the most memory it has had}.
"""

import json
import os
import resource
import statistics
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

ROUND_SECONDS = 1.5  # a round is as many steps as fit, and at least one
TASKS = ("train", "infer")


@dataclass(frozen=True)
class Case:
    """A net and its input: `batch_size` images of size x size pixels, of `num_classes` classes."""

    title: str
    net: str
    size: int
    batch_size: int
    num_classes: int = 1000
    options: dict = field(default_factory=dict)


CASES = {case.net: case for case in (
    Case("MobileNetV1", "mobilenet_v1", 32, 128, 10, {"stem": "cifar"}),
    Case("MobileNetV2", "mobilenet_v2", 224, 16),
    Case("ShuffleNetV1 1.0x", "shufflenet_v1", 224, 16),
    Case("AsymmNet large", "asymmnet_large", 224, 16),
    Case("ResNet18", "resnet18", 64, 128),
)}


def case_of(text):
    """The case that a worker's command names: NET, or NET:BATCH_SIZE for another batch size than that of CASES."""
    net, _, batch_size = text.partition(":")
    return replace(CASES[net], batch_size=int(batch_size)) if batch_size else CASES[net]


def random_batch(case):
    """Images (batch_size, 3, size, size) float32 and labels (batch_size,) int32, always the same."""
    rng = np.random.default_rng(0)
    images = rng.standard_normal((case.batch_size, 3, case.size, case.size), np.float32)
    return images, rng.integers(0, case.num_classes, case.batch_size, np.int32)


def cores():
    """Processor cores that this process may use. Not mindclf.doctor's: importing mindclf tunes oneDNN, and PyTorch has it too."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def answer_channel():
    """A stream for answers alone: what else is printed from here on, also by C++ code, goes to standard error."""
    channel = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    return channel


def serve(step, facts, channel, warm_ups):
    """Answers until standard input ends; `step` is one training step or one inference, done when it returns."""
    for _ in range(warm_ups):
        step()
    print(json.dumps(facts), file=channel)
    for _ in sys.stdin:
        seconds, started, others = [], time.perf_counter(), busy_seconds() - time.process_time()
        while not seconds or time.perf_counter() - started < ROUND_SECONDS:
            before = time.perf_counter()
            step()
            seconds.append(time.perf_counter() - before)
        others = busy_seconds() - time.process_time() - others
        print(json.dumps({"seconds": statistics.median(seconds), "steps": len(seconds), "peak_mib": peak_mib(),
                          "others": round(others / (time.perf_counter() - started), 3)}), file=channel)


def busy_seconds():
    """Core seconds that all processes together have worked since this machine started; this process's own where none tells."""
    try:
        user, nice, system, _idle, _waiting, *interrupts = map(int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9])
    except (OSError, ValueError):
        return time.process_time()
    return (user + nice + system + sum(interrupts)) / os.sysconf("SC_CLK_TCK")


def peak_mib():
    """The most memory that this process has had, MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB; on macOS bytes
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)
