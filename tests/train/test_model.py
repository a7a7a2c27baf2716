"""Loss scale and weight decay: what the step does to the weights, against arithmetic."""

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor, nn
from mindspore import dataset as ds
from mindspore.train import LambdaCallback

from mindclf.config import GRADIENT_DESCENT, merge
from mindclf.train import create_model, create_optimizer
from mindclf.train.model import ClassifierLoss
from mindclf.train.schedules import Schedule

RNG = np.random.default_rng(0)
IMAGES = RNG.standard_normal((8, 5)).astype(np.float32)
LABELS = RNG.integers(0, 3, 8).astype(np.int32)
BATCH = (IMAGES, LABELS)


def dense(seed=0):
    net = nn.Dense(5, 3)
    rng = np.random.default_rng(seed)
    net.weight.set_data(Tensor(rng.standard_normal((3, 5)).astype(np.float32)))
    net.bias.set_data(Tensor(rng.standard_normal(3).astype(np.float32)))
    return net


def train(net, rates, batch=BATCH, **fields):
    model = create_model(net, merge({}, fields), rates)
    batches = ds.NumpySlicesDataset(batch, ["feature", "label"], shuffle=False).batch(len(batch[1]))
    model.train(len(rates), batches, dataset_sink_mode=False)
    return net.weight.asnumpy(), net.bias.asnumpy()


def gradients(net, smoothing=0.0, batch=BATCH):
    """Of the mean cross-entropy, in float64: (softmax - target) x / n."""
    return gradients_at(net.weight.asnumpy().astype(float), net.bias.asnumpy().astype(float), smoothing, batch)


def gradients_at(weight, bias, smoothing=0.0, batch=BATCH):
    images, labels = batch
    logits = images @ weight.T + bias
    probabilities = np.exp(logits - logits.max(1, keepdims=True))
    probabilities /= probabilities.sum(1, keepdims=True)
    target = np.eye(3)[labels] * (1 - smoothing) + smoothing / 3
    error = (probabilities - target) / len(labels)
    return error.T @ images, error.sum(0)


@pytest.mark.parametrize(("optimizer", "images", "climbers", "fields"), [
    ("sgd", 80, 20, {}), ("momentum", 40, 16, {}), ("sgd", 8, 8, {}), ("sgd", 80, 20, {"accumulation_steps": 5})])
def test_a_sharpness_aware_step_takes_the_gradient_from_up_the_hill(optimizer, images, climbers, fields):
    """Also in micro batches, of which two find the way up here."""
    rng = np.random.default_rng(1)
    batch = rng.standard_normal((images, 5)).astype(np.float32), rng.integers(0, 3, images).astype(np.int32)
    net, hill = dense(), dense()
    weight, bias = net.weight.asnumpy().copy(), net.bias.asnumpy().copy()
    by_weight, by_bias = gradients(net, batch=[part[:climbers] for part in batch])
    length = np.sqrt((by_weight ** 2).sum() + (by_bias ** 2).sum())
    hill.weight.set_data(Tensor((weight + 0.7 / length * by_weight).astype(np.float32)))
    hill.bias.set_data(Tensor((bias + 0.7 / length * by_bias).astype(np.float32)))
    by_weight, by_bias = gradients(hill, batch=batch)
    new_weight, new_bias = train(net, [0.3], batch, optimizer=optimizer, sam_rho=0.7, weight_decay=0.5, **fields)
    np.testing.assert_allclose(new_weight, weight - 0.3 * (by_weight + 0.5 * weight), atol=1e-6)
    np.testing.assert_allclose(new_bias, bias - 0.3 * by_bias, atol=1e-6)


def test_label_smoothing_spreads_the_target():
    by_weight, _ = gradients(dense(), smoothing=0.3)
    weight, _ = train(dense(), [0.2], weight_decay=0.0, label_smoothing=0.3)
    np.testing.assert_allclose(weight, dense().weight.asnumpy() - 0.2 * by_weight, atol=1e-6)


