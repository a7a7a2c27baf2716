"""optimizer=lbfgs through the real entry point: what is solved on what, what is said of it, and that it can be resumed."""

import numpy as np
import pytest
from mindspore import nn
from mindspore.train import Callback

from mindclf.checkpoint import load_net, read_card, read_weights
from mindclf.config import merge
from mindclf.dataset.seen import seen_by, short
from mindclf.dataset.splits import read_splits
from mindclf.evaluation import evaluate
from mindclf.nets import NETS, create_net
from mindclf.nets.alexnet import AlexNetHead
from mindclf.nets.layers import DenseHead, ImageClassifier
from mindclf.nets.mobilenet_v2 import MobileNetV2Head
from mindclf.nets.squeezenet import SqueezeNetHead
from mindclf.nets.vgg import VGGHead
from mindclf.report.history import HistoryFile
from mindclf.train import fit, solved_head, train_folder
from mindclf.train.checkpointing import CheckpointManager
from mindclf.train.features import stored_features
from mindclf.train.softmax_regression import DenseLayer, solve
from tests.conftest import ONLY_HEAD, TINY_NET
from tests.train.test_resume import TIMES

pytestmark = pytest.mark.usefixtures("uncompiled")


@pytest.fixture
def solved(tiny_config):
    """A config whose head is solved."""
    return {**{name: value for name, value in tiny_config.items() if name not in ("batch_size", "epochs", "lr_max")}, **ONLY_HEAD,
            "optimizer": "lbfgs"}


def test_ones_own_folder_is_solved_without_a_field_and_trained_with_epochs(solved, colour_folder, tmp_path):
    start = fit({**solved, "output": str(tmp_path / "start")}).checkpoint
    fields = {"pretrained": str(start), "net_options": TINY_NET, "image_height": 32, "image_width": 32}
    cards = [read_card(train_folder(colour_folder, output=str(tmp_path / name), **fields, **more).checkpoint)
             for name, more in (("solved", {}), ("trained", {"epochs": 1}))]
    assert cards[0]["config"]["optimizer"] == "lbfgs" and cards[0]["solved"]["converged"]
    assert cards[0]["classes"] == ["blue", "green", "red"] and cards[0]["metrics"]["test"]["top1"] > 0.6
    assert "optimizer" not in cards[1]["config"] and "solved" not in cards[1] and cards[1]["config"]["epochs"] == 1


def layer_of(checkpoint):
    weights = read_weights(checkpoint)
    return weights["head.1.weight"].astype(float), weights["head.1.bias"].astype(float)


def features_of(checkpoint, config, *parts):
    """Features and labels of those of the splits of a run."""
    net, _ = load_net(checkpoint)
    full = merge(config, {"mean": read_card(checkpoint)["mean"], "std": read_card(checkpoint)["std"]})
    found = [stored_features(net, getattr(read_splits(full), part), full) for part in parts]
    return map(np.concatenate, zip(*found))


def test_the_head_is_the_solution_on_training_and_validation_images(solved, colour_folder):
    fitted = fit(solved)
    card = read_card(fitted.checkpoint)
    features, labels = features_of(fitted.checkpoint, solved, "train", "valid")
    assert len(labels) == 30
    layer, weight_decay = DenseLayer(*layer_of(fitted.checkpoint)), card["solved"]["weight_decay"]
    assert solve(features, labels, 3, weight_decay, start=layer).iterations == 0  # there is nothing left to do
    for others in (features[:24], labels[:24], 3, weight_decay), (features, labels, 3, 2 * weight_decay):
        assert solve(*others, start=layer).iterations > 0
    again = evaluate(fitted.checkpoint, colour_folder, class_index=solved["class_index"])
    assert again.as_dict() == fitted.report.as_dict() and fitted.report.top1 > 0.6


