"""ShuffleNetV1: groups that do not mix, the tutorial's shuffle, and its checkpoints in both forms of the grouped convolution."""

import numpy as np
import pytest
from mindspore import Tensor, nn

from mindclf.checkpoint import fill_net
from mindclf.device import pynative
from mindclf.nets import GroupConv, ShuffleNetV1, ShuffleV1Block
from mindclf.nets.layers import channel_shuffle


def noise(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def group_by_group(conv):
    """The form that Ascend runs."""
    conv.native = False
    return conv


@pytest.mark.parametrize("form", [lambda conv: conv, group_by_group])
def test_groups_do_not_mix(form):
    conv = form(GroupConv(6, 9, 1, 1, groups=3))
    x = noise(1, 6, 4, 4)
    before = conv(Tensor(x)).asnumpy()
    x[:, 2:4] += 1  # the second group's channels
    changed = (conv(Tensor(x)).asnumpy() != before).any(axis=(0, 2, 3))
    assert changed.tolist() == [False] * 3 + [True] * 3 + [False] * 3


@pytest.mark.parametrize("options", [{}, {"has_bias": True}, {"kernel_size": 3, "pad": 1, "stride": 2},
                                     {"kernel_size": 3, "pad_mode": "same"}, {"groups": 1}])
def test_both_forms_compute_the_same_from_the_same_weights(options):
    conv = GroupConv(**{"in_channels": 8, "out_channels": 12, "kernel_size": 1, "stride": 1, "groups": 4, **options})
    for p in conv.get_parameters():
        p.set_data(Tensor(noise(*p.shape)))
    x = Tensor(noise(2, 8, 7, 6))
    joined = conv(x).asnumpy()
    assert conv.native == (conv.groups > 1)
    with pynative():
        np.testing.assert_allclose(group_by_group(conv)(x).asnumpy(), joined, atol=1e-5)


def test_keys_of_a_grouped_convolution_are_the_tutorials():
    assert [(p.name, p.shape) for p in GroupConv(6, 9, 1, 1, groups=3).get_parameters()] == [
        (f"convs.{group}.weight", (3, 2, 1, 1)) for group in range(3)]


def test_on_ascend_groups_run_one_by_one(monkeypatch):
    monkeypatch.setattr("mindspore.get_context", lambda name: "Ascend")
    assert not GroupConv(6, 9, 1, 1, groups=3).native


def test_channels_must_fit_the_groups():
    with pytest.raises(ValueError, match="in_channels=7 must be a multiple of groups=3"):
        GroupConv(7, 9, 1, 1, groups=3)
    with pytest.raises(ValueError, match="out_channels=8 must be a multiple of groups=3"):
        GroupConv(6, 8, 1, 1, groups=3)


def test_shuffle_is_a_permutation_in_the_tutorials_order():
    """Its reshape to (C / g, g), transposed: channels 0, 3, 6, ... come first. The paper's order is the inverse."""
    channels = np.arange(12, dtype=np.float32).reshape(1, 12, 1, 1) * np.ones((2, 1, 2, 3), np.float32)
    shuffled = channel_shuffle(Tensor(channels), 3).asnumpy()
    assert shuffled[1, :, 1, 2].tolist() == [0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11]


def test_a_block_with_stride_2_puts_the_averaged_input_first():
    block = ShuffleV1Block(12, 36, group=3, first_group=False, mid_channels=9, ksize=3, stride=2).set_train(False)
    x = np.abs(noise(1, 12, 6, 6))
    out = block(Tensor(x)).asnumpy()
    assert out.shape == (1, 36, 3, 3)
    np.testing.assert_allclose(out[0, :12, 0, 0], x[0, :, :3, :3].mean((1, 2)), rtol=1e-5)
    np.testing.assert_allclose(out[0, :12, 2, 2], x[0, :, 4:, 4:].mean((1, 2)), rtol=1e-5)  # padding is not averaged


def test_keys_and_shapes_are_the_tutorials(shared):
    lines = (shared / "spec" / "tutorial_keys" / "shufflenet_v1_g3_2.0x_cifar10.txt").read_text().splitlines()
    assert [f"{p.name} {p.shape}" for p in ShuffleNetV1(10).get_parameters()] == lines


def test_a_tutorial_file_fits_both_forms_of_the_net():
    net = ShuffleNetV1(n_class=4, model_size="0.5x", group=3, stem="cifar").set_train(False)
    weights = {p.name: noise(*p.shape) * 0.1 + ("variance" in p.name) for p in net.get_parameters()}
    fill_net(net, weights, "a file")
    x = Tensor(noise(2, 3, 32, 32))
    with pynative():
        joined = net(x).asnumpy()
        for cell in [cell for _, cell in net.cells_and_names() if isinstance(cell, GroupConv)]:
            group_by_group(cell)
        np.testing.assert_allclose(net(x).asnumpy(), joined, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("options", "message"), [({"group": 5}, "group=5 is not known; expected one of 1, 2, 3, 4, 8"),
                                                  ({"model_size": "1x"}, "model_size='1x' is not known"),
                                                  ({"stem": "mnist"}, "stem='mnist' is not known")])
def test_what_the_paper_does_not_have_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        ShuffleNetV1(10, **options)


def test_the_depthwise_convolution_keeps_channels_apart():
    block = ShuffleV1Block(24, 24, group=3, first_group=False, mid_channels=6, ksize=3, stride=1)
    depthwise = next(cell for cell in block.branch_main_2 if isinstance(cell, nn.Conv2d))
    assert depthwise.weight.shape == (6, 1, 3, 3)
