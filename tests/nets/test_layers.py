"""The freeze: nothing of a frozen cell moves in training, whatever set_train says."""

import numpy as np
import pytest
from mindspore import Tensor, nn

from mindclf.nets import MobileNetV2, freeze, unfreeze
from tests.conftest import TINY_NET


def values(cell):
    return {parameter.name: parameter.asnumpy().copy() for parameter in cell.get_parameters()}


def train_one_step(net):
    rng = np.random.default_rng(0)
    step = nn.TrainOneStepCell(nn.WithLossCell(net, nn.CrossEntropyLoss()), nn.Momentum(net.trainable_params(), 0.1, 0.9))
    step.set_train(True)
    step(Tensor(rng.standard_normal((4, 3, 32, 32), np.float32)), Tensor(rng.integers(0, 3, 4).astype(np.int32)))


def small_net():
    return MobileNetV2(3, **TINY_NET)


def test_a_frozen_backbone_does_not_move_in_training():
    net = small_net()
    freeze(net.backbone)
    before = values(net)
    train_one_step(net)
    moved = {name for name, value in values(net).items() if not np.array_equal(value, before[name])}
    assert moved == {"head.1.weight", "head.1.bias"}


def test_a_frozen_backbone_gives_the_same_features_in_training_and_inference():
    backbone = freeze(small_net().backbone)
    images = Tensor(np.random.default_rng(0).standard_normal((4, 3, 32, 32), np.float32))
    inference = backbone.set_train(False)(images).asnumpy()
    np.testing.assert_array_equal(backbone.set_train(True)(images).asnumpy(), inference)


def test_without_the_freeze_batch_norm_moves():
    """The trap: requires_grad=False alone stops gradients, not the moving averages."""
    net = small_net()
    for parameter in net.backbone.get_parameters():
        parameter.requires_grad = False
    before = values(net.backbone)
    train_one_step(net)
    moved = {name for name, value in values(net.backbone).items() if not np.array_equal(value, before[name])}
    assert moved and all("moving_" in name for name in moved)


def test_unfreeze_undoes_freeze():
    net = small_net()
    names = [parameter.name for parameter in net.trainable_params()]
    freeze(net)
    assert net.trainable_params() == []
    unfreeze(net)
    assert [parameter.name for parameter in net.trainable_params()] == names
    before = values(net)
    train_one_step(net)
    still = [name for name, value in values(net).items() if np.array_equal(value, before[name])]
    assert still == []


@pytest.mark.compiled
def test_phases_may_alternate():
    """A net that trained frozen trains whole afterwards, and the other way round: each step is compiled for its phase."""
    net = small_net()
    for frozen in (True, False, True):
        freeze(net.backbone) if frozen else unfreeze(net)
        before = values(net.backbone)
        train_one_step(net)
        moved = any(not np.array_equal(value, before[name]) for name, value in values(net.backbone).items())
        assert moved != frozen
