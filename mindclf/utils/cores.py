"""How many processor cores this process may use: what every pool of threads is as large as."""

import math
import os
from pathlib import Path


def usable_cores(root=Path("/")):
    """The number of cores that this process may keep busy, at least 1.

    The machine may have more: a process is kept to some of them by its affinity (taskset, cpusets), and to the time of so many by
    the quota of its control group (docker run --cpus, Kubernetes' limits, Slurm). `root` is where /proc and /sys are looked for.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1  # not on macOS
    return max(1, math.ceil(min(cores, cgroup_quota(root))))


def cgroup_quota(root=Path("/")):
    """The cores' worth of time that the control groups of this process allow it, infinite where they set no limit.

    Reads cpu.max of version 2, and cpu.cfs_quota_us and cpu.cfs_period_us of version 1, of the group and of those above it: each
    of them holds. Inside a container the group is often at the top, whatever /proc/self/cgroup calls it.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return math.inf
    quotas = [math.inf]
    for line in lines:
        number, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        if number == "0" and not controllers:
            quotas += [_quota_2(folder) for folder in _up(root / "sys/fs/cgroup", group)]
        elif "cpu" in controllers.split(","):
            for mount in ("cpu", "cpu,cpuacct", "cpuacct,cpu"):
                quotas += [_quota_1(folder) for folder in _up(root / "sys/fs/cgroup" / mount, group)]
    return min(quotas)


def _up(mount, group):
    """The folder of `group` below `mount`, and those above it, up to the mount."""
    parts = [part for part in group.split("/") if part not in ("", "..")]
    return [mount.joinpath(*parts[:count]) for count in range(len(parts), -1, -1)]


def _quota_2(folder):
    return _cores(*_words(folder / "cpu.max"))


def _quota_1(folder):
    return _cores(*_words(folder / "cpu.cfs_quota_us"), *_words(folder / "cpu.cfs_period_us"))


def _cores(*numbers):
    """Cores' worth of time, of a quota and its period as the kernel writes them: "max" and -1 are no limit."""
    try:
        quota, period = map(int, numbers)
    except ValueError:  # "max", or nothing there
        return math.inf
    return quota / period if quota > 0 and period > 0 else math.inf


def _words(file):
    try:
        return file.read_text(encoding="utf-8").split()
    except (OSError, ValueError):
        return []
