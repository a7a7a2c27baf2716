"""Weights and cards on disk: what fits loads, what does not is named, what is damaged is noticed."""

import os
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
from mindspore import Parameter, Tensor, nn

from mindclf.card import card_path, has_card, next_card_path, read_card, settle
from mindclf.checkpoint import load_checkpoint, load_net, read_weights, save_checkpoint
from mindclf.nets import MobileNetV2, MobileNetV2Backbone
from mindclf.train.adamw import AdamW
from mindclf.utils.files import CannotWrite, new_folder, write_text
from tests.conftest import TINY_NET

OPTIONS = {"width_mult": 0.25, "last_channel": 32}
CARD = {"net": "mobilenet_v2", "net_options": OPTIONS, "classes": ["a", "b", "c"], "image_height": 32, "image_width": 32,
        "mean": [0, 0, 0], "std": [1, 1, 1]}


def small_net(num_classes=3):
    """A small net with random weights everywhere, batch norm statistics included."""
    rng = np.random.default_rng(0)
    net = MobileNetV2(num_classes, **OPTIONS).set_train(False)
    for parameter in net.get_parameters():
        parameter.set_data(Tensor(rng.uniform(0.5, 1.5, parameter.shape).astype(np.float32)))
    return net


def values(net):
    return {parameter.name: parameter.asnumpy() for parameter in net.get_parameters()}


def assert_same(first, second, **tolerance):
    assert first.keys() == second.keys()
    for name in first:
        np.testing.assert_allclose(first[name], second[name], err_msg=name, **{"rtol": 0, "atol": 0, **tolerance})


@pytest.mark.parametrize("suffix", [".ckpt", ".safetensors"])
def test_round_trip_is_exact(tmp_path, suffix):
    net = small_net()
    loaded, card = load_net(save_checkpoint(net, tmp_path / f"net{suffix}", CARD))
    assert_same(values(loaded), values(net))
    assert {name: card[name] for name in CARD} == CARD


def test_half_precision_rounds_kernels_and_keeps_statistics(tmp_path):
    net = small_net()
    stored = read_weights(save_checkpoint(net, tmp_path / "half.ckpt", CARD, half=True))
    for name, value in values(net).items():
        assert stored[name].dtype == (np.float16 if value.ndim > 1 else np.float32)
    loaded, _ = load_net(tmp_path / "half.ckpt")
    assert all(parameter.dtype == ms.float32 for parameter in loaded.get_parameters())
    assert_same(values(loaded), values(net), rtol=2**-11)


def test_saving_leaves_no_other_files_and_replaces_the_old_ones(tmp_path):
    save_checkpoint(small_net(), tmp_path / "net.ckpt", {**CARD, "seed": 1})
    save_checkpoint(small_net(), tmp_path / "net.ckpt", {**CARD, "seed": 2})
    assert sorted(file.name for file in tmp_path.iterdir()) == ["net.ckpt", "net.ckpt.json"]
    assert read_card(tmp_path / "net.ckpt")["seed"] == 2


def test_a_save_that_fails_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    path = save_checkpoint(small_net(), tmp_path / "net.ckpt", CARD)

    def no_space(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ms, "save_checkpoint", no_space)
    with pytest.raises(OSError, match="No space"):
        save_checkpoint(small_net(), path, {**CARD, "seed": 2})
    assert sorted(file.name for file in tmp_path.iterdir()) == ["net.ckpt", "net.ckpt.json"]
    load_net(path)


def test_what_does_not_fit_is_listed_key_by_key(tmp_path):
    net = small_net()
    weights = values(net)
    del weights["features.0.features.0.weight"]
    weights["head.1.weight"] = np.zeros((4, 32), np.float32)
    weights["backbone.extra"] = np.zeros(3, np.float32)
    write(tmp_path / "odd.ckpt", weights)
    with pytest.raises(ValueError) as error:
        load_checkpoint(tmp_path / "odd.ckpt", net)
    message = str(error.value)
    assert "odd.ckpt does not fit the net" in message and "\n" not in message
    assert "missing features.0.features.0.weight (8, 3, 3, 3)" in message
    assert "unexpected backbone.extra (3,)" in message
    assert "head.1.weight has shape (4, 32), the net wants (3, 32)" in message
    assert message.count(";") == 2 and "mindclf convert" in message


