"""The seeded rule that fills a net of mindclf and its counterpart in another framework with the same numbers. NumPy only."""

import re
import zlib

import numpy as np

# The last batch norms of residual branches, kept small so that fifty branches do not add up to a thousand millions.
BRANCH_END = re.compile(r"(bn[23]|branch_main_2\.3|project\.1)\.gamma$")
LONGEST = 1_048_573  # values drawn for one weight; larger ones repeat them, since drawing a hundred million takes seconds


def weight(key, shape):
    """The float32 values of the parameter called `key`: they follow from its name and shape alone."""
    rng = np.random.default_rng(zlib.crc32(key.encode()))
    size = int(np.prod(shape))
    values = np.resize(rng.standard_normal(min(size, LONGEST), np.float32), shape)
    if key.endswith("moving_variance"):
        return 0.5 + np.abs(values)
    if key.endswith("gamma"):
        return (0.3 if BRANCH_END.search(key) else 1) * (1 + 0.2 * values)
    if len(shape) == 1:
        return 0.1 * values  # beta, moving_mean, bias
    return values * np.float32(np.sqrt(2 / np.prod(shape[1:])))


def images(count, height, width, first=0):
    """`count` float32 images (count, 3, height, width): number `first` and on of a row that never ends."""
    return np.stack([np.random.default_rng(number).standard_normal((3, height, width), np.float32)
                     for number in range(first, first + count)])


def direction(key, shape):
    """A random direction of length 1, onto which the gradient of the parameter called `key` is projected."""
    values = np.random.default_rng(zlib.crc32(b"direction of " + key.encode())).standard_normal(shape)
    return values / np.linalg.norm(values)
