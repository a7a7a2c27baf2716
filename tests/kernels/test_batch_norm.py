"""The batch norm kernels against the definition in float64."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mindclf import kernels
from tests.kernels.direct import call, norm, variants

pytestmark = pytest.mark.skipif(not variants(), reason="the kernels are not compiled: that needs a C compiler at installation")
EPS, MOMENTUM = 1e-5, 0.9
SHAPES = [(2, 1, 1, 1), (2, 3, 2, 3), (1, 5, 2, 2), (4, 24, 1, 1), (2, 1280, 7, 7), (128, 70, 2, 2), (3, 17, 14, 14),
          (2, 5, 23, 23), (1, 3, 112, 112), (2, 2, 16, 32), (2, 2, 16, 33)]


def make(shape, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(0.5, 2, shape).astype(np.float32)
    gamma, variance = rng.uniform(0.5, 4, (2, shape[1])).astype(np.float32)
    beta, mean = rng.normal(0, 2, (2, shape[1])).astype(np.float32)
    return x, gamma, beta, mean, variance, rng.standard_normal(shape, np.float32)


def assert_close(actual, expected, tolerance=1e-5, terms=1):
    """Equal to that part of the largest value, or of the largest of the `terms` that it is the difference of."""
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * max(terms, np.abs(expected).max(initial=0)))


def check(variant, shape, activation, training):
    x, gamma, beta, mean, variance, dy = make(shape)
    options = np.array([EPS, MOMENTUM, kernels.ACTIVATIONS[activation]], np.float32)
    channels = (shape[1],)
    if training:
        y, kept, inverse, new_mean, new_variance = call(variant, "batch_norm_train", [x, gamma, beta, mean, variance, options],
                                                        [shape] + [channels] * 4)
        expected, backward, batch_mean, batch_variance = norm(x, gamma, beta, activation, EPS)
        values = x.size / shape[1]
        assert_close(kept, batch_mean)
        assert_close(new_mean, MOMENTUM * mean + (1 - MOMENTUM) * batch_mean)
        assert_close(new_variance, MOMENTUM * variance + (1 - MOMENTUM) * batch_variance * values / max(values - 1, 1))
        gradients = call(variant, "batch_norm_train_backward", [x, gamma, beta, kept, inverse, options, dy],
                         [shape, channels, channels])
    else:
        y = call(variant, "batch_norm_infer", [x, gamma, beta, mean, variance, options], [shape])[0]
        expected, backward, _, batch_variance = norm(x, gamma, beta, activation, EPS, mean, variance)
        gradients = call(variant, "batch_norm_infer_backward", [x, gamma, beta, mean, variance, options, dy],
                         [shape, channels, channels])
    assert_close(y, expected)
    largest = np.abs(dy).max() * (gamma / np.sqrt(batch_variance + EPS)).max()
    for actual, wanted in zip(gradients, backward(dy)):
        assert_close(actual, wanted, 2e-5, largest)


@pytest.mark.parametrize("variant", variants())
@pytest.mark.parametrize("training", [True, False], ids=["training", "inference"])
@pytest.mark.parametrize("activation", kernels.ACTIVATIONS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_batch_norm(variant, shape, activation, training):
    check(variant, shape, activation, training)


@pytest.mark.parametrize("variant", variants())
def test_values_that_are_written_by_non_temporal_stores(variant):
    """As many as vector.h says, in planes that vectors divide."""
    check(variant, (6, 64, 112, 112), "relu6", training=True)


@pytest.mark.parametrize("variant", variants())
@pytest.mark.parametrize(("shape", "activation"), [
    ((2, 3, 32, 40), None), ((2, 3, 32, 40), "relu"), ((3, 70, 4, 4), "relu6"), ((3, 70, 4, 4), "hswish"),
    ((6, 64, 112, 112), "relu"),
], ids=str)
def test_where_memory_begins_changes_no_bit(variant, shape, activation):
    x, gamma, beta, mean, variance, dy = make(shape)
    options, channels = np.array([EPS, MOMENTUM, kernels.ACTIVATIONS[activation]], np.float32), (shape[1],)

    def run(behind):
        outputs = call(variant, "batch_norm_train", [x, gamma, beta, mean, variance, options], [shape] + [channels] * 4, behind)
        return outputs + call(variant, "batch_norm_train_backward", [x, gamma, beta, *outputs[1:3], options, dy],
                              [shape, channels, channels], behind)

    expected = run(0)
    for behind in (1, 4, 15):
        for actual, wanted in zip(run(behind), expected):
            np.testing.assert_array_equal(actual, wanted)


@pytest.mark.parametrize("variant", variants())
@settings(max_examples=60, deadline=None, derandomize=True)
@given(shape=st.tuples(st.integers(2, 4), st.integers(1, 70), st.integers(1, 30), st.integers(1, 30)),
       activation=st.sampled_from([None, "relu6"]), training=st.booleans())
def test_any_batch_norm(variant, shape, activation, training):
    check(variant, shape, activation, training)


@pytest.mark.parametrize("variant", variants())
def test_a_mean_far_from_zero_costs_no_digits(variant):
    x, gamma, beta, mean, variance, _ = make((4, 6, 30, 30))
    x = (x + np.float32(1000)).astype(np.float32)
    x[0, :, 0, 0] = -5
    options = np.array([EPS, MOMENTUM, 0], np.float32)
    y = call(variant, "batch_norm_train", [x, gamma, beta, mean, variance, options], [x.shape] + [(6,)] * 4)[0]
    assert_close(y, norm(x, gamma, beta, None, EPS)[0], 3e-5)


@pytest.mark.parametrize("variant", variants())
@pytest.mark.parametrize("activation", kernels.ACTIVATIONS)
@pytest.mark.parametrize("training", [True, False], ids=["training", "inference"])
def test_a_nan_spoils_its_channel_in_training_and_itself_in_inference(variant, activation, training):
    x, gamma, beta, mean, variance, _ = make((2, 5, 3, 3))
    x[1, 2, 1, 1] = np.nan
    options = np.array([EPS, MOMENTUM, kernels.ACTIVATIONS[activation]], np.float32)
    if training:
        y, *_, new_variance = call(variant, "batch_norm_train", [x, gamma, beta, mean, variance, options], [x.shape] + [(5,)] * 4)
        assert np.isnan(y[:, 2]).all() and not np.isnan(np.delete(y, 2, 1)).any() and np.isnan(new_variance[2])
    else:
        y = call(variant, "batch_norm_infer", [x, gamma, beta, mean, variance, options], [x.shape])[0]
        assert np.isnan(y).sum() == 1 and np.isnan(y[1, 2, 1, 1])
