"""VGG, AlexNet, SqueezeNet, DenseNet and Inception-v3: torchvision's names, sizes by arithmetic, what each has of its own."""

import math

import numpy as np
import pytest
from mindspore import Tensor, grad, nn, ops
from mindspore.nn.utils import no_init_parameters

from mindclf.device import pynative
from mindclf.nets.alexnet import AlexNet, AlexNetBackbone
from mindclf.nets.densenet import DenseLayer, DenseNet, DenseNetBackbone, transition
from mindclf.nets.inception_v3 import ConvBNReLU, InceptionV3, InceptionV3Backbone, Mixed, figure_5
from mindclf.nets.layers import AdaptiveAvgPool
from mindclf.nets.squeezenet import CeilMaxPool, SqueezeNet, SqueezeNetBackbone, SqueezeNetHead
from mindclf.nets.vgg import VGG, VGGBackbone


def undrawn(build, **options):
    """A net for its names and shapes only: drawing the weights of some takes seconds."""
    with no_init_parameters():
        return build(**options)


def noise(*shape):
    return Tensor(np.random.default_rng(0).standard_normal(shape, np.float32))


def names(net):
    return [parameter.name for parameter in net.get_parameters()]


def layers_with_weights(net):
    return [name.removesuffix(".weight") for name in names(net) if name.endswith(".weight")]


def windows(length, count):
    return [slice(math.floor(i * length / count), math.ceil((i + 1) * length / count)) for i in range(count)]


# torchvision's names

def features(*numbers):
    return [f"features.{number}" for number in numbers]


def classifier(*numbers):
    return [f"classifier.{number}" for number in numbers]


def fires(*numbers):
    return [f"features.{number}.{part}" for number in numbers for part in ("squeeze", "expand1x1", "expand3x3")]


VGG16, VGG16_BN = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28), (0, 3, 7, 10, 14, 17, 20, 24, 27, 30, 34, 37, 40)


@pytest.mark.parametrize(("build", "options", "layers"), [
    (VGG, {"depth": 11}, features(0, 3, 6, 8, 11, 13, 16, 18) + classifier(0, 3, 6)),
    (VGG, {"depth": 16}, features(*VGG16) + classifier(0, 3, 6)),
    (VGG, {"depth": 16, "batch_norm": True}, features(*VGG16_BN) + classifier(0, 3, 6)),
    (AlexNet, {}, features(0, 3, 6, 8, 10) + classifier(1, 4, 6)),
    (SqueezeNet, {"version": "1_0"}, features(0) + fires(3, 4, 5, 7, 8, 9, 10, 12) + classifier(1)),
    (SqueezeNet, {"version": "1_1"}, features(0) + fires(3, 4, 6, 7, 9, 10, 11, 12) + classifier(1)),
])
def test_layers_are_numbered_as_in_torchvision(build, options, layers):
    assert layers_with_weights(undrawn(build, **options)) == layers


def test_batch_norms_of_vgg_follow_their_convolutions():
    norms = [name.removesuffix(".gamma") for name in names(undrawn(VGG, batch_norm=True)) if name.endswith(".gamma")]
    assert norms == features(*(number + 1 for number in VGG16_BN))


def test_densenet_is_named_as_in_torchvision():
    net = undrawn(DenseNet, depth=121)
    layers = layers_with_weights(net)
    assert layers[:3] == ["features.conv0", "features.denseblock1.denselayer1.conv1", "features.denseblock1.denselayer1.conv2"]
    assert layers[-2:] == ["features.denseblock4.denselayer16.conv2", "classifier"]
    assert {"features.norm0.gamma", "features.denseblock3.denselayer24.norm2.moving_mean", "features.transition3.norm.beta",
            "features.transition1.conv.weight", "features.norm5.moving_variance"} <= set(names(net))


def test_inception_is_named_as_in_torchvision():
    layers = layers_with_weights(undrawn(InceptionV3, aux_logits=True))
    assert layers[:5] == [f"Conv2d_{name}.conv" for name in ("1a_3x3", "2a_3x3", "2b_3x3", "3b_1x1", "4a_3x3")]
    assert [name for name in layers if name.startswith("Mixed_7c")] == [f"Mixed_7c.branch{name}.conv" for name in (
        "1x1", "3x3_1", "3x3_2a", "3x3_2b", "3x3dbl_1", "3x3dbl_2", "3x3dbl_3a", "3x3dbl_3b", "_pool")]
    assert layers[-4:] == ["classifier", "auxiliary.conv0.conv", "auxiliary.conv1.conv", "auxiliary.fc"]