@pytest.mark.parametrize("suffix", [".ckpt", ".safetensors"])
@pytest.mark.parametrize(("key", "value", "says"), [
    ("head.1.weight", np.nan, "has 1 of 96 values that are NaN or infinite"),
    ("features.0.features.0.weight", np.inf, "has 1 of 216 values that are NaN or infinite"),
    ("features.0.features.1.gamma", -np.inf, "has 1 of 8 values that are NaN or infinite"),
    ("features.0.features.1.moving_mean", np.nan, "has 1 of 8 values that are NaN or infinite"),
    ("features.0.features.1.moving_variance", -0.5, "has the variance -0.5, which is below 0"),
])
def test_weights_that_nothing_can_be_computed_with_are_refused(tmp_path, suffix, key, value, says):
    net, target = small_net(), small_net()
    before = {name: array.copy() for name, array in values(target).items()}
    broken = values(net)[key].copy()
    broken.flat[1] = value
    {parameter.name: parameter for parameter in net.get_parameters()}[key].set_data(Tensor(broken))
    path = save_checkpoint(net, tmp_path / f"net{suffix}", CARD)
    for load in (lambda: load_net(path), lambda: load_checkpoint(path, target)):
        with pytest.raises(ValueError) as error:
            load()
        assert str(error.value).startswith(f"{path} holds weights that nothing can be computed with: {key} {says}")
        assert "\n" not in str(error.value)
    assert_same(values(target), before)


def test_a_weight_that_becomes_infinite_in_float32_is_refused(tmp_path):
    write(tmp_path / "double.ckpt", {**values(small_net()), "head.1.bias": np.full(3, 1e300)})
    with pytest.raises(ValueError, match="head.1.bias has 3 of 3 values that are NaN or infinite"):
        load_checkpoint(tmp_path / "double.ckpt", small_net())


def test_what_float16_cannot_hold_is_not_stored_in_it(tmp_path):
    net = small_net()
    [weight] = [parameter for parameter in net.get_parameters() if parameter.name == "head.1.weight"]
    weight.set_data(Tensor(np.full((3, 32), 70_000, np.float32)))
    with pytest.raises(ValueError, match=r"head.1.weight cannot be stored as float16: it reaches 7e\+04"):
        save_checkpoint(net, tmp_path / "half.ckpt", CARD, half=True)
    assert not list(tmp_path.iterdir())


def test_a_prefix_is_never_dropped_to_make_a_key_fit(tmp_path):
    """MindSpore's loader does that without a word: weights of one part would overwrite another's."""
    net = small_net()
    before = {name: value.copy() for name, value in values(net).items()}
    write(tmp_path / "prefixed.ckpt", {f"backbone.{name}": value * 0 for name, value in before.items()})
    with pytest.raises(ValueError, match="missing"):
        load_checkpoint(tmp_path / "prefixed.ckpt", net)
    assert_same(values(net), before)


def test_a_backbone_loads_from_a_whole_net_of_other_classes(tmp_path):
    net = small_net(num_classes=7)
    ms.save_checkpoint(net, str(tmp_path / "whole.ckpt"))
    backbone = load_checkpoint(tmp_path / "whole.ckpt", MobileNetV2Backbone(**OPTIONS))
    assert_same(values(backbone), values(net.backbone))


def test_a_whole_net_does_not_load_from_a_backbone(tmp_path):
    ms.save_checkpoint(small_net().backbone, str(tmp_path / "backbone.ckpt"))
    with pytest.raises(ValueError, match=r"missing head.1.weight \(3, 32\); missing head.1.bias"):
        load_checkpoint(tmp_path / "backbone.ckpt", small_net())


@pytest.mark.parametrize("optimizer", [nn.Momentum, nn.Adam, nn.SGD, nn.AdamWeightDecay, AdamW])
def test_optimizer_state_in_a_file_is_no_obstacle(tmp_path, optimizer):
    net = small_net()
    arguments = {"momentum": 0.9} if optimizer in (nn.Momentum, nn.SGD) else {}
    step = nn.TrainOneStepCell(nn.WithLossCell(net, nn.CrossEntropyLoss()),
                               optimizer(net.trainable_params(), learning_rate=[0.1, 0.1], **arguments))
    ms.save_checkpoint(step, str(tmp_path / "step.ckpt"), append_dict={"epoch_num": 3, "step_num": 9})
    assert len(read_weights(tmp_path / "step.ckpt")) > len(values(net)), "the file holds nothing beside the weights"
    loaded = load_checkpoint(tmp_path / "step.ckpt", MobileNetV2(3, **OPTIONS))
    assert_same(values(loaded), values(net))


@pytest.fixture
def stored(tmp_path):
    """The path of a small checkpoint with its card."""
    return save_checkpoint(MobileNetV2(3, **TINY_NET), tmp_path / "net.ckpt", {**CARD, "net_options": TINY_NET})


@pytest.fixture(scope="module")
def net():
    return MobileNetV2(3, **TINY_NET)


def test_every_flipped_bit_is_noticed(stored):
    good = stored.read_bytes()
    rng = np.random.default_rng(0)
    for bit in rng.choice(8 * len(good), 1000, replace=False).tolist():
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        stored.write_bytes(bad)
        with pytest.raises(ValueError, match=r"damaged, or not the file that net.ckpt.json describes"):
            load_net(stored)
    stored.write_bytes(good)
    load_net(stored)


