"""MobileNetV2 against the paper's counts, the tutorial's checkpoint keys and, with ../shared, an independent implementation."""

import numpy as np
import pytest
from mindspore import Tensor

from mindclf.nets import (
    InvertedResidual,
    MobileNetV2,
    MobileNetV2Backbone,
    MobileNetV2Head,
    make_divisible,
    mobilenet_v2,
)
from mindclf.nets.dropout import Dropout


def trainable(net):
    return sum(parameter.size for parameter in net.trainable_params())


def keys_and_shapes(net):
    return [(parameter.name, parameter.shape) for parameter in net.get_parameters()]


def images(count=2, size=64):
    return Tensor(np.random.default_rng(0).standard_normal((count, 3, size, size), np.float32))


def test_parameter_counts_are_the_papers():
    assert trainable(MobileNetV2Backbone()) == 2_223_872
    assert trainable(MobileNetV2(1000)) == 3_504_872
    assert trainable(MobileNetV2(26)) == 2_257_178


@pytest.mark.parametrize("width_mult", [0.35, 0.75, 1.4])
def test_width_multipliers_count_as_table_2_says(width_mult):
    assert expected_count(1.0) == 3_504_872
    assert trainable(MobileNetV2(10, width_mult)) == expected_count(width_mult, num_classes=10)


