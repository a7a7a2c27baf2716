"""Folding batch norm into convolutions leaves the logits as they are, and takes only the batch norms that it may take."""

import numpy as np
import pytest
from mindspore import Tensor, nn

from mindclf import device, kernels
from mindclf import export as exporting
from mindclf.nets import GroupConv, create_net, fold_batch_norm, fold_in_place
from mindclf.nets.fold import foldable_pairs
from mindclf.nets.layers import BatchNorm, Convolves, conv2d
from tests.conftest import TINY_NET
from tests.nets.test_contract import assert_logits, build, input_of
from tests.reference.cases import KINDS
from tests.reference.rule import images, weight

DENSE_LAYERS = {"densenet121": (6, 12, 24, 16), "densenet161": (6, 12, 36, 24),  # of each block: Table 1 of the paper
                "densenet169": (6, 12, 32, 32), "densenet201": (6, 12, 48, 32)}


def norms(net):
    return [cell for _, cell in net.cells_and_names() if isinstance(cell, BatchNorm)]


def filled(cell):
    """`cell` with the weights of the rule, in inference mode."""
    for p in cell.get_parameters():
        p.set_data(Tensor(weight(p.name, p.shape)))
    return cell.set_train(False)


def left_over(net):
    """Batch norms that no convolution feeds: in DenseNet the first of each layer, and one after each block."""
    return sum(layers + 1 for layers in DENSE_LAYERS.get(net, ()))


@pytest.mark.parametrize("case", KINDS, ids=[case.net for case in KINDS])
def test_a_folded_net_gives_the_logits_of_the_net_and_keeps_the_contract(case):
    net = build(case)
    with device.pynative():
        expected = net(input_of(case)).asnumpy()
        folded = fold_batch_norm(net)
        assert_logits(folded(input_of(case)).asnumpy(), expected)
        assert len(norms(folded)) == left_over(case.net)
        maps = folded.backbone(input_of(case))
        assert_logits(folded.head(folded.head.pool(maps)).asnumpy(), expected)


def test_a_net_that_is_folded_in_place_is_the_copy_bit_for_bit():
    net = filled(create_net("mobilenet_v2", 3, **TINY_NET))
    copied = fold_batch_norm(net)
    assert fold_in_place(net) is net
    for own, other in zip(net.get_parameters(), copied.get_parameters(), strict=True):
        assert own.name == other.name and not own.requires_grad
        np.testing.assert_array_equal(own.asnumpy(), other.asnumpy())


def tiny_net():
    return create_net("mobilenet_v2", 3, **TINY_NET)


def grouped_net():
    return nn.SequentialCell(GroupConv(3, 6, 3, 1, pad=1, groups=3, has_bias=True), BatchNorm(6, "hswish"))


@pytest.mark.skipif(not kernels.in_use(), reason=f"the kernels are not in use: {kernels.status()[2]}")
@pytest.mark.parametrize("make", [tiny_net, grouped_net])
def test_a_net_that_is_folded_with_the_kernels_off_has_none(make):
    net, batch = filled(make()), Tensor(images(2, 32, 33))
    with device.pynative():
        expected = net(batch).asnumpy()
        with kernels.off():
            folded = fold_batch_norm(net)
        assert_logits(folded(batch).asnumpy(), expected)
    assert not any(cell.kernel for _, cell in folded.cells_and_names() if isinstance(cell, Convolves))


def test_a_folded_net_has_no_weights_to_join_at_each_run():
    folded = fold_batch_norm(filled(grouped_net()))
    [conv] = [cell for _, cell in folded.cells_and_names() if isinstance(cell, Convolves)]
    assert not isinstance(conv, GroupConv) and conv.weight.shape == (6, 1, 3, 3) and conv.group == 3


@pytest.mark.compiled
@pytest.mark.parametrize("make", [tiny_net, grouped_net])
def test_a_net_that_was_compiled_before_folds_to_a_graph_of_its_own(make):
    net, batch = filled(make()), Tensor(images(2, 32, 33))
    expected = net(batch).asnumpy()
    assert_logits(fold_batch_norm(net)(batch).asnumpy(), expected)
    np.testing.assert_array_equal(net(batch).asnumpy(), expected)


def test_padding_and_epsilon_of_tensorflow_fold_too():
    net = filled(create_net("mobilenet_v2", 3, **TINY_NET, pad_mode="same", bn_epsilon=1e-3))
    with device.pynative():
        batch = Tensor(images(2, 32, 33))
        assert_logits(fold_batch_norm(net)(batch).asnumpy(), net(batch).asnumpy())


class Forked(nn.Cell):
    """A batch norm reads the convolution, and so does somebody else, whom no cell watches."""

    def __init__(self, other):
        super().__init__()
        self.conv, self.norm, self.other = conv2d(3, 4, 3), BatchNorm(4, "relu"), other

    def construct(self, x):
        x = self.conv(x)
        return (self.norm(x) + self.other(x)).mean((2, 3))


class Repeated(nn.Cell):
    """One convolution and one batch norm, twice."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = conv2d(3, 3, 3), BatchNorm(3)

    def construct(self, x):
        return self.norm(self.conv(self.norm(self.conv(x)))).mean((2, 3))


def negated(x):
    return -x


@pytest.mark.parametrize("cell", [Forked(negated), Forked(nn.ReLU6()), Repeated()])
def test_a_convolution_that_others_need_is_left_alone(cell):
    assert foldable_pairs(filled(cell)) == []


def test_one_shared_convolution_does_not_keep_others_from_folding():
    net = filled(nn.SequentialCell(conv2d(3, 3, 1), BatchNorm(3), Forked(nn.ReLU())))
    assert foldable_pairs(net) == [(net[0], net[1])]


def test_a_folded_net_has_nothing_to_train_and_nothing_more_to_fold():
    folded = fold_batch_norm(filled(create_net("mobilenet_v2", 3, **TINY_NET)).set_train(True))
    assert not folded.training and folded.trainable_params() == [] and foldable_pairs(folded) == []


@pytest.mark.compiled
@pytest.mark.parametrize("file_format", ["mindir", "onnx"])
def test_a_folded_net_can_be_exported(tmp_path, file_format):
    if file_format == "onnx":
        pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    with kernels.off():  # no other runtime knows them
        net = filled(create_net("mobilenet_v2", 3, **TINY_NET))
    batch = images(2, 32, 33)
    write, run = {"mindir": (exporting._write_mindir, exporting._run_mindir),
                  "onnx": (exporting._write_onnx, exporting._run_onnx)}[file_format]
    write(fold_batch_norm(net), tmp_path / f"net.{file_format}", (None, *batch.shape[1:]))
    assert_logits(run(tmp_path / f"net.{file_format}", batch), net(Tensor(batch)).asnumpy())
