"""Cells: the nets in files that MindSpore runs, checkpoints and .mindir."""

from __future__ import annotations

import mindspore as ms
from mindspore import nn

from mindclf.card import Card
from mindclf.checkpoint import check_weights, load_net
from mindclf.checkpoint_file import CheckpointFile
from mindclf.device import exclusive
from mindclf.nets import fold_batch_norm, fuse_separable
from mindclf.utils.files import first_line


@exclusive()
def open_cell(file: CheckpointFile) -> tuple[nn.Cell, Card]:
    """(net, card) of a file: of a checkpoint the net with its batch norm folded and its blocks fused (see mindclf.nets.fold)."""
    if file.path.suffix == ".mindir":
        card = file.read_card()
        return _read_mindir(file.path), card
    net, card = load_net(file)
    return fuse_separable(fold_batch_norm(net)), card


def _read_mindir(path):
    try:
        net = nn.GraphCell(ms.load(str(path)))
    except Exception as error:  # ValueError, RuntimeError and others, by kind of damage
        raise ValueError(f"{path} cannot be read as a MINDIR: {first_line(error)}") from None
    check_weights({parameter.name: parameter.asnumpy() for parameter in net.get_parameters()}, path)
    return net
