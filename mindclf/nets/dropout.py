"""Dropout and drop path that repeat themselves: what they drop depends on a key and on how often they drew."""

import itertools

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, nn, ops


class Dropout(nn.Cell):
    """Sets the share `p` of the values to zero in training and divides the others by 1 - p; in inference the input itself.

    What it draws depends on a key and on the number of draws since it got the key, and on nothing else: `seed_dropout` sets both,
    and training goes on as it would have. MindSpore's nn.Dropout repeats itself under no seed on CPU. x is (N, ...).
    """

    _made = itertools.count()

    def __init__(self, p):
        super().__init__()
        if not 0 <= p < 1:
            raise ValueError(f"p={p}, the share of values to drop, must be at least 0 and less than 1")
        self.p = p
        self.least = round(p * 2**32) - 2**31  # of numbers spread evenly over int32, p are less
        number = next(self._made)
        # Set past Cell, which would count it among the net's weights: it belongs to a run, not to a checkpoint.
        object.__setattr__(self, "draws", Parameter(Tensor([number, 0], ms.int32), name=f"draws_of_dropout_{number}",
                                                    requires_grad=False))

    def construct(self, x):
        if not self.training or self.p == 0:
            return x
        rows, columns = x.shape[0], x.size // x.shape[0]
        words = self.words(rows + columns) * 2 + 1
        # Odd random factors for rows and columns: their products mod 2^32 are even over int32 (multiplicative hashing), and
        # h + 2 h^2 is one-to-one. Scrambling every value as well as rows and columns would take ten times as long.
        product = words[:rows].reshape(-1, 1) * words[rows:].reshape(1, -1)
        square = product * product
        return self.scaled(x, (product + square + square >= self.least).reshape(x.shape))

    def words(self, count):
        """Random int32 (count,) of the next draw."""
        draws = ops.assign_add(self.draws, Tensor([0, 1], ms.int32))
        stream = _scramble(_scramble(draws[1]) ^ draws[0])
        return _scramble(_scramble(ops.arange(0, count).astype(ms.int32)) ^ stream)

    def scaled(self, x, kept):
        """`x` / (1 - p) where `kept` is true, else 0."""
        return x * (kept.astype(x.dtype) * (1 / (1 - self.p)))


class DropPath(Dropout):
    """Sets all values of an image to zero in training with probability `p`, else divides them by 1 - p. x is (N, ...).

    Stochastic depth (arXiv:1603.09382) at the end of a residual branch. In inference the input itself.
    """

    def construct(self, x):
        if not self.training or self.p == 0:
            return x
        return self.scaled(x, (self.words(x.shape[0]) >= self.least).reshape((-1,) + (1,) * (x.ndim - 1)))


def _scramble(words):
    """int32 -> int32, one to one, each bit of the result depending on all bits: lowbias32 of C. Wellons's hash-prospector."""
    words = (words ^ _shifted(words, 16)) * 0x7FEB352D
    words = (words ^ _shifted(words, 15)) * (0x846CA68B - 2**32)
    return words ^ _shifted(words, 16)


def _shifted(words, bits):
    return ops.bitwise_and(ops.bitwise_right_shift(words, Tensor(bits, ms.int32)), (1 << (32 - bits)) - 1)


def seed_dropout(cell, seeds, draws=0):
    """Has every Dropout in `cell` draw by `seeds`, a list of whole numbers, as after `draws` draws; no two draw the same."""
    layers = [child for _, child in cell.cells_and_names() if isinstance(child, Dropout)]
    for layer, words in zip(layers, np.random.SeedSequence(seeds).spawn(len(layers))):
        key = words.generate_state(1).astype(np.int32)[0]
        layer.draws.set_data(Tensor([int(key), draws], ms.int32))
