"""Learning rates of a backbone: which block a weight is in, its factor, and what that does to a step."""

import gzip
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from mindspore import Tensor, nn

from mindclf.checkpoint import read_weights
from mindclf.config import merge
from mindclf.nets import HEAD_KEYS
from mindclf.train import create_optimizer, fit
from mindclf.train.groups import backbone_blocks, rate_factors
from mindclf.train.phase import PhaseCheckpoint
from mindclf.train.schedules import Schedule
from mindclf.train.state import OptimizerState

pytestmark = pytest.mark.usefixtures("uncompiled")

KEYS = json.loads(gzip.decompress((Path(__file__).parents[1] / "reference" / "keys.json.gz").read_bytes()))


def backbone_weights(net):
    """The trainable weights of the backbone, names and ranks, of a net in KEYS."""
    for key in KEYS[net]:
        name, shape = key.split(" ", 1)
        if not name.startswith(HEAD_KEYS) and ".moving_" not in name:
            yield SimpleNamespace(name=name, ndim=shape.count(",") + (not shape.endswith(",)")))


@pytest.mark.parametrize(("net", "blocks"), [
    ("mobilenet_v1", 1 + 13), ("mobilenet_v2", 1 + 17 + 1), ("shufflenet_v1", 1 + 16), ("resnet18", 1 + 8), ("resnet50", 1 + 16),
    ("vgg16", 13), ("vgg16_bn", 13), ("alexnet", 5), ("squeezenet1_0", 1 + 8), ("densenet121", 1 + 4 + 3),
    ("inception_v3", 5 + 11)])
def test_blocks_are_those_of_the_papers_tables(net, blocks):
    weights = list(backbone_weights(net))
    found = backbone_blocks(weights)
    assert len(found) == blocks and [weight for block in found for weight in block] == weights
    assert all(any(weight.ndim > 1 for weight in block) for block in found)


class Small(nn.Cell):
    """A backbone of three layers, the second of which has batch norm beside it, and a head."""

    def __init__(self):
        super().__init__(auto_prefix=False)
        self.backbone = nn.SequentialCell(nn.Dense(5, 4), nn.SequentialCell(nn.Dense(4, 4), nn.BatchNorm1d(4)), nn.Dense(4, 4))
        self.head = nn.Dense(4, 3)
        self.head.update_parameters_name("head.")


def expected_factor(name):
    return {"0": 0.5 * 0.8 ** 3, "1": 0.5 * 0.8 ** 2, "2": 0.5 * 0.8, "head": 1.0}[name.split(".")[0]]


SLOWER = {"backbone_lr_factor": 0.5, "layer_decay": 0.8}


def first_step(optimizer, fields):
    """{weight: what a step with gradients of 1 does to it}, from weights that are all 2."""
    net = Small()
    for weight in net.trainable_params():
        weight.set_data(Tensor(np.full(weight.shape, 2, np.float32)))
    step = create_optimizer(net, merge({}, {"optimizer": optimizer, "weight_decay": 0.3, "loss_scale": 1, **fields}),
                            [0.1, 0.2])
    step(tuple(Tensor(np.ones(weight.shape, np.float32)) for weight in step.parameters))
    return {weight.name: weight.asnumpy() - 2.0 for weight in net.trainable_params()}


@pytest.mark.parametrize("optimizer", ["momentum", "adamw", "lion"])
def test_the_blocks_of_a_backbone_learn_slower_the_further_they_are_from_the_head(optimizer):
    """The first step of every optimizer is proportional to the learning rate, with its weight decay."""
    plain, slower = first_step(optimizer, {}), first_step(optimizer, SLOWER)
    assert len(plain) == len(slower) == 10
    for name, change in plain.items():
        assert abs(change).min() > 0.05
        np.testing.assert_allclose(slower[name], expected_factor(name) * change, rtol=1e-4, err_msg=name)


def rates(optimizer):
    return {weight.name: optimizer.get_lr_parameter(weight).asnumpy() for weight in optimizer.parameters}


def test_a_plateau_lowers_the_rates_of_all_groups():
    config = merge({}, {"schedule": "plateau", "epochs": 3, "lr_max": 0.4, **SLOWER})
    schedule, net = Schedule(config, steps_per_epoch=2), Small()
    optimizer = create_optimizer(net, config, schedule.rates)
    schedule.attach(optimizer, rate_factors(net, config))
    schedule.load_state_dict({"rate": 0.1, "best": 1.0, "bad_epochs": 0})
    schedule.resume(2)
    for name, found in rates(optimizer).items():
        np.testing.assert_allclose(found, expected_factor(name) * np.array([0.4] * 4 + [0.1] * 2), rtol=1e-6, err_msg=name)


def test_a_run_that_gets_more_epochs_has_their_rates_in_all_groups():
    config = merge({}, SLOWER)
    old, longer = (create_optimizer(Small(), config, [rate] * steps) for rate, steps in ((0.1, 2), (0.2, 5)))
    OptimizerState(longer).load_state_dict(OptimizerState(old).state_dict())
    for name, found in rates(longer).items():
        np.testing.assert_allclose(found, np.full(5, 0.2 * expected_factor(name)), rtol=1e-6, err_msg=name)


def test_a_head_alone_has_no_factors():
    assert rate_factors(Small().head, merge({}, SLOWER)) == {}
    with pytest.raises(ValueError, match="^layer_decay=0.8 means nothing to trainable='head': it is for trainable='all'$"):
        merge({}, {"layer_decay": 0.8, "trainable": "head"})


def test_an_optimizer_of_ones_own_has_groups_of_its_own(tiny_config):
    with pytest.raises(ValueError, match="^layer_decay and an optimizer of your own exclude each other"):
        fit({**tiny_config, "layer_decay": 0.8}, optimizer=lambda net, rates: nn.Adam(net.trainable_params(), rates))


def test_a_run_with_all_this_that_is_interrupted_within_an_epoch_ends_as_one_that_is_not(tiny_config, monkeypatch):
    """Slower blocks, clipped and accumulated gradients; dropout draws twice a step."""
    config = {**tiny_config, **SLOWER, "optimizer": "adamw", "lr_max": 0.01, "clip_norm": 0.5, "accumulation_steps": 2,
              "save_checkpoint_steps": 1, "valid_fraction": 0.1,
              "net_options": {**tiny_config["net_options"], "has_dropout": True}}
    whole = fit({**config, "output": f"{config['output']}-whole"}).checkpoint.parent
    saved = []

    def save(self, file, net, save=PhaseCheckpoint.save):
        save(self, file, net)
        saved.append(file.name)
        if len(saved) == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(PhaseCheckpoint, "save", save)
        fit(config)
    assert saved == ["phase1-1_1.ckpt", "phase1-1_2.ckpt", "phase1-2_1.ckpt"]  # 27 images, 12 a step
    part = fit({**config, "resume": True}).checkpoint.parent
    first, second = (read_weights(folder / "last.ckpt") for folder in (whole, part))
    for name, value in first.items():
        np.testing.assert_array_equal(second[name], value, err_msg=name)
