"""Where the time of a step goes, by kernel, and how near each kernel comes to what this machine can do: its roofline.

    python benchmarks/roofline.py                                      # writes results/tables/roofline.json
    python benchmarks/roofline.py --nets mobilenet_v2 --tasks infer --layers    # prints each shape; writes nothing

A kernel is bound by its multiplications or by the memory that it reads and writes: its shortest time is the larger of flops over
the machine's peak and bytes over its bandwidth, each input and output once. The share of the roofline is that time over the
measured one. It can be over 1: maps that stay in the cache are read faster than memory, and Winograd's way multiplies less than
the count of flops says. The clock (kernel_clock.c) sits between MindSpore and the kernels and needs a C compiler.
"""

import argparse
import collections
import ctypes
import re
import statistics
import subprocess
import tempfile
import time
from dataclasses import replace
from math import prod
from pathlib import Path

import numpy as np
from common import ROOT, TABLES, provenance, write_result
from mindspore import Tensor
from speed_case import CASES, TASKS
from speed_mindspore import inference, training

from mindclf.device import describe_device, use_device
from mindclf.kernels import operators, status
from mindclf.kernels.dispatch import library

CSRC = ROOT / "mindclf" / "kernels" / "csrc"
WARM_UPS, STEPS = 3, 15


class Call(ctypes.Structure):
    """`struct call` of kernel_clock.c."""

    _fields_ = [("name", ctypes.c_char_p), ("seconds", ctypes.c_double), ("values", ctypes.c_int64),
                ("shapes", ctypes.c_int64 * 4 * 12)]


class Clock:
    """The calls of kernels that MindSpore makes, with their seconds. Make it before any operator."""

    def __init__(self, folder):
        source, built = folder / "kernel_clock.c", folder / "kernel_clock.so"
        code = "\n".join(file.read_text() for file in sorted(CSRC.glob("*.c")))
        names = re.findall(r"^KERNEL(?:_OF_MANY)?\((\w+)\)", code, re.MULTILINE)
        template = Path(__file__).with_name("kernel_clock.c").read_text()
        source.write_text("\n".join([template, *(f"CLOCKED({name})" for name in names), ""]))
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", built, source, "-ldl"], check=True)
        self.library = ctypes.CDLL(str(built))
        if self.library.open_kernels(str(library(status()[1])).encode()):
            raise OSError("the kernels cannot be opened by their clock")
        self.count = ctypes.c_int64.in_dll(self.library, "call_count")
        self.calls = (Call * (1 << 14)).in_dll(self.library, "calls")
        operators.library = lambda variant: built

    def of(self, step):
        """(seconds of step(), [(name, shapes, values, seconds)] of its kernels).

        `shapes` are tuples of ints, inputs first, at most 12; `values` counts those of all inputs and outputs.
        """
        self.count.value = 0
        started = time.perf_counter()
        step()
        seconds = time.perf_counter() - started
        noted = self.calls[:self.count.value]
        shapes = [tuple(tuple(filter(None, shape)) for shape in call.shapes if shape[0]) for call in noted]
        return seconds, [(call.name.decode(), each, call.values, call.seconds) for call, each in zip(noted, shapes)]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--nets", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--layers", action="store_true", help="print each shape, and write nothing")
    parser.add_argument("--batch-size", type=int, metavar="N", help="images at a time; writes results/tables/roofline_N.json")
    options = parser.parse_args()
    use_device("CPU")
    with tempfile.TemporaryDirectory() as folder:
        clock = Clock(Path(folder))
        peak, bandwidth = machine_peak(clock), machine_bandwidth(clock)
        print(f"peak {peak / 1e9:.0f} Gflop/s, bandwidth {bandwidth / 1e9:.1f} GB/s, kernels {status()[1]}")
        cases = [replace(CASES[net], batch_size=options.batch_size or CASES[net].batch_size) for net in options.nets]
        rows = [measured(case, task, clock, peak, bandwidth, options.layers) for case in cases for task in options.tasks]
    if not options.layers:
        table = TABLES / f"roofline_{options.batch_size}.json" if options.batch_size else __file__
        write_result(table, {**provenance(describe_device("CPU")), "peak_gflops": round(peak / 1e9, 1),
                                "bandwidth_gb": round(bandwidth / 1e9, 1), "steps_measured": STEPS, "steps": rows})


def machine_peak(clock):
    """Flops a second: the best of NumPy's product of matrices and of our kernel for a large 1 x 1 convolution."""
    matrix = np.random.default_rng(0).standard_normal((2048, 2048), np.float32)
    times = []
    for _ in range(10):
        started = time.perf_counter()
        matrix @ matrix
        times.append(time.perf_counter() - started)
    operator, settings = operators.convolution(512, (1, 1), 1, 0)
    x, weight = Tensor(np.ones((8, 512, 28, 28), np.float32)), Tensor(np.ones((512, 512, 1, 1), np.float32))
    calls = [call for _ in range(10) for call in clock.of(lambda: operator(x, weight, settings).asnumpy())[1]]
    return max(2 * 2048 ** 3 / min(times), *(flops_of(name, shapes) / seconds for name, shapes, _, seconds in calls))


