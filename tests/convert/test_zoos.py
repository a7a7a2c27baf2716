"""Weights of mindcv and MindSpore Hub as mindclf checkpoints, and back: names, and logits that their own nets computed."""

import ast
import gzip
import json
import logging

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor
from mindspore.nn.utils import no_init_parameters

from mindclf.checkpoint import fill_net, load_checkpoint, load_net, read_card, read_weights, split_training_state
from mindclf.cli import main
from mindclf.convert import convert, zoos
from mindclf.convert.foreign import misfits
from mindclf.device import pynative
from mindclf.export import export
from mindclf.labels import LABELS
from mindclf.nets import NETS, create_net
from tests.reference import KEYS_FILE, ZOOS_FILE
from tests.reference.make_zoos import document_table
from tests.reference.rule import images, weight

CASES = json.loads(gzip.decompress(ZOOS_FILE.read_bytes()))
RUN = [name for name, case in CASES.items() if case["logits"]]
KEYS = json.loads(gzip.decompress(KEYS_FILE.read_bytes()))
SMALL = "mindcv mobilenet_v1 width_mult=0.25"  # two MiB


def arrays_of(name, fill=weight):
    """{name in the file: array} of a case."""
    return {name: fill(name, tuple(shape)) for name, shape in CASES[name]["weights"]}


def hollow(name):
    """As `arrays_of`, without numbers, which take no memory."""
    return arrays_of(name, lambda name, shape: np.broadcast_to(np.float32(0), shape))


def is_told(name):
    """Whether the names in the file tell whose it is, or nobody's differs."""
    return not name.startswith("mindcv squeezenet")


def without_hidden(options):
    """The options that the weights tell. VGG has fewer hidden channels here than anywhere, which the test says itself."""
    return {option: value for option, value in options.items() if option != "hidden_channels"}


def build(name, foreign):
    hidden = {option: value for option, value in CASES[name]["options"].items() if option == "hidden_channels"}
    with no_init_parameters():
        return create_net(foreign.net, 10, **foreign.net_options, **hidden).set_train(False)


@pytest.mark.parametrize("name", [name for name in CASES if name not in RUN and CASES[name]["options"].get("width_mult", 1) == 1])
def test_every_name_has_its_place(name, monkeypatch):
    """Each key of the net once, also in the deep ones; the shapes that matter are in the net that is run."""
    case = CASES[name]
    frozen = dict(row.split(" ", 1) for row in KEYS[case["net"]])
    if case["net"] != "shufflenet_v1":
        monkeypatch.setattr(zoos, "_keys", lambda net, options: list(frozen))  # building them all would take half a minute
    foreign = zoos.arranged(hollow(name), case["net"], "file", "" if is_told(name) else case["origin"])
    assert foreign.origin == case["origin"] or case["net"].startswith("shufflenet")
    assert foreign.net_options == without_hidden(case["options"])
    if case["net"] == "shufflenet_v1":
        assert misfits(build(name, foreign), foreign) == []
        return
    assert set(foreign.values) == set(frozen)
    if case["options"].get("hidden_channels") or not case["net"].startswith("vgg"):
        assert {key: value.shape for key, value in foreign.values.items()} == {
            key: ast.literal_eval(shape) for key, shape in frozen.items()}


@pytest.mark.parametrize("name", RUN)
def test_logits_are_those_of_the_origin(name):
    """To 1e-5 of the largest, at two sizes: one even, one odd and not square. And what is written for mindcv is what was read."""
    case, theirs = CASES[name], arrays_of(name)
    foreign = zoos.arranged(theirs, case["net"], "file", "" if is_told(name) else case["origin"])
    if case["origin"] == "mindcv":
        written = zoos.mindcv_weights(case["net"], foreign.net_options, foreign.values)
        assert written.keys() == theirs.keys() and all((written[key] == value).all() for key, value in theirs.items())
    net = build(name, foreign)
    fill_net(net, foreign.values, "file")
    assert foreign.image_size == (299 if case["net"] == "inception_v3" else 224)
    assert foreign.net_options == without_hidden(case["options"])
    with pynative():
        for size, expected in case["logits"].items():
            logits = net(Tensor(images(1, *map(int, size.split("x"))))).asnumpy()[0]
            np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-5 * np.abs(expected).max(), err_msg=size)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A file of mindcv's smallest net for 1001 classes, with what optimizers and moving averages add."""
    rng = np.random.default_rng(0)
    arrays = arrays_of(SMALL)
    arrays["classifier.weight"] = rng.normal(size=(1001, 256)).astype(np.float32)
    arrays["classifier.bias"] = rng.normal(size=1001).astype(np.float32)
    arrays |= {f"lion_m.{name}": np.zeros_like(value) for name, value in list(arrays.items()) if "moving" not in name}
    arrays |= {f"ema.{name}": value + 1 for name, value in list(arrays.items()) if "moving" not in name and "lion" not in name}
    arrays["global_step"] = np.zeros(1, np.int32)
    path = tmp_path_factory.mktemp("zoo") / "mobilenet_v1_025.ckpt"
    ms.save_checkpoint([{"name": name, "data": Tensor(value)} for name, value in arrays.items()], str(path))
    return path, arrays


