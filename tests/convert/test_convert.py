"""TF-slim weights as mindclf checkpoints: every variable finds its place, and the numbers come out as TensorFlow's."""

import os
import pickle
import sys

import numpy as np
import pytest
from mindspore import Tensor

from mindclf.checkpoint import load_net, read_card, read_weights
from mindclf.cli import main
from mindclf.convert import convert, convert_tf_mobilenet_v2
from mindclf.dataset.cifar10 import unpack_copy
from mindclf.nets import MobileNetV2
from mindclf.train.resume import load_state

NORM = ("gamma", "beta", "moving_mean", "moving_variance")


def tf_slim_variables(num_classes=11):
    """Random TF-slim variables of MobileNetV2 1.0, built from Table 2 of the paper."""
    shapes = {"Conv_weights": (3, 3, 3, 32), **norm("Conv", 32)}
    channels, block = 32, 0
    for expansion, out, repeats in [(1, 16, 1), (6, 24, 2), (6, 32, 3), (6, 64, 4), (6, 96, 3), (6, 160, 3), (6, 320, 1)]:
        for _ in range(repeats):
            scope = "expanded_conv" + (f"_{block}" if block else "")
            hidden = channels * expansion
            if expansion > 1:
                shapes |= {f"{scope}_expand_weights": (1, 1, channels, hidden), **norm(f"{scope}_expand", hidden)}
            shapes |= {f"{scope}_depthwise_depthwise_weights": (3, 3, hidden, 1), **norm(f"{scope}_depthwise", hidden),
                       f"{scope}_project_weights": (1, 1, hidden, out), **norm(f"{scope}_project", out)}
            channels, block = out, block + 1
    shapes |= {"Conv_1_weights": (1, 1, 320, 1280), **norm("Conv_1", 1280),
               "Logits_Conv2d_1c_1x1_weights": (1, 1, 1280, num_classes), "Logits_Conv2d_1c_1x1_biases": (num_classes,)}
    rng = np.random.default_rng(0)
    return {name: rng.uniform(0.5, 1.5, shape).astype(np.float32) for name, shape in shapes.items()}


def norm(scope, channels):
    return {f"{scope}_BatchNorm_{value}": (channels,) for value in NORM}


def test_every_variable_finds_its_place(tmp_path):
    variables = tf_slim_variables()
    np.savez(tmp_path / "tf.npz", **variables)
    weights = read_weights(convert_tf_mobilenet_v2(tmp_path / "tf.npz", tmp_path / "net.ckpt"))
    assert len(weights) == len(variables) == len(list(MobileNetV2(11).get_parameters()))
    for key, variable, order in [
        ("features.0.features.0.weight", "Conv_weights", (3, 2, 0, 1)),
        ("features.1.conv.0.features.0.weight", "expanded_conv_depthwise_depthwise_weights", (2, 3, 0, 1)),
        ("features.1.conv.1.weight", "expanded_conv_project_weights", (3, 2, 0, 1)),
        ("features.4.conv.0.features.0.weight", "expanded_conv_3_expand_weights", (3, 2, 0, 1)),
        ("features.4.conv.1.features.0.weight", "expanded_conv_3_depthwise_depthwise_weights", (2, 3, 0, 1)),
        ("features.4.conv.2.weight", "expanded_conv_3_project_weights", (3, 2, 0, 1)),
        ("features.18.features.0.weight", "Conv_1_weights", (3, 2, 0, 1)),
    ]:
        np.testing.assert_array_equal(weights[key], variables[variable].transpose(order))
    for value in NORM:
        np.testing.assert_array_equal(weights[f"features.17.conv.3.{value}"],
                                      variables[f"expanded_conv_16_project_BatchNorm_{value}"])
    np.testing.assert_array_equal(weights["head.1.weight"], variables["Logits_Conv2d_1c_1x1_weights"][0, 0].T)
    card = read_card(tmp_path / "net.ckpt")  # TF-slim pads as TensorFlow does, and sees pixels from -1 to 1
    assert card["net_options"] == {"pad_mode": "same", "bn_epsilon": 1e-3} and card["mean"] == card["std"] == [127.5] * 3


def test_a_missing_an_extra_and_a_misshapen_variable_are_named(tmp_path):
    variables = tf_slim_variables()
    del variables["Conv_1_weights"]
    variables["Adam_step"] = np.zeros(1, np.float32)
    variables["Conv_BatchNorm_beta"] = np.zeros(31, np.float32)
    np.savez(tmp_path / "tf.npz", **variables)
    problems = r"missing features.18.features.0.weight .*unexpected Adam_step .*\(31,\), the net wants \(32,\)"
    with pytest.raises(ValueError, match=problems):
        convert_tf_mobilenet_v2(tmp_path / "tf.npz", tmp_path / "net.ckpt")
    assert [file.name for file in tmp_path.iterdir()] == ["tf.npz"]


@pytest.mark.parametrize(("value", "says"), [
    (np.nan, "Conv_1_BatchNorm_moving_variance holds numbers that are not finite"),
    (-1, "features.18.features.1.moving_variance has the variance -1, which is below 0"),
])
def test_weights_that_nothing_can_be_computed_with_are_not_converted(tmp_path, value, says):
    variables = tf_slim_variables()
    variables["Conv_1_BatchNorm_moving_variance"][7] = value
    np.savez(tmp_path / "tf.npz", **variables)
    with pytest.raises(ValueError, match=f"tf.npz.*{says}"):
        convert_tf_mobilenet_v2(tmp_path / "tf.npz", tmp_path / "net.ckpt")
    assert [file.name for file in tmp_path.iterdir()] == ["tf.npz"]