def machine_bandwidth(clock):
    """Bytes a second between memory and processor: the sum of two arrays of 256 MiB, which no cache holds."""
    operator, settings = operators.add(None)
    array = Tensor(np.ones((64, 64, 128, 128), np.float32))
    calls = [call for _ in range(10) for call in clock.of(lambda: operator(array, array, settings))[1]]
    return max(3 * prod(array.shape) * 4 / seconds for *_, seconds in calls[2:])


def measured(case, task, clock, peak, bandwidth, by_layer):
    """The row of a task of a net: the median seconds of a step, and of its kernels by kind."""
    step, _ = {"train": training, "infer": inference}[task](case)
    for _ in range(WARM_UPS):
        step()
    taken, kinds = [], collections.defaultdict(lambda: [0.0] * STEPS)
    done = {}
    for number in range(STEPS):
        seconds, calls = clock.of(step)
        taken.append(seconds)
        for name, shapes, values, spent in calls:
            kind, flops = kind_of(name, shapes, by_layer), flops_of(name, shapes)
            moved = 4 * (values - prod(shapes[2]) if name == "convolution_activated" else values)  # weights come in two orders
            kinds[kind][number] += spent
            if number == 0:
                before = done.get(kind, (0, 0, 0.0, 0))
                least = max(flops / peak, moved / bandwidth)
                done[kind] = (before[0] + flops, before[1] + moved, before[2] + least, before[3] + 1)
    total = statistics.median(taken)
    rows = [{"kernel": kind, "calls": done[kind][3], "milliseconds": round(1e3 * statistics.median(spent), 3),
             "share_of_step": round(statistics.median(spent) / total, 4), "gflop": round(done[kind][0] / 1e9, 3),
             "megabytes": round(done[kind][1] / 1e6, 2), "share_of_roofline": round(done[kind][2] / statistics.median(spent), 3)}
            for kind, spent in kinds.items()]
    rows.sort(key=lambda row: -row["milliseconds"])
    kernels = statistics.median(map(sum, zip(*kinds.values())))
    result = {"net": case.net, "size": case.size, "batch_size": case.batch_size, "task": task,
              "milliseconds": round(1e3 * total, 2), "outside_of_kernels": round(1 - kernels / total, 4),
              "share_of_roofline": round(sum(part[2] for part in done.values()) / total, 3), "kernels": rows}
    show(case, result)
    return result


def show(case, result):
    print(f"\n{case.title}, {case.size} px, {result['task']} of {case.batch_size}: {result['milliseconds']:.1f} ms, "
          f"{result['share_of_roofline']:.0%} of the roofline, {result['outside_of_kernels']:.0%} outside of kernels")
    for row in result["kernels"]:
        print(f"  {row['kernel']:<58} {row['calls']:>3} x {row['milliseconds']:>8.2f} ms {row['share_of_step']:>6.1%} "
              f"{row['gflop']:>8.2f} Gflop {row['megabytes']:>8.1f} MB {row['share_of_roofline']:>6.0%}", flush=True)


def kind_of(name, shapes, by_layer):
    """The row that a call is counted in: the kernel, for convolutions with the size of their window, or also with its shapes."""
    if by_layer:
        return f"{name} {' '.join('x'.join(map(str, shape)) for shape in shapes if len(shape) == 4)}"
    window = {"convolution": 1, "depthwise": 1, "separable": 1, "inverted": 3}.get(name.partition("_")[0])
    return f"{name}, {shapes[window][2]} x {shapes[window][3]}" if window else name


def flops_of(name, shapes):
    """The flops of a call of a convolution, two for a multiplication and its sum; other kernels are bound by memory: 0."""
    if name.startswith("convolution"):
        weight, y = shapes[1], shapes[3] if name.endswith("_gradient") else shapes[-1]
        return 2 * prod(y) * prod(weight[1:])
    if name.startswith("depthwise"):
        backward = name == "depthwise_backward"
        return (2 if backward else 1) * 2 * prod(shapes[3] if backward else shapes[-1]) * prod(shapes[1][1:])
    if name in ("separable", "inverted_residual"):
        x, y = shapes[0], shapes[-1]
        window = shapes[1] if name == "separable" else shapes[3]
        middle = y[0] * window[0] * prod(y[2:])
        expanding = 0 if name == "separable" else 2 * x[0] * prod(x[2:]) * window[0] * x[1]
        return expanding + 2 * middle * prod(window[1:]) + 2 * middle * y[1]
    return 0


if __name__ == "__main__":
    main()
