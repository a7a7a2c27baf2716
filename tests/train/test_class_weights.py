"""Imbalance: class weights, balanced sampling, and what is monitored."""

import numpy as np
import pytest
from mindspore import Tensor, nn
from mindspore import dataset as ds

from mindclf.checkpoint import read_card, read_weights
from mindclf.config import merge
from mindclf.dataset.draws import VIEWS_AN_EPOCH, Draws
from mindclf.dataset.folder import ImageSet
from mindclf.report.history import HistoryFile
from mindclf.train import create_model, fit
from mindclf.train.class_weights import weights_of_classes
from tests.conftest import ONLY_HEAD

pytestmark = pytest.mark.usefixtures("uncompiled")

IMAGES = ImageSet(tuple(map(str, range(10))), (0,) * 6 + (1,) * 3 + (2,), ("Rose", "Tulip", "Daisy", "None"))
FOLDERS = ("rose", "tulip", "daisy", "none")


def test_auto_weights_are_scikit_learns_balanced_ones():
    """n / (classes x images of the class); a class without images is none of them."""
    assert weights_of_classes("auto", IMAGES, FOLDERS) == pytest.approx([10 / (3 * 6), 10 / (3 * 3), 10 / 3, 1])
    assert weights_of_classes("auto", IMAGES, FOLDERS)[list(IMAGES.labels)].sum() == pytest.approx(10)


def test_weights_may_be_given_by_the_name_of_a_class_or_of_its_folder():
    assert weights_of_classes({"rose": 0.5, "Daisy": 4.0}, IMAGES, FOLDERS).tolist() == [0.5, 1, 4, 1]
    assert weights_of_classes({}, IMAGES, FOLDERS) is None
    with pytest.raises(ValueError, match="^class_weights names what is no class, 'lily': the classes are Rose; Tulip; Daisy"):
        weights_of_classes({"rose": 1, "lily": 2}, IMAGES, FOLDERS)