def test_a_file_becomes_a_checkpoint_with_the_names_of_imagenets_classes(small, tmp_path, capsys, caplog):
    path, arrays = small
    assert main(["convert", str(path), "--net", "mobilenet_v1", str(tmp_path / "net.ckpt")]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'net.ckpt'}\n"
    assert "passed over, as no weights of the net: lion_m.features.0.weight, " in caplog.text
    assert "holds EMA weights besides" in caplog.text and "1001 outputs, of which the last belongs to no class" in caplog.text
    net, card = load_net(tmp_path / "net.ckpt")
    assert card.net_options == {"width_mult": 0.25} and card["data"]["origin"] == "mindcv"
    assert [label.name for label in card.labels] == list(LABELS["imagenet"]) and card.labels[207].chinese == "金毛寻回犬"
    assert card["mean"] == pytest.approx([123.675, 116.28, 103.53]) and card["image_height"] == 224
    np.testing.assert_array_equal(net.head.classifier.weight.asnumpy(), arrays["classifier.weight"][:1000])


def test_moving_averages_are_taken_when_asked_for(small, tmp_path, caplog):
    path, arrays = small
    weights = read_weights(convert(path, tmp_path / "net.ckpt", "mobilenet_v1", ema=True))
    passed_over = len([name for name in arrays if name.startswith("lion_m.")]) + 1
    assert f"lion_m.features.1.beta and {passed_over - 3} more" in caplog.text and "besides" not in caplog.text
    np.testing.assert_array_equal(weights["features.0.0.weight"], arrays["features.0.weight"] + 1)
    np.testing.assert_array_equal(weights["features.0.1.moving_mean"], arrays["features.1.moving_mean"])
    bare = tmp_path / "bare.ckpt"
    (tmp_path / "net.ckpt").rename(bare)
    with pytest.raises(ValueError, match="bare.ckpt holds no EMA weights"):
        convert(bare, tmp_path / "again.ckpt", "mobilenet_v1", ema=True)


def test_a_checkpoint_of_mindclf_is_not_taken_for_a_foreign_one(small, tmp_path):
    """Its options are on its card, and would be lost."""
    made = convert(small[0], tmp_path / "net.ckpt", "mobilenet_v1")
    with pytest.raises(ValueError, match="net.ckpt has a card, which says what it is"):
        convert(made, net="mobilenet_v1")


def test_a_net_with_mindclfs_own_names_keeps_all_its_outputs(monkeypatch):
    """A thousand and one classes may be somebody's own; the auxiliary head is told by its name."""
    arrays = {key: np.zeros(shape, np.float32) for key, shape in (
        ("Conv2d_1a_3x3.0.weight", (32, 3, 3, 3)), ("classifier.weight", (1001, 2048)), ("auxiliary.fc.weight", (1001, 768)))}
    monkeypatch.setattr(zoos, "_keys", lambda net, options: list(arrays))
    foreign = zoos.arranged(arrays, "inception_v3", "file")
    assert foreign.origin == "mindclf" and foreign.net_options == {"aux_logits": True}
    assert {key: value.shape for key, value in foreign.values.items()} == {key: value.shape for key, value in arrays.items()}


def test_what_the_net_has_no_place_for_is_left_out_and_said(caplog):
    arrays = hollow("hub inception_v3") | {"aux_logits.fc.weight": np.zeros((10, 768), np.float32)}
    foreign = zoos.arranged(arrays, "inception_v3", "file")
    assert caplog.messages == ["file: passed over, as no weights of the net: aux_logits.fc.weight"]
    assert len(foreign.values) == len(arrays) - 1 and "aux_logits" not in foreign.net_options


def test_biases_that_mindcv_leaves_out_are_zero():
    """Also where the kernels of ShuffleNetV1 are in pieces, as in mindcv after 0.3.0."""
    arrays = hollow("hub shufflenet_v1 model_size=2.0x group=3")
    del arrays["classifier.bias"]
    foreign = zoos.arranged(arrays, "shufflenet_v1", "file")
    assert foreign.origin == "mindcv" and foreign.net_options == {"group": 3, "model_size": "2.0x"}
    np.testing.assert_array_equal(foreign.values["classifier.bias"], np.zeros(10))


