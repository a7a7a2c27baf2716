"""Layers with the kernels against layers of MindSpore's own operators: the same weights, outputs, gradients and training."""

import mindspore as ms
import numpy as np
import pytest
from mindspore import Parameter, Tensor, nn

from mindclf import device, kernels
from mindclf.checkpoint import load_checkpoint, save_checkpoint
from mindclf.nets import create_net, freeze
from mindclf.nets.layers import Add, AvgPool, BatchNorm, Concat, Gate, GlobalAvgPooling, MaxPool, conv2d
from mindclf.nets.shufflenet_v1 import GroupConv
from tests.conftest import TINY_NET
from tests.test_checkpoint import CARD

pytestmark = pytest.mark.skipif(not kernels.status()[0], reason=f"the kernels are not in use: {kernels.status()[2]}")


@pytest.fixture
def pynative():
    """Operator by operator, which needs no compiling."""
    with device.pynative():
        yield


def both(make):
    """(cell with kernels, cell without), with the same weights."""
    ours = make()
    with kernels.off():
        plain = make()
    rng = np.random.default_rng(0)
    for mine, other in zip(ours.get_parameters(), plain.get_parameters()):
        assert (mine.name, mine.shape, mine.requires_grad) == (other.name, other.shape, other.requires_grad)
        values = rng.uniform(0.5, 1.5, mine.shape) if "variance" in mine.name else rng.standard_normal(mine.shape) * 0.5
        mine.set_data(Tensor(values, ms.float32))
        other.set_data(Tensor(values, ms.float32))
    return ours, plain


def outputs_and_gradients(cell, x, training=True):
    """Output, gradients of the input and of the weights, and the weights that gradients do not change, after one pass."""
    cell.set_train(training)
    weights = cell.trainable_params()
    factors = None

    def loss(x):
        y = cell(x)
        return (y * factors).sum(), y

    shape = cell(x).shape
    factors = Tensor(np.random.default_rng(1).standard_normal(shape), ms.float32)
    (_, y), (dx, dweights) = ms.value_and_grad(loss, 0, weights, has_aux=True)(x)
    moving = [p for p in cell.get_parameters() if not p.requires_grad]
    return [value.asnumpy().copy() for value in (y, dx, *dweights, *moving)]


def assert_same(ours, plain, tolerance=2e-5):
    assert len(ours) == len(plain)
    for mine, other in zip(ours, plain):
        np.testing.assert_allclose(mine, other, rtol=0, atol=tolerance * max(1, np.abs(other).max()))


def images(*shape):
    return Tensor(np.random.default_rng(2).standard_normal(shape), ms.float32)


CONVOLUTIONS = [
    (dict(in_channels=6, out_channels=6, kernel_size=3, groups=6), (2, 6, 20, 21)),
    (dict(in_channels=6, out_channels=6, kernel_size=3, stride=2, groups=6, pad_mode="same"), (2, 6, 20, 21)),
    (dict(in_channels=20, out_channels=20, kernel_size=5, stride=2, groups=20), (2, 20, 7, 7)),
    (dict(in_channels=6, out_channels=9, kernel_size=1, has_bias=True), (2, 6, 7, 5)),
    (dict(in_channels=6, out_channels=8, kernel_size=1, stride=2), (2, 6, 7, 6)),
    (dict(in_channels=3, out_channels=8, kernel_size=3, stride=2), (1, 3, 32, 32)),
    (dict(in_channels=3, out_channels=8, kernel_size=3, stride=2, pad_mode="same", has_bias=True), (1, 3, 32, 33)),
    (dict(in_channels=4, out_channels=6, kernel_size=(1, 7), pad_mode="same"), (2, 4, 9, 8)),
]


@pytest.mark.parametrize(("options", "shape"), CONVOLUTIONS, ids=str)
def test_convolutions_agree(options, shape, pynative):
    ours, plain = both(lambda: conv2d(**options))
    assert isinstance(ours, nn.Conv2d) and ours.kernel is not None and plain.kernel is None
    x = images(*shape)
    assert_same(outputs_and_gradients(ours, x), outputs_and_gradients(plain, x))


