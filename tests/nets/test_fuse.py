"""Fusing depthwise separable blocks leaves the logits as they are, and takes only the blocks that it may take."""

import numpy as np
import pytest
from mindspore import Tensor, nn

from mindclf import device, kernels
from mindclf.checkpoint import save_checkpoint
from mindclf.inference.runner import Runner
from mindclf.nets import create_net, fold_batch_norm, fuse_separable
from mindclf.nets.fuse import FusedBlock
from mindclf.nets.layers import Add, BatchNorm, conv2d
from tests.conftest import TINY_NET
from tests.reference.rule import images, weight

pytestmark = pytest.mark.skipif(not kernels.in_use(), reason=f"the kernels are not in use: {kernels.status()[2]}")


def folded(net):
    """A copy of `net` with the weights of the rule and its batch norm folded."""
    for p in net.get_parameters():
        p.set_data(Tensor(weight(p.name, p.shape)))
    with device.pynative():
        return fold_batch_norm(net.set_train(False))


def blocks(net):
    return [cell for _, cell in net.cells_and_names() if isinstance(cell, FusedBlock)]


# Blocks by the papers' tables: of MobileNetV2's 17 blocks 10 add their input, and at a quarter of the width the first one too;
# MobileNetV1 has 13; of AsymmNet's, those without a squeeze between the depthwise convolution and the projection.
@pytest.mark.parametrize(("name", "options", "count", "sums"), [
    ("mobilenet_v2", {"width_mult": 0.25}, 17, 11), ("mobilenet_v1", {"width_mult": 0.25}, 13, 0),
    ("asymmnet_large", {"width_mult": 0.35}, 7, 1), ("shufflenet_v1", {"model_size": "0.5x"}, 0, 0),
])
def test_a_fused_net_gives_the_logits_of_the_folded_net(name, options, count, sums):
    net, batch = folded(create_net(name, 3, **options)), Tensor(images(2, 48, 41))
    with device.pynative():
        expected, names = net(batch).asnumpy(), {p.name for p in net.get_parameters()}
        fused = fuse_separable(net)
        np.testing.assert_array_equal(fused(batch).asnumpy(), expected)
        assert fused is net and {p.name for p in fused.get_parameters()} == names
        np.testing.assert_array_equal(fused.head(fused.head.pool(fused.backbone(batch))).asnumpy(), expected)
    assert (len(blocks(fused)), sum(block.residual for block in blocks(fused))) == (count, sums)


class Forked(nn.Cell):
    """A block, of which somebody else reads the maps that `where` names; no cell watches that one."""

    def __init__(self, where):
        super().__init__()
        self.where = where
        self.expand = nn.SequentialCell(conv2d(3, 6, 1), BatchNorm(6, "relu"))
        self.depthwise = nn.SequentialCell(conv2d(6, 6, 3, groups=6), BatchNorm(6, "relu"))
        self.project = nn.SequentialCell(conv2d(6, 3, 1), BatchNorm(3))
        self.add = Add()

    def construct(self, x):
        expanded = self.expand(x)
        filtered = self.depthwise(expanded)
        projected = self.project(filtered)
        other = {"expanded": expanded, "filtered": filtered, "projected": projected, "nobody": x}[self.where]
        return (self.add(x, projected).mean(1) - 3 * other.mean(1)).mean(2)


@pytest.mark.parametrize(("where", "count"), [("nobody", 1), ("expanded", 0), ("filtered", 0), ("projected", 0)])
def test_a_block_of_which_others_read_the_inside_is_left_alone(where, count):
    net, batch = folded(Forked(where)), Tensor(images(2, 33, 34))
    with device.pynative():
        expected = net(batch).asnumpy()
        np.testing.assert_array_equal(fuse_separable(net)(batch).asnumpy(), expected)
    assert len(blocks(net)) == count


class Pair(nn.Cell):
    """Two nets on the same images: the sum of their logits."""

    def __init__(self, first, second):
        super().__init__()
        self.first, self.second = first, second

    def construct(self, x):
        return self.first(x) + self.second(x)


def test_one_block_that_others_read_does_not_keep_the_next_from_fusing():
    net, batch = folded(Pair(Forked("filtered"), Forked("nobody"))), Tensor(images(1, 32, 32))
    with device.pynative():
        expected = net(batch).asnumpy()
        np.testing.assert_array_equal(fuse_separable(net)(batch).asnumpy(), expected)
    assert blocks(net.first) == [] and len(blocks(net.second)) == 1


def test_without_kernels_nothing_is_fused():
    net = folded(create_net("mobilenet_v2", 3, **TINY_NET))
    with kernels.off():
        assert blocks(fuse_separable(net)) == []


def test_what_is_not_float32_runs_layer_by_layer():
    net, batch = fuse_separable(folded(Forked("nobody"))), images(2, 33, 34)
    with device.pynative():
        block, = blocks(net)
        expected = block(Tensor(batch)).asnumpy()
        block.kernel = None
        np.testing.assert_array_equal(block(Tensor(batch)).asnumpy(), expected)


@pytest.mark.compiled
def test_prediction_runs_on_fused_blocks(tmp_path):
    net = create_net("mobilenet_v2", 3, **TINY_NET)
    save_checkpoint(net, tmp_path / "net.ckpt", {"net": "mobilenet_v2", "net_options": TINY_NET,
                    "classes": ["a", "b", "c"], "image_height": 32, "image_width": 32, "mean": [0] * 3, "std": [1] * 3})
    assert blocks(Runner(tmp_path / "net.ckpt").net)
