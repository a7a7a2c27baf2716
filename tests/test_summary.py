"""Layers, weights and work of nets, against arithmetic written out here and against the papers' figures."""

import json
import re

import mindspore as ms
import numpy as np
import pytest
from mindspore import Parameter, Tensor, nn, ops

from mindclf import cli
from mindclf.device import pynative
from mindclf.nets import NETS, create_net, freeze
from mindclf.nets.layers import BatchNorm, ImageClassifier, conv2d
from mindclf.summary import Layer, empty_net, paper, summarise

# MobileNetV2 at 224 x 224, by Table 2 of the paper: (expansion, channels in, channels out, stride, height of the input).
BOTTLENECKS = [
    (1, 32, 16, 1, 112),
    (6, 16, 24, 2, 112), (6, 24, 24, 1, 56),
    (6, 24, 32, 2, 56), *[(6, 32, 32, 1, 28)] * 2,
    (6, 32, 64, 2, 28), *[(6, 64, 64, 1, 14)] * 3,
    (6, 64, 96, 1, 14), *[(6, 96, 96, 1, 14)] * 2,
    (6, 96, 160, 2, 14), *[(6, 160, 160, 1, 7)] * 2,
    (6, 160, 320, 1, 7),
]


def mobilenet_v2_macs(num_classes):
    macs = 3 * 3 * 3 * 32 * 112**2 + 320 * 1280 * 7**2 + 1280 * num_classes
    for expansion, inputs, outputs, stride, size in BOTTLENECKS:
        hidden, after = expansion * inputs, size // stride
        macs += (inputs * hidden * size**2 if expansion > 1 else 0) + 9 * hidden * after**2 + hidden * outputs * after**2
    return macs


class Flat(nn.Cell):
    """Height and width summed up: (N, C, H, W) -> (N, C)."""

    def construct(self, x):
        return x.sum((2, 3))


class Joined(nn.Cell):
    """A grouped convolution out of one convolution a group, called one by one or as one with joined weights."""

    def __init__(self, native):
        super().__init__()
        self.native = native
        self.convs = nn.CellList([conv2d(2, 4, 3, has_bias=True) for _ in range(3)])
        self.convolve = ops.Conv2D(12, 3, pad_mode="pad", pad=1, group=3)

    def construct(self, x):
        if self.native:
            return self.convolve(x, ops.concat([conv.weight for conv in self.convs]))
        return ops.concat([conv(part) for conv, part in zip(self.convs, ops.chunk(x, 3, axis=1))], axis=1)


class Odd(nn.Cell):
    """A layer that is called twice, one that never is, one that hands on its input, and weights between layers."""

    def __init__(self):
        super().__init__()
        self.twice = conv2d(3, 3, 3, has_bias=True)
        self.never = nn.SequentialCell(conv2d(3, 5, 1), BatchNorm(5, "relu"))
        self.dropout = nn.Dropout(p=0.5)
        self.scale = Parameter(Tensor(np.ones((3, 1, 1), np.float32)))

    def construct(self, x):
        x = self.twice(self.dropout(self.twice(x))) * self.scale
        return self.never(x) if self.training else x


def row(layers, name):
    (found,) = [layer for layer in layers if layer.name == name]
    return found