def test_group_convolutions_agree(pynative):
    ours, plain = both(lambda: GroupConv(12, 24, 1, 1, groups=3))
    x = images(2, 12, 7, 7)
    assert_same(outputs_and_gradients(ours, x), outputs_and_gradients(plain, x))


@pytest.mark.parametrize(("options", "has_kernel"), [
    (dict(kernel_size=3, groups=12), True), (dict(kernel_size=5, stride=2, groups=12), True),
    (dict(kernel_size=7, groups=12), False), (dict(kernel_size=1), False)], ids=str)
@pytest.mark.parametrize("width", [5, 20])
def test_a_convolution_of_shuffled_groups_is_that_of_the_shuffled_maps(options, has_kernel, width, pynative):
    """Also where no kernel can shuffle."""
    plain = conv2d(12, 12, **options)
    ours = conv2d(12, 12, shuffled_groups=3, **options)
    ours.weight.set_data(plain.weight)
    assert (ours.kernel is not None) == has_kernel
    channels = [0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11]
    x = images(2, 12, 6, width)
    y, dx, dweight = outputs_and_gradients(ours, x)
    expected_y, expected_dx, expected_dweight = outputs_and_gradients(plain, Tensor(x.asnumpy()[:, channels]))
    assert_same([y, dx[:, channels], dweight], [expected_y, expected_dx, expected_dweight])


def test_groups_that_do_not_divide_the_channels_are_refused():
    with pytest.raises(ValueError, match="^in_channels=12 must be a multiple of shuffled_groups=5"):
        conv2d(12, 12, 3, groups=12, shuffled_groups=5)


@pytest.mark.parametrize("shape", [(2, 70, 7, 7), (3, 5, 1, 1), (1, 2, 16, 33)], ids=str)
def test_averages_agree(shape, pynative):
    ours, plain = both(GlobalAvgPooling)
    assert ours.kernel is not None and plain.kernel is None
    assert_same(outputs_and_gradients(ours, images(*shape)), outputs_and_gradients(plain, images(*shape)))


class Gated(nn.Cell):
    """A gate as a cell of one input: its numbers are parameters."""

    def __init__(self, gates):
        super().__init__()
        self.gate, self.gates = Gate(), Parameter(Tensor(gates), name="gates")

    def construct(self, x):
        return self.gate(x, self.gates)


@pytest.mark.parametrize("shape", [(2, 70, 7, 7), (3, 5, 1, 1), (1, 2, 16, 33)], ids=str)
def test_gates_agree(shape, pynative):
    """Also where the hard sigmoid has its kinks, at -3 and 3."""
    gates = 3 * np.random.default_rng(3).standard_normal((*shape[:2], 1, 1)).astype(np.float32)
    gates.flat[:2] = -3, 3
    ours = Gated(gates)
    with kernels.off():
        plain = Gated(gates)
    assert ours.gate.kernel is not None and plain.gate.kernel is None
    assert_same(outputs_and_gradients(ours, images(*shape)), outputs_and_gradients(plain, images(*shape)), 1e-5)


@pytest.mark.parametrize("size", [(56, 56), (7, 7), (8, 13)], ids=str)
def test_average_pools_agree(size, pynative):
    ours, plain = both(lambda: nn.SequentialCell(conv2d(3, 3, 3), AvgPool(3, 2)))
    assert ours[1].kernel is not None and plain[1].kernel is None
    x = images(2, 3, *size)
    assert_same(outputs_and_gradients(ours, x), outputs_and_gradients(plain, x), 1e-5)


class Surrounded(nn.Cell):
    """x before and behind its convolution: as a cell of one input."""

    def __init__(self, order):
        super().__init__()
        self.conv, self.concat = conv2d(3, 5, 3), Concat(*order)

    def construct(self, x):
        return self.concat(x, self.conv(x))


