"""Cores are counted as the system lets this process use them: affinity, and the quotas of control groups of both versions."""

import math
import os
import re
from pathlib import Path

import pytest

import mindclf
from mindclf.utils.cores import cgroup_quota, usable_cores


def system(root, groups, **files):
    """A file system below `root`: /proc/self/cgroup with the lines `groups`, and `files` in /sys/fs/cgroup."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text("\n".join(groups) + "\n")
    for name, text in files.items():
        file = root / "sys/fs/cgroup" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n")
    return root


@pytest.fixture
def sixteen(monkeypatch):
    """A machine with 64 cores, of which this process may run on 16."""
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(16)), raising=False)


V1 = ["4:memory:/docker/ab", "3:cpu,cpuacct:/docker/ab", "1:name=systemd:/docker/ab"]


@pytest.mark.parametrize(("groups", "files", "quota"), [
    (["0::/"], {"cpu.max": "200000 100000"}, 2),
    (["0::/"], {"cpu.max": "max 100000"}, math.inf),
    (["0::/a/b"], {"a/b/cpu.max": "max 100000", "a/cpu.max": "150000 100000", "cpu.max": "800000 100000"}, 1.5),
    (["0::/docker/ab"], {"cpu.max": "50000 100000"}, 0.5),
    (["0::/../outside"], {"cpu.max": "300000 100000"}, 3),
    (["0::/"], {}, math.inf),
    (["0::/"], {"cpu.max": "nonsense"}, math.inf),
    (V1, {"cpu/cpu.cfs_quota_us": "400000", "cpu/cpu.cfs_period_us": "100000"}, 4),
    (V1, {"cpu,cpuacct/docker/ab/cpu.cfs_quota_us": "250000", "cpu,cpuacct/docker/ab/cpu.cfs_period_us": "100000"}, 2.5),
    (V1, {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, math.inf),
    (V1, {"cpu/cpu.cfs_quota_us": "400000"}, math.inf),
    (["5:cpuset:/", "0::/"], {"cpu.max": "200000 100000", "cpu/cpu.cfs_quota_us": "100000",
                              "cpu/cpu.cfs_period_us": "100000"}, 2),
])
def test_the_quota_is_the_least_of_the_groups_of_this_process(tmp_path, groups, files, quota):
    assert cgroup_quota(system(tmp_path, groups, **files)) == quota


@pytest.mark.parametrize(("text", "cores"), [("max 100000", 16), ("200000 100000", 2), ("150000 100000", 2), ("1000 100000", 1),
                                             ("6400000 100000", 16)])
def test_usable_cores_are_those_of_affinity_and_quota(tmp_path, sixteen, text, cores):
    assert usable_cores(system(tmp_path, ["0::/"], **{"cpu.max": text})) == cores


def test_without_control_groups_affinity_counts_and_without_that_the_machine(tmp_path, sixteen, monkeypatch):
    assert usable_cores(tmp_path) == 16
    monkeypatch.delattr(os, "sched_getaffinity")
    assert usable_cores(tmp_path) == 64


def test_cores_are_counted_in_one_place():
    """worker.py divides the very cores among its workers; doctor.py tells of the machine."""
    counting = {file.name for file in Path(mindclf.__file__).parent.rglob("*.py")
                if re.search(r"cpu_count|sched_getaffinity", file.read_text(encoding="utf-8"))}
    assert counting == {"cores.py", "doctor.py", "worker.py"}
