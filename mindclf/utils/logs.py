"""The log of a training, shown to whoever calls it from Python. Nothing here imports MindSpore."""

import contextlib
import logging
import sys


@contextlib.contextmanager
def shown_log():
    """Has mindclf's log appear while the block runs, where nobody has set up logging: what takes minutes must say how far it is.

    In a notebook it goes to the output of the cell, elsewhere to standard error, as on the command line.
    """
    logger = logging.getLogger("mindclf")
    if logger.hasHandlers():
        yield
        return
    handler = logging.StreamHandler(sys.stdout if "ipykernel" in sys.modules else sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.setLevel(before)
        logger.removeHandler(handler)
