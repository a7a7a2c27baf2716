"""How many bytes of decoded images are held at once, whatever the number of threads that decode."""

import contextlib
import ctypes
import sys
import threading

BYTES_A_PIXEL = 12       # Pillow holds RGB in 4 bytes a pixel, and a turned or converted copy too; a BMP takes 3 or a little more
LARGE_BYTES = 2**27      # of what takes more, the system gets its memory back at once
DECODING_BYTES = 2**30   # 89 photos of a megapixel, 7 of 12, one of 50


class Budget:
    """So many bytes that may be held at once: whoever asks for more than is left waits until others are done.

    One that asks for more than the whole gets it when nobody else holds any. A thread that holds some must not ask for more.
    """

    def __init__(self, limit):
        self.limit, self.held = limit, 0
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def room(self, count):
        """Holds `count` bytes during the block."""
        with self._changed:
            self._changed.wait_for(lambda: not self.held or self.held + count <= self.limit)
            self.held += count
        try:
            yield
        finally:
            with self._changed:
                self.held -= count
                self._changed.notify_all()


def give_back(count):
    """Gives the system the memory that was freed after `count` bytes were used, if they are many.

    glibc keeps it otherwise, and for each thread apart: after one large photo in each of 16 threads that is 16 times as much.
    """
    if count > LARGE_BYTES and sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)):
        trim(0)


DECODING = Budget(DECODING_BYTES)  # what all threads of this process share
