"""State dicts of PyTorch as mindclf checkpoints: names, shapes and values, and what is refused."""

import os
import pickle
import re
import sys

import numpy as np
import pytest
from mindspore.nn.utils import no_init_parameters
from safetensors.numpy import save_file

from mindclf.checkpoint import load_net, read_card, read_weights
from mindclf.config import merge
from mindclf.convert import convert, pytorch
from mindclf.convert.foreign import misfits
from mindclf.nets import create_net
from mindclf.pretrained import start_net
from tests.reference.foreign import FILES, filled, hollow

STATE_DICTS = [file for file in FILES if not file.startswith("keras")]
SMALL = "torchvision squeezenet1_1"


def empty_net(foreign, num_classes=1000):
    with no_init_parameters():
        return create_net(foreign.net, num_classes, **foreign.net_options)


def modules(keys):
    """What the keys belong to, each once, in order."""
    return list(dict.fromkeys(key.rpartition(".")[0] for key in keys if not key.startswith("auxiliary.")))


@pytest.fixture
def small(tmp_path):
    """Writes the weights of a small net as .safetensors, changed as `change(arrays)` does, and returns their path."""
    def write(change=lambda arrays: None, name="weights.safetensors"):
        _, arrays = filled(SMALL, num_classes=7)
        arrays = change(arrays) or arrays
        save_file(arrays, tmp_path / name)
        return tmp_path / name
    return write


@pytest.mark.parametrize("file", STATE_DICTS)
def test_every_name_of_a_library_has_its_place_in_the_net(file):
    """Each key once, with its shape; and layers that follow each other there do so here, so that none are swapped."""
    net, arrays = hollow(file)
    foreign = pytorch.arranged(arrays, net, file)
    assert len(foreign.values) == len(arrays)
    net = empty_net(foreign)
    assert misfits(net, foreign) == []
    assert modules(foreign.values) == modules(p.name for p in net.get_parameters())


def test_numbers_arrive_where_they_belong(tmp_path):
    net, arrays = filled("torchvision resnet18", num_classes=7)
    arrays |= {"bn1.num_batches_tracked": np.array(3), "fc.bias": arrays["fc.bias"].astype(np.float16)}
    save_file({f"module.{name}": value for name, value in arrays.items()}, tmp_path / "resnet18.safetensors")
    path = convert(tmp_path / "resnet18.safetensors", net=net)
    assert path == tmp_path / "resnet18.ckpt"
    weights = read_weights(path)
    for key, name in [
        ("conv1.weight", "conv1.weight"), ("bn1.gamma", "bn1.weight"), ("bn1.beta", "bn1.bias"),
        ("bn1.moving_mean", "bn1.running_mean"), ("bn1.moving_variance", "bn1.running_var"),
        ("layer2.0.downsample.1.moving_variance", "layer2.0.downsample.1.running_var"),
        ("layer4.1.conv2.weight", "layer4.1.conv2.weight"), ("classifier.weight", "fc.weight"), ("classifier.bias", "fc.bias"),
    ]:
        np.testing.assert_array_equal(weights[key], arrays[name])
    _, card = load_net(path)
    assert card["classes"] == [f"class {index}" for index in range(7)]
    assert card["mean"] == pytest.approx([123.675, 116.28, 103.53]) and card["image_height"] == 224


@pytest.mark.parametrize(("name", "key"), [
    ("features.0.1.running_mean", "features.0.features.1.moving_mean"),     # torchvision
    ("features.1.conv.0.0.weight", "features.1.conv.0.features.0.weight"),
    ("features.1.conv.1.weight", "features.1.conv.1.weight"),
    ("features.9.conv.1.1.bias", "features.9.conv.1.features.1.beta"),
    ("features.9.conv.3.weight", "features.9.conv.3.gamma"),
    ("blocks.0.0.bn2.running_var", "features.1.conv.2.moving_variance"),    # timm
    ("blocks.2.1.conv_pw.weight", "features.5.conv.0.features.0.weight"),
    ("blocks.2.1.bn3.weight", "features.5.conv.3.gamma"),
    ("bn2.bias", "features.18.features.1.beta"),
    ("classifier.1.weight", "head.1.weight"),
    ("classifier.bias", "head.1.bias"),
])
def test_names_of_mobilenet_v2(name, key):
    norms = {"features.0.1", "features.9.conv.1.1", "features.9.conv.3", "blocks.0.0.bn2", "blocks.2.1.bn3", "bn2"}
    assert pytorch.key_of(name, pytorch.FAMILIES["mobilenet_v2"], norms) == key