def test_the_validation_metrics_are_those_of_a_head_that_had_not_seen_these_images(solved):
    fitted = fit(solved)
    card, folder = read_card(fitted.checkpoint), fitted.checkpoint.parent
    train, train_labels = features_of(fitted.checkpoint, solved, "train")
    valid, valid_labels = features_of(fitted.checkpoint, solved, "valid")
    layer = solve(train, train_labels, 3, card["solved"]["weight_decay"]).layer
    logits = layer.logits(valid)
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    loss = -np.log(probabilities[np.arange(6), valid_labels]).mean()
    assert card["metrics"]["held out"]["loss"] == pytest.approx(loss, rel=1e-3)
    rows = HistoryFile(folder / "history.csv").rows()
    assert rows[-1]["loss"] == pytest.approx(loss, rel=1e-3) and {row["watched"] for row in rows} == {"held out"}
    assert [row["epoch"] for row in rows] == list(range(1, len(rows) + 1))
    assert rows[-1]["train_loss"] < rows[0]["train_loss"]
    out_of_fold = card["metrics"]["out of fold"]
    assert out_of_fold["images"] == 30
    [chosen] = [trial for trial in card["solved"]["trials"] if trial["weight_decay"] == card["solved"]["weight_decay"]]
    assert chosen["loss"] == out_of_fold["loss"]
    assert card["chosen"].startswith(
        f"head solved by L-BFGS on training and validation images, weight decay {chosen['weight_decay']:g}, chosen for top1, by "
        f"5-fold cross-validation of 30 images; the validation metrics are of the head solved on training images alone")


def test_validation_images_count_as_trained_on(solved):
    """So `mindclf eval` leaves them out for what they are."""
    seen = seen_by(read_card(fit(solved).checkpoint))
    splits = read_splits(merge(solved))
    assert seen.train == set(map(short, splits.train.digests() + splits.valid.digests())) and not seen.validation


def test_without_validation_images_the_training_images_are_all(solved):
    fitted = fit({**solved, "valid_fraction": 0.0})
    card = read_card(fitted.checkpoint)
    features, labels = features_of(fitted.checkpoint, {**solved, "valid_fraction": 0.0}, "train")
    expected = solve(features, labels, 3, card["solved"]["weight_decay"]).layer
    np.testing.assert_allclose(layer_of(fitted.checkpoint)[0], expected.kernel, rtol=1e-4, atol=1e-5)
    assert card["metrics"]["out of fold"]["images"] == 30 and "held out" not in card["metrics"]
    assert card["chosen"].endswith("by 5-fold cross-validation of 30 images")


def test_a_weight_decay_that_is_given_is_taken(solved):
    card = read_card(fit({**solved, "tune_weight_decay": "no", "weight_decay": 0.2}).checkpoint)
    assert card["solved"]["weight_decay"] == 0.2 and not card["solved"]["trials"]
    assert "weight decay 0.2, as the config says" in card["chosen"] and "out of fold" not in card["metrics"]


def same(first, second):
    """Whether two runs have the same weights and the same history, but for times."""
    def rows(checkpoint):
        return [{name: value for name, value in row.items() if name not in TIMES}
                for row in HistoryFile(checkpoint.parent / "history.csv").rows()]

    weights, others = read_weights(first), read_weights(second)
    return rows(first) == rows(second) and all(np.array_equal(weights[name], others[name]) for name in weights)


@pytest.mark.parametrize("call", ["after_solving", "save_best", "finish"])
def test_a_run_that_is_killed_goes_on_to_the_same_bits(solved, tmp_path, monkeypatch, call):
    """Before anything is saved of the head, between its state and best.ckpt, and before the end."""
    whole = fit(solved).checkpoint

    def killed(*arguments, **options):
        raise KeyboardInterrupt

    config = {**solved, "output": str(tmp_path / "killed")}
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(CheckpointManager, call, killed)
        fit(config)
    again = fit({**config, "resume": True}).checkpoint
    assert same(whole, again)
    assert read_card(again)["metrics"] == read_card(whole)["metrics"]
    assert not (again.parent / "epochs").exists()
    assert same(whole, fit({**config, "resume": True}).checkpoint)  # a finished run is reported again


