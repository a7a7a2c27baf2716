"""Depthwise separable convolutions in one pass: the definition in float64, and bit for bit what the single kernels compute."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mindclf import kernels
from mindclf.kernels.variants import FLOAT32
from tests.kernels.direct import activate, call, convolve, out_size, packed, variants

pytestmark = pytest.mark.skipif(not variants(), reason="the kernels are not compiled: that needs a C compiler at installation")


class Block:
    """A block of random weights: `hidden` channels between x and the `outs` channels of y; `expands` or not."""

    def __init__(self, x_shape, hidden, outs, kernel_size, stride, padding, activations, residual, seed=0):
        rng = np.random.default_rng(seed)
        self.x = rng.standard_normal(x_shape, np.float32)
        self.stride, self.padding, self.activations, self.residual = stride, padding, activations, residual
        channels = x_shape[1]
        self.expand = None if hidden is None else rng.standard_normal((hidden, channels, 1, 1), np.float32) / channels ** 0.5
        hidden = channels if hidden is None else hidden
        self.depthwise = rng.standard_normal((hidden, 1, kernel_size, kernel_size), np.float32) / kernel_size
        self.project = rng.standard_normal((outs, hidden, 1, 1), np.float32) / hidden ** 0.5
        self.biases = [rng.standard_normal(count, np.float32) for count in (hidden, hidden, outs)]
        self.y_shape = (x_shape[0], outs, *(out_size(size, kernel_size, stride, padding) for size in x_shape[2:]))

    def layers(self):
        """[(kernel, weight, bias, stride, padding, activation)]."""
        rows = [("convolution", self.expand, 1, 0), ("depthwise", self.depthwise, self.stride, self.padding),
                ("convolution", self.project, 1, 0)]
        return [(kernel, weight, bias, stride, padding, activation) for (kernel, weight, stride, padding), bias, activation
                in zip(rows, self.biases, self.activations) if weight is not None]

    def fused(self, variant):
        weights = [array for kernel, weight, bias, *_ in self.layers()
                   for array in (weight if kernel == "depthwise" else packed(variant, weight), bias)]
        numbers = [self.stride, self.padding, *(kernels.ACTIVATIONS[name] for name in self.activations), int(self.residual)]
        name = "separable" if self.expand is None else "inverted_residual"
        return call(variant, name, [self.x, *weights, np.array(numbers, np.int32)], [self.y_shape])[0]

    def one_by_one(self, variant):
        y = self.x
        for kernel, weight, bias, stride, padding, activation in self.layers():
            shape = (y.shape[0], len(bias), *(out_size(size, weight.shape[2], stride, padding) for size in y.shape[2:]))
            numbers = np.array([stride, padding, kernels.ACTIVATIONS[activation], 1], np.int32)
            weights = [weight] if kernel == "depthwise" else [weight, packed(variant, weight)]
            y, = call(variant, f"{kernel}_activated", [y, *weights, bias, numbers], [shape])
        return y + self.x if self.residual else y

    def definition(self):
        y = self.x
        for _, weight, bias, stride, padding, activation in self.layers():
            y = activate(convolve(y, weight, stride, padding)[0] + bias.reshape(1, -1, 1, 1), activation)[0]
        return y + self.x if self.residual else y


def check(*arguments, **named):
    block = Block(*arguments, **named)
    expected = block.definition()
    for variant in variants():
        y = block.fused(variant)
        np.testing.assert_array_equal(y, block.one_by_one(variant), variant)
        if variant in FLOAT32:  # the others round what is between too
            np.testing.assert_allclose(y, expected, rtol=0, atol=3e-6 * max(1, np.abs(expected).max()), err_msg=variant)


@pytest.mark.parametrize("padding", [None, kernels.SAME, 0], ids=["half", "same", "none"])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel_size", [3, 5])
@pytest.mark.parametrize(("shape", "hidden", "outs"), [
    ((1, 1, 5, 5), 1, 1), ((2, 3, 5, 7), 10, 7), ((1, 16, 14, 14), 96, 16), ((3, 17, 9, 33), 17, 34), ((1, 5, 40, 6), None, 11),
    ((2, 8, 33, 20), None, 8), ((1, 24, 56, 56), 144, 24), ((1, 200, 7, 7), None, 33),
], ids=str)
def test_a_block_is_its_layers(shape, hidden, outs, kernel_size, stride, padding):
    padding = (kernel_size - 1) // 2 if padding is None else padding
    residual = stride == 1 and padding != 0 and shape[1] == outs
    check(shape, hidden, outs, kernel_size, stride, padding, ("relu6", "hswish", None), residual)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("shape", "hidden", "outs"), [
    ((25, 40, 2, 2), None, 33), ((1, 17, 2, 2), None, 40), ((40, 9, 3, 3), None, 9), ((37, 6, 2, 2), 20, 6),
    ((50, 8, 1, 1), None, 7), ((9, 8, 3, 5), 24, 8),
], ids=str)
def test_maps_smaller_than_a_vector_of_several_images(shape, hidden, outs, stride):
    check(shape, hidden, outs, 3, stride, 1, ("relu6", "relu", "hswish"), stride == 1 and shape[1] == outs)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.data())
def test_a_block_of_any_shape(data):
    draw = data.draw
    kernel_size, stride = draw(st.sampled_from([3, 5])), draw(st.sampled_from([1, 2]))
    padding = draw(st.integers(-1, kernel_size - 1))
    shape = (draw(st.integers(1, 3)), draw(st.integers(1, 20)), draw(st.integers(kernel_size, 40)),
             draw(st.integers(kernel_size, 70)))
    activations = [draw(st.sampled_from(list(kernels.ACTIVATIONS))) for _ in range(3)]
    check(shape, draw(st.none() | st.integers(1, 40)), draw(st.integers(1, 40)), kernel_size, stride, padding, activations, False)