def expected_count(width_mult, num_classes=1000):
    """Parameters of MobileNetV2 from Table 2 of the paper, in plain arithmetic."""
    def width(channels):
        rounded = max(8, int(channels * width_mult + 4) // 8 * 8)
        return rounded + 8 if rounded < 0.9 * channels * width_mult else rounded

    table = [(1, 16, 1), (6, 24, 2), (6, 32, 3), (6, 64, 4), (6, 96, 3), (6, 160, 3), (6, 320, 1)]
    last = width(1280) if width_mult > 1 else 1280
    channels = width(32)
    count = 27 * channels + 2 * channels
    for expansion, out, repeats in table:
        for _ in range(repeats):
            hidden = channels * expansion
            count += (channels * hidden + 2 * hidden if expansion > 1 else 0) + 9 * hidden + 2 * hidden
            count += hidden * width(out) + 2 * width(out)
            channels = width(out)
    return count + channels * last + 2 * last + last * num_classes + num_classes


def test_checkpoint_keys_are_frozen():
    """These names are a file format: published checkpoints have them."""
    names = [name for name, _ in keys_and_shapes(MobileNetV2(26))]
    norm = ["moving_mean", "moving_variance", "gamma", "beta"]
    assert len(names) == 262
    assert names[:5] == ["features.0.features.0.weight"] + [f"features.0.features.1.{n}" for n in norm]
    assert names[5:15] == (["features.1.conv.0.features.0.weight"] + [f"features.1.conv.0.features.1.{n}" for n in norm]
                           + ["features.1.conv.1.weight"] + [f"features.1.conv.2.{n}" for n in norm])
    assert names[15:20] == ["features.2.conv.0.features.0.weight"] + [f"features.2.conv.0.features.1.{n}" for n in norm]
    assert names[-7:] == (["features.18.features.0.weight"] + [f"features.18.features.1.{n}" for n in norm]
                          + ["head.1.weight", "head.1.bias"])


@pytest.mark.parametrize(("file", "build"), [("mobilenet_v2_backbone.txt", MobileNetV2Backbone),
                                             ("mobilenet_v2_garbage26.txt", lambda: MobileNetV2(26))])
def test_checkpoint_keys_and_shapes_are_the_tutorials(shared, file, build):
    lines = (shared / "spec" / "tutorial_keys" / file).read_text().splitlines()
    assert [f"{name} {shape}" for name, shape in keys_and_shapes(build())] == lines


def test_the_combined_class_and_the_two_parts_are_one_net():
    backbone = MobileNetV2Backbone(width_mult=0.5)
    parts = mobilenet_v2(backbone, MobileNetV2Head(input_channel=backbone.out_channels, num_classes=5))
    assert keys_and_shapes(parts) == keys_and_shapes(MobileNetV2(num_classes=5, width_mult=0.5))


def test_a_residual_connection_is_there_where_shapes_agree():
    assert InvertedResidual(8, 8, 1, 6).use_res_connect
    assert not InvertedResidual(8, 16, 1, 6).use_res_connect
    assert not InvertedResidual(8, 8, 2, 6).use_res_connect
    with pytest.raises(ValueError, match="stride=3"):
        InvertedResidual(8, 8, 3, 6)


def test_a_block_with_zero_weights_returns_its_input():
    """The last batch norm's gamma at zero silences the branch, so only the shortcut is left."""
    block = InvertedResidual(8, 8, 1, 6).set_train(False)
    block.conv[-1].gamma.set_data(Tensor(np.zeros(8, np.float32)))
    x = np.random.default_rng(0).standard_normal((2, 8, 6, 6)).astype(np.float32)
    np.testing.assert_array_equal(block(Tensor(x)).asnumpy(), x)


def test_logits_of_an_image_do_not_depend_on_its_batch():
    net = MobileNetV2(5, width_mult=0.35).set_train(False)
    batch = images(3)
    together = net(batch).asnumpy()
    assert together.shape == (3, 5)
    for index in range(3):
        np.testing.assert_allclose(net(batch[index:index + 1]).asnumpy()[0], together[index], atol=1e-5)


@pytest.mark.parametrize("size", [33, 64, 96])
def test_any_input_size_is_taken(size):
    assert MobileNetV2Backbone(0.35).set_train(False)(images(1, size)).shape == (1, 1280, -(-size // 32), -(-size // 32))


@pytest.mark.parametrize("pad_mode", ["pad", "same"])
def test_padding_modes_differ_where_they_should(pad_mode):
    """With stride 2 on an even size TensorFlow's padding shifts the grid by one pixel: a ramp comes out one pixel apart."""
    from mindclf.nets.layers import conv2d

    conv = conv2d(1, 1, 3, stride=2, pad_mode=pad_mode)
    kernel = np.zeros((1, 1, 3, 3), np.float32)
    kernel[0, 0, 1, 1] = 1  # picks the pixel under the kernel's centre
    conv.weight.set_data(Tensor(kernel))
    ramp = Tensor(np.arange(8, dtype=np.float32) * np.ones((1, 1, 8, 1), np.float32))
    first = {"pad": 0, "same": 1}[pad_mode]
    np.testing.assert_array_equal(conv(ramp).asnumpy()[0, 0, 1], np.arange(first, 8, 2))


def test_head_activations_give_probabilities():
    features = Tensor(np.random.default_rng(0).standard_normal((4, 16), np.float32))
    softmax = MobileNetV2Head(16, 3, activation="Softmax")(features).asnumpy()
    np.testing.assert_allclose(softmax.sum(1), 1, atol=1e-6)
    sigmoid = MobileNetV2Head(16, 3, activation="Sigmoid")(features).asnumpy()
    assert ((sigmoid > 0) & (sigmoid < 1)).all()
    with pytest.raises(ValueError, match="activation='Tanh'"):
        MobileNetV2Head(activation="Tanh")


def test_head_takes_maps_and_their_averages_alike():
    head = MobileNetV2Head(16, 3).set_train(False)
    maps = np.random.default_rng(0).standard_normal((2, 16, 4, 5)).astype(np.float32)
    np.testing.assert_allclose(head(Tensor(maps)).asnumpy(), head(Tensor(maps.mean((2, 3)))).asnumpy(), atol=1e-6)


def test_dropout_drops_a_fifth_not_four_fifths():
    head = MobileNetV2Head(10_000, 2, has_dropout=True)
    dropout = next(cell for _, cell in head.cells_and_names() if isinstance(cell, Dropout))
    dropped = (dropout.set_train(True)(Tensor(np.ones((1, 10_000), np.float32))).asnumpy() == 0).mean()
    assert 0.15 < dropped < 0.25


@pytest.mark.parametrize(("value", "rounded"), [(32 * 0.35, 16), (16 * 0.35, 8), (24 * 0.75, 24), (1280 * 1.4, 1792), (3, 8)])
def test_make_divisible_never_loses_a_tenth(value, rounded):
    assert make_divisible(value, 8) == rounded