def test_every_kind_of_layer_against_arithmetic():
    """Images of 12 x 20, which no layer may take for 20 x 12."""
    net = nn.SequentialCell(conv2d(3, 8, 3, stride=2), BatchNorm(8, "hswish"),
                            conv2d(8, 16, (1, 5), groups=4, pad_mode="same", has_bias=True),
                            conv2d(16, 16, 3, groups=16), nn.MaxPool2d(2, 2), Flat(), nn.Dense(16, 7))
    summary = summarise(net, 12, 20)
    assert list(summary.layers) == [
        Layer("0", "Conv2d", (8, 6, 10), 8 * 3 * 9, 0, 6 * 10 * 8 * 3 * 9),
        Layer("1", "BatchNorm", (8, 6, 10), 8 + 8, 8 + 8, 0),
        Layer("2", "Conv2d", (16, 6, 10), 16 * 2 * 5 + 16, 0, 6 * 10 * 16 * 2 * 5),
        Layer("3", "Conv2d", (16, 6, 10), 16 * 9, 0, 6 * 10 * 16 * 9),
        Layer("4", "MaxPool2d", (16, 3, 5), 0, 0, 0),
        Layer("5", "Flat", (16,), 0, 0, 0),
        Layer("6", "Dense", (7,), 16 * 7 + 7, 0, 16 * 7),
    ]
    assert (summary.trainable, summary.statistics) == (216 + 16 + 176 + 144 + 119, 16)
    assert summary.macs == 60 * (216 + 160 + 144) + 112
    assert summary.activations == 60 * (8 + 8 + 16 + 16) + 16 * 15 + 16 + 7


def test_memory_is_weights_gradients_momenta_and_activations():
    summary = summarise(nn.SequentialCell(conv2d(3, 64, 1), BatchNorm(64)), 64, 64)
    assert summary.weights_mib * 2**20 == 4 * (192 + 128 + 128)
    assert summary.activations_mib == 2 * 4 * 64**3 / 2**20 == 2
    assert summary.training_mib(10) * 2**20 == 4 * (192 + 128 + 128) + 2 * 4 * (192 + 128) + 10 * 2 * 2**20


@pytest.mark.parametrize("native", [True, False])
def test_a_grouped_convolution_counts_the_same_joined_and_by_group(native, monkeypatch):
    monkeypatch.setitem(NETS, "joined", lambda num_classes: nn.SequentialCell(conv2d(3, 6, 1), Joined(native)))
    summary = summarise(empty_net("joined", 12), 4, 5)
    assert [(layer.name, layer.kind, layer.shape) for layer in summary.layers[1:]] == (
        [("1", "Joined", (12, 4, 5))] if native else [(f"1.convs.{index}", "Conv2d", (4, 4, 5)) for index in range(3)])
    assert sum(layer.trainable for layer in summary.layers[1:]) == 12 * 2 * 9 + 12
    assert sum(layer.macs for layer in summary.layers[1:]) == 4 * 5 * 12 * 2 * 9


def test_work_counts_by_call_and_weights_once():
    layers = summarise(Odd(), 6, 6).layers
    assert layers[:2] == (Layer("twice", "Conv2d", (3, 6, 6), 84, 0, 36 * 81), Layer("twice", "Conv2d", (3, 6, 6), 0, 0, 36 * 81))
    assert row(layers, "") == Layer("", "Odd", (3, 6, 6), 3, 0, 0)  # the scale
    assert row(layers, "never.0") == Layer("never.0", "Conv2d", None, 15, 0, 0)
    assert row(layers, "never.1") == Layer("never.1", "BatchNorm", None, 10, 10, 0)
    assert len(layers) == 5


def test_frozen_weights_count_as_before():
    net = nn.SequentialCell(conv2d(3, 8, 3), BatchNorm(8))
    assert summarise(freeze(net), 8, 8) == summarise(nn.SequentialCell(conv2d(3, 8, 3), BatchNorm(8)), 8, 8)


def test_mobilenet_v2_has_the_papers_figures():
    """3.5 million parameters and 300 million multiply-accumulates (Table 4 of arXiv:1801.04381)."""
    summary = summarise(empty_net("mobilenet_v2", 1000), 224, 224)
    assert (summary.trainable, summary.statistics) == (3_504_872, 34_112)
    assert summary.macs == mobilenet_v2_macs(1000) == 300_774_272
    fewer = summarise(empty_net("mobilenet_v2", 26), 224, 224)
    assert fewer.macs == mobilenet_v2_macs(26) == 299_527_552
    assert summary.trainable - fewer.trainable == (1000 - 26) * (1280 + 1)


