"""Keras's .h5 files as mindclf checkpoints: layers, axes and colours find their places."""

import sys

import numpy as np
import pytest
from mindspore.nn.utils import no_init_parameters

from mindclf.checkpoint import load_net, read_card, read_weights
from mindclf.convert import convert, keras
from mindclf.convert.foreign import misfits
from mindclf.nets import create_net
from tests.reference.foreign import FILES, filled, hollow

MODELS = [file for file in FILES if file.startswith("keras")]


@pytest.fixture
def h5py():
    return pytest.importorskip("h5py", reason="needs h5py, which reads .h5 files: pip install h5py")


def write_h5(h5py, path, arrays, group=None, suffix=""):
    """An .h5 file as Keras writes it: the layers' names as an attribute, each weight under LAYER/LAYER/VALUE."""
    with h5py.File(path, "w") as file:
        layers = file.create_group(group) if group else file
        layers.attrs["layer_names"] = [name.encode() for name in dict.fromkeys(name.partition("/")[0] for name in arrays)]
        for name, value in arrays.items():
            layers.create_dataset(name + suffix, data=value)
        if group:
            file.create_dataset("optimizer_weights/step", data=np.zeros(3, np.float32))
    return path


@pytest.mark.parametrize("file", MODELS)
def test_every_weight_of_a_model_has_its_place_in_the_net(file):
    """Each key once, with its shape; and layers that follow each other there do so here, shortcuts aside."""
    net, arrays = hollow(file)
    foreign = keras.arranged(arrays, net, file)
    with no_init_parameters():
        net = create_net(net, 1000, **foreign.net_options)
    assert misfits(net, foreign) == []
    here, there = ([key.rpartition(".")[0] for key in keys if "downsample" not in key]
                   for keys in ((p.name for p in net.get_parameters()), foreign.values))
    assert list(dict.fromkeys(here)) == list(dict.fromkeys(there))


@pytest.mark.parametrize(("group", "suffix"), [("model_weights", ""), (None, ":0")])
def test_a_model_and_its_weights_alone_give_the_same(h5py, tmp_path, group, suffix):
    net, arrays = filled("keras MobileNet", num_classes=7)
    weights = read_weights(convert(write_h5(h5py, tmp_path / "net.h5", arrays, group, suffix), net=net))
    for key, layer, axes in [
        ("features.0.0.weight", "conv1/conv1/kernel", (3, 2, 0, 1)),
        ("features.4.depthwise.0.weight", "conv_dw_4/conv_dw_4/kernel", (2, 3, 0, 1)),
        ("features.13.pointwise.0.weight", "conv_pw_13/conv_pw_13/kernel", (3, 2, 0, 1)),
        ("features.4.depthwise.1.moving_variance", "conv_dw_4_bn/conv_dw_4_bn/moving_variance", (0,)),
        ("features.0.1.gamma", "conv1_bn/conv1_bn/gamma", (0,)),
        ("classifier.bias", "conv_preds/conv_preds/bias", (0,)),
    ]:
        np.testing.assert_array_equal(weights[key], arrays[layer].transpose(axes))
    np.testing.assert_array_equal(weights["classifier.weight"], arrays["conv_preds/conv_preds/kernel"][0, 0].T)
    _, card = load_net(tmp_path / "net.ckpt")
    assert card["net_options"] == {"activation": "relu6", "pad_mode": "same", "bn_epsilon": 1e-3}
    assert card["mean"] == card["std"] == [127.5] * 3


@pytest.mark.parametrize(("layer", "key"), [
    ("Conv1/Conv1/kernel", "features.0.features.0.weight"),
    ("bn_Conv1/bn_Conv1/beta:0", "features.0.features.1.beta"),
    ("expanded_conv_depthwise/expanded_conv_depthwise/depthwise_kernel:0", "features.1.conv.0.features.0.weight"),
    ("expanded_conv_project_BN/expanded_conv_project_BN/gamma", "features.1.conv.2.gamma"),
    ("block_3_expand/block_3_expand/kernel", "features.4.conv.0.features.0.weight"),
    ("block_16_project_BN/block_16_project_BN/moving_mean", "features.17.conv.3.moving_mean"),
    ("mobl3_conv_3_depthwise/mobl3_conv_3_depthwise/depthwise_kernel:0", "features.4.conv.1.features.0.weight"),
    ("bn3_conv_3_bn_depthwise/bn3_conv_3_bn_depthwise/gamma:0", "features.4.conv.1.features.1.gamma"),
    ("Conv_1_bn/Conv_1_bn/moving_variance", "features.18.features.1.moving_variance"),
    ("predictions/predictions/kernel", "head.1.weight"),
    ("dense/dense/kernel", "dense/dense/kernel"),
])
def test_names_of_mobilenet_v2(layer, key):
    assert keras.key_of(layer, keras.FAMILIES["mobilenet_v2"]) == key


