"""SIGINT and SIGTERM: the first may be answered later, the second never is, and shells get the status that they expect."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import mindclf
from mindclf.utils.signals import Stopped, StopSignals

STATUS = {"SIGINT": 130, "SIGTERM": 143}  # 128 + the number of the signal (POSIX shells)


def send(name, until):
    """Sends this process a signal and waits until it has been noticed: SIGINT is answered by way of another thread."""
    os.kill(os.getpid(), signal.Signals[name])
    ends = time.monotonic() + 10
    while not until() and time.monotonic() < ends:
        time.sleep(0.01)


@pytest.mark.parametrize("name", STATUS)
def test_a_signal_stops_with_the_advice_and_the_status_of_shells(name):
    with pytest.raises(Stopped, match=f"^stopped by {name}: try again$") as stopped, StopSignals("try again"):
        send(name, lambda: False)
    assert stopped.value.status == STATUS[name]


@pytest.mark.parametrize("name", STATUS)
def test_where_answers_are_deferred_the_first_signal_is_kept_and_the_second_stops(name):
    with StopSignals("try again") as signals:
        signals.deferred = True
        send(name, lambda: signals.received)
        assert signals.received == signal.Signals[name]
        with pytest.raises(Stopped, match=f"^stopped by {name}: try again$"):
            send(name, lambda: False)


def test_handlers_from_before_are_back():
    before = {name: signal.getsignal(signal.Signals[name]) for name in STATUS}
    with StopSignals("try again"):
        assert all(signal.getsignal(signal.Signals[name]) != handler for name, handler in before.items())
    assert before == {name: signal.getsignal(signal.Signals[name]) for name in STATUS}


DEAF = """
import time
from mindclf.utils.signals import LeaveAtSignals
with LeaveAtSignals():
    print("begun", flush=True)
    for _ in range(3):
        try:
            time.sleep(30)
        except BaseException as error:
            print("swallowed", repr(error))
"""


@pytest.mark.parametrize("name", STATUS)
def test_what_has_nothing_to_save_is_left_at_once_though_what_runs_swallows_exceptions(name):
    process = subprocess.Popen([sys.executable, "-c", DEAF], stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8",
                               env={**os.environ, "PYTHONPATH": str(Path(mindclf.__file__).parents[1])})
    assert process.stdout.readline() == "begun\n"
    process.send_signal(signal.Signals[name])
    assert (*process.communicate(timeout=20), process.returncode) == ("", "mindclf: stopped\n", STATUS[name])