def test_work_grows_with_the_area():
    net = empty_net("mobilenet_v2", 10)
    dense = 1280 * 10
    small, large = summarise(net, 64, 96), summarise(net, 128, 192)
    assert large.macs - dense == 4 * (small.macs - dense)
    assert (large.trainable, large.statistics) == (small.trainable, small.statistics)


def test_layers_are_called_as_the_keys_are():
    net = create_net("mobilenet_v2", 3, inverted_residual_setting=[[1, 8, 1, 2], [6, 8, 1, 1]], last_channel=32)
    keys = {parameter.name for parameter in net.get_parameters()}
    named = {layer.name for layer in summarise(net, 32, 32).layers if layer.trainable}
    assert named == {key.rpartition(".")[0] for key in keys}


def test_an_empty_net_is_the_net_without_its_weights():
    options = {"inverted_residual_setting": [[6, 8, 2, 2]], "last_channel": 32}
    empty, drawn = empty_net("mobilenet_v2", 3, **options), create_net("mobilenet_v2", 3, **options)
    assert [(p.name, p.shape) for p in empty.get_parameters()] == [(p.name, p.shape) for p in drawn.get_parameters()]
    assert not any(p.asnumpy().any() for p in empty.get_parameters())


def test_a_summary_leaves_the_net_as_it_was(seeded):
    """With its logits in graph mode, and without hooks."""
    net = create_net("mobilenet_v2", 3, inverted_residual_setting=[[6, 8, 2, 2]], last_channel=32).set_train(False)
    images = ms.ops.randn(2, 3, 32, 32)
    before = net(images).asnumpy()
    assert summarise(net, 32, 32) == summarise(net, 32, 32)
    assert np.array_equal(net(images).asnumpy(), before)
    assert not hooked(net)


def hooked(net):
    return any(cell._forward_hook or cell._forward_pre_hook for _, cell in net.cells_and_names())


class Picky(nn.Cell):
    def construct(self, x):
        assert ms.get_context("mode") == ms.PYNATIVE_MODE
        raise ValueError("images of this size are too small for this net")


def test_the_mode_is_what_it_was_also_after_an_error():
    assert ms.get_context("mode") == ms.GRAPH_MODE
    summarise(Flat(), 4, 4)
    assert ms.get_context("mode") == ms.GRAPH_MODE
    picky = Picky()
    with pytest.raises(ValueError, match="too small"):
        summarise(picky, 4, 4)
    assert ms.get_context("mode") == ms.GRAPH_MODE and not hooked(picky)
    with pynative():
        summarise(Flat(), 4, 4)
        assert ms.get_context("mode") == ms.PYNATIVE_MODE


def command(capsys, *arguments):
    """(status, standard output, standard error) of `mindclf ARGUMENTS`, run in this process."""
    status = cli.main(arguments)
    return status, *capsys.readouterr()


TINY = ("net_options.last_channel=32", "net_options.inverted_residual_setting=[[6, 8, 2, 2]]")


def test_the_command_prints_a_table_with_totals(capsys):
    status, shown, errors = command(capsys, "summary", "mobilenet_v2", "--size", "64", "--classes", "26", "--batch-size", "8")
    assert (status, errors) == (0, "")
    lines = shown.splitlines()
    assert lines[0].split() == ["layer", "kind", "output", "trainable", "statistics", "MACs"]
    assert lines[1].split() == ["features.0.features.0", "Conv2d", "32", "x", "32", "x", "32", "864", "0", f"{864 * 32**2:,}"]
    table = lines[:lines.index("")]
    macs = mobilenet_v2_macs(0) * 64**2 // 224**2 + 1280 * 26
    assert table[-1].split() == ["total", f"{3_504_872 - (1000 - 26) * 1281:,}", "34,112", f"{macs:,}"]
    assert len({len(line) for line in table}) == 1  # the last column is flush right
    assert "one image of 64 x 64 pixels, 26 classes" in shown and "8 images" in lines[-1]


