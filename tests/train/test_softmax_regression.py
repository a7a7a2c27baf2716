"""Softmax regression against the equations that its solution must satisfy."""

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor, nn

from mindclf.train import softmax_regression
from mindclf.train.softmax_regression import DenseLayer, SoftmaxRegression, solve

RNG = np.random.default_rng(0)
CLASSES = 3
LABELS = RNG.choice(CLASSES, 60, p=[0.6, 0.3, 0.1])
FEATURES = (RNG.standard_normal((60, 5)) * [1, 2, 0.5, 4, 1] + LABELS[:, None] + 7).astype(np.float32)


def gradient(layer, weight_decay, smoothing=0.0, class_weights=None):
    """Of the loss at a layer, for the kernel on features of mean 0 and mean square 1: (softmax - target) x + decay x kernel."""
    features = FEATURES.astype(float)
    deviation = np.sqrt(np.mean(np.square(features - features.mean(0))))
    logits = features @ layer.kernel.T + layer.bias
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    weights = np.ones(len(LABELS)) if class_weights is None else np.array(class_weights)[LABELS]
    errors = probabilities - (np.eye(CLASSES)[LABELS] * (1 - smoothing) + smoothing / CLASSES)
    errors *= (weights / weights.sum())[:, None]
    return errors.T @ (features - features.mean(0)) / deviation + weight_decay * layer.kernel * deviation, errors.sum(0)


@pytest.mark.parametrize("options", [
    {}, {"label_smoothing": 0.2}, {"class_weights": [1.0, 2.0, 9.0]},
    {"label_smoothing": 0.1, "class_weights": [0.5, 3.0, 0.1]}], ids=str)
@pytest.mark.parametrize("weight_decay", [0.3, 0.001])
def test_the_gradient_is_zero_at_the_solution(weight_decay, options):
    found = solve(FEATURES, LABELS, CLASSES, weight_decay, tolerance=1e-6, **options)
    assert found.converged
    for values in gradient(found.layer, weight_decay, options.get("label_smoothing", 0.0), options.get("class_weights")):
        np.testing.assert_allclose(values, 0, atol=1.1e-6)


@pytest.mark.parametrize(("weights", "smoothing"), [(None, 0.1), ([1.0, 2.0, 9.0], 0.0)])
def test_the_loss_is_that_of_mindspore_with_the_same_weights_or_smoothing(weights, smoothing):
    """Where both are given MindSpore weighs what is spread by the class that it is spread to, and this by that of the image."""
    found = solve(FEATURES, LABELS, CLASSES, 0.0, label_smoothing=smoothing, class_weights=weights, tolerance=0.03)
    criterion = nn.CrossEntropyLoss(weights and Tensor(weights, ms.float32), label_smoothing=smoothing)
    logits = found.layer.logits(FEATURES).astype(np.float32)
    assert float(criterion(Tensor(logits), Tensor(LABELS, ms.int32)).asnumpy()) == pytest.approx(found.loss, rel=1e-5)


def test_a_weight_of_two_is_an_image_that_is_there_twice():
    """Without decay, on which the scale of the features would act; the classes overlap, so the minimum is finite."""
    features = FEATURES[:, :2]
    twice = np.concatenate([np.arange(60), np.flatnonzero(LABELS == 2)])
    weighted = solve(features, LABELS, CLASSES, 0.0, class_weights=[1, 1, 2], tolerance=1e-9).layer
    repeated = solve(features[twice], LABELS[twice], CLASSES, 0.0, tolerance=1e-9).layer
    np.testing.assert_allclose(weighted.logits(features) - weighted.logits(features)[:, :1],
                               repeated.logits(features) - repeated.logits(features)[:, :1], atol=1e-4)


def test_features_that_say_nothing_leave_the_frequencies_of_the_classes():
    layer = solve(np.full((60, 4), 2.5, np.float32), LABELS, CLASSES, 0.1, tolerance=1e-9).layer
    assert not layer.kernel.any()
    probabilities = np.exp(layer.bias) / np.exp(layer.bias).sum()
    np.testing.assert_allclose(probabilities, np.bincount(LABELS) / 60, atol=1e-6)


def test_the_size_and_the_offset_of_the_features_change_no_logit():
    layer, other = (solve(features, LABELS, CLASSES, 0.1, tolerance=1e-9).layer
                    for features in (FEATURES.astype(float), 250.0 * FEATURES.astype(float) - 31.0))
    np.testing.assert_allclose(other.logits(250.0 * FEATURES.astype(float) - 31.0), layer.logits(FEATURES), atol=1e-6)


