"""create_net: what it refuses, and the one line that says what would do."""

import inspect
from pathlib import Path

import pytest

from mindclf import nets
from mindclf.nets import NETS, build_net, create_net
from mindclf.train import fit

MISTAKES = [
    ("efficientnet", {}, "net='efficientnet' is not known; the nets are: mobilenet_v1, mobilenet_v2, "),
    ("resnet5", {}, "net='resnet5' is not known; did you mean 'resnet50'?"),
    ("mobilenet_v2", {"width_multi": 1}, "it has no option 'width_multi'; its options are: width_mult, has_dropout, "),
    ("resnet18", {"depth": 34}, "the name resnet18 says what depth is"),
    ("mobilenet_v2", {"num_classes": 3}, "it has no option 'num_classes'"),
    ("mobilenet_v2", {"name": "x"}, "it has no option 'name'"),
    ("mobilenet_v2", {"width_mult": "abc"}, "width_mult='abc' must be of type float"),
    ("mobilenet_v2", {"width_mult": True}, "width_mult=True must be of type float"),
    ("mobilenet_v2", {"width_mult": -1}, "width_mult=-1.0 must lie between 0.01 and 16"),
    ("mobilenet_v2", {"width_mult": float("nan")}, "width_mult=nan must lie between 0.01 and 16"),
    ("mobilenet_v1", {"width_mult": 1000}, "width_mult=1000.0 must lie between 0.01 and 16"),
    ("mobilenet_v1", {"resolution_mult": 1e400}, "resolution_mult=inf must lie between 0.01 and 16"),
    ("mobilenet_v2", {"last_channel": 1.5}, "last_channel=1.5 must be of type int"),
    ("mobilenet_v2", {"last_channel": -8}, "last_channel=-8 must lie between 1 and 65536"),
    ("mobilenet_v2", {"round_nearest": 0}, "round_nearest=0 must lie between 1 and 1024"),
    ("mobilenet_v2", {"has_dropout": "abc"}, "has_dropout='abc' must be of type bool"),
    ("mobilenet_v2", {"inverted_residual_setting": 0}, "'int' object is not iterable"),
    ("mobilenet_v2", {"pad_mode": "valid"}, "pad_mode='valid' is not known; expected one of pad, same"),
    ("resnet18", {"bn_epsilon": 0}, "bn_epsilon=0.0 must lie between 1e-12 and 1"),
    ("resnet18", {"bn_epsilon": [1]}, r"bn_epsilon=\[1\] must be of type float"),
    ("resnet18", {"stem": [1, 2]}, r"stem=\[1, 2\] must be of type str"),
    ("vgg11", {"hidden_channels": 0}, "hidden_channels=0 must lie between 1 and 65536"),
    ("alexnet", {"dropout": 1}, "dropout=1.0 must lie between 0 and 0.99"),
    ("alexnet", {"dropout": None}, "dropout=None must be of type float"),
    ("inception_v3", {"aux_logits": "no"}, "aux_logits='no' must be of type bool"),
    ("asymmnet_large", {"asymmrate": True}, "asymmrate=True must be of type int"),
]


@pytest.mark.parametrize(("name", "options", "message"), MISTAKES)
def test_a_mistake_is_one_line_that_says_what_would_do(name, options, message):
    with pytest.raises(ValueError, match=message) as error:
        build_net(name, 10, options)
    assert "\n" not in str(error.value)


def test_a_whole_number_will_do_for_a_fraction():
    assert create_net("mobilenet_v2", 3, width_mult=1, last_channel=8).backbone.out_channels == 8


@pytest.mark.parametrize(("fields", "smallest"), [
    ({"net": "alexnet", "net_options": {"hidden_channels": 8}, "image_height": 62, "image_width": 64}, 63),
    ({"net": "inception_v3", "net_options": {"aux_logits": True}, "image_height": 75, "image_width": 75}, 299),
    ({"net": "inception_v3", "net_options": {}, "image_height": 75, "image_width": 74}, 75),
    ({"net": "inception_v3", "net_options": {}, "image_height": 99, "image_width": 99,
      "phases": ({"train_scale": 0.75}, {})}, 75),
])
def test_training_on_images_that_are_too_small_is_refused_before_it_starts(tiny_config, fields, smallest):
    with pytest.raises(ValueError, match=f"image_height={fields['image_height']} and .* it takes {smallest} pixels and up"):
        fit({**tiny_config, **fields})
    assert not Path(tiny_config["output"]).exists()


@pytest.mark.parametrize("name", NETS)
def test_every_net_is_a_function_of_its_name(name):
    make = getattr(nets, name)
    assert callable(make) and not inspect.ismodule(make) and make.__name__ == name and make.__doc__


def test_such_a_function_makes_the_net():
    assert nets.mobilenet_v1(num_classes=7, width_mult=0.25).num_classes == 7
    with pytest.raises(ValueError, match="net resnet18 cannot be built with net_options={'depth': 34}"):
        nets.resnet18(depth=34)
