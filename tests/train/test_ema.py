"""The moving average of the weights, against arithmetic."""

import numpy as np
import pytest
from mindspore import Tensor, nn

from mindclf.report.history import HistoryFile
from mindclf.train import ema, fit
from mindclf.train.ema import EMA


def walk(net, callback, weights):
    """A step for each of `weights`, epochs of 4."""
    for step, weight in enumerate(weights):
        if step % 4 == 0:
            callback.on_train_epoch_begin(None)
        net.weight.set_data(Tensor(weight.astype(np.float32)))
        callback.on_train_step_end(None)


WEIGHTS = np.random.default_rng(0).standard_normal((8, 3, 5))


@pytest.mark.parametrize("decay", [0.5, 0.999])
def test_the_net_holds_the_average_from_an_epochs_end_to_the_next_begin(decay, monkeypatch):
    monkeypatch.setattr(ema, "UPDATE_STEPS", 1)
    net = nn.Dense(5, 3)
    expected = net.weight.asnumpy().astype(float)
    callback = EMA(net, decay, steps_per_epoch=4)
    walk(net, callback, WEIGHTS)
    for step, weight in enumerate(WEIGHTS, 1):
        d = min(decay, (1 + step) / (10 + step))
        expected = d * expected + (1 - d) * weight
    np.testing.assert_allclose(net.weight.asnumpy(), expected, atol=1e-6)
    callback.on_train_epoch_begin(None)
    np.testing.assert_array_equal(net.weight.asnumpy(), WEIGHTS[-1].astype(np.float32))


def test_an_update_makes_up_for_the_steps_since_the_last():
    """Weights that stand still for 4 steps: 1 - d^4 of them, with d = 5 / 14, the cap at step 4."""
    net = nn.Dense(5, 3)
    first = net.weight.asnumpy().copy()
    callback = EMA(net, 0.999, steps_per_epoch=4)
    walk(net, callback, [WEIGHTS[0]] * 4)
    d = (5 / 14) ** 4
    np.testing.assert_allclose(net.weight.asnumpy(), d * first + (1 - d) * WEIGHTS[0], atol=1e-6)


def test_statistics_are_averaged_like_weights():
    net = nn.BatchNorm2d(2)
    callback = EMA(net, 0.999, steps_per_epoch=4)
    callback.on_train_epoch_begin(None)
    net.moving_mean.set_data(Tensor([1.0, 2.0]))
    for _ in range(4):
        callback.on_train_step_end(None)
    np.testing.assert_allclose(net.moving_mean.asnumpy(), (1 - (5 / 14) ** 4) * np.array([1.0, 2.0]), rtol=1e-5)


def test_an_average_goes_on_where_it_stopped():
    def start():
        net = nn.Dense(5, 3)
        net.weight.set_data(Tensor(np.ones((3, 5), np.float32)))
        net.bias.set_data(Tensor(np.ones(3, np.float32)))
        return net, EMA(net, 0.9, steps_per_epoch=4)

    net, callback = start()
    walk(net, callback, WEIGHTS)
    first, before = start()
    walk(first, before, WEIGHTS[:4])
    second, after = start()
    for parameter, held in zip(second.get_parameters(), first.get_parameters()):
        parameter.set_data(Tensor(held.asnumpy()))
    after.load_state_dict({name: np.copy(value) for name, value in before.state_dict().items()})
    walk(second, after, WEIGHTS[4:])
    np.testing.assert_array_equal(second.weight.asnumpy(), net.weight.asnumpy())


def test_averaging_changes_what_is_evaluated_and_kept_but_not_how_it_trains(tiny_config):
    config = {**tiny_config, "valid_fraction": 0.0}
    runs = {decay: fit({**config, "ema_decay": decay, "output": f"{config['output']}-{decay}"}) for decay in (0.0, 0.9)}
    rows = {decay: HistoryFile(run.checkpoint.parent / "history.csv").rows() for decay, run in runs.items()}
    for plain, averaged in zip(rows[0.0], rows[0.9]):
        assert averaged["train_loss"] == plain["train_loss"]
        assert averaged["loss"] != plain["loss"]
    assert rows[0.9][-1]["loss"] == pytest.approx(runs[0.9].report.loss, rel=1e-5)
