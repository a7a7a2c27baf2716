"""Files whose keys are a net's and whose net computes something else: the origin is asked for, and known files are refused."""

import itertools
import re

import mindspore as ms
import numpy as np
import pytest
from mindspore.nn.utils import no_init_parameters

from mindclf.card import Card
from mindclf.checkpoint import CheckpointFile, load_checkpoint, load_net, save_checkpoint
from mindclf.cli import main
from mindclf.config import merge
from mindclf.nets import NETS, create_net
from mindclf.nets.namesakes import SQUEEZENET, namesake_of
from mindclf.pretrained import start_net
from mindclf.utils.files import sha256

CARD = {"net": "squeezenet1_1", "net_options": {}, "classes": list("abcde"), "image_height": 64, "image_width": 64, "mean": [],
        "std": []}
ASKED = "has no card, and mindcv has a net with the same keys, but .*checkpoint_origin=mindclf$"


@pytest.fixture(scope="module")
def squeezenet(tmp_path_factory):
    """A file as mindcv's users have it: the weights of a SqueezeNet under the keys that both nets have, and no card."""
    net, path = create_net("squeezenet1_1", 5), tmp_path_factory.mktemp("zoo") / "squeezenet1_1.ckpt"
    ms.save_checkpoint(net, str(path))
    return net, path


def test_the_nets_that_ask_are_those_whose_keys_do_not_tell_them():
    """All keys are equal in mindcv's two SqueezeNets, and in MindSpore Hub's ResNets of bottlenecks, 50 layers and more."""
    tried = [name for name in NETS if not re.fullmatch(r"resnet1..|vgg1[369].*|densenet(161|169|201)", name)]
    with no_init_parameters():
        asked = {name for name in tried if namesake_of(create_net(name, 3))}
        assert namesake_of(create_net("resnet50", 3).backbone)
    assert asked == {"squeezenet1_0", "squeezenet1_1", "resnet50"} and len(tried) == 15


def test_a_file_without_a_card_is_not_taken_unless_its_origin_is_known(squeezenet):
    net, path = squeezenet
    targets = create_net("squeezenet1_1", 5), create_net("squeezenet1_1", 3).backbone
    for target, origin in itertools.product(targets, ("", "mindcv")):
        before = [parameter.asnumpy().copy() for parameter in target.get_parameters()]
        with pytest.raises(ValueError, match=f"^{re.escape(str(path))} {ASKED}") as error:
            load_checkpoint(path, target, origin)
        assert "\n" not in str(error.value)
        for parameter, value in zip(target.get_parameters(), before):
            np.testing.assert_array_equal(parameter.asnumpy(), value)
    loaded = load_checkpoint(path, create_net("squeezenet1_1", 5), "mindclf")
    for parameter, other in zip(loaded.get_parameters(), net.get_parameters(), strict=True):
        np.testing.assert_array_equal(parameter.asnumpy(), other.asnumpy())


def test_pretrained_asks_too(squeezenet, capsys, tmp_path, monkeypatch, colour_folder):
    _, path = squeezenet
    with pytest.raises(ValueError, match=ASKED):
        start_net(merge({"net": "squeezenet1_1", "pretrained": str(path)}, {}), 3)
    config = merge({"net": "squeezenet1_1", "pretrained": str(path), "checkpoint_origin": "mindclf"}, {})
    assert start_net(config, 3)[2] == str(path)
    monkeypatch.chdir(tmp_path)
    command = ["train", f"dataset_path={colour_folder}", "class_index=['blue', 'green', 'red']", "net=squeezenet1_1",
               f"pretrained={path}", "image_height=64", "image_width=64", "output=run"]
    assert main(command) == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert re.search(ASKED, told) and not (tmp_path / "run").exists()


def test_a_stand_in_for_a_card_says_the_origin(squeezenet):
    _, path = squeezenet
    with pytest.raises(ValueError, match=ASKED):
        load_net(CheckpointFile(path, Card(CARD)))
    load_net(CheckpointFile(path, Card(CARD), "mindclf"))


def test_a_card_says_the_origin(squeezenet, tmp_path):
    net, _ = squeezenet
    path = save_checkpoint(net, tmp_path / "own.ckpt", CARD)
    load_checkpoint(path, create_net("squeezenet1_1", 5))


def test_a_file_that_is_known_to_be_of_another_net_is_refused_whatever_is_said(squeezenet, monkeypatch):
    _, path = squeezenet
    monkeypatch.setitem(SQUEEZENET.files, sha256(path)[:8], "mindcv's squeezenet1_1")
    with pytest.raises(ValueError, match=r"1_1.ckpt is mindcv's squeezenet1_1, whose keys are .* but its pools round down"):
        load_checkpoint(path, create_net("squeezenet1_1", 5), "mindclf")