@pytest.mark.parametrize("suffix", [".ckpt", ".safetensors"])
def test_a_file_truncated_anywhere_is_one_clear_line(tmp_path, net, suffix):
    """At every 64th part of it, with a card and without, as a tutorial's has none."""
    path = save_checkpoint(net, tmp_path / f"net{suffix}", {**CARD, "net_options": TINY_NET})
    good = path.read_bytes()
    for part in range(64):
        path.write_bytes(good[:part * len(good) // 64])
        with pytest.raises(ValueError, match=rf"net{suffix} is damaged"):
            load_net(path)
        with pytest.raises(ValueError, match=rf"net{suffix} (cannot be read as a checkpoint|does not fit the net)") as error:
            load_checkpoint(path, net)
        assert "\n" not in str(error.value)


def test_a_damaged_file_without_a_card_loads_whole_or_is_one_clear_line(stored, net):
    """Nothing tells that a weight changed; what tells names, shapes and types apart does."""
    good = stored.read_bytes()
    frame = good.find(b"\x0a", 1) + 100
    rng = np.random.default_rng(0)
    refused = 0
    for bit in [*rng.integers(0, 8 * frame, 150).tolist(), *rng.integers(0, 8 * len(good), 50).tolist()]:
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        stored.write_bytes(bad)
        try:
            load_checkpoint(stored, net)
        except ValueError as error:
            refused += 1
            assert str(error).startswith(f"{stored} ") and "\n" not in str(error)
    assert refused > 50


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(ValueError, match="none.ckpt does not exist"):
        read_card(tmp_path / "none.ckpt")
    ms.save_checkpoint(small_net(), str(tmp_path / "tutorial.ckpt"))
    with pytest.raises(ValueError, match="tutorial.ckpt.json is missing"):
        load_net(tmp_path / "tutorial.ckpt")
    with pytest.raises(ValueError, match=r"ends in .ckpt or .safetensors"):
        save_checkpoint(small_net(), tmp_path / "net.pth", CARD)


def write(path, weights):
    parameters = [{"name": name, "data": Parameter(Tensor(value), name=name)} for name, value in weights.items()]
    ms.save_checkpoint(parameters, str(path))


def files_of(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


def test_a_save_that_is_cut_short_anywhere_leaves_weights_with_their_card(tmp_path, monkeypatch):
    """After each of its renames and writes: the old checkpoint or the new one loads, and is mended or taken back."""
    path, steps = tmp_path / "net.ckpt", []
    save_checkpoint(small_net(), path, {**CARD, "seed": 1})

    def seen(self, target, replace=Path.replace):
        steps.append(files_of(tmp_path))
        result = replace(self, target)
        steps.append(files_of(tmp_path))
        return result

    other = small_net()
    first = next(other.get_parameters())
    first.set_data(Tensor(np.zeros(first.shape, np.float32)))
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", seen)
        save_checkpoint(other, path, {**CARD, "seed": 2})
    assert len(steps) == 6  # new card, weights, card: before and after each
    for number, files in enumerate(steps):
        for settled in (False, True):
            for file in tmp_path.iterdir():
                file.unlink()
            for name, content in files.items():
                (tmp_path / name).write_bytes(content)
            if settled:
                settle(path)
                assert sorted(file.name for file in tmp_path.iterdir()) == ["net.ckpt", "net.ckpt.json"]
            assert load_net(path)[1]["seed"] == (1 if number < 3 else 2)


def test_of_a_first_save_that_is_cut_short_nothing_or_all_is_there(tmp_path):
    path = save_checkpoint(small_net(), tmp_path / "net.ckpt", CARD)
    card_path(path).rename(next_card_path(path))  # killed right before the last rename
    assert has_card(path) and load_net(path)[1]["net"] == CARD["net"]
    path.unlink()  # killed before the weights came
    settle(path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"weights_sha256": 1}'])
def test_a_next_card_that_we_did_not_write_is_not_believed(tmp_path, content):
    path = save_checkpoint(small_net(), tmp_path / "net.ckpt", CARD)
    next_card_path(path).write_text(content)
    assert load_net(path)[1]["net"] == CARD["net"]


def test_a_disk_that_fails_at_the_last_moment_leaves_the_old_file(tmp_path, monkeypatch):
    """Some disks say only when they are flushed that they are full."""
    write_text(tmp_path / "file", "old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(CannotWrite, match=f"^{tmp_path}/file cannot be written: No space left on device: make room$"):
        write_text(tmp_path / "file", "new")
    assert files_of(tmp_path) == {"file": b"old"}


def test_files_and_folders_are_flushed_before_they_are_renamed(tmp_path, monkeypatch):
    events = []
    for name in ("fsync", "rename", "replace"):
        function = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *paths, name=name, function=function: (
            events.append("flush" if name == "fsync" else "rename"), function(*paths)))
    write_text(tmp_path / "file", "text")
    assert events == ["flush", "rename", "flush"]  # the file, then the folder that has its name
    events.clear()
    with new_folder(tmp_path / "folder") as folder:
        (folder / "a").mkdir()
        (folder / "a" / "b").write_text("text")
    assert events == ["flush"] * 3 + ["rename", "flush"]
