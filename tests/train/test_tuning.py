"""Tuning of the weight decay: which images measure it, and which candidate is taken."""

from types import SimpleNamespace

import numpy as np
import pytest

from mindclf.metrics import compute_metrics
from mindclf.train import tuning
from mindclf.train.softmax_regression import solve
from mindclf.train.tuning import Rows, Trial, best_of, choose_weight_decay, folds_of, trials

RNG = np.random.default_rng(0)
LABELS = np.repeat([0, 1, 2], [20, 11, 4])
FEATURES = (RNG.standard_normal((35, 6)) + 1.5 * np.eye(6)[LABELS]).astype(np.float32)


def rng():
    return np.random.default_rng(5)


def test_each_class_is_spread_evenly_over_the_folds():
    fold = folds_of(LABELS, np.arange(35), rng())
    counts = np.array([[np.sum((fold == number) & (label == LABELS)) for number in range(5)] for label in range(3)])
    assert counts[0].tolist() == [4] * 5 and sorted(counts[1]) == [2, 2, 2, 2, 3] and sorted(counts[2]) == [0, 1, 1, 1, 1]
    assert counts.sum(0).tolist() == [7] * 5


def test_copies_of_an_image_share_a_fold():
    groups = np.array([f"file {index // 2}" for index in range(40)])
    fold = folds_of(np.repeat([0, 1], 20), groups, rng())
    assert np.array_equal(fold[::2], fold[1::2]) and set(fold) == set(range(5))


def test_the_folds_depend_on_the_seed_and_on_no_name():
    names = np.array([f"digest {RNG.random()}" for _ in LABELS])
    assert np.array_equal(folds_of(LABELS, np.arange(35), rng()), folds_of(LABELS, names, rng()))
    assert not np.array_equal(folds_of(LABELS, names, rng()), folds_of(LABELS, names, np.random.default_rng(6)))


def test_there_are_no_more_folds_than_the_largest_class_has_images():
    assert set(folds_of(np.array([0, 0, 0, 1]), np.arange(4), rng())) == {0, 1, 2}
    assert set(folds_of(np.arange(4), np.arange(4), rng())) == {0}


def test_a_trial_measures_each_image_with_a_layer_that_has_not_seen_it():
    halves = [(np.arange(0, 35, 2), np.arange(1, 35, 2)), (np.arange(1, 35, 2), np.arange(0, 35, 2))]
    found = trials(FEATURES, LABELS, 3, halves, [0.3, 0.01])
    for trial, weight_decay in zip(found, (0.3, 0.01)):
        logits = np.empty((35, 3))
        for solved_on, measured in halves:
            layer = solve(FEATURES[solved_on], LABELS[solved_on], 3, weight_decay).layer
            logits[measured] = layer.logits(FEATURES[measured])
        expected = compute_metrics(logits, LABELS, 3)
        assert trial.weight_decay == weight_decay and trial.metrics.top1 == expected.top1
        assert trial.metrics.loss == pytest.approx(expected.loss, abs=1e-4)


def trial(weight_decay, top1, loss, images=100):
    return Trial(weight_decay, SimpleNamespace(images=images, loss=loss, scalars=lambda: {"top1": top1, "loss": loss}))


def test_weaker_decays_are_tried_until_two_in_a_row_gain_nothing():
    """Features of noise: the less decay, the greater the loss on other images. All that follows the best is two more."""
    noise = RNG.standard_normal((60, 40)).astype(np.float32)
    labels, halves = np.arange(60) % 3, [(slice(0, 30), slice(30, 60))]
    everything = [trials(noise, labels, 3, halves, [decay])[0] for decay in tuning.CANDIDATES]
    found = trials(noise, labels, 3, halves, monitor="loss")
    losses = [trial.metrics.loss for trial in everything]
    assert losses == sorted(losses) and [trial.weight_decay for trial in found] == [3.0, 1.0, 0.3]
    assert [trial.metrics.loss for trial in found] == pytest.approx(losses[:3], abs=1e-3)