@pytest.mark.parametrize("arguments", [(*TINY, "--size", "32", "--json"), ("--json", TINY[0], "--size", "32", TINY[1])])
def test_json_holds_layers_and_totals_wherever_the_fields_stand(capsys, arguments):
    status, shown, _ = command(capsys, "summary", "mobilenet_v2", *arguments)
    told = json.loads(shown)
    assert status == 0 and (told["net"], told["num_classes"], told["image_height"]) == ("mobilenet_v2", 1000, 32)
    assert told["net_options"] == {"last_channel": 32, "inverted_residual_setting": [[6, 8, 2, 2]]}
    for total in ("trainable", "statistics", "macs"):
        assert told["totals"][total] == sum(layer[total] for layer in told["layers"]) > 0
    assert told["layers"][-1] == {"name": "head.1", "kind": "Dense", "shape": [1000], "trainable": 33_000, "statistics": 0,
                                  "macs": 32_000}
    weights = told["totals"]["trainable"] + told["totals"]["statistics"]
    assert told["memory"]["weights_mib"] == round(weights * 4 / 2**20, 3) and told["memory"]["batch_size"] == 32


@pytest.mark.parametrize(("arguments", "message"), [
    (["resnet1001"], "net='resnet1001' is not known; did you mean 'resnet101'?"),
    (["mobilenet_v2", "--size", "0"], "--size 0 must lie between 1 and 4096"),
    (["mobilenet_v2", "--classes", "-3"], "--classes -3 must lie between 1 and 100000"),
    (["mobilenet_v2", "--batch-size", "0"], "--batch-size 0 must lie between 1 and 65536"),
    (["mobilenet_v2", "epochs=3"], "'epochs=3': a summary takes no field but net_options"),
    (["mobilenet_v2", "--json", "net_options.depth=3"], "net mobilenet_v2 cannot be built with net_options={'depth': 3}"),
    (["vgg11", "--size", "31"], "images of 31 x 31 pixels are too small for this net: it takes 32 x 32 and up"),
])
def test_a_mistake_is_one_line_and_status_2(capsys, arguments, message):
    status, shown, errors = command(capsys, "summary", *arguments)
    assert (status, shown) == (2, "") and len(errors.splitlines()) == 1 and errors.startswith(f"mindclf: {message}")


@pytest.mark.parametrize("arguments", [["summary", "mobilenet_v2", "--sizes", "3"], ["eval", "--json", "--nonsense", "a=1"]])
def test_arguments_that_a_command_does_not_have_are_refused(capsys, arguments):
    with pytest.raises(SystemExit) as stopped:
        cli.main(arguments)
    assert stopped.value.code == 2 and "unrecognized arguments" in capsys.readouterr().err


def test_nets_are_listed_with_parameters_and_paper(capsys):
    status, shown, errors = command(capsys, "nets")
    lines = shown.splitlines()
    assert (status, errors) == (0, "") and [line.split()[0] for line in lines] == list(NETS)
    rows = [re.split(r" {2,}", line) for line in lines]
    assert ["mobilenet_v2", "3,504,872", "MobileNetV2 (arXiv:1801.04381, Table 2)"] in rows
    assert ["vgg19", "143,667,240", "VGG (arXiv:1409.1556, Table 1, columns A, B, D and E)"] in rows


@pytest.mark.parametrize("name", NETS)
def test_every_nets_paper_is_named(name):
    assert "arXiv:" in paper(name)


def test_parts_of_a_classifier_are_not_in_the_names():
    net = ImageClassifier(nn.SequentialCell(conv2d(3, 4, 1)), nn.SequentialCell(Flat(), nn.Dense(4, 2)))
    assert [layer.name for layer in summarise(net, 4, 4).layers] == ["0", "0", "1"]