@pytest.mark.parametrize(("build", "depths"), [(VGG, (11, 13, 16, 19)), (DenseNet, (121, 161))])
def test_depth_counts_the_layers_with_weights(build, depths):
    for depth in depths:
        assert len(layers_with_weights(undrawn(build, depth=depth))) == depth


def test_wrong_choices_are_named():
    with pytest.raises(ValueError, match="depth=12 is not known; expected one of 11, 13, 16, 19"):
        VGG(depth=12)
    with pytest.raises(ValueError, match="depth=120 is not known; expected one of 121, 161, 169, 201"):
        DenseNet(depth=120)
    with pytest.raises(ValueError, match="version='1_2' is not known; expected one of 1_0, 1_1"):
        SqueezeNet(version="1_2")


# Sizes

@pytest.mark.parametrize(("build", "options", "min_size"), [  # torchvision's nets fail at one pixel less, too
    (VGGBackbone, {"depth": 11}, 32), (AlexNetBackbone, {}, 63), (SqueezeNetBackbone, {"version": "1_0"}, 21),
    (SqueezeNetBackbone, {"version": "1_1"}, 17), (SqueezeNetBackbone, {"version": "1_0", "ceil_mode": False}, 35),
    (SqueezeNetBackbone, {"version": "1_1", "ceil_mode": False, "stem_padding": 1}, 29),
    (DenseNetBackbone, {"depth": 121}, 29), (InceptionV3Backbone, {}, 75),
])
def test_one_pixel_less_than_the_smallest_size_is_refused(build, options, min_size):
    backbone = build(**options).set_train(False)
    with pynative():
        assert backbone(noise(1, 3, min_size, min_size)).shape == (1, backbone.out_channels, 1, 1)
        with pytest.raises(ValueError, match=f"takes {min_size} x {min_size} and up"):
            backbone(noise(1, 3, min_size + 8, min_size - 1))


@pytest.mark.parametrize(("height", "width"), [(7, 7), (1, 14), (16, 5)])
def test_adaptive_average_is_the_mean_of_each_window(height, width):
    x, weights = noise(2, 3, height, width), noise(2, 3, 7, 7)
    pool = AdaptiveAvgPool(7)
    expected, gradient = np.zeros((2, 3, 7, 7)), np.zeros(x.shape)
    for i, rows in enumerate(windows(height, 7)):
        for j, columns in enumerate(windows(width, 7)):
            window = x.asnumpy()[:, :, rows, columns]
            expected[:, :, i, j] = window.mean((2, 3))
            gradient[:, :, rows, columns] += weights.asnumpy()[:, :, i:i + 1, j:j + 1] / window[0, 0].size

    def weighted(x):
        return (pool(x) * weights).sum()

    np.testing.assert_allclose(pool(x).asnumpy(), expected, atol=1e-6)
    np.testing.assert_allclose(grad(weighted)(x).asnumpy(), gradient, atol=1e-5)


@pytest.mark.parametrize("size", [2, 3, 6, 9])
def test_ceil_mode_keeps_the_window_that_ends_outside(size):
    values = np.random.default_rng(0).random((1, 2, size, size), np.float32)
    count = math.ceil((size - 3) / 2) + 1
    expected = [[values[:, :, 2 * i:2 * i + 3, 2 * j:2 * j + 3].max((2, 3)) for j in range(count)] for i in range(count)]
    np.testing.assert_array_equal(CeilMaxPool()(Tensor(values)).asnumpy(), np.transpose(expected, (2, 3, 0, 1)))


@pytest.mark.parametrize(("version", "kernel_size"), [("1_0", 7), ("1_1", 3)])
@pytest.mark.parametrize("size", [65, 94])
def test_map_sizes_of_squeezenet_are_rounded_up_at_each_pool(version, kernel_size, size):
    expected = (size - kernel_size) // 2 + 1
    for _ in range(3):
        expected = math.ceil((expected - 3) / 2) + 1
    with pynative():
        assert SqueezeNetBackbone(version)(noise(1, 3, size, size)).shape == (1, 512, expected, expected)