def test_of_trials_as_good_as_the_best_the_one_of_least_loss_is_taken():
    """The standard error of 90 % of 100 images is 3 points, of 10,000 it is 0.3."""
    few, many = ([trial(0.3, 0.90, 0.5, images), trial(0.1, 0.88, 0.3, images), trial(0.03, 0.86, 0.1, images)]
                 for images in (100, 10_000))
    assert best_of(few, "top1").weight_decay == 0.1
    assert best_of(many, "top1").weight_decay == 0.3
    assert best_of(few, "loss").weight_decay == 0.03
    assert best_of([trial(0.1, 1.0, 0.2), trial(0.3, 1.0, 0.2)], "top1").weight_decay == 0.3


def test_without_validation_images_folds_choose_and_with_many_these_do(caplog, monkeypatch):
    names = [f"file {index}" for index in range(35)]
    with caplog.at_level("INFO", logger="mindclf"):
        choice = choose_weight_decay(FEATURES, LABELS, 3, Rows(35, 1, 0, names), rng())
    assert choice.is_out_of_fold and choice.how == "chosen for top1, by 5-fold cross-validation of 35 images"
    assert [tried.weight_decay for tried in choice.tried] == list(tuning.CANDIDATES)[:len(choice.tried)]
    assert choice.best.metrics.images == 35 and choice.weight_decay == choice.best.weight_decay
    assert len([line for line in caplog.messages if "out-of-fold loss" in line]) == len(choice.tried) > 2
    monkeypatch.setattr(tuning, "MANY_VALIDATION", 5)
    choice = choose_weight_decay(FEATURES, LABELS, 3, Rows(30, 1, 5, names), rng())
    assert not choice.is_out_of_fold and choice.how == "chosen for top1, by 5 validation images"
    assert choice.best.metrics.images == 5
    assert choose_weight_decay(FEATURES, LABELS, 3, Rows(30, 1, 5, names), rng(), "cross_validation").best.metrics.images == 35


def test_all_views_of_an_image_are_on_one_side_and_the_first_one_measures():
    """The second views are all zeros: if one measured, or a third of the rows were not solved on, the metrics would be others."""
    rows = Rows(30, 2, 5, [f"file {index}" for index in range(35)])
    views = np.concatenate([FEATURES[:30], np.zeros((30, 6), np.float32), FEATURES[30:]])
    labels = np.concatenate([LABELS[:30], LABELS[:30], LABELS[30:]])
    assert np.array_equal(views[rows.first], FEATURES) and np.array_equal(labels, LABELS[rows.of_image])
    for solved_on, measured in tuning._folds(labels, rows, rng()):
        assert not set(rows.of_image[solved_on]) & set(rows.of_image[measured])
        assert set(measured) <= set(rows.first) and len(solved_on) == np.sum(~np.isin(rows.of_image, rows.of_image[measured]))


def test_of_many_images_fewer_folds_are_looked_at(monkeypatch):
    """Each of 5 folds of 35 images has 7 of them: two have 14, the first number from 10 on."""
    monkeypatch.setattr(tuning, "MOST_MEASURED", 10)
    choice = choose_weight_decay(FEATURES, LABELS, 3, Rows(35, 1, 0, [f"file {index}" for index in range(35)]), rng())
    assert choice.how == "chosen for top1, by 5-fold cross-validation of 35 images, 2 of its folds"
    assert choice.best.metrics.images == 14


def test_of_one_image_a_class_nothing_can_be_tuned(caplog):
    choice = choose_weight_decay(FEATURES[:3], np.arange(3), 3, Rows(3, 1, 0, ["a", "b", "c"]), rng())
    assert choice.weight_decay == tuning.UNTUNED and choice.best is None
    assert "no class has two different images: the weight decay is 0.01, untuned" in caplog.text