def test_names_of_densenet_in_the_files_of_2017():
    net, arrays = hollow("torchvision densenet121")
    old = {re.sub(r"(norm|conv)([12])\.(?=\w+$)", r"\1.\2.", name) if "denselayer" in name else name: value
           for name, value in arrays.items()}
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    assert list(pytorch.arranged(old, net, "old").values) == list(pytorch.arranged(arrays, net, "new").values)


def test_convolutions_of_timm_become_dense_layers():
    weight = np.random.default_rng(0).normal(size=(2, 3, 7, 7)).astype(np.float32)
    foreign = pytorch.arranged({"pre_logits.fc1.weight": weight}, "vgg11", "timm")
    maps = np.random.default_rng(1).normal(size=(3, 7, 7)).astype(np.float32)
    expected = (weight * maps).sum((1, 2, 3))
    np.testing.assert_allclose(foreign.values["classifier.0.weight"] @ maps.reshape(-1), expected, rtol=1e-4)


@pytest.mark.parametrize(("file", "options", "mean", "size"), [
    ("timm mobilenetv1_100", {"activation": "relu6"}, (127.5,) * 3, 224),
    ("timm mobilenetv2_050", {"width_mult": 0.5}, None, 224),
    ("timm inception_v3", {}, (127.5,) * 3, 299),
    ("torchvision inception_v3", {"aux_logits": True}, (127.5,) * 3, 299),
])
def test_what_a_family_was_trained_with_is_known(file, options, mean, size):
    net, arrays = hollow(file)
    foreign = pytorch.arranged(arrays, net, file)
    assert (foreign.net_options, foreign.pixels.get("mean"), foreign.image_size) == (options, mean, size)


@pytest.mark.parametrize(("file", "net", "problem"), [
    ("torchvision resnet34", "resnet18", "unexpected layer1.2.conv1.weight"),
    ("torchvision resnet18", "resnet34", "missing layer1.2.conv1.weight"),
    ("torchvision resnet18", "resnet50", "has shape"),
    ("torchvision vgg16_bn", "vgg16", "unexpected"),
    ("torchvision mobilenet_v2", "resnet50", "unexpected"),
])
def test_another_net_does_not_fit(file, net, problem):
    foreign = pytorch.arranged(hollow(file)[1], net, file)
    problems = misfits(empty_net(foreign), foreign)
    assert problem in " ".join(problems) and len("".join(problems)) < 1000


def test_the_card_says_what_the_fields_say_and_the_file_does_not(small):
    path = convert(small(), net="squeezenet1_1", image_height=96, image_width=128, mean=[1, 2, 3], std=[4, 5, 6],
                   class_index={f"name {index}": index for index in range(7)}, net_options={"dropout": 0.25})
    card = read_card(path)
    assert (card["image_height"], card["image_width"], card["mean"], card["std"]) == (96, 128, [1, 2, 3], [4, 5, 6])
    assert card["classes"][6] == "name 6" and card["net_options"] == {"dropout": 0.25}
    assert card["data"]["name"] == "converted from weights.safetensors" and len(card["data"]["sha256"]) == 64