def test_the_default_name_does_not_write_over_the_source(small):
    path, _ = small
    made = convert(path, net="mobilenet_v1")
    assert made == path.with_name("mobilenet_v1_025_mindclf.ckpt") and read_card(made).net == "mobilenet_v1"


def test_state_of_a_training_is_told_from_weights_in_every_net():
    """No key of a net of mindclf is another one behind a prefix, so none is taken for an optimizer's."""
    for rows in KEYS.values():
        names = [row.split(" ", 1)[0] for row in rows]
        assert not {name.partition(".")[2] for name in names} & set(names)


@pytest.mark.parametrize("extra", [
    {"updates": (), "scale_sense": (), "ema.conv.weight": (4, 3), "ema.bn.moving_mean": (4,)},   # ema, clip_grad
    {"mu_schedule": (1,), "beta2_power": (1,), "nadam_m.conv.weight": (4, 3)},                   # nadam
    {"moment3.conv.weight": (4, 3), "prev_gradient.conv.weight": (4, 3), "learning_rate": ()},   # adan
])
def test_what_the_training_of_mindcv_saves_besides_is_told_from_weights(extra):
    """As mindcv 0.3.0 names it."""
    weights = {"conv.weight": np.ones((4, 3)), "bn.moving_mean": np.ones(4)}
    found, state = split_training_state(weights | {name: np.zeros(shape) for name, shape in extra.items()})
    assert found == weights and set(state) == set(extra)


def test_what_mindcv_trains_with_accumulated_gradients_has_its_own_names_again():
    """It saves what the optimizer trains as optimizer.NAME, beside the moving statistics."""
    weight, moment, statistics = np.ones((4, 3)), np.zeros((4, 3)), np.ones(4)
    found, state = split_training_state({
        "optimizer.conv.weight": weight, "bn.moving_mean": statistics, "optimizer.moments.conv.weight": moment,
        "optimizer.global_step": np.zeros(1, np.int32), "grad_accumulation.optimizer.conv.weight": moment,
        "accumulation_step": np.zeros(()), "updates": np.zeros(())})
    assert set(found) == {"conv.weight", "bn.moving_mean"} and found["conv.weight"] is weight
    assert set(state) == {"moments.conv.weight", "global_step", "grad_accumulation.optimizer.conv.weight", "accumulation_step",
                          "updates"}


def test_what_an_optimizer_has_besides_a_weight_is_state():
    values = {"conv.weight": np.ones((4, 3)), "optimizer.conv.weight": np.zeros((4, 3))}
    found, state = split_training_state(values)
    assert set(found) == {"conv.weight"} and found["conv.weight"].all() and set(state) == {"optimizer.conv.weight"}


def test_a_double_of_another_shape_is_no_state():
    values = {"conv.weight": np.ones((4, 3)), "lion_m.conv.weight": np.ones((4, 4)), "updates.weight": np.ones(2)}
    assert split_training_state(values) == (values, {})


def test_a_checkpoint_with_optimizer_state_under_any_prefix_loads(tmp_path):
    net = create_net("squeezenet1_1", 5)
    values = {p.name: p.asnumpy() for p in net.get_parameters()}
    values |= {f"nadam_v.{name}": value for name, value in values.items()}
    values["nadam_v.classifier.1.other"] = np.zeros(3, np.float32)
    ms.save_checkpoint([{"name": name, "data": Tensor(value)} for name, value in values.items()], str(tmp_path / "net.ckpt"))
    with pytest.raises(ValueError, match=r"not fit the net: unexpected nadam_v.classifier.1.other \(3,\) \(if it is mindcv's "):
        load_checkpoint(tmp_path / "net.ckpt", net, "mindclf")


@pytest.mark.parametrize(("name", "net", "origin", "says"), [
    ("mindcv squeezenet1_0", "squeezenet1_0", "", "have the same names and compute different logits; say which it is, with --or"),
    ("mindcv resnet18", "resnet18", "hub", "its names are those of mindcv, not of hub; give --origin mindcv"),
    ("hub resnet18", "resnet18", "mindclf", "its names are those of hub, not of mindclf"),
    ("mindcv resnet18", "alexnet", "mindcv", "mindcv has no alexnet"),
])
def test_an_origin_that_is_not_told_or_not_right_is_asked_for(name, net, origin, says):
    with pytest.raises(ValueError, match=f"^file: .*{says}"):
        zoos.arranged(hollow(name), net, "file", origin)