class Momentum:
    """v = 0.9 v + g; w -= rate v, or with Nesterov's momentum w -= rate (g + 0.9 v). Weight decay is L2: part of g.

    Nesterov's is that of Sutskever et al. (2013) as PyTorch computes it. MindSpore's Momentum computes something else.
    """

    def __init__(self, nesterov=False):
        self.nesterov, self.velocity = nesterov, 0

    def step(self, weight, gradient, rate, decay):
        gradient = gradient + decay * weight
        self.velocity = 0.9 * self.velocity + gradient
        return weight - rate * (gradient + 0.9 * self.velocity if self.nesterov else self.velocity)


class Adam:
    """arXiv:1412.6980, with epsilon as at the end of its section 2. Weight decay is L2: part of the gradient."""

    def __init__(self):
        self.first = self.second = self.steps = 0

    def moments(self, gradient):
        self.steps += 1
        self.first = 0.9 * self.first + 0.1 * gradient
        self.second = 0.999 * self.second + 0.001 * gradient ** 2

    def step(self, weight, gradient, rate, decay):
        self.moments(gradient + decay * weight)
        rate *= np.sqrt(1 - 0.999 ** self.steps) / (1 - 0.9 ** self.steps)
        return weight - rate * self.first / (np.sqrt(self.second) + 1e-8)


class AdamW(Adam):
    """arXiv:1711.05101, algorithm 2, with the schedule multiplier as the rate: what torch.optim.AdamW documents."""

    def step(self, weight, gradient, rate, decay):
        self.moments(gradient)
        first, second = self.first / (1 - 0.9 ** self.steps), self.second / (1 - 0.999 ** self.steps)
        return weight - rate * decay * weight - rate * first / (np.sqrt(second) + 1e-8)


class Lion:
    """arXiv:2302.06675, algorithm 2."""

    def __init__(self):
        self.moment = 0

    def step(self, weight, gradient, rate, decay):
        direction = np.sign(0.9 * self.moment + 0.1 * gradient)
        self.moment = 0.99 * self.moment + 0.01 * gradient
        return weight - rate * (direction + decay * weight)


FORMULAS = [({"optimizer": "momentum"}, Momentum), ({"optimizer": "sgd"}, Momentum), ({"optimizer": "adam"}, Adam),
            ({"optimizer": "sgd", "nesterov": True}, lambda: Momentum(nesterov=True)), ({"optimizer": "adamw"}, AdamW),
            ({"optimizer": "lion"}, Lion)]


@pytest.mark.parametrize("scale", [1, 1024])
@pytest.mark.parametrize(("fields", "formula"), FORMULAS, ids=["momentum", "sgd", "adam", "nesterov", "adamw", "lion"])
def test_every_optimizer_is_that_of_its_formula(fields, formula, scale):
    """In float64: eight steps at rates that change, with weight decay of the matrix and none of the bias, at any loss scale.

    The tutorial gave the scale to the optimizer only: its steps were 1024 times too small.
    """
    rates = [0.1, 0.05, 0.2, 0.01, 0.1, 0.02, 0.3, 0.15]
    net = dense()
    weight, bias = net.weight.asnumpy().astype(float), net.bias.asnumpy().astype(float)
    of_weight, of_bias = formula(), formula()
    for rate in rates:
        by_weight, by_bias = gradients_at(weight, bias)
        weight, bias = of_weight.step(weight, by_weight, rate, 0.3), of_bias.step(bias, by_bias, rate, 0.0)
    new_weight, new_bias = train(net, rates, weight_decay=0.3, loss_scale=scale, **fields)
    np.testing.assert_allclose(new_weight, weight, rtol=0, atol=2e-5)
    np.testing.assert_allclose(new_bias, bias, rtol=0, atol=2e-5)