@pytest.mark.parametrize(("given", "message"), [
    ("class_weights=balanced", "class_weights='balanced' must be auto, or a dict of weights by class"),
    ("class_weights=[1, 2]", r"class_weights=\[1, 2\] must be auto, or a dict"),
    ("class_weights={'a': 0}", "class_weights of 'a'=0 must be a number between 1e-06 and 1,000,000"),
    ("class_weights={'a': 'b'}", "class_weights of 'a'='b' must be a number"),
    ("class_weights={1: 2}", r"class_weights=\{1: 2\} must be auto, or a dict"),
    ("monitor=f1", "monitor='f1' is not known; expected one of 'top1', 'balanced_accuracy', 'macro_f1', 'loss'"),
])
def test_what_is_no_weight_and_no_metric_is_refused(given, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        merge({}, [given])


def test_classes_may_have_any_name_and_the_field_its_three_forms():
    assert merge({}, ["class_weights=auto"]).class_weights == "auto"
    assert merge({}, ["class_weights={'items': 2, '__class__': 0.5}"]).class_weights == {"items": 2.0, "__class__": 0.5}
    assert merge({}, ["class_weights.rose=3"]).class_weights == {"rose": 3.0}
    with pytest.raises(ValueError, match="^balanced_sampling and class_weights exclude each other"):
        merge({}, ["class_weights=auto", "balanced_sampling=true"])


@pytest.mark.parametrize("is_mixed", [False, True])
def test_a_step_takes_the_gradient_of_the_weighted_loss(is_mixed):
    """sum of w (softmax - target) x / sum of w; of mixed labels w is that of each class, and the mean is over the batch."""
    rng = np.random.default_rng(0)
    features, labels = rng.standard_normal((8, 5)).astype(np.float32), rng.integers(0, 3, 8).astype(np.int32)
    weights, net = np.array([1.0, 2.0, 9.0]), nn.Dense(5, 3)
    kernel, bias = net.weight.asnumpy().astype(float), net.bias.asnumpy().astype(float)
    targets = rng.dirichlet([1, 1, 1], 8).astype(np.float32) if is_mixed else np.eye(3)[labels]
    model = create_model(net, merge({}, {"weight_decay": 0.0, "momentum": 0.0}), [0.3], class_weights=weights)
    batch = (features, targets if is_mixed else labels)
    model.train(1, ds.NumpySlicesDataset(batch, ["feature", "label"], shuffle=False).batch(8), dataset_sink_mode=False)
    logits = features @ kernel.T + bias
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    scaled = targets * weights / (8 if is_mixed else weights[labels].sum())
    errors = probabilities * scaled.sum(1, keepdims=True) - scaled
    np.testing.assert_allclose(net.weight.asnumpy(), kernel - 0.3 * errors.T @ features, atol=1e-5)


LABELS = np.repeat([0, 1, 2], [60, 29, 3])


def test_a_balanced_epoch_has_as_many_images_of_each_class():
    order = Draws(1, 1, 1).balanced_order(LABELS)
    images = order % len(LABELS)
    assert len(order) == 92 and sorted(np.bincount(LABELS[images])) == [30, 31, 31]
    for label in range(3):
        times = np.bincount(images, minlength=92)[label == LABELS]
        assert times.max() - times.min() <= 1
    assert len(set(order[LABELS[images] == 2])) > 3 * 9  # an image that comes ten times is seen in ten views


def test_a_balanced_epoch_depends_on_seed_phase_and_epoch_alone():
    assert np.array_equal(Draws(1, 1, 2).balanced_order(LABELS), Draws(1, 1, 2).balanced_order(LABELS))
    for other in (Draws(2, 1, 2), Draws(1, 2, 2), Draws(1, 1, 3)):
        assert not np.array_equal(Draws(1, 1, 2).balanced_order(LABELS), other.balanced_order(LABELS))
    lone = Draws(1, 1, 1).balanced_order(np.repeat([0, 1], [99, 1]))
    assert lone.max() < 100 * VIEWS_AN_EPOCH  # random words are drawn for every number up to the largest


@pytest.fixture
def uneven(tiny_config, colour_folder, tmp_path):
    """A config whose folder has 2, 5 and 10 images of the classes for training."""
    for split in ("train", "test"):
        for name, count in (("red", 2), ("green", 5), ("blue", 10)):
            folder = tmp_path / "uneven" / split / name
            folder.mkdir(parents=True)
            for file in sorted((colour_folder / split / name).iterdir())[:count]:
                (folder / file.name).write_bytes(file.read_bytes())
    return {**tiny_config, "dataset_path": str(tmp_path / "uneven"), "valid_fraction": 0.0, "batch_size": 5, "epochs": 2}


def test_a_run_with_balanced_epochs_goes_on_to_the_same_bits(uneven, tmp_path):
    """Without momenta, which a finished run that gets more epochs begins anew."""
    config = {**uneven, **ONLY_HEAD, "balanced_sampling": True, "schedule": "constant", "optimizer": "sgd", "momentum": 0.0}
    whole = read_weights(fit(config).checkpoint)
    halted = {**config, "output": str(tmp_path / "halted")}
    fit({**halted, "epochs": 1})
    gone_on = read_weights(fit({**halted, "resume": True}).checkpoint)
    plain = read_weights(fit({**config, "balanced_sampling": False, "output": str(tmp_path / "plain")}).checkpoint)
    assert all(np.array_equal(whole[name], gone_on[name]) for name in whole)
    assert any(not np.array_equal(whole[name], plain[name]) for name in whole)


def test_weights_of_the_classes_reach_the_head_that_is_solved_and_the_card(uneven, tmp_path):
    solved = {**{name: value for name, value in uneven.items() if name not in ("batch_size", "epochs", "lr_max")}, **ONLY_HEAD,
              "optimizer": "lbfgs", "tune_weight_decay": "no", "weight_decay": 0.1}
    plain = fit({**solved, "output": str(tmp_path / "plain")})
    weighted = fit({**solved, "class_weights": "auto"})
    card = read_card(weighted.checkpoint)
    assert card["class_weights"] == pytest.approx({"green": 17 / 15, "blue": 17 / 30, "red": 17 / 6}, abs=1e-6)
    assert card["config"]["class_weights"] == "auto" and "class_weights" not in read_card(plain.checkpoint)
    by_count = {"red": 17 / 6, "green": 17 / 15, "blue": 17 / 30}
    named = fit({**solved, "class_weights": by_count, "output": str(tmp_path / "named")})
    one, other, third = (read_weights(fitted.checkpoint)["head.1.weight"] for fitted in (weighted, named, plain))
    np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)
    assert np.abs(one - third).max() > 1e-3


def test_the_monitored_metric_chooses_the_best_epoch(tiny_config):
    """Four epochs of which the loss, falling or not, picks another than top-1 may; the card says by what."""
    fitted = fit({**tiny_config, **ONLY_HEAD, "monitor": "loss", "epochs": 4, "lr_max": 3.0, "schedule": "constant"})
    rows = HistoryFile(fitted.checkpoint.parent / "history.csv").rows()
    card = read_card(fitted.checkpoint)
    assert card["epoch"] == min(rows, key=lambda row: row["loss"])["epoch"]
    assert card["chosen"] == "best epoch on the validation images, by loss"
    assert {"macro_f1", "balanced_accuracy"} <= set(card["metrics"]["held out"])


def test_a_loss_of_ones_own_takes_no_weights(tiny_config):
    with pytest.raises(ValueError, match="^class_weights and a loss of your own exclude each other"):
        fit({**tiny_config, "class_weights": "auto"}, loss=nn.CrossEntropyLoss(Tensor([1.0, 1.0, 1.0])))