def test_a_head_that_later_phases_go_on_from_has_not_seen_the_validation_images(solved, monkeypatch):
    """And it is compared with their epochs on these."""
    given = []

    def recorded(features, labels, *arguments, **options):
        given.append(len(labels))
        return solve(features, labels, *arguments, **options)

    monkeypatch.setattr(solved_head, "solve", recorded)
    phases = [{**ONLY_HEAD, "optimizer": "lbfgs"}, {"trainable": "all", "epochs": 1, "batch_size": 6, "lr_max": 1e-6}]
    config = {name: value for name, value in solved.items() if name not in (*ONLY_HEAD, "optimizer")}
    fitted = fit({**config, "phases": phases})
    assert given == [24]
    rows = HistoryFile(fitted.checkpoint.parent / "history.csv").rows()
    assert [row["phase"] for row in rows][-2:] == [1, 2]
    assert seen_by(read_card(fitted.checkpoint)).validation


def test_after_another_phase_the_validation_images_choose_the_weight_decay(solved):
    """Features of a backbone that was trained on the training images are not measured in folds of these."""
    phases = [{"trainable": "all", "epochs": 1, "batch_size": 6, "lr_max": 1e-6}, {**ONLY_HEAD, "optimizer": "lbfgs"}]
    config = {name: value for name, value in solved.items() if name not in (*ONLY_HEAD, "optimizer")}
    card = read_card(fit({**config, "phases": phases}).checkpoint.with_name("last.ckpt"))
    assert "by 6 validation images" in card["chosen"] and "out of fold" not in card["metrics"]


def with_head(head):
    return ImageClassifier(nn.Identity(), head)


def test_heads_that_are_one_dense_layer_are_known_by_their_net():
    """By the name of the net own folders know whether to solve the head: see HIDDEN_LAYERS of mindclf.own_images."""
    from mindclf.own_images import own_images

    for head in (DenseHead(8, 3), DenseHead(8, 3, 0.2), MobileNetV2Head(8, 3, has_dropout=True)):
        assert solved_head.dense_layer_of(with_head(head), "net").weight.shape == (3, 8)
    for head in (VGGHead(8, 3, 8, 0.5), AlexNetHead(8, 3, 8), SqueezeNetHead(8, 3), create_net("asymmnet_small", 3).head):
        with pytest.raises(ValueError, match="^optimizer=lbfgs solves a head that is one dense layer.*that of net is another"):
            solved_head.dense_layer_of(with_head(head), "net")
    others = {name for name in NETS if own_images("folder", [f"net={name}"]).get("optimizer") != "lbfgs"}
    assert others == {name for name in NETS if name.startswith(("alexnet", "asymmnet", "squeezenet", "vgg"))}


@pytest.mark.parametrize(("fields", "message"), [
    ({"net": "squeezenet1_1", "net_options": {}}, "optimizer=lbfgs solves a head that is one dense layer"),
    ({"valid_fraction": 0.0, "tune_weight_decay": "validation"}, "tune_weight_decay=validation needs validation images"),
    ({"weight_decay": 0.2}, "weight_decay=0.2 means nothing to tune_weight_decay='auto'"),
    ({"cached_views": 0}, "optimizer='lbfgs' needs trainable='head' and cached_views of 1 or more"),
    ({"lr_max": 0.1}, "lr_max=0.1 means nothing to optimizer='lbfgs'"),
    ({"ema_decay": 0.95}, "ema_decay=0.95 means nothing to optimizer='lbfgs'"),
], ids=str)
def test_what_cannot_be_solved_is_refused_in_words(solved, fields, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        fit({**solved, **fields})


@pytest.mark.parametrize("own", [
    {"loss": nn.CrossEntropyLoss()}, {"optimizer": lambda net, rates: None}, {"callbacks": [Callback()]}])
def test_objects_of_ones_own_that_take_steps_are_refused(solved, own):
    with pytest.raises(ValueError, match=f"^{next(iter(own))} of your own and optimizer=lbfgs exclude each other"):
        fit(solved, **own)