def test_the_formulas_differ():
    """By more than fits into the tolerance above: one optimizer cannot pass for another."""
    ends = []
    for _, formula in FORMULAS:
        rule, weight = formula(), np.full((2, 2), 0.5)
        for rate, gradient in ((0.1, [[1e-3, 0.2], [-0.5, 2.0]]), (0.05, [[0.3, -0.5], [1.0, -0.2]])):
            weight = rule.step(weight, np.array(gradient), rate, 0.3)
        ends.append(weight)
    assert min(abs(one - other).max() for one in ends[1:] for other in ends[1:] if one is not other) > 1e-2


@pytest.mark.parametrize("optimizer", GRADIENT_DESCENT)
def test_without_a_gradient_only_kernels_and_matrices_move(optimizer):
    net = nn.SequentialCell(nn.Conv2d(2, 3, 3, has_bias=True), nn.BatchNorm2d(3), nn.Flatten(), nn.Dense(12, 2))
    before = {p.name: p.asnumpy().copy() for p in net.trainable_params()}
    step = create_optimizer(net, merge({}, {"optimizer": optimizer, "weight_decay": 0.5}), [0.1] * 3)
    step(tuple(ms.ops.zeros_like(p) for p in step.parameters))
    moved = {p.name for p in net.trainable_params() if (p.asnumpy() != before[p.name]).any()}
    assert len(before) == 6 and moved == {name for name, value in before.items() if value.ndim > 1}


def test_the_optimizer_reads_one_rate_a_step():
    rates = [0.5, 0.25, 0.125]
    optimizer = create_optimizer(dense(), merge({}, {}), rates)
    seen = []
    for _ in rates:
        seen.append(float(np.ravel(ms.ops.stack(list(optimizer.get_lr())).asnumpy() if isinstance(optimizer.get_lr(), tuple)
                                   else optimizer.get_lr().asnumpy())[0]))
        optimizer.global_step += 1
    assert seen == rates


class TwoLogits(nn.Cell):
    """A net with an auxiliary head, as Inception is in training."""

    def __init__(self):
        super().__init__()
        self.main, self.auxiliary = dense(0), dense(1)

    def construct(self, x):
        return self.main(x), self.auxiliary(x)


def test_an_auxiliary_head_counts_three_tenths():
    """GoogLeNet (arXiv:1409.4842), section 5: the losses of the auxiliary classifiers were weighted by 0.3."""
    net = TwoLogits()
    before = [head.weight.asnumpy().copy() for head in (net.main, net.auxiliary)]
    main, auxiliary = gradients(net.main)[0], gradients(net.auxiliary)[0]
    model = create_model(net, merge({}, {"weight_decay": 0.0, "optimizer": "sgd", "momentum": 0.0}), [0.5])
    model.train(1, ds.NumpySlicesDataset((IMAGES, LABELS), ["feature", "label"], shuffle=False).batch(8), dataset_sink_mode=False)
    np.testing.assert_allclose(net.main.weight.asnumpy(), before[0] - 0.5 * main, atol=1e-6)
    np.testing.assert_allclose(net.auxiliary.weight.asnumpy(), before[1] - 0.5 * 0.3 * auxiliary, atol=1e-6)


class Alike(nn.Cell):
    """Layers whose weights have the same shapes, 5 x 5 and 5, but for the last one's."""

    def __init__(self):
        super().__init__()
        rng = np.random.default_rng(3)
        starts = [Tensor(rng.standard_normal((5, 5)).astype(np.float32)) for _ in range(3)]
        self.a, self.b, self.c = (nn.Dense(5, 5, start, "zeros") for start in starts)
        self.last = dense()

    def construct(self, x):
        return self.last(self.c(self.b(self.a(x).tanh()).tanh()).tanh())


@pytest.mark.parametrize("fields", [{"optimizer": "sgd"}, {"optimizer": "adam"}, {"sam_rho": 0.3}, {"layer_decay": 0.5},
                                    {"clip_norm": 0.1}, {"optimizer": "lion"}], ids=str)
