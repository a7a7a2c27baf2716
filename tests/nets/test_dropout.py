"""Dropout that repeats itself: what it drops depends on its key and on how often it drew, and is as good as chance."""

import inspect

import numpy as np
import pytest
from mindspore import Tensor, grad, nn
from mindspore.nn.utils import no_init_parameters

from mindclf.device import pynative
from mindclf.nets import NETS, create_net, seed_dropout
from mindclf.nets.dropout import Dropout

ROWS, COLUMNS, DRAWS = 64, 4096, 4


def dropout(p=0.3, seeds=(1, 2), draws=0):
    layer = Dropout(p).set_train(True)
    seed_dropout(layer, list(seeds), draws)
    return layer


def kept(layer, shape=(ROWS, COLUMNS)):
    return layer(Tensor(np.ones(shape, np.float32))).asnumpy() > 0


@pytest.mark.compiled
def test_the_same_key_and_count_draw_the_same():
    first = dropout()
    draws = [kept(first) for _ in range(DRAWS)]
    again = dropout(draws=2)
    np.testing.assert_array_equal(kept(again), draws[2])
    np.testing.assert_array_equal(kept(again), draws[3])
    with pynative():
        np.testing.assert_array_equal(kept(dropout()), draws[0])
    np.testing.assert_array_equal(first.draws.asnumpy()[1], DRAWS)


def test_what_is_kept_keeps_the_mean_and_its_gradient():
    """Kept values are x / (1 - p), and so are their gradients: 1 / 0.75 = 4 / 3, in maps (N, C, H, W) too."""
    x = Tensor(np.full((8, 16, 5, 7), 3.0, np.float32))
    np.testing.assert_allclose(np.unique(dropout(0.25)(x).asnumpy()), [0, 4])
    layer = dropout(0.25)

    def total(x):
        return layer(x).sum()

    gradient = grad(total)(x).asnumpy()
    np.testing.assert_allclose(np.unique(gradient), [0, 4 / 3], rtol=1e-6)
    np.testing.assert_array_equal(gradient > 0, dropout(0.25)(x).asnumpy() > 0)


@pytest.mark.parametrize("p", [0.01, 0.2, 0.5, 0.99])
def test_the_share_that_is_dropped_is_binomial(p):
    """Of n values n p are dropped, to 5 standard deviations of sqrt(n p (1 - p)); so in rows, columns and draws."""
    layer = dropout(p)
    dropped = ~np.stack([kept(layer) for _ in range(DRAWS)])
    for axes, count in (((0, 1, 2), DRAWS * ROWS * COLUMNS), ((2,), COLUMNS), ((0, 1), DRAWS * ROWS)):
        sums = dropped.sum(axes)
        assert abs(sums.mean() - count * p) < 5 * np.sqrt(count * p * (1 - p) / sums.size)
        if sums.size > 1:  # their variance over the rows or columns is that of independent draws, within five of its deviations
            assert abs(sums.var() / (count * p * (1 - p)) - 1) < 5 * np.sqrt((2 + 1 / (count * p * (1 - p))) / sums.size)


def test_rows_columns_and_draws_do_not_go_together():
    """The correlation of two independent streams of n values lies within 5 / sqrt(n) of 0; and so for the product of four."""
    layer = dropout(0.5)
    signs = np.stack([kept(layer) for _ in range(DRAWS)]) * 2.0 - 1
    for first, second in ((signs[0], signs[1]), (signs[:, 1:], signs[:, :-1]), (signs[..., 1:], signs[..., :-1]),
                          (signs[:, 32:], signs[:, :32]), (signs[..., 2048:], signs[..., :2048])):
        assert abs((first * second).mean()) < 5 / np.sqrt(first.size)
    squares = signs[:, 1:, 1:] * signs[:, 1:, :-1] * signs[:, :-1, 1:] * signs[:, :-1, :-1]
    assert abs(squares.mean()) < 5 / np.sqrt(squares.size)


def test_other_seeds_and_other_layers_draw_otherwise():
    net = nn.SequentialCell(Dropout(0.5), Dropout(0.5)).set_train(True)
    seed_dropout(net, [1, 2])
    layers = [kept(net[0]), kept(net[1]), kept(dropout(0.5, (1, 3))), kept(Dropout(0.5).set_train(True)),
              kept(Dropout(0.5).set_train(True))]
    for index, first in enumerate(layers):
        for second in layers[:index]:
            assert abs((first == second).mean() - 0.5) < 0.01


def test_inference_hands_on_its_input_and_draws_nothing():
    x = Tensor(np.ones((2, 3), np.float32))
    layer = dropout(0.5).set_train(False)
    np.testing.assert_array_equal(layer(x).asnumpy(), x.asnumpy())
    assert layer.draws.asnumpy()[1] == 0
    np.testing.assert_array_equal(Dropout(0.0).set_train(True)(x).asnumpy(), x.asnumpy())


@pytest.mark.parametrize("p", [-0.1, 1, 1.5])
def test_all_cannot_be_dropped(p):
    with pytest.raises(ValueError, match=f"^p={p}, the share of values to drop, must be at least 0 and less than 1$"):
        Dropout(p)


WITH_DROPOUT = [name for name, net in NETS.items() if {"dropout", "has_dropout"} & set(inspect.signature(net).parameters)]


@pytest.mark.parametrize("name", WITH_DROPOUT)
def test_no_net_has_a_dropout_that_does_not_repeat_itself(name):
    options = {"has_dropout": True} if name == "mobilenet_v2" else {"dropout": 0.5}
    with no_init_parameters():
        net = create_net(name, 10, **options)
    cells = [cell for _, cell in net.cells_and_names()]
    assert any(isinstance(cell, Dropout) for cell in cells) and not any(isinstance(cell, nn.Dropout) for cell in cells)
    assert not any("draws" in parameter.name for parameter in net.get_parameters())