@pytest.mark.parametrize("content", [b"", b"not an archive", None])
def test_what_is_no_archive_is_refused_in_one_line(tmp_path, content):
    source = tmp_path / "tf.npz"
    if content is not None:
        source.write_bytes(content)
    with pytest.raises(ValueError, match=r"tf.npz cannot be read as an .npz archive"):
        convert_tf_mobilenet_v2(source, tmp_path / "net.ckpt")


def test_other_weights_are_refused(tmp_path):
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(ValueError, match="does not hold TF-slim MobileNetV2 weights"):
        convert_tf_mobilenet_v2(tmp_path / "other.npz", tmp_path / "net.ckpt")


@pytest.mark.parametrize(("words", "written"), [
    (["{folder}/tf.npz", "{folder}/net.ckpt"], "net.ckpt"),
    (["{folder}/tf.npz"], "tf.ckpt"),
    (["{folder}/tf.npz", "--net", "mobilenet_v2", "{folder}/net=1.safetensors", "image_width=96"], "net=1.safetensors"),
    (["--net", "mobilenet_v2", "{folder}/tf.npz", "image_width=96", "image_height=96", "{folder}/net.ckpt"], "net.ckpt"),
])
def test_the_command_takes_a_checkpoint_and_fields_in_any_order(tmp_path, capsys, words, written):
    np.savez(tmp_path / "tf.npz", **tf_slim_variables())
    assert main(["convert", *(word.format(folder=tmp_path) for word in words)]) == 0
    assert capsys.readouterr().out == f"{tmp_path / written}\n"
    assert read_card(tmp_path / written)["image_width"] == (96 if "image_width=96" in words else 224)


@pytest.mark.parametrize(("words", "message"), [
    (["weights.pth"], "the file does not say which net it holds; give --net, one of mobilenet_v1, "),
    (["tf.npz", "--net", "resnet18"], "an .npz archive holds TF-slim's mobilenet_v2"),
    (["tf.npz", "net.ckpt", "epochs=3"], "field 'epochs' says nothing about weights; those that do: image_height, "),
    (["tf.npz", "net.ckpt", "image_widht=3"], "did you mean 'image_width'?"),
])
def test_the_command_answers_a_mistake_in_one_line(capsys, words, message):
    assert main(["convert", *words]) == 2
    assert message in capsys.readouterr().err.rstrip("\n").splitlines()[-1]


def test_the_command_writes_one_checkpoint(capsys):
    with pytest.raises(SystemExit):
        main(["convert", "tf.npz", "a.ckpt", "b.ckpt"])
    assert "convert writes one checkpoint, not a.ckpt, b.ckpt" in capsys.readouterr().err


def test_converted_imagenet_weights_compute_what_tensorflow_computes(shared, tmp_path):
    """Features and logits of four images against an independent float32 implementation, to 1e-4."""
    path = convert_tf_mobilenet_v2(shared / "weights" / "mobilenet_v2_1.0_224_imagenet_tf.npz", tmp_path / "net.ckpt")
    net, card = load_net(path)
    with np.load(shared / "spec" / "golden" / "mobilenet_v2_imagenet_tf.npz") as golden:
        pixels, features, logits = golden["images"], golden["features"], golden["imagenet_logits"]
    images = Tensor(((pixels - np.array(card["mean"])) / np.array(card["std"])).transpose(0, 3, 1, 2).astype(np.float32))
    np.testing.assert_allclose(net.backbone(images).asnumpy().mean((2, 3)), features, atol=1e-4)
    np.testing.assert_allclose(net(images).asnumpy(), logits, atol=1e-4)


class Hostile:
    """Unpickling it makes a file."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return os.system, (f"touch '{self.file}'",)


@pytest.mark.parametrize(("name", "read"), [
    ("weights.npz", lambda path: convert(path, path.with_name("made.ckpt"))),
    ("weights.pth", lambda path: convert(path, path.with_name("made.ckpt"), net="resnet18")),
    ("copy.npz", lambda path: unpack_copy(path, path.with_name("made"))),
    ("state.npz", load_state),
])
def test_code_inside_a_file_of_arrays_is_refused_and_not_run(tmp_path, monkeypatch, name, read):
    monkeypatch.setitem(sys.modules, "torch", None)
    hostile, path = Hostile(tmp_path / "made"), tmp_path / name
    if name.endswith(".npz"):
        names = ("Conv_weights", "train_bytes", "train_offsets", "train_labels", "facts")
        np.savez(path, **{name: np.array([hostile], object) for name in names})
        with np.load(path, allow_pickle=True) as archive:
            assert archive["facts"].shape == (1,)
        (tmp_path / "made").unlink()  # so it would run
    else:
        path.write_bytes(pickle.dumps(hostile))
    with pytest.raises(ValueError, match=name) as error:
        read(path)
    assert "\n" not in str(error.value)
    assert [file.name for file in tmp_path.iterdir()] == [name]
