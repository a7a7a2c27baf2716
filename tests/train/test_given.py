"""Objects of one's own in the place of those that a config names."""

import numpy as np
import pytest
from mindspore import nn, ops
from mindspore.train import Accuracy, Callback

from mindclf.checkpoint import load_net, read_card, read_weights
from mindclf.config import merge
from mindclf.dataset import create_dataset
from mindclf.nets import NETS, create_net
from mindclf.nets.mobilenet_v2 import MobileNetV2
from mindclf.report.history import HistoryFile
from mindclf.train import fit
from mindclf.train.given import Given
from tests.conftest import ONLY_HEAD, TINY_NET

pytestmark = pytest.mark.usefixtures("uncompiled")


def trained_weights(net):
    return {parameter.name: parameter.asnumpy().copy() for parameter in net.trainable_params()}


def last_weights(fitted):
    return read_weights(fitted.checkpoint.with_name("last.ckpt"))


def assert_unchanged(before, fitted):
    after = last_weights(fitted)
    for name, value in before.items():
        np.testing.assert_array_equal(after[name], value, err_msg=name)


@pytest.fixture
def still(tiny_config):
    """A config with which nothing but the loss moves a weight."""
    return {**tiny_config, "epochs": 1, "weight_decay": 0.0}


def test_a_net_is_trained_from_the_weights_that_it_has(still):
    net = create_net("mobilenet_v2", 3, **TINY_NET)
    before = trained_weights(net)
    fitted = fit({**still, "lr_max": 0.0}, net=net)
    assert_unchanged(before, fitted)
    assert read_card(fitted.checkpoint)["net_options"] == TINY_NET
    assert fit({**still, "output": still["output"] + "-again"}, net=net).checkpoint.exists()
    assert any((value != before[name]).any() for name, value in trained_weights(net).items())


def test_a_net_of_ones_own_is_found_again_by_its_name(still, monkeypatch):
    class Own(MobileNetV2):
        pass

    with pytest.raises(ValueError, match="^the card of a run must name the net.*NETS\\['my_net'\\] = MyNet"):
        fit(still, net=Own(3, **TINY_NET))
    monkeypatch.setitem(NETS, "own", Own)
    fitted = fit(still, net=create_net("own", 3, **TINY_NET))
    assert isinstance(load_net(fitted.checkpoint)[0], Own)
    with pytest.raises(ValueError, match="^the net has 4 outputs, and the data set 3 classes$"):
        fit({**still, "output": still["output"] + "-4"}, net=create_net("own", 4, **TINY_NET))


def test_a_loss_is_what_the_weights_follow(still):
    class Constant(nn.Cell):
        def construct(self, logits, labels):
            return 0 * ops.reduce_sum(logits)

    net = create_net("mobilenet_v2", 3, **TINY_NET)
    before = trained_weights(net)
    fitted = fit(still, net=net, loss=Constant())
    assert_unchanged(before, fitted)
    [row] = HistoryFile(fitted.checkpoint.parent / "history.csv").rows()
    assert row["train_loss"] == 0 and 0 <= row["train_top1"] <= 1


def test_an_optimizer_takes_the_steps_at_its_own_learning_rate(still):
    net = create_net("mobilenet_v2", 3, **TINY_NET)
    before = trained_weights(net)
    fitted = fit(still, net=net, optimizer=nn.SGD(net.trainable_params(), 0.0, loss_scale=1024.0))
    assert_unchanged(before, fitted)
    assert HistoryFile(fitted.checkpoint.parent / "history.csv").rows()[0]["learning_rate"] == 0


def test_an_optimizer_with_another_loss_scale_is_refused(still):
    net = create_net("mobilenet_v2", 3, **TINY_NET)
    with pytest.raises(ValueError, match="^the optimizer has loss_scale=1 and the config 1024: make it with loss_scale=1024"):
        fit(still, net=net, optimizer=nn.SGD(net.trainable_params(), 0.1))


def test_of_several_phases_each_has_its_optimizer(still):
    made = []

    def make(net, learning_rates):
        made.append((len(net.trainable_params()), list(learning_rates)))
        return nn.SGD(net.trainable_params(), learning_rates, loss_scale=1024.0)

    phases = [{"trainable": "head", "lr_max": 0.5}, {"trainable": "all", "lr_max": 0.25}]
    fit({**still, "phases": phases, "schedule": "constant"}, optimizer=make)
    (head, rates), (every, other_rates) = made
    assert head < every and rates == [0.5] * 4 and other_rates == [0.25] * 4
    with pytest.raises(ValueError, match="an optimizer belongs to one phase, and there are 2"):
        net = create_net("mobilenet_v2", 3, **TINY_NET)
        fit({**still, "phases": phases}, net=net, optimizer=nn.SGD(net.trainable_params(), 0.1, loss_scale=1024.0))


