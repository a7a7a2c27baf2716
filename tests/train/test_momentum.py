"""Momentum in one operator: the same steps as MindSpore's, and MindSpore's own where it does not fit."""

import mindspore as ms
import numpy as np
import pytest
from mindspore import Parameter, Tensor, nn

from mindclf import kernels
from mindclf.config import DEFAULTS, merge
from mindclf.train.model import create_model, create_optimizer
from mindclf.train.momentum import Momentum, momentum_optimizer

needs_kernels = pytest.mark.skipif(not kernels.in_use(), reason="the kernels are not in use: that needs a C compiler at "
                                                                "installation")
RATES = [0.05, 0.02, 0.05, 0.01]


class Small(nn.Cell):
    """A net with weights that decay and others that do not; the same numbers each time."""

    def __init__(self):
        super().__init__()
        self.layers = nn.SequentialCell(nn.Dense(6, 16), nn.ReLU(), nn.Dense(16, 5))
        rng = np.random.default_rng(1)
        for weight in self.get_parameters():
            weight.set_data(Tensor(rng.standard_normal(weight.shape).astype(np.float32)))

    def construct(self, x):
        return self.layers(x)


def trained(fields, own=None):
    """(losses, weights by name, state of the optimizer by name) after a step for each of RATES."""
    net, config = Small(), merge(DEFAULTS, {"weight_decay": 0.1, "loss_scale": 1024, **fields})
    network = create_model(net, config, RATES, optimizer=own and own(net, config)).train_network
    rng = np.random.default_rng(2)
    losses = [float(network(Tensor(rng.standard_normal((12, 6)).astype(np.float32)),
                            Tensor(rng.integers(0, 5, 12).astype(np.int32))).asnumpy()) for _ in RATES]
    return losses, *({weight.name: weight.asnumpy() for weight in cell.get_parameters()} for cell in (net, network.optimizer))


def plain(net, config):
    groups = [{"params": [weight for weight in net.trainable_params() if (weight.ndim > 1) == decays],
               "weight_decay": 0.1 * decays} for decays in (True, False)]
    return nn.Momentum(groups, RATES, config.momentum, loss_scale=config.loss_scale)


@needs_kernels
@pytest.mark.compiled
@pytest.mark.parametrize("fields", [{}, {"clip_norm": 0.5}, {"sam_rho": 0.1}], ids=str)
def test_it_takes_the_steps_of_mindspores_own(fields):
    losses, weights, state = trained(fields)
    expected_losses, expected_weights, expected_state = trained(fields, plain)
    np.testing.assert_allclose(losses, expected_losses, rtol=1e-6)
    assert weights.keys() == expected_weights.keys() and set(state) == set(expected_state)  # runs of either go on
    for found, expected in ((weights, expected_weights), (state, expected_state)):
        for name in found:
            np.testing.assert_allclose(found[name], expected[name], rtol=1e-5, atol=1e-6, err_msg=name)


@needs_kernels
def test_it_takes_them_operator_by_operator():
    ms.set_context(mode=ms.PYNATIVE_MODE)
    losses, weights, _ = trained({})
    expected_losses, expected, _ = trained({}, plain)
    np.testing.assert_allclose(losses, expected_losses, rtol=1e-6)
    for name in weights:
        np.testing.assert_allclose(weights[name], expected[name], rtol=1e-5, atol=1e-6, err_msg=name)


def test_what_does_not_fit_has_mindspores_own(monkeypatch):
    """Learning rates of their own for some weights, another type, no kernels."""
    def kind(**fields):
        return type(create_optimizer(Small(), merge(DEFAULTS, fields), RATES))

    def of_type(dtype):
        weight = Parameter(Tensor(np.ones(3), dtype), name="weight")
        return type(momentum_optimizer([{"params": [weight], "weight_decay": 0.0}], RATES, 0.9, 1.0))

    fused = Momentum if kernels.in_use() else nn.Momentum
    assert kind() is fused and of_type(ms.float32) is fused and of_type(ms.float16) is nn.Momentum
    group = [{"params": Small().trainable_params(), "weight_decay": 0.0, "lr": RATES}]
    assert type(momentum_optimizer(group, RATES, 0.9, 1.0)) is nn.Momentum
    with kernels.off():
        assert kind() is nn.Momentum