# What each net has of its own

def test_logits_of_squeezenet_are_averages_after_the_relu():
    head = SqueezeNetHead(4, 3).set_train(False)
    weight = head.classifier[1].weight.asnumpy()[:, :, 0, 0]
    maps = noise(2, 4, 5, 6)
    expected = np.maximum(np.einsum("oc,nchw->nohw", weight, maps.asnumpy()), 0).mean((2, 3))
    np.testing.assert_allclose(head(maps).asnumpy(), expected, atol=1e-6)


def test_a_dense_layer_keeps_its_input_and_adds_growth_maps():
    x = noise(2, 6, 5, 5)
    y = DenseLayer(6, growth=4)(x).asnumpy()
    assert y.shape == (2, 10, 5, 5)
    np.testing.assert_array_equal(y[:, :6], x.asnumpy())


@pytest.mark.parametrize("pool", ["avg", "max"])
def test_a_transition_halves_channels_and_size(pool):
    assert transition(6, pool)(noise(2, 6, 9, 4)).shape == (2, 3, 4, 2)


def test_the_pool_of_a_transition_is_the_one_that_is_named():
    x = noise(1, 2, 2, 2)
    average, largest = (transition(4, pool).pool(x).asnumpy()[..., 0, 0] for pool in ("avg", "max"))
    np.testing.assert_allclose(average, x.asnumpy().mean((2, 3)), atol=1e-6)
    np.testing.assert_array_equal(largest, x.asnumpy().max((2, 3)))  # also where all values are negative


def test_channels_of_inception_are_those_of_table_1():
    backbone = undrawn(InceptionV3Backbone)
    channels = [block.out_channels for part in (backbone.lower, backbone.upper) for block in part if isinstance(block, Mixed)]
    assert channels == [256, 288, 288] + 5 * [768] + [1280, 2048, 2048]


def test_average_pools_of_inception_count_the_padding_or_not():
    np.testing.assert_allclose(Mixed(1, figure_5(32), False).pool(ops.ones((1, 1, 3, 3))).asnumpy(), 1, atol=1e-6)
    pool = Mixed(1, figure_5(32)).pool
    np.testing.assert_allclose(pool(ops.ones((1, 1, 3, 3)))[0, 0].asnumpy() * 9, [[4, 6, 4], [6, 9, 6], [4, 6, 4]], atol=1e-6)


@pytest.mark.parametrize(("kernel_size", "padded", "shape"), [((1, 7), True, (9, 8)), ((7, 1), True, (9, 8)), (3, False, (7, 6))])
def test_convolutions_of_inception_keep_the_size_where_padded(kernel_size, padded, shape):
    """A kernel with a one in its centre hands the maps on, unless the padding shifts them."""
    conv = ConvBNReLU(1, 1, kernel_size, padded=padded).conv
    kernel = np.zeros(conv.weight.shape, np.float32)
    kernel[..., kernel.shape[2] // 2, kernel.shape[3] // 2] = 1
    conv.weight.set_data(Tensor(kernel))
    x = noise(1, 1, 9, 8)
    top, left = (9 - shape[0]) // 2, (8 - shape[1]) // 2
    np.testing.assert_array_equal(conv(x).asnumpy(), x.asnumpy()[:, :, top:top + shape[0], left:left + shape[1]])


def test_auxiliary_logits_of_inception_are_there_in_training_only():
    net = InceptionV3(5, aux_logits=True)
    with pynative():
        logits, auxiliary = net.set_train(True)(noise(2, 3, 299, 299))
        assert logits.shape == auxiliary.shape == (2, 5)
        assert net.set_train(False)(noise(2, 3, 75, 75)).shape == (2, 5)
        with pytest.raises(ValueError, match="takes 299 x 299 and up"):
            net.set_train(True)(noise(2, 3, 298, 299))


def test_the_auxiliary_head_adds_keys_of_its_own_and_changes_none():
    with_it, without = names(undrawn(InceptionV3, aux_logits=True)), names(undrawn(InceptionV3))
    assert [name for name in with_it if not name.startswith("auxiliary.")] == without
    assert not any(isinstance(cell, nn.Dense) for _, cell in undrawn(InceptionV3Backbone).cells_and_names())
