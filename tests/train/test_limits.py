"""What happens at the limits: a loss that is no number, sets of one image, one class, a thousand, and schedules that end."""

import math
from pathlib import Path

import numpy as np
import pytest
from mindspore import Tensor
from mindspore import dataset as ds
from mindspore.nn import Dense
from PIL import Image

from mindclf.checkpoint import load_net, read_card
from mindclf.config import merge
from mindclf.dataset.splits import read_splits
from mindclf.nets.layers import BatchNorm
from mindclf.report.history import HistoryFile
from mindclf.train import callbacks, create_model, fit, phase
from mindclf.train.checkpointing import CheckpointManager
from mindclf.train.schedules import learning_rates
from tests.conftest import ONLY_HEAD

pytestmark = pytest.mark.usefixtures("uncompiled")


def weights_are_numbers(path):
    net, card = load_net(path)
    return all(np.isfinite(parameter.asnumpy()).all() for parameter in net.get_parameters()), card["epoch"]


def test_a_loss_that_is_no_number_stops_with_the_last_good_checkpoint(tiny_config, monkeypatch):
    """At step 6, the second of the second epoch: (1 + cos(pi 5 / 8)) / 2 of the rate."""
    def broken(self, run_context, on_train_step_end=callbacks.MetricTracker.on_train_step_end):
        on_train_step_end(self, run_context)
        self.loss = math.nan if self.step == 6 else self.loss

    monkeypatch.setattr(callbacks.MetricTracker, "on_train_step_end", broken)
    path = f"{tiny_config['output']}/epochs/phase1-1_4.ckpt"
    rate = 0.05 * (1 + math.cos(math.pi * 5 / 8)) / 2
    with pytest.raises(ValueError, match=f"^the loss is nan at step 6, learning rate {rate:.6g}: try a smaller "
                                         f"lr_max; the last good checkpoint is {path}$"):
        fit(tiny_config)
    assert weights_are_numbers(path) == (True, 1)


def test_weights_that_the_last_step_broke_are_not_saved(tiny_config, monkeypatch):
    """Every loss was a number, but the last step of the second epoch put a NaN into the weights."""
    def breaking(net, dataset, predict_logits=phase.predict_logits, calls=[]):  # noqa: B006
        calls.append(1)
        if len(calls) == 2:
            weight = net.trainable_params()[-1]
            weight.set_data(Tensor(np.full(weight.shape, np.nan, np.float32)))
        return predict_logits(net, dataset)

    monkeypatch.setattr(phase, "predict_logits", breaking)
    path = f"{tiny_config['output']}/epochs/phase1-1_4.ckpt"
    with pytest.raises(ValueError, match=f"^the loss on the validation images is nan at step 8, .* checkpoint is {path}$"):
        fit(tiny_config)
    assert weights_are_numbers(path) == (True, 1)
    assert len(HistoryFile(f"{tiny_config['output']}/history.csv").rows()) == 1


def make_folder(root, classes, train, test=1):
    for side, (split, count) in enumerate((("train", train), ("test", test))):
        for label, name in enumerate(classes):
            (root / split / name).mkdir(parents=True)
            make_images(root / split / name, range(count), seed=(side, label))
    return {"dataset_path": str(root), "class_index": list(classes)}


