"""Drop path: whole branches of whole images, with a probability that rises with depth, and nothing in inference."""

import numpy as np
import pytest
from mindspore import Tensor, grad
from mindspore.nn.utils import no_init_parameters

from mindclf.nets import NETS, create_net, seed_dropout, set_drop_path
from mindclf.nets.dropout import DropPath
from mindclf.nets.layers import Add

RESIDUAL = ("resnet", "mobilenet_v2", "asymmnet", "shufflenet_v1")
ROWS, DRAWS = 512, 8


def drop_path(p=0.25, seeds=(1, 2)):
    layer = DropPath(p).set_train(True)
    seed_dropout(layer, list(seeds))
    return layer


def kept(layer):
    return layer(Tensor(np.ones((ROWS, 1), np.float32))).asnumpy()[:, 0] > 0


def test_an_image_keeps_all_of_its_branch_or_nothing():
    """Kept values are x / (1 - p), and so are their gradients: 1 / 0.75 = 4 / 3."""
    x = Tensor(np.full((64, 3, 4, 5), 3.0, np.float32))
    layer = drop_path()
    values = layer(x).asnumpy().reshape(64, -1)
    assert (values == values[:, :1]).all() and set(np.unique(values)) == {0, 4}

    def total(x):
        return layer(x).sum()

    np.testing.assert_allclose(np.unique(grad(total)(x).asnumpy()), [0, 4 / 3], rtol=1e-6)
    np.testing.assert_array_equal(layer.set_train(False)(x).asnumpy(), x.asnumpy())


@pytest.mark.parametrize("p", [0.1, 0.5])
def test_images_are_dropped_independently(p):
    """Their number is binomial; images, draws and layers do not go together, to five standard deviations."""
    layer, other = drop_path(p), drop_path(p, (1, 3))
    dropped = ~np.stack([kept(layer) for _ in range(DRAWS)])
    assert abs(dropped.sum() - dropped.size * p) < 5 * np.sqrt(dropped.size * p * (1 - p))
    signs = (dropped - p) / np.sqrt(p * (1 - p))
    another = (~np.stack([kept(other) for _ in range(DRAWS)]) - p) / np.sqrt(p * (1 - p))
    for first, second in ((signs[1:], signs[:-1]), (signs[:, 1:], signs[:, :-1]), (signs, another)):
        assert abs((first * second).mean()) < 5 / np.sqrt(first.size)


def ends_of(net):
    return [cell for _, cell in net.cells_and_names() if isinstance(cell, Add)]


@pytest.mark.parametrize(("name", "blocks"), [
    ("resnet18", 8), ("mobilenet_v2", 10), ("asymmnet_small", 6), ("shufflenet_v1", 13)])
def test_the_probability_rises_linearly_with_depth(name, blocks):
    """Residual blocks: 2 + 2 + 2 + 2; 1 + 2 + 3 + 2 + 2 of Table 2; of AsymmNet's eleven those that keep shape; 3 + 7 + 3."""
    with no_init_parameters():
        net = create_net(name, 3)
    keys = [parameter.name for parameter in net.get_parameters()]
    set_drop_path(net, 0.2)
    assert [end.drop_path.p for end in ends_of(net)] == pytest.approx([0.2 * number / blocks for number in range(1, blocks + 1)])
    assert [parameter.name for parameter in net.get_parameters()] == keys
    set_drop_path(net, 0.0)
    assert not any(isinstance(end.drop_path, DropPath) for end in ends_of(net))


def test_a_block_without_its_branch_is_its_shortcut():
    net = create_net("mobilenet_v2", 3, width_mult=0.35)
    set_drop_path(net, 0.5)
    end, rng = ends_of(net)[-1], np.random.default_rng(0)
    end.set_train(True)
    seed_dropout(end, [1])
    x, branch = (rng.standard_normal((32, 4, 3, 3)).astype(np.float32) for _ in range(2))
    found = end(Tensor(x), Tensor(branch)).asnumpy()
    dropped = (found == x).all((1, 2, 3))
    assert 4 < dropped.sum() < 28
    np.testing.assert_allclose(found[~dropped], (x + 2 * branch)[~dropped], rtol=0, atol=1e-5)
    np.testing.assert_allclose(end.set_train(False)(Tensor(x), Tensor(branch)).asnumpy(), x + branch, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["vgg11", "alexnet", "squeezenet1_0", "densenet121", "mobilenet_v1"])
def test_a_net_without_residual_blocks_is_refused(name):
    assert name in NETS and not name.startswith(RESIDUAL)
    with no_init_parameters():
        net = create_net(name, 3)
    set_drop_path(net, 0.0)
    with pytest.raises(ValueError, match="^drop_path_rate=0.1 needs a net with residual blocks: resnet, mobilenet_v2, "):
        set_drop_path(net, 0.1)
