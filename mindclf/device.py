"""The device, its set-up, and the seeds; the lock around nets. The only place that calls set_context."""

import contextlib
import os
import platform
import threading

import mindspore as ms
from mindspore import dataset as ds

from mindclf import kernels, tune_cpu
from mindclf.utils.cores import usable_cores

AVAILABLE = {"Ascend": ms.device_context.ascend.is_available, "GPU": ms.device_context.gpu.is_available, "CPU": lambda: True}

_lock = threading.RLock()
_process = None  # the one that first made or ran a net


def use_device(target="auto"):
    """Makes MindSpore compile whole graphs for `target` and returns the device's name: "Ascend", "GPU" or "CPU".

    "auto" takes the first of these that is there. Raises ValueError for a device that MindSpore does not find.
    """
    if target == "auto":
        target = next(name for name, available in AVAILABLE.items() if available())
    if target not in AVAILABLE:
        raise ValueError(f"device_target={target!r} is not known; expected one of auto, {', '.join(AVAILABLE)}")
    if not AVAILABLE[target]():
        raise ValueError(f"device_target={target}: MindSpore finds no {target} here; use device_target=CPU, or install the "
                         f"driver and the MindSpore wheel for it")
    _check_process()
    with _lock:
        ms.set_context(mode=ms.GRAPH_MODE)
        if ms.get_context("device_target") == target:
            pass  # saying it again is refused once several workers have joined
        elif hasattr(ms, "set_device"):
            ms.set_device(target)
        else:
            ms.set_context(device_target=target)
    return target


@contextlib.contextmanager
def exclusive():
    """Has all other threads that make or run nets wait until the block ends.

    MindSpore keeps one mode, one compiler and one executor for the whole process: two threads in them at once crash it or get
    wrong logits. Whatever in mindclf makes, compiles or runs a Cell does so inside such a block; code of your own that runs
    Cells beside a Predictor should too. A thread may enter another such block inside of it.

    Raises RuntimeError in a process that was forked after a net had been made: MindSpore would wait there for threads that a
    fork does not copy.
    """
    global _process
    _check_process()
    _process = os.getpid()
    with _lock:
        yield


def _check_process():
    if _process not in (None, os.getpid()):
        raise RuntimeError(f"process {os.getpid()} was forked from process {_process} after that had made a net, and MindSpore "
                           f"hangs in such a child: make the net (Predictor, create_net) after the fork, or start the process "
                           f"with multiprocessing.get_context('spawn')")


@contextlib.contextmanager
def pynative():
    """Has cells run line by line inside the block, as hooks on cells need it, and then in the mode from before."""
    with exclusive():
        before = ms.get_context("mode")
        ms.set_context(mode=ms.PYNATIVE_MODE)
        try:
            yield
        finally:
            ms.set_context(mode=before)


def set_seeds(seed):
    """Seeds MindSpore, its data pipelines and NumPy."""
    ms.set_seed(seed)
    ds.config.set_seed(seed)


def describe_device(target):
    """What the run used, for cards and logs: device, processor, cores, oneDNN's instruction set, the kernels' variant."""
    return {"target": target, "processor": processor(), "cores": usable_cores(), "onednn_isa": tune_cpu() or "its own choice",
            "kernels": kernels.status()[1] or "none"}


def numerics():
    """What the numbers that a net gives depend on besides weights and images, a dict: what computes them, to the last bit."""
    variant = kernels.status()[1]
    described = describe_device(ms.get_context("device_target"))
    del described["cores"]
    return {**described, "library": kernels.digest(variant) if variant else "", "mindspore": ms.__version__}


def processor():
    """The processor's name."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(line.split(":")[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