def test_more_decay_gives_a_smaller_kernel():
    sizes = [np.abs(solve(FEATURES, LABELS, CLASSES, weight_decay).layer.kernel).sum() for weight_decay in (0.001, 0.1, 10.0)]
    assert sizes[0] > 2 * sizes[1] > 4 * sizes[2] > 0


def test_where_it_begins_does_not_change_where_it_ends():
    start = DenseLayer(RNG.standard_normal((CLASSES, 5)), RNG.standard_normal(CLASSES))
    one, other = (solve(FEATURES, LABELS, CLASSES, 0.01, tolerance=1e-9, start=begin) for begin in (None, start))
    np.testing.assert_allclose(one.layer.kernel, other.layer.kernel, atol=1e-6)
    assert solve(FEATURES, LABELS, CLASSES, 0.01, start=one.layer).iterations == 0


def test_of_few_images_with_many_channels_the_solution_is_the_same():
    """It is found in the space that the images span, 19 dimensions around their mean; its gradient is zero in all channels."""
    features = RNG.standard_normal((20, 50)) + 0.5 * LABELS[:20, None]
    turned = SoftmaxRegression(features, LABELS[:20], CLASSES)
    assert turned.basis.shape == (50, 19)
    layer = turned.solve(0.02, tolerance=1e-7).layer
    scaled = (features - features.mean(0)) / np.sqrt(np.mean(np.square(features - features.mean(0))))
    logits = features @ layer.kernel.T + layer.bias
    errors = (np.exp(logits) / np.exp(logits).sum(1, keepdims=True) - np.eye(CLASSES)[LABELS[:20]]) / 20
    deviation = np.sqrt(np.mean(np.square(features - features.mean(0))))
    np.testing.assert_allclose(errors.T @ scaled + 0.02 * layer.kernel * deviation, 0, atol=1e-6)
    assert turned.solve(0.02, start=layer).iterations == 0


def test_the_loss_is_the_least_but_for_a_millionth():
    """From zeros, and from the solution for a decay that is ten times as strong."""
    problem = SoftmaxRegression(FEATURES, LABELS, CLASSES)
    for weight_decay in (1.0, 0.01, 0.001):
        least = problem.solve(weight_decay, tolerance=1e-8).loss
        for start in (None, problem.solve(10 * weight_decay).layer):
            assert least <= problem.solve(weight_decay, start).loss < least + 1e-6


def test_features_of_different_sizes_cost_few_iterations(monkeypatch):
    """Channels of sizes 0.03 to 30: in units of the curvature, it takes less than half the iterations that it takes without."""
    rng = np.random.default_rng(1)
    features = rng.standard_normal((400, 40)) * np.geomspace(0.03, 30, 40)
    labels = (features / np.geomspace(0.03, 30, 40) @ rng.standard_normal((40, 3)) + rng.gumbel(size=(400, 3))).argmax(1)
    preconditioned = solve(features, labels, 3, 1e-6)
    monkeypatch.setattr(SoftmaxRegression, "_units", lambda self, point, weight_decay: np.ones_like(point))
    plain = solve(features, labels, 3, 1e-6)
    assert preconditioned.converged and preconditioned.loss < plain.loss + 1e-6
    assert 2 * preconditioned.iterations < plain.iterations


def test_features_that_are_converted_block_by_block_give_the_same(monkeypatch):
    whole = solve(FEATURES, LABELS, CLASSES, 0.01, tolerance=1e-9).layer
    monkeypatch.setattr(softmax_regression, "BLOCK_BYTES", 7 * 5 * 8 * 4)  # 7 rows at a time, 60 are 8 blocks and a rest
    blocks = solve(FEATURES, LABELS, CLASSES, 0.01, tolerance=1e-9).layer
    np.testing.assert_allclose(blocks.kernel, whole.kernel, atol=1e-9)
    np.testing.assert_allclose(blocks.logits(FEATURES), whole.logits(FEATURES), atol=1e-8)


def test_the_same_input_gives_the_same_bits():
    first, second = (solve(FEATURES, LABELS, CLASSES, 0.01).layer for _ in range(2))
    assert np.array_equal(first.kernel, second.kernel) and np.array_equal(first.bias, second.bias)