@pytest.mark.parametrize("order", [(0, 1), (0, 1, 0), (0, 0, 1, 0, 0), (0, 1) * 8, (0, 1) * 8 + (1,)], ids=str)
def test_concatenations_agree(order, pynative):
    ours, plain = both(lambda: Surrounded(order))
    assert (ours.concat.kernel is not None) == (len(order) < 17) and plain.concat.kernel is None
    x = images(2, 3, 8, 11)
    assert_same(outputs_and_gradients(ours, x), outputs_and_gradients(plain, x), 1e-5)


@pytest.mark.parametrize("activation", [None, "relu"])
def test_sums_agree(activation, pynative):
    ours, plain = both(lambda: nn.SequentialCell(conv2d(3, 3, 3), Residual(activation)))
    assert ours[1].add.kernel is not None and plain[1].add.kernel is None
    x = images(2, 3, 8, 11)
    assert_same(outputs_and_gradients(ours, x), outputs_and_gradients(plain, x))


class Residual(nn.Cell):
    """x + its convolution."""

    def __init__(self, activation):
        super().__init__()
        self.conv, self.add = conv2d(3, 3, 3), Add(activation)

    def construct(self, x):
        return self.add(x, self.conv(x))


@pytest.mark.parametrize("options", [dict(kernel_size=3, stride=2, padding=1), dict(kernel_size=3, stride=2, pad_mode="same"),
                                     dict(kernel_size=2, stride=2)], ids=str)
def test_max_pools_agree(options, pynative):
    ours, plain = both(lambda: MaxPool(**options))
    assert ours.kernel is not None and plain.kernel is None
    x = abs(images(2, 3, 8, 11))
    assert_same(outputs_and_gradients(ours, x), outputs_and_gradients(plain, x))


@pytest.mark.parametrize("training", [True, False], ids=["training", "inference"])
@pytest.mark.parametrize("activation", kernels.ACTIVATIONS)
def test_batch_norms_agree(activation, training, pynative):
    ours, plain = both(lambda: BatchNorm(5, activation))
    assert isinstance(ours, nn.BatchNorm2d) and ours.kernel is not None and plain.kernel is None
    x = images(3, 5, 6, 7)
    assert_same(outputs_and_gradients(ours, x, training), outputs_and_gradients(plain, x, training))


@pytest.mark.parametrize("activation", [None, "relu", "relu6", "hswish"])
def test_at_its_kinks_an_activation_has_the_plain_operators_gradient(activation, pynative):
    """gamma 1, beta 0, mean 0, variance 1 - eps: what goes in reaches the activation as it is."""
    ours, plain = both(lambda: BatchNorm(1, activation, eps=0.5))
    for cell in (ours, plain):
        for p, value in zip((cell.gamma, cell.beta, cell.moving_mean, cell.moving_variance), (1, 0, 0, 0.5)):
            p.set_data(Tensor([value], ms.float32))
    x = Tensor(np.array([-9, -3, -1, 0, 1, 3, 6, 9], np.float32).reshape(1, 1, 2, 4))
    assert_same(outputs_and_gradients(ours, x, False), outputs_and_gradients(plain, x, False), 1e-6)


@pytest.mark.parametrize("activation", ["relu", "relu6", "hswish"])
def test_not_a_number_and_infinity_pass_as_in_the_plain_operators(activation, pynative):
    """A NaN stays a NaN in the kernels, whatever the activation."""
    ours, plain = both(lambda: BatchNorm(1, activation))
    x = Tensor(np.array([np.nan, np.inf, 1, 2], np.float32).reshape(1, 1, 2, 2))
    mine, other = (cell.set_train(False)(x).asnumpy().ravel() for cell in (ours, plain))
    assert np.isnan(mine[0])
    np.testing.assert_allclose(mine[1:], other[1:], rtol=1e-6)


def test_other_types_take_the_plain_operators(pynative):
    cell = nn.SequentialCell(conv2d(4, 4, 3, groups=4), BatchNorm(4, "relu")).to_float(ms.float16)
    assert cell(images(1, 4, 8, 8)).dtype == ms.float16