def test_weights_of_the_same_shape_get_their_own_gradients_in_micro_batches(fields):
    """In a compiled graph, where MindSpore can take one parameter for another of the same shape."""
    moved = []
    for accumulation_steps in (1, 2):
        net = Alike()
        before = [weight.asnumpy().copy() for weight in net.trainable_params()]
        step = create_model(net, merge({}, {"accumulation_steps": accumulation_steps, **fields}), [0.1]).train_network
        step(Tensor(IMAGES), Tensor(LABELS))
        moved.append([weight.asnumpy() - start for weight, start in zip(net.trainable_params(), before)])
    for whole, parts in zip(*moved, strict=True):
        np.testing.assert_allclose(parts, whole, rtol=0, atol=2e-6)
    biases = [change for change in moved[1] if change.shape == (5,)]
    assert len(biases) == 3 and len({change.tobytes() for change in biases}) == 3


def test_rates_can_change_between_the_epochs_of_a_model():
    """Three epochs of one step: 0.3, then what the list says after the first."""
    config = merge({}, {"optimizer": "sgd", "momentum": 0.0, "weight_decay": 0.0, "schedule": "plateau", "epochs": 3,
                        "lr_max": 0.3})
    schedule = Schedule(config, steps_per_epoch=1)
    model = create_model(net := dense(), config, schedule.rates)
    schedule.attach(model.train_network.optimizer)
    expected, bias = net.weight.asnumpy().astype(float), net.bias.asnumpy().astype(float)
    for rate in (0.3, 0.05, 0.7):
        twin = dense()
        twin.weight.set_data(Tensor(expected.astype(np.float32)))
        twin.bias.set_data(Tensor(bias.astype(np.float32)))
        by_weight, by_bias = gradients(twin)
        expected, bias = expected - rate * by_weight, bias - rate * by_bias

    def change(run_context):
        epochs = run_context.original_args().cur_epoch_num
        schedule.plateau.load_state_dict({"rate": [0.05, 0.7, 0.0][epochs - 1], "best": 0.0, "bad_epochs": 0})
        schedule.resume(epochs)

    batches = ds.NumpySlicesDataset((IMAGES, LABELS), ["feature", "label"], shuffle=False).batch(8)
    model.train(3, batches, LambdaCallback(on_train_epoch_end=change), dataset_sink_mode=False)
    np.testing.assert_allclose(net.weight.asnumpy(), expected, atol=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_shares_of_classes_are_labels_too(smoothing):
    """The cross-entropy of mixed labels is the mixture of cross-entropies (arXiv:1710.09412)."""
    logits = Tensor(RNG.standard_normal((8, 3)).astype(np.float32))
    other = np.roll(LABELS, 1)
    loss = ClassifierLoss(smoothing)
    mixed = loss(logits, Tensor((0.7 * np.eye(3)[LABELS] + 0.3 * np.eye(3)[other]).astype(np.float32)))
    apart = 0.7 * loss(logits, Tensor(LABELS)) + 0.3 * loss(logits, Tensor(other))
    np.testing.assert_allclose(mixed.asnumpy(), apart.asnumpy(), rtol=1e-5)


def test_the_loss_counts_correct_predictions():
    """Of 3 images, two with their own label highest; with shares, the largest share is the label."""
    logits = Tensor(np.array([[3, 1, 0], [0, 1, 2], [0, 5, 1]], np.float32))
    loss = ClassifierLoss()
    loss(logits, Tensor([0, 1, 1], ms.int32))
    assert loss.correct_predictions.asnumpy() == 2
    loss(logits, Tensor(np.array([[0.4, 0.6, 0], [0, 0.3, 0.7], [0.1, 0.9, 0]], np.float32)))
    assert loss.correct_predictions.asnumpy() == 2
    loss((logits, -logits), Tensor([0, 2, 1], ms.int32))
    assert loss.correct_predictions.asnumpy() == 3
