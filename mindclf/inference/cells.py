"""Cells: the nets in files that MindSpore runs, checkpoints and .mindir."""

from __future__ import annotations

import mindspore as ms
import numpy as np
from mindspore import nn

from mindclf import kernels
from mindclf.card import Card
from mindclf.checkpoint import check_weights, load_net
from mindclf.checkpoint_file import CheckpointFile
from mindclf.device import exclusive, pynative
from mindclf.inference.logits import run_net
from mindclf.nets import fold_in_place, fuse_separable
from mindclf.utils.files import first_line

UNCOMPILED_RUNS = 50  # take about as long as to compile the graph of a net


@exclusive()
def open_cell(file: CheckpointFile) -> tuple[nn.Cell, Card]:
    """(net, card) of a file: of a checkpoint the net with its batch norm folded and its blocks fused (see mindclf.nets.fold)."""
    if file.path.suffix == ".mindir":
        card = file.read_card()
        return _read_mindir(file.path), card
    net, card = load_net(file)
    return fuse_separable(fold_in_place(net)), card


class CompiledLater:
    """Runs a net of `open_cell`, which none of the first UNCOMPILED_RUNS batches waits for being compiled.

    Called with images, it gives their logits, NumPy arrays both. The kernels compute the same, bit for bit, operator by operator
    as in a graph. Without them, and from a .mindir, a net is compiled for its first batch.
    """

    def __init__(self, net: nn.Cell):
        self.net = net
        self.uncompiled_runs = 0 if isinstance(net, nn.GraphCell) or not kernels.in_use() else UNCOMPILED_RUNS

    def __call__(self, images: np.ndarray) -> np.ndarray:
        if self.uncompiled_runs < 1:
            return run_net(self.net, images)
        self.uncompiled_runs -= 1
        with pynative():
            return run_net(self.net, images)


def _read_mindir(path):
    try:
        net = nn.GraphCell(ms.load(str(path)))
    except Exception as error:  # ValueError, RuntimeError and others, by kind of damage
        raise ValueError(f"{path} cannot be read as a MINDIR: {first_line(error)}") from None
    check_weights({parameter.name: parameter.asnumpy() for parameter in net.get_parameters()}, path)
    return net
