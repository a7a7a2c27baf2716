"""SIGINT and SIGTERM: the first may be answered later, the second never is, and shells get the status that they expect."""

import os
import signal
import time

import pytest

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