@pytest.mark.parametrize(("net", "layer", "width"), [
    ("mobilenet_v1", "conv_pw_13/conv_pw_13/kernel", {1024: None, 768: 0.75, 512: 0.5, 256: 0.25}),
    ("mobilenet_v2", "block_16_project/block_16_project/kernel", {320: None, 112: 0.35, 160: 0.5, 240: 0.75, 416: 1.3, 448: 1.4}),
])
def test_the_width_is_read_off_the_channels(net, layer, width):
    for channels, width_mult in width.items():
        foreign = keras.arranged({layer: np.zeros((1, 1, 2, channels), np.float32)}, net, "net.h5")
        assert foreign.net_options.get("width_mult") == width_mult


def test_resnet_takes_biases_into_the_means_and_red_first():
    net, arrays = filled("keras ResNet50", num_classes=2)
    foreign = keras.arranged(arrays, net, "net.h5")
    values = foreign.values
    assert [key for key in values if key.endswith(".bias")] == ["classifier.bias"]
    for key, layer in [("bn1", "conv1"), ("layer2.0.downsample.1", "conv3_block1_0"), ("layer4.2.bn3", "conv5_block3_3")]:
        mean, bias = arrays[f"{layer}_bn/{layer}_bn/moving_mean"], arrays[f"{layer}_conv/{layer}_conv/bias"]
        np.testing.assert_array_equal(values[f"{key}.moving_mean"], mean - bias)
    blue_green_red = arrays["conv1_conv/conv1_conv/kernel"]
    for red_first, colour in enumerate((2, 1, 0)):
        np.testing.assert_array_equal(values["conv1.weight"][:, red_first], blue_green_red[:, :, colour].transpose(2, 0, 1))
    assert foreign.net_options == {"stride_on": "1x1", "bn_epsilon": 1.001e-5}
    assert foreign.pixels == {"mean": (123.68, 116.779, 103.939), "std": (1, 1, 1)}


def test_a_bias_of_another_length_is_left_over():
    arrays = {"conv1_conv/conv1_conv/bias": np.zeros(1, np.float32), "conv1_bn/conv1_bn/moving_mean": np.zeros(64, np.float32)}
    foreign = keras.arranged(arrays, "resnet50", "net.h5")
    with no_init_parameters():
        problems = misfits(create_net("resnet50", 2), foreign)
    assert any("unexpected conv1_conv/conv1_conv/bias (1,)" in problem for problem in problems)


def test_a_model_without_its_top_is_a_backbone(h5py, tmp_path):
    net, arrays = filled("keras MobileNet")
    arrays = {name: value for name, value in arrays.items() if not name.startswith("conv_preds")}
    path = convert(write_h5(h5py, tmp_path / "net_no_top.h5", arrays), net=net)
    assert read_card(path)["classes"] == []
    with pytest.raises(ValueError, match="holds a backbone without a classifier"):
        load_net(path)


def test_what_does_not_fit_is_named_as_keras_names_it(h5py, tmp_path):
    net, arrays = filled("keras MobileNet", num_classes=2)
    arrays["dense/dense/kernel"] = np.zeros((2, 3), np.float32)
    arrays["conv1_bn/conv1_bn/beta"] = np.zeros(31, np.float32)
    problems = r"unexpected dense/dense/kernel \(2, 3\); conv1_bn/conv1_bn/beta has shape \(31,\), the net wants \(32,\)$"
    with pytest.raises(ValueError, match=problems):
        convert(write_h5(h5py, tmp_path / "net.h5", arrays), net=net)


def test_a_file_without_layer_names_is_refused(h5py, tmp_path):
    with h5py.File(tmp_path / "net.weights.h5", "w") as file:
        file.create_dataset("layers/conv2d/vars/0", data=np.zeros(3))
    with pytest.raises(ValueError, match=r"does not name its layers, .* save the whole model, with model.save"):
        convert(tmp_path / "net.weights.h5", net="resnet50")


@pytest.mark.parametrize("content", [b"", b"\x89HDF\r\n\x1a\n" + b"x" * 100, None])
def test_a_damaged_file_is_refused_in_one_line(h5py, tmp_path, content):
    if content is not None:
        (tmp_path / "net.h5").write_bytes(content)
    with pytest.raises(ValueError, match="net.h5 cannot be read as an .h5 file") as error:
        convert(tmp_path / "net.h5", net="resnet50")
    assert "\n" not in str(error.value)


def test_only_nets_of_keras_are_offered(tmp_path):
    with pytest.raises(ValueError, match=r"give --net, one of mobilenet_v1, mobilenet_v2, resnet50, resnet101, resnet152$"):
        convert(tmp_path / "net.h5", net="resnet18")


def test_without_h5py_an_h5_file_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ValueError, match=r"pip install h5py"):
        convert(tmp_path / "net.h5", net="resnet50")