def make_images(folder, numbers, seed=(2,)):
    for number in numbers:
        pixels = np.random.default_rng([*seed, number]).integers(0, 256, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")


def test_a_batch_larger_than_the_data_set_is_refused(tiny_config):
    with pytest.raises(ValueError, match="^batch_size=25 is more than the 24 training images$"):
        fit({**tiny_config, "batch_size": 25})


def test_a_batch_that_is_too_large_is_refused_before_anything_is_touched(tiny_config):
    output = Path(tiny_config["output"])
    output.mkdir()
    (output / "history.csv").write_text("of a run before")
    with pytest.raises(ValueError, match="^batch_size=25 is more than the 24 training images$"):
        fit({**tiny_config, "batch_size": 25})
    with pytest.raises(ValueError, match="^batch_size=25 is more than the 24 training images$"):
        fit({**tiny_config, "phases": [{"epochs": 1}, {"batch_size": 25}]})
    assert [entry.name for entry in output.parent.iterdir()] == [output.name] and len(list(output.iterdir())) == 1


def test_batches_shrink_to_what_there_is_where_that_is_asked_for(tiny_config, tmp_path, caplog):
    """Three images a class: two train, one tests, and none is left for validation."""
    changes = make_folder(tmp_path / "few", ["a", "b"], 3)
    folder = (tmp_path / "few" / "train").rename(tmp_path / "own")  # undivided
    config = {**tiny_config, **ONLY_HEAD, **changes, "dataset_path": str(folder), "valid_fraction": 0.1, "batch_size": 16}
    fitted = fit(config, shrink_batches=True)
    found = read_splits(merge(config, {}))
    card = read_card(fitted.checkpoint)
    assert card["data"]["train"] == card["config"].get("batch_size", 16) == len(found.train) < 6
    assert card["data"]["test"] == fitted.report.images == 6 - len(found.train) >= 2
    assert set(found.train.labels) == set(found.test.labels) == {0, 1}
    few, tests = len(found.train), len(found.test)
    for message in (f"batch_size=16 is more than the training images, {few}: it is {few} here",
                    f"there are {tests} test images: accuracy on them means little, for one is {100 / tests:.0f} points",
                    f"the {few} training images are too few for a validation set: the last epoch is kept, not the best"):
        assert message in caplog.messages
    with pytest.raises(ValueError, match=f"^batch_size=16 is more than the {len(found.train)} training images$"):
        fit(config)


def test_batches_shrink_in_the_phases_that_descend(tiny_config, caplog):
    """Of 24 images, in the phase that has batches of its own."""
    phases = [{**ONLY_HEAD, "optimizer": "lbfgs"}, {"batch_size": 32, "epochs": 1}, {"epochs": 1}]
    config = {**tiny_config, "batch_size": 16, "phases": phases}
    card = read_card(fit(config, shrink_batches=True).checkpoint.with_name("last.ckpt"))
    assert "batch_size=32 is more than the training images, 24: it is 24 here" in caplog.messages
    assert card["config"].get("batch_size", 16) == 16 and card["config"]["phases"][1]["batch_size"] == 24
    with pytest.raises(ValueError, match="^batch_size=32 is more than the 24 training images$"):
        fit(config)


def test_a_small_folder_that_has_grown_is_said_to_have_and_not_to_need_another_batch_size(tiny_config, tmp_path):
    changes = make_folder(tmp_path / "few", ["a", "b"], 3)
    config = {**tiny_config, **ONLY_HEAD, **changes, "epochs": 1, "batch_size": 16, "valid_fraction": 0.0}
    fit(config, shrink_batches=True)
    config.update(resume=True, epochs=2)
    for fields, different in (({"batch_size": 5}, "batch_size=6, and now it is 5: set it so"),
                              ({"batch_size": 5, "seed": 9}, "seed="), ({"valid_fraction": 0.4}, "valid_fraction=0.0, and now")):
        with pytest.raises(ValueError, match=f"cannot go on: it had {different}"):
            fit({**config, **fields}, shrink_batches=True)
    for name, count in (("a", 4), ("b", 2)):
        make_images(tmp_path / "few" / "train" / name, range(10, 10 + count))
        with pytest.raises(ValueError, match="cannot go on: it had 6 train images, and now there are 1[02]: restore"):
            fit(config, shrink_batches=True)
    for file in (tmp_path / "few" / "train").glob("*/1?.png"):
        file.unlink()
    assert read_card(fit(config, shrink_batches=True).checkpoint)["config"]["batch_size"] == 6


def test_an_image_that_is_gone_in_the_middle_of_a_run_is_named(tiny_config, tmp_path, monkeypatch):
    changes = make_folder(tmp_path / "few", ["a", "b"], 4)

    def removing(self, row, report, after_epoch=CheckpointManager.after_epoch):
        after_epoch(self, row, report)
        (tmp_path / "few" / "train" / "a" / "2.png").unlink(missing_ok=True)

    monkeypatch.setattr(CheckpointManager, "after_epoch", removing)
    with pytest.raises(ValueError, match=r"train/a/2.png cannot be read: No such file or directory; the same command with "
                                         r"resume=true goes on with the run in"):
        fit({**tiny_config, **changes, "batch_size": 2, "valid_fraction": 0.0, "epochs": 3})
    assert read_card(f"{tiny_config['output']}/epochs/phase1-1_4.ckpt")["epoch"] == 1


def too_thin(path):
    Image.new("RGB", (1000, 3)).save(path)


@pytest.mark.parametrize("augment", ["resized_crop", "padded_crop"])
@pytest.mark.parametrize(("spoil", "reason"), [
    (lambda path: path.write_bytes(path.read_bytes()[:400]), "is damaged"), (too_thin, "is 1000 x 3 pixels: too thin"),
    (lambda path: path.write_bytes(b"text"), "is not an image")], ids=["cut", "thin", "text"])
def test_a_file_that_is_spoilt_in_the_middle_of_a_run_is_named(tiny_config, tmp_path, monkeypatch, spoil, reason, augment):
    changes = make_folder(tmp_path / "few", ["a", "b"], 4)
    victim = tmp_path / "few" / "train" / "a" / "9.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)).save(victim)

    def spoiling(self, row, report, after_epoch=CheckpointManager.after_epoch):
        after_epoch(self, row, report)
        spoil(victim)

    monkeypatch.setattr(CheckpointManager, "after_epoch", spoiling)
    with pytest.raises(ValueError, match=rf"train/a/9.jpg {reason}.*; the same command with resume=true goes on"):
        fit({**tiny_config, **changes, "augment": augment, "batch_size": 3, "valid_fraction": 0.0, "epochs": 3})


def test_one_class_is_refused(tiny_config, tmp_path):
    with pytest.raises(ValueError, match="^there is one class, 'only': a net needs two to tell apart$"):
        fit({**tiny_config, **make_folder(tmp_path / "one", ["only"], 6)})


def test_one_image_a_class_trains_in_batches_of_one(tiny_config, tmp_path):
    """None of them can be held out; batch norm takes its statistics from the pixels of one image."""
    fitted = fit({**tiny_config, **make_folder(tmp_path / "few", ["a", "b"], 1), "batch_size": 1, "valid_fraction": 0.1})
    rows = HistoryFile(fitted.checkpoint.parent / "history.csv").rows()
    assert [row["steps"] for row in rows] == [2, 4] and {row["watched"] for row in rows} == {"test"}
    assert weights_are_numbers(fitted.checkpoint) == (True, 2)


@pytest.mark.report
def test_a_thousand_classes(tiny_config, tmp_path):
    """An image each: the first loss is about that of chance, log(1000)."""
    names = [f"class {number:04}" for number in range(1000)]
    fitted = fit({**tiny_config, **make_folder(tmp_path / "many", names, 1), "batch_size": 250, "eval_batch_size": 250,
                  "epochs": 1, "lr_max": 1e-4})
    [row] = HistoryFile(fitted.checkpoint.parent / "history.csv").rows()
    assert row["train_loss"] == pytest.approx(math.log(1000), abs=0.3)
    assert fitted.report.images == 1000 and len(read_card(fitted.checkpoint)["classes"]) == 1000
    for name in ("confusion.png", "classes.png"):
        with Image.open(fitted.checkpoint.parent / name) as image:
            assert max(image.size) < 4000


@pytest.mark.parametrize("stock", [False, True])
def test_batch_norm_refuses_a_single_value_in_training_only(stock):
    """A batch of one at 1 x 1 pixel has no spread."""
    norm = BatchNorm(3)
    if stock:
        norm.kernel = None
    x = Tensor(np.array([5, -7, 0], np.float32).reshape(1, 3, 1, 1))
    with pytest.raises(ValueError, match="batch norm cannot train on one value a channel: take a batch_size of 2 or more, or"):
        norm.set_train(True)(x)
    np.testing.assert_allclose(norm.set_train(False)(x).asnumpy(), x.asnumpy(), rtol=1e-4)
    assert np.isfinite(norm.moving_variance.asnumpy()).all()
    two = norm.set_train(True)(Tensor(np.array([1, 3], np.float32).reshape(1, 1, 2, 1).repeat(3, 1)))
    np.testing.assert_allclose(two.asnumpy()[0, :, :, 0], [[-1, 1]] * 3, rtol=1e-4)  # mean 2, deviation 1


@pytest.mark.parametrize("schedule", ["cosine", "one_cycle", "constant", "plateau"])
def test_a_schedule_is_as_long_as_the_run(schedule):
    assert len(learning_rates(merge({}, {"schedule": schedule, "epochs": 3, "warmup_epochs": 1}), 7)) == 21


def test_a_list_of_rates_that_is_shorter_than_the_run_fails_and_does_not_repeat():
    model = create_model(Dense(5, 3), merge({}, {}), [0.1, 0.1])
    batches = ds.NumpySlicesDataset((np.ones((9, 5), np.float32), np.zeros(9, np.int32)), ["x", "y"]).batch(3)
    with pytest.raises((ValueError, RuntimeError, IndexError)):
        model.train(1, batches, dataset_sink_mode=False)