def test_weights_without_a_classifier_start_a_training_and_do_nothing_else(small, caplog):
    path = convert(small(lambda arrays: {name: value for name, value in arrays.items() if not name.startswith("classifier.")}),
                   net="squeezenet1_1")
    assert "has no classifier" in caplog.text
    net, *_ = start_net(merge({}, {"net": "squeezenet1_1", "pretrained": str(path)}), num_classes=3)
    weight = filled(SMALL)[1]["features.0.weight"]
    np.testing.assert_array_equal(net.backbone.features[0].weight.asnumpy(), weight)
    with pytest.raises(ValueError, match="holds a backbone without a classifier: train one with pretrained="):
        load_net(path)


@pytest.mark.parametrize("prefixes", ["module.", "_orig_mod.", "_orig_mod.module.", "model.", "net.", "backbone.", "model.net."])
def test_what_wrapping_a_net_puts_before_all_names_is_taken_away(prefixes, caplog):
    _, arrays = hollow(SMALL)
    wrapped = {f"{prefixes}{name}": value for name, value in arrays.items()}
    wrapped |= {"criterion.weight": np.zeros(7, np.float32), "n_averaged": np.array(9)}
    foreign = pytorch.arranged(wrapped, "squeezenet1_1", "weights.pth")
    assert set(foreign.values) == set(arrays)
    assert caplog.messages == ["weights.pth: passed over, as no weights of the net: criterion.weight"]


@pytest.mark.parametrize(("content", "found", "said"), [
    ({"a": 1}, {"a": 1}, []),
    ({"epoch": 3, "model_state_dict": {"a": 1}, "optimizer_state_dict": {}}, {"a": 1}, ["epoch, optimizer_state_dict"]),
    ({"net": {"a": 1}, "acc": 91.0, "epoch": 3, "lr": 0.1, "seed": 1}, {"a": 1}, ["acc, epoch, lr and 1 more"]),
    ({"epoch": 3, "state_dict": {"a": 1}, "state_dict_ema": {"a": 9}}, {"a": 1}, ["epoch", "EMA weights besides"]),
    ({"model": {"a": 1}, "model_ema": {"module.a": 9}}, {"a": 1}, ["EMA weights besides"]),
    ({"state_dict": {"model": {"a": 1}}}, {"a": 1}, []),
])
def test_the_state_dict_is_found_and_what_is_passed_over_is_said(caplog, content, found, said):
    assert pytorch._state_dict_in(content, "weights.pth", ema=False) == found
    assert len(caplog.messages) == len(said) and all(words in message for words, message in zip(said, caplog.messages))


def test_moving_averages_are_taken_when_asked_for():
    content = {"state_dict": {"a": 1}, "state_dict_ema": {"a": 9}}
    assert pytorch._state_dict_in(content, "weights.pth", ema=True) == {"a": 9}
    with pytest.raises(ValueError, match="weights.pth holds no EMA weights, as 'state_dict_ema' or "):
        pytorch._state_dict_in({"state_dict": {"a": 1}}, "weights.pth", ema=True)