def with_a_residual():
    """Two blocks."""
    return create_net("mobilenet_v2", 3, last_channel=32, inverted_residual_setting=[[6, 16, 2, 2]])


def tiny(**options):
    return create_net("mobilenet_v2", 3, **TINY_NET, **options)


def losses(net, steps=50, scale=1.0):
    """The loss of each step on the same few images, compiled as a whole."""
    optimizer = nn.Momentum(net.trainable_params(), 0.02, 0.9, loss_scale=scale)
    train = nn.TrainOneStepCell(nn.WithLossCell(net, nn.CrossEntropyLoss()), optimizer, sens=scale).set_train()
    x, labels = images(8, 3, 32, 32), Tensor(np.arange(8) % 3, ms.int32)
    return np.array([float(train(x, labels).asnumpy()) for _ in range(steps)])


def test_fifty_steps_follow_the_plain_operators():
    ours, plain = both(with_a_residual)
    mine, other = losses(ours), losses(plain)
    assert mine[-1] < 0.5 * mine[0]
    np.testing.assert_allclose(mine[:5], other[:5], rtol=1e-4)
    np.testing.assert_allclose(mine, other, rtol=0.02, atol=0.005)
    # Differences of rounding grow from step to step: in the end a few weights differ by some hundredths.
    assert_same([p.asnumpy() for p in ours.get_parameters()], [p.asnumpy() for p in plain.get_parameters()], 0.15)


def test_training_twice_gives_the_same_bits():
    def weights():
        net = both(lambda: tiny(pad_mode="same"))[0]
        losses(net, 5, scale=1024.0)
        return [p.asnumpy() for p in net.get_parameters()]

    for first, second in zip(weights(), weights()):
        np.testing.assert_array_equal(first, second)


def test_a_checkpoint_goes_from_one_to_the_other(tmp_path):
    ours, plain = both(tiny)
    losses(ours, 3)
    path = save_checkpoint(ours, tmp_path / "net.ckpt", CARD)
    load_checkpoint(path, plain)
    x = images(2, 3, 32, 32)
    assert_same([ours.set_train(False)(x).asnumpy()], [plain.set_train(False)(x).asnumpy()])


def test_frozen_batch_norm_does_not_move(pynative):
    net = freeze(both(tiny)[0])
    before = {p.name: p.asnumpy().copy() for p in net.get_parameters()}
    x = images(2, 3, 32, 32)
    inference = net.set_train(False)(x).asnumpy()
    np.testing.assert_array_equal(net.set_train(True)(x).asnumpy(), inference)
    for p in net.get_parameters():
        np.testing.assert_array_equal(p.asnumpy(), before[p.name])


def test_gradients_pass_through_frozen_batch_norm(pynative):
    ours, plain = both(lambda: freeze(BatchNorm(5, "relu")))
    x = images(2, 5, 4, 4)
    results = []
    for cell in (ours, plain):
        cell.set_train(True)
        results.append([ms.grad(lambda x, cell=cell: (cell(x) ** 2).sum())(x).asnumpy()])
    assert_same(*results)


def test_off_leaves_the_kernels_out(monkeypatch):
    with kernels.off():
        assert kernels.status() == (False, "", "turned off for now, as for export")
        assert conv2d(3, 8, 3).kernel is None
    monkeypatch.setenv("MINDCLF_KERNELS", "0")
    assert kernels.status() == (False, "", "turned off by MINDCLF_KERNELS=0")
    assert conv2d(3, 8, 3).kernel is None and BatchNorm(8).kernel is None


def test_less_exact_kernels_are_not_chosen_unasked(monkeypatch):
    monkeypatch.delenv("MINDCLF_KERNELS", raising=False)
    assert kernels.status()[1] in ("avx512", "avx2", "portable")


def test_a_parameter_stays_a_parameter():
    cell = conv2d(3, 8, 3)
    assert isinstance(cell.weight, Parameter) and [p.name for p in cell.get_parameters()] == ["weight"]
