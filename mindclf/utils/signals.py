"""SIGINT (Ctrl-C) and SIGTERM, answered where a run can be gone on with. Nothing here imports MindSpore."""

import _thread
import contextlib
import logging
import os
import signal
import sys
import threading

from mindclf.utils.language import translate

log = logging.getLogger(__name__)


class Stopped(KeyboardInterrupt):
    """A signal asked to stop, and the message says what is left; `status` is the exit status that shells expect for it."""

    def __init__(self, message, number):
        super().__init__(message)
        self.status = _status(number)


class StopSignals:
    """While the block runs, SIGINT and SIGTERM raise `Stopped` with `advice`; where `deferred` is set, the second one does.

    The first one is then kept in `received`, for whoever can stop in good order. Signals that the process ignores, as under
    nohup, stay ignored. Python gives signals to its main thread only: in another one the block changes nothing.
    """

    def __init__(self, advice):
        self.advice, self.deferred, self.received = advice, False, None
        self.before, self.ended, self.watcher = {}, False, None

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            self.before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)
                           if signal.getsignal(number) is not signal.SIG_IGN}
        for number in self.before:
            signal.signal(number, self._answer)
        if signal.SIGINT in self.before and hasattr(signal, "pthread_sigmask"):
            # Whenever MindSpore runs a graph it has SIGINT become a SIGTERM. So all threads that begin from here on hold SIGINT
            # back, and one waits for it.
            self.mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            self.watcher = threading.Thread(target=self._watch, daemon=True)
            self.watcher.start()
        return self

    def __exit__(self, *_):
        if self.watcher:
            self.ended = True
            signal.pthread_kill(self.watcher.ident, signal.SIGINT)
            self.watcher.join()
            signal.pthread_sigmask(signal.SIG_SETMASK, self.mask)
        for number, handler in self.before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def stop(self, where=""):
        """Raises `Stopped` for the signal that was received."""
        raise Stopped(f"stopped by {signal.Signals(self.received).name}{where}: {self.advice}", self.received)

    def _answer(self, number, frame):
        first, self.received = self.received is None, number
        if not (self.deferred and first):
            self.stop()
        log.warning("%s: finishing the step and saving; the next signal stops at once", signal.Signals(number).name)

    def _watch(self):
        while signal.sigwait({signal.SIGINT}) and not self.ended:
            self._pass_on()

    def _pass_on(self):
        _thread.interrupt_main(signal.SIGINT)  # has the main thread call what signal.signal set


class LeaveAtSignals(StopSignals):
    """While the block runs, which must have nothing to save, SIGINT and SIGTERM end the process at once, after one line.

    An exception could not: MindSpore crashes where one comes while it is imported, and calls a file damaged while it reads it.
    """

    def __init__(self):
        super().__init__("")

    def stop(self, where=""):
        """Ends the process."""
        number = self.received or signal.SIGINT
        with contextlib.suppress(OSError, ValueError):  # of streams that are closed
            print("mindclf: " + translate("stopped"), file=sys.stderr, flush=True)
            sys.stdout.flush()
        os._exit(_status(number))

    def _pass_on(self):
        self.stop()  # of this thread: the main one may compute for a while


def _status(number):
    """The exit status of what a signal ended, for shells."""
    return 128 + number