@pytest.mark.parametrize(("words", "says"), [
    ([], "the file does not say which net it holds; give --net, one of mobilenet_v1, "),
    (["--net", "resnet18"], "does not fit resnet18: missing conv1.weight"),
    (["--net", "mobilenet_v1", "--origin", "timm"], "origin='timm' is not known; expected one of mindcv, hub, mindclf"),
])
def test_a_mistake_is_answered_in_one_line(small, capsys, tmp_path, words, says):
    assert main(["convert", str(small[0]), str(tmp_path / "net.ckpt"), *words]) == 2
    assert says in capsys.readouterr().err.splitlines()[-1] and not list(tmp_path.iterdir())


# For mindcv

def test_a_checkpoint_is_written_for_mindcv(small, tmp_path, capsys):
    path, arrays = small
    ours = convert(path, tmp_path / "net.ckpt", "mobilenet_v1")
    assert main(["export", str(ours), "--format", "mindcv"]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'net_mindcv.ckpt'}\n"
    written = read_weights(tmp_path / "net_mindcv.ckpt")
    assert set(written) == {name for name, _ in CASES[SMALL]["weights"]}
    np.testing.assert_array_equal(written["features.3.4.moving_variance"], arrays["features.3.4.moving_variance"])
    with pytest.raises(ValueError, match="net.ckpt cannot be written over"):
        export(ours, "mindcv", ours)


def test_an_epsilon_goes_into_the_variance():
    values = {"bn1.moving_variance": np.ones(2, np.float32), "bn1.gamma": np.ones(2, np.float32)}
    options = {"pool_pad_mode": "same", "bn_epsilon": 1.001e-5}
    written = zoos.mindcv_weights("resnet18", options, values)
    np.testing.assert_allclose(written["bn1.moving_variance"].astype(np.float64) - 1, 1e-8, atol=2e-7)
    assert (written["bn1.gamma"] == 1).all()
    values["bn1.moving_variance"] = np.full(2, 1e-6, np.float32)
    written = zoos.mindcv_weights("resnet18", {**options, "bn_epsilon": 1e-4}, values)
    np.testing.assert_allclose(written["bn1.moving_variance"], 1e-6 + 9e-5, rtol=1e-5)


@pytest.mark.parametrize(("net", "options", "says"), [
    ("alexnet", {}, "mindcv has no alexnet; it has mobilenet_v1, mobilenet_v2"),
    ("resnet18", {}, "resnet18 with net_options.pool_pad_mode=pad cannot be .* as with net_options.pool_pad_mode=same: train"),
    ("resnet50", {"pool_pad_mode": "same", "stride_on": "1x1"}, "stride_on=1x1 cannot be written"),
    ("mobilenet_v1", {"width_mult": 0.3}, "width_mult=0.3 cannot be .*width_mult=0.25 or 0.5 or 0.75 or 1.0"),
    ("shufflenet_v1", {"group": 2}, "group=2 cannot be written"),
    ("vgg11", {}, "features.0.bias is not zero, and mindcv's layer has no bias"),
])
def test_what_mindcv_does_not_compute_is_not_written(net, options, says):
    values = {"features.0.bias": np.ones(64, np.float32)} if net == "vgg11" else {}
    with pytest.raises(ValueError, match=says):
        zoos.mindcv_weights(net, options, values)


def test_every_family_of_mindcv_is_one_of_ours():
    for origin in (zoos.MINDCV, zoos.HUB):
        assert all(any(net.startswith(family) for net in NETS) for family in zoos.NAMINGS[origin])


def test_convert_says_what_it_cannot_use(small, tmp_path, caplog):
    with caplog.at_level(logging.WARNING), pytest.raises(ValueError, match="leave out --origin"):
        np.savez(tmp_path / "tf.npz", a=np.zeros(3))
        convert(tmp_path / "tf.npz", origin="hub")


@pytest.mark.parametrize("shape", [(), (60,), (60, 0, 1, 1), (60, 7, 1, 1)])
def test_a_shufflenet_of_impossible_shapes_is_refused_in_words(shape):
    arrays = hollow("mindcv shufflenet_v1 model_size=0.5x group=3")
    arrays["features.1.branch_main_1.0.weight"] = np.zeros(shape, np.float32)
    foreign = zoos.arranged(arrays, "shufflenet_v1", "file")
    assert any("unexpected features." in problem for problem in misfits(build(SMALL, foreign), foreign))


def test_the_document_tells_what_was_measured():
    """And that is little: 1e-5 of the largest logit at most."""
    document = (ZOOS_FILE.parents[2] / "docs" / "coming_from_mindcv.md").read_text(encoding="utf-8")
    assert "\n".join(document_table(CASES)) in document, "write the lines that document_table of make_zoos gives"
    assert [name for name, case in CASES.items() if max(case["difference"], case.get("back", 0)) > 1e-5] == []