def test_a_ckpt_of_lightning_is_read_as_pytorchs(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    (tmp_path / "epoch=1-step=10.ckpt").write_bytes(b"PK\3\4" + bytes(100))  # what torch.save writes is a zip
    with pytest.raises(ValueError, match="files are read with PyTorch"):
        convert(tmp_path / "epoch=1-step=10.ckpt", net="resnet18")


def dropped(arrays):
    del arrays["features.0.bias"]


def reshaped(arrays):
    arrays["features.0.bias"] = np.zeros(63, np.float32)


def scalar(arrays):
    arrays["classifier.1.weight"] = np.zeros((), np.float32)


def extended(arrays):
    arrays["features.99.weight"] = np.zeros(2, np.float32)


def integer(arrays):
    arrays["features.0.bias"] = np.zeros(64, np.int8)


def doubled(arrays):
    arrays |= {"module.features.0.bias": arrays["features.0.bias"]}


@pytest.mark.parametrize(("change", "message"), [
    (dropped, r"does not fit squeezenet1_1: missing features.0.bias \(64,\)$"),
    (reshaped, r"features.0.bias has shape \(63,\), the net wants \(64,\)$"),
    (scalar, r"classifier.1.weight has shape \(\), the net wants"),
    (extended, r"unexpected features.99.weight \(2,\)$"),
    (integer, r"features.0.bias is of type int8, not a floating-point weight"),
    (doubled, r"unexpected module.features.0.bias \(64,\)$"),
])
def test_what_does_not_fit_is_named_and_nothing_is_written(small, change, message):
    source = small(change)
    with pytest.raises(ValueError, match=message):
        convert(source, net="squeezenet1_1")
    assert [file.name for file in source.parent.iterdir()] == [source.name]


def test_a_card_that_is_there_is_not_written_over(small):
    source = small()
    card = source.with_name(source.stem + ".ckpt.json")
    card.write_text("mine")
    with pytest.raises(ValueError, match="is there already: name the checkpoint"):
        convert(source, net="squeezenet1_1")
    assert card.read_text() == "mine"


def test_numbers_that_are_not_finite_are_refused():
    arrays = {"classifier.1.bias": np.array([1, np.nan], np.float32)}
    with pytest.raises(ValueError, match="weights.pth: classifier.1.bias holds numbers that are not finite"):
        pytorch.arranged(arrays, "mobilenet_v2", "weights.pth")


def test_two_names_for_one_key_are_refused():
    arrays = {name: np.zeros(2, np.float32) for name in ("classifier.1.bias", "classifier.bias")}
    with pytest.raises(ValueError, match="classifier.1.bias and classifier.bias would both be head.1.bias"):
        pytorch.arranged(arrays, "mobilenet_v2", "weights.pth")


@pytest.mark.parametrize(("name", "options", "message"), [
    ("weights.safetensors", {}, "does not say which net it holds; give --net, one of mobilenet_v1, mobilenet_v2, resnet18"),
    ("weights.safetensors", {"net": "shufflenet_v1"}, "net='shufflenet_v1' cannot be read from such a file; give --net"),
    ("weights.safetensors", {"net": "squeezenet1_1", "epochs": 3}, "field 'epochs' says nothing about weights"),
    ("weights.safetensors", {"net": "squeezenet1_1", "mean": (1, 2, 3)}, "mean and std belong together"),
    ("weights.safetensors", {"net": "squeezenet1_1", "class_index": {"a": 0}}, "class_index has 1 classes, the weights have 7"),
    ("weights.safetensors", {"net": "squeezenet1_1", "net_options": {"depth": 3}}, "cannot be built with net_options"),
    ("weights.safetensors", {"net": "squeezenet1_1", "destination": "weights.h5"}, "a checkpoint's name ends in"),
    ("weights.safetensors", {"net": "squeezenet1_1", "destination": "."}, "is a folder: name the checkpoint"),
    ("weights.onnx", {"net": "squeezenet1_1"}, "weights are read from files whose names end in .npz, .pth"),
])
def test_a_mistake_is_answered_in_one_line(small, monkeypatch, name, options, message):
    monkeypatch.chdir(small(name=name).parent)
    with pytest.raises(ValueError, match=message) as error:
        convert(name, **options)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"x" * 100, None])
def test_a_damaged_file_is_refused_in_one_line(tmp_path, content):
    source = tmp_path / "weights.safetensors"
    if content is not None:
        source.write_bytes(content)
    with pytest.raises(ValueError, match="weights.safetensors cannot be read as a .safetensors file"):
        convert(source, net="resnet18")


def test_nothing_is_written_over(small):
    source = small()
    with pytest.raises(ValueError, match="cannot be written over"):
        convert(source, source, net="squeezenet1_1")
    convert(source, net="squeezenet1_1")
    with pytest.raises(ValueError, match=r"weights.ckpt is there already"):
        convert(source, net="squeezenet1_1")
    convert(source, source.with_suffix(".ckpt"), net="squeezenet1_1")  # asked for


