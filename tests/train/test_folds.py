"""folds=k through the real entry point: who trains on what, what is predicted by whom, and that a killed run goes on."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest

from mindclf.checkpoint import load_net, read_card
from mindclf.config import merge
from mindclf.dataset.splits import read_splits
from mindclf.metrics import softmax
from mindclf.nets.mobilenet_v2 import MobileNetV2
from mindclf.train import fit
from mindclf.train import folds as folding
from mindclf.train.features import SharedFeatures, stored_features
from mindclf.train.folds import Folds, FoldTrainer
from mindclf.train.softmax_regression import solve
from tests.conftest import ONLY_HEAD, TINY_NET

pytestmark = pytest.mark.usefixtures("uncompiled")


@pytest.fixture
def solved(tiny_config):
    """A config whose head is solved, with 3 folds."""
    return {**{name: value for name, value in tiny_config.items() if name not in ("batch_size", "epochs", "lr_max")}, **ONLY_HEAD,
            "optimizer": "lbfgs", "folds": 3}


@pytest.fixture
def descended(tiny_config):
    """A config that trains a head by gradient descent for an epoch, with 2 folds."""
    return {**tiny_config, **ONLY_HEAD, "epochs": 1, "folds": 2}


def test_every_image_is_tested_once_and_its_net_has_seen_none_of_its_copies(colour_folder, tmp_path, tiny_config):
    folder = tmp_path / "images"
    shutil.copytree(colour_folder, folder)
    for name in ("red", "blue"):
        for index in range(4):
            shutil.copy(folder / "train" / name / f"{index}.png", folder / "train" / name / f"copy{index}.png")
    config = merge(tiny_config, {"dataset_path": str(folder), "folds": 3})
    splits = read_splits(config)
    folds = Folds.of(config, splits)
    everything = sorted([*splits.train.paths, *splits.valid.paths])
    assert sorted(path for part in folds.splits for path in part.test.paths) == everything
    labels = np.array(folds.images.labels)
    for part in folds.splits:
        assert sorted([*part.train.paths, *part.valid.paths, *part.test.paths]) == everything
        assert not {*part.train.digests(), *part.valid.digests()} & set(part.test.digests())
        assert 2 <= len(part.valid) < len(part.train)
    for label in range(3):
        counts = np.bincount(folds.fold[labels == label], minlength=3)
        assert counts.max() - counts.min() <= 2  # 14, 14 and 10 images, of which some are copies
    again = Folds.of(config, splits)
    assert np.array_equal(again.fold, folds.fold)
    assert not np.array_equal(Folds.of(merge(config, {"seed": 3}), splits).fold, folds.fold)


def test_features_of_parts_are_those_of_the_parts_and_computed_once(solved, monkeypatch):
    config = merge({**solved, "feature_cache": "", "cached_views": 2, "mean": (1, 1, 1), "std": (9, 9, 9)})
    splits = read_splits(config)
    images, net = splits.train.joined(splits.valid), MobileNetV2(3, **TINY_NET)
    shared = SharedFeatures(splits.train, splits.valid)
    whole = np.concatenate([stored_features(net, part, config, 2)[0].reshape(2, len(part), -1)
                            for part in (splits.train, splits.valid)], axis=1).reshape(60, -1)
    labels = np.tile(images.labels, 2)
    found, found_labels = shared.of(net, images.take([7, 2, 29]), config, 2)
    rows = [7, 2, 29, 37, 32, 59]  # view 0, then view 1
    assert np.array_equal(found, whole[rows]) and np.array_equal(found_labels, labels[rows])
    monkeypatch.setattr("mindclf.train.features.stored_features", None)
    assert np.array_equal(shared.of(net, images.take([4]), config, 2)[0], whole[[4, 34]])


def test_out_of_fold_predictions_are_those_of_heads_solved_without_the_fold(solved):
    """The weight decay is given: so each head is the solution on the training and validation images of its fold."""
    config = {**solved, "tune_weight_decay": "no", "weight_decay": 0.1}
    fitted = fit(config)
    result, card = fitted.folds, read_card(fitted.checkpoint)
    full = merge(config, {"mean": card["mean"], "std": card["std"]})
    net, _ = load_net(fitted.checkpoint)
    features, labels = stored_features(net, result.images, full)
    for fold in range(3):
        layer = solve(features[result.fold != fold], labels[result.fold != fold], 3, 0.1).layer
        expected, found = softmax(layer.logits(features[result.fold == fold])), softmax(result.logits[result.fold == fold])
        np.testing.assert_allclose(found, expected, atol=1e-4)
    assert card["cross_validation"] == result.summary() and result.pooled.images == 30
    kept = fitted.checkpoint.parent / "folds"
    assert sorted(path.relative_to(kept).as_posix() for path in kept.rglob("*.*")) == [
        f"{fold}/{name}" for fold in (1, 2, 3) for name in ("history.csv", "predictions.npz")]


@pytest.mark.report
def test_planted_wrong_labels_are_listed_first(colour_folder, tmp_path, solved):
    """Three of ten red images lie among the green ones; features of colours are enough to tell."""
    folder = tmp_path / "images"
    shutil.copytree(colour_folder, folder)
    for index in (4, 6, 8):
        shutil.move(folder / "train/red" / f"{index}.png", folder / "train/green" / f"red{index}.png")
    fitted = fit({**solved, "dataset_path": str(folder), "folds": 5})
    with open(tmp_path / "run" / "label_issues.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {Path(row["file"]).name for row in rows[:3]} == {"red4.png", "red6.png", "red8.png"}
    assert {(row["given_label"], row["suggested_label"]) for row in rows[:3]} == {("green", "red")}
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "Labels that are probably wrong" in page and "green/red4.png" in page
    assert fitted.folds.issue_lines(1)[0].startswith("green/red")


@pytest.mark.parametrize("where", ["first fold", "second fold"])
def test_a_run_that_is_killed_goes_on_to_the_same_predictions(descended, tmp_path, monkeypatch, where):
    whole = fit({**descended, "output": str(tmp_path / "whole")}).folds
    config = {**descended, "output": str(tmp_path / "killed")}
    calls, write = [], folding.write_arrays

    def killed_at_first(file, **arrays):
        calls.append(file)
        if len(calls) == (1 if where == "first fold" else 2):
            raise KeyboardInterrupt
        write(file, **arrays)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(folding, "write_arrays", killed_at_first)
        fit(config)
    trained = []
    monkeypatch.setattr(FoldTrainer, "_trained", lambda self, folder, splits, train=FoldTrainer._trained: (
        trained.append(folder.name), train(self, folder, splits))[1])
    again = fit({**config, "resume": True}).folds
    assert np.array_equal(again.logits, whole.logits) and np.array_equal(again.fold, whole.fold)
    assert trained == (["1", "2"] if where == "first fold" else ["2"])
    assert np.array_equal(fit({**config, "resume": True}).folds.logits, whole.logits)
    assert trained == (["1", "2"] if where == "first fold" else ["2"])  # nothing was trained again


def test_a_finished_run_can_be_given_folds_and_others_train_anew_with_other_fields(descended, tmp_path):
    plain = fit({**descended, "folds": 0})
    found = fit({**descended, "resume": True})
    assert plain.folds is None and len(found.folds.by_fold) == 2
    assert found.report.as_dict() == plain.report.as_dict()
    longer = fit({**descended, "resume": True, "epochs": 2}).folds
    assert not np.array_equal(longer.logits, found.folds.logits)
    rows = (tmp_path / "run" / "folds" / "1" / "history.csv").read_text().splitlines()
    assert len(rows) == 1 + 2


@pytest.mark.parametrize(("fields", "message"), [
    ({"folds": 1}, "folds=1 leaves no image to train on"),
    ({"folds": 50}, "folds=50 needs a class with so many different images to train on, and the largest here has 10"),
    ({"folds": 2, "batch_size": 16}, "batch_size=16 is more than the 12 training images of a fold"),
    ({"net": "own"}, "folds=2 and a net of your own exclude each other"),
])
def test_what_cannot_be_folded_is_refused_before_anything_is_trained(descended, fields, message):
    own = {"net": MobileNetV2(3, **TINY_NET)} if fields.get("net") else {}
    with pytest.raises(ValueError, match=message):
        fit({**descended, **{name: value for name, value in fields.items() if name != "net"}}, **own)
    assert not Path(descended["output"]).exists() or not any(Path(descended["output"]).iterdir())
