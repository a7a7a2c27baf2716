"""What is particular to MobileNetV1, AsymmNet and ResNet. What all nets have in common is in test_contract.py."""

import numpy as np
import pytest
from mindspore import Tensor, nn, ops

from mindclf.device import pynative
from mindclf.nets import create_net
from mindclf.nets.asymmnet import AsymmBottleneck, ceil_to_8
from mindclf.nets.layers import HSigmoid, HSwish
from mindclf.nets.mobilenet_v1 import Resize
from mindclf.nets.resnet import BasicBlock, Bottleneck
from mindclf.summary import empty_net, summarise


def noise(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize(("height", "width", "factor"), [(32, 33, 0.5), (20, 31, 0.714), (9, 8, 2.0), (3, 3, 0.1)])
def test_resize_is_mindspores_bilinear_one(height, width, factor):
    x = Tensor(noise(2, 3, height, width))
    size = tuple(max(1, round(side * factor)) for side in (height, width))
    resized = Resize(factor)(x).asnumpy()
    assert resized.shape == (2, 3, *size)
    expected = ops.interpolate(x, size=size, mode="bilinear", align_corners=False).asnumpy()
    np.testing.assert_allclose(resized, expected, atol=1e-5)


def test_a_resolution_multiplier_of_a_half_is_the_net_on_images_of_half_the_size():
    with pynative():
        halved = create_net("mobilenet_v1", 4, width_mult=0.25, resolution_mult=0.5).set_train(False)
        full = create_net("mobilenet_v1", 4, width_mult=0.25).set_train(False)
        for ours, theirs in zip(halved.get_parameters(), full.get_parameters()):
            values = noise(*ours.shape) * 0.3 + ("variance" in ours.name)
            ours.set_data(Tensor(values))
            theirs.set_data(Tensor(values))
        x = noise(2, 3, 64, 48)
        quarters = x.reshape(2, 3, 32, 2, 24, 2).mean((3, 5))  # bilinear resizing by a half averages two by two
        np.testing.assert_allclose(halved(Tensor(x)).asnumpy(), full(Tensor(quarters)).asnumpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("options", [{"width_mult": 0}, {"resolution_mult": -1}, {"stem": "mnist"}, {"activation": "gelu"},
                                     {"pad_mode": "valid"}])
def test_mobilenet_v1_refuses_what_it_cannot_be(options):
    name, value = next(iter(options.items()))
    with pytest.raises(ValueError, match=f"{name}={value!r}"):
        create_net("mobilenet_v1", 4, **options)


@pytest.mark.parametrize(("stem", "sides"), [
    ("imagenet", (16, 8, 4, 2, 1)), ("cifar", (32, 16, 8, 4, 2)), ("cifar8", (32, 32, 16, 8, 4))])
def test_the_stem_of_mobilenet_v1_decides_how_fine_its_maps_are(stem, sides):
    """At 32 pixels: the sides of the maps with 32 and 64, then 128, 256, 512 and 1024 channels, and the work that follows."""
    net = empty_net("mobilenet_v1", 10, stem=stem)
    blocks = [(32, 64, 0), (64, 128, 1), (128, 128, 1), (128, 256, 2), (256, 256, 2), (256, 512, 3), *[(512, 512, 3)] * 5,
              (512, 1024, 4), (1024, 1024, 4)]
    macs = 27 * 32 * sides[0] ** 2 + sum((9 * inputs + inputs * outputs) * sides[place] ** 2 for inputs, outputs, place in blocks)
    summary = summarise(net, 32, 32)
    assert summary.macs == macs + 1024 * 10
    assert summary.trainable == 3_217_226
    assert net.backbone(Tensor(noise(1, 3, 32, 32))).shape == (1, 1024, sides[4], sides[4])


def test_hard_swish_and_hard_sigmoid_are_their_formulas():
    x = np.linspace(-6, 6, 49, dtype=np.float32)
    gate = np.clip(x + 3, 0, 6) / 6
    np.testing.assert_allclose(HSigmoid()(Tensor(x)).asnumpy(), gate, atol=1e-6)
    np.testing.assert_allclose(HSwish()(Tensor(x)).asnumpy(), x * gate, atol=1e-6)


@pytest.mark.parametrize("rate", [0, 1, 2])
def test_the_asymmetrical_bottleneck_copies_its_input_rate_times_before_and_after(rate):
    """Widths by the paper's arithmetic: the expansion makes 24 - rate x 8 maps, the depthwise convolution sees 24 + rate x 8."""
    block = AsymmBottleneck(8, 24, 8, 3, rate, "relu", False, 1)
    assert block.expand[0].weight.shape == (24 - rate * 8, 8, 1, 1)
    assert block.depthwise[0].weight.shape == (24 + rate * 8, 1, 3, 3)
    assert block.project[0].weight.shape == (8, 24 + rate * 8, 1, 1)
    block = AsymmBottleneck(8, 24, 16, 3, rate, "relu", False, 1).set_train(False)
    block.depthwise = block.project = nn.Identity()
    x = Tensor(noise(2, 8, 3, 3))
    np.testing.assert_array_equal(block(x).asnumpy(), np.concatenate(
        [x.asnumpy()] * rate + [block.expand(x).asnumpy()] + [x.asnumpy()] * rate, axis=1))


def test_a_bottleneck_without_expansion_works_on_its_input():
    block = AsymmBottleneck(16, 16, 16, 3, 1, "relu", True, 1)
    assert not block.expands and block.depthwise[0].weight.shape == (16, 1, 3, 3)


@pytest.mark.parametrize(("channels", "rounded"), [(16 * 0.35, 8), (8, 8), (8.1, 16), (960 * 0.35, 336)])
def test_asymmnet_rounds_up_to_multiples_of_8(channels, rounded):
    assert ceil_to_8(channels) == rounded


@pytest.mark.parametrize(("options", "message"), [
    ({"asymmrate": 3}, "asymmrate=3 is not known; expected one of 0, 1, 2"), ({"width_mult": 0.3}, "width_mult=0.3"),
    ({"width_mult": 1.4}, "width_mult=1.4"), ({"model_size": "small"}, "the name asymmnet_large says what model_size is")])
def test_asymmnet_refuses_what_makes_no_valid_blocks(options, message):
    with pytest.raises(ValueError, match=message):
        create_net("asymmnet_large", 4, **options)


@pytest.mark.parametrize("rate", [0, 1, 2])
@pytest.mark.parametrize("width_mult", [0.35, 0.5, 0.75, 1.0])
@pytest.mark.parametrize("net", ["asymmnet_large", "asymmnet_small"])
def test_every_asymmnet_of_the_paper_can_be_built(net, width_mult, rate):
    made = empty_net(net, 10, asymmrate=rate, width_mult=width_mult)
    assert all(size > 0 for p in made.get_parameters() for size in p.shape)


@pytest.mark.parametrize(("block", "channels"), [(BasicBlock, 8), (Bottleneck, 2)])
def test_a_residual_block_whose_branch_is_silent_returns_its_input(block, channels):
    cell = block(8, channels, stride=1).set_train(False)
    last = cell.bn3 if block is Bottleneck else cell.bn2
    last.gamma.set_data(Tensor(np.zeros(8, np.float32)))
    x = np.abs(noise(2, 8, 5, 5))
    np.testing.assert_array_equal(cell(Tensor(x)).asnumpy(), x)


def test_the_bottleneck_strides_where_it_is_told():
    pytorch, keras = Bottleneck(8, 4, 2, "3x3"), Bottleneck(8, 4, 2, "1x1")
    assert (pytorch.conv1.stride, pytorch.conv2.stride) == ((1, 1), (2, 2))
    assert (keras.conv1.stride, keras.conv2.stride) == ((2, 2), (1, 1))
    with pytest.raises(ValueError, match="stride_on='7x7'"):
        create_net("resnet50", 4, stride_on="7x7")


@pytest.mark.parametrize(("stem", "shape"), [("imagenet", (1, 512, 1, 1)), ("cifar", (1, 512, 4, 4))])
def test_the_cifar_stem_of_resnet_keeps_small_images_large(stem, shape):
    with pynative():
        net = empty_net("resnet18", 4, stem=stem).set_train(False)
        assert net.backbone(Tensor(noise(1, 3, 32, 32))).shape == shape