def test_bfloat16_becomes_float32(tmp_path):
    ml_dtypes = pytest.importorskip("ml_dtypes", reason="needs ml_dtypes, with which NumPy has bfloat16")
    _, arrays = filled(SMALL, num_classes=7)
    save_file({name: value.astype(ml_dtypes.bfloat16) for name, value in arrays.items()}, tmp_path / "weights.safetensors")
    weights = read_weights(convert(tmp_path / "weights.safetensors", net="squeezenet1_1"))
    np.testing.assert_allclose(weights["features.0.weight"], arrays["features.0.weight"], rtol=1 / 256)


def test_without_pytorch_a_pth_file_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ValueError, match=r"pip install torch"):
        convert(tmp_path / "weights.pth", net="resnet18")


class Hostile:
    """Unpickling it makes a file."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return os.system, (f"touch '{self.file}'",)


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="needs PyTorch, which reads .pth files: pip install torch")


@pytest.mark.parametrize("form", ["plain", "torch", "torch before 1.6", "in a state dict"])
def test_a_pickle_that_would_run_code_is_refused_and_runs_none(torch, tmp_path, form):
    hostile = Hostile(tmp_path / "made")
    if form == "plain":
        (tmp_path / "weights.pth").write_bytes(pickle.dumps(hostile, protocol=2))
    else:
        content = {"conv1.weight": torch.zeros(2), "more": hostile} if form == "in a state dict" else hostile
        torch.save(content, tmp_path / "weights.pth", _use_new_zipfile_serialization=form != "torch before 1.6")
    with pytest.raises(ValueError, match=r"reading it would run \w+.system, so it is not read; save net.st") as error:
        convert(tmp_path / "weights.pth", net="resnet18")
    assert "\n" not in str(error.value)
    assert [file.name for file in tmp_path.iterdir()] == ["weights.pth"]


def test_a_whole_model_is_refused(torch, tmp_path):
    torch.save(torch.nn.Linear(2, 3), tmp_path / "weights.pth")
    with pytest.raises(ValueError, match=r"would run torch.nn.modules.linear.Linear, so .* save net.state_dict\(\), not the net"):
        convert(tmp_path / "weights.pth", net="resnet18")


@pytest.mark.parametrize("wrapper", [None, "state_dict", "model"])
@pytest.mark.parametrize("name", ["weights.pth", "weights.pth.tar"])
def test_pth_files_give_what_safetensors_give(torch, small, wrapper, name):
    expected = read_weights(convert(small(), small().with_name("expected.ckpt"), net="squeezenet1_1"))
    source = small().with_name(name)
    arrays = {key: torch.from_numpy(value) for key, value in filled(SMALL, num_classes=7)[1].items()}
    torch.save({wrapper: arrays, "epoch": 3, "optimizer": {"state": {}}} if wrapper else arrays, source)
    path = convert(source, net="squeezenet1_1")
    assert path.name == "weights.ckpt"
    weights = read_weights(path)
    assert all((weights[key] == value).all() for key, value in expected.items()) and set(weights) == set(expected)


@pytest.mark.parametrize(("content", "message"), [
    ([1, 2], "holds a list, not the state dict of a net"),
    ({}, "holds a dict, not the state dict"),
    ({"epoch": 3}, "epoch is a int, not a tensor: a state dict is wanted, alone or as 'state_dict' or "),
])
def test_a_pth_file_of_something_else_is_refused(torch, tmp_path, content, message):
    torch.save(content, tmp_path / "weights.pth")
    with pytest.raises(ValueError, match=message):
        convert(tmp_path / "weights.pth", net="resnet18")


def test_a_damaged_pth_file_is_refused(torch, tmp_path):
    torch.save({"conv1.weight": torch.zeros(200)}, tmp_path / "weights.pth")
    content = (tmp_path / "weights.pth").read_bytes()
    for damaged in (b"", content[:len(content) // 2], b"x" * 50):
        (tmp_path / "weights.pth").write_bytes(damaged)
        with pytest.raises(ValueError, match="weights.pth cannot be read as a PyTorch file: ") as error:
            convert(tmp_path / "weights.pth", net="resnet18")
        assert "\n" not in str(error.value) and "weights_only" not in str(error.value)