def test_metrics_are_kept_in_the_card(still):
    card = read_card(fit(still, metrics={"own_accuracy": Accuracy("classification")}).checkpoint)
    for name in ("held out", "test"):
        assert card["metrics"][name]["own_accuracy"] == pytest.approx(card["metrics"][name]["top1"], abs=1e-6)


class Steps(Callback):
    """Counts the steps, also over an interruption."""

    def __init__(self):
        self.steps = []

    def on_train_step_end(self, run_context):
        self.steps.append(run_context.original_args().cur_step_num)


class Resumable(Steps):
    def state_dict(self):
        return {"steps": self.steps}

    def load_state_dict(self, state):
        self.steps = list(state["steps"])


class Interrupt(Callback):
    def __init__(self, step):
        self.step = step

    def on_train_step_end(self, run_context):
        if run_context.original_args().cur_step_num == self.step:
            raise KeyboardInterrupt


def test_callbacks_see_every_step_and_keep_their_state(tiny_config):
    """MindSpore's own count of steps goes on too: it is 5 after the first epoch's 4."""
    config = {**tiny_config, **ONLY_HEAD, "epochs": 3}
    with pytest.raises(KeyboardInterrupt):
        fit(config, callbacks=[Resumable(), Interrupt(6)])
    resumed = Resumable()
    fit({**config, "resume": True}, callbacks=[resumed])
    assert resumed.steps == list(range(1, 13))


@pytest.mark.parametrize("field", ["policy", "erasing_prob", "mixup_alpha", "cutmix_alpha"])
def test_what_mindclf_would_do_to_images_of_its_own_is_refused_for_others(field, tiny_config):
    config = merge(tiny_config, {field: "trivial_augment" if field == "policy" else 0.5})
    with pytest.raises(ValueError, match=f"^{field} and train_dataset exclude each other"):
        Given(train_dataset=object()).check(config)


def test_what_cannot_be_resumed_is_refused(tiny_config, colour_folder):
    with pytest.raises(ValueError, match="^resume=True needs callbacks with state_dict\\(\\).*, and Steps has none"):
        fit({**tiny_config, "resume": True}, callbacks=[Steps()])
    with pytest.raises(ValueError, match="^resume=True and train_dataset exclude each other"):
        fit({**tiny_config, "resume": True}, train_dataset=create_dataset(colour_folder, tiny_config))


def test_a_dataset_gives_the_batches(still, colour_folder):
    """Three images to a batch, where the config has six."""
    fitted = fit(still, train_dataset=create_dataset(colour_folder, {**still, "batch_size": 3}))
    [row] = HistoryFile(fitted.checkpoint.parent / "history.csv").rows()
    assert row["steps"] == 10  # of 30 training images, the validation images among them: the dataset is the caller's


def test_fields_may_be_keywords_and_names_of_net_and_optimizer_are_fields(tiny_config):
    fitted = fit(tiny_config, epochs=1, net="mobilenet_v2", optimizer="adam")
    config = read_card(fitted.checkpoint)["config"]
    assert config["epochs"] == 1 and config["optimizer"] == "adam"


def test_checkpoints_within_an_epoch_are_kept_and_resumed_from(tiny_config):
    """Of 2 epochs of 4 steps, one every 2 steps. A run that is killed after step 7 goes on from step 6, to the same end."""
    config = {**tiny_config, "epochs": 2, "save_checkpoint_steps": 2, "keep_checkpoint_max": 3}
    whole = fit({**config, "output": config["output"] + "-whole"})
    names = sorted(file.name for file in (whole.checkpoint.parent / "epochs").iterdir())
    expected = [f"phase1-{name}.ckpt" for name in ("1_4", "2_2", "2_4")]
    assert names == sorted(expected + [f"{name}.json" for name in expected])
    assert load_net(whole.checkpoint.parent / "epochs" / "phase1-2_2.ckpt")[1]["steps"] == 2
    with pytest.raises(KeyboardInterrupt):
        fit(config, callbacks=[Interrupt(7)])
    with pytest.raises(ValueError, match="the run kept no state of its part 'Resumable 0': resume it with the callbacks that"):
        fit({**config, "resume": True}, callbacks=[Resumable()])
    fitted = fit({**config, "resume": True})
    for name, value in last_weights(whole).items():
        np.testing.assert_array_equal(last_weights(fitted)[name], value, err_msg=name)
