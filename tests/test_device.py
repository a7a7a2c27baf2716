"""The device that nets run on, as MindSpore is told of it."""

import subprocess
import sys

import mindspore as ms
import pytest

from mindclf.device import use_device


def test_mindspore_warns_of_nothing_deprecated():
    code = ("import mindspore as ms; from mindclf.device import use_device; "
            "print(use_device('CPU'), ms.get_context('device_target'))")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    assert done.stdout == "CPU CPU\n" and "deprecated" not in done.stderr


def test_whole_graphs_are_compiled_from_then_on():
    ms.set_context(mode=ms.PYNATIVE_MODE)
    assert use_device("auto") == use_device("CPU") == ms.get_context("device_target") == "CPU"
    assert ms.get_context("mode") == ms.GRAPH_MODE


def test_a_device_that_mindspore_does_not_know_is_refused():
    with pytest.raises(ValueError, match="expected one of auto, Ascend, GPU, CPU"):
        use_device("TPU")
