"""Metrics against counting by hand."""

import numpy as np
import pytest

from mindclf.metrics import compute_metrics, score_of, softmax

# Six classes, four images. The label of the first scores highest, of the second third, of the third last, of the fourth second.
LOGITS = np.array([[9, 1, 2, 3, 4, 5], [7, 5, 6, 1, 2, 3], [6, 0, 5, 4, 3, 2], [1, 9, 2, 3, 4, 8]], np.float32)
LABELS = np.array([0, 1, 1, 5])


def test_metrics_are_those_of_counting():
    result = compute_metrics(LOGITS, LABELS, 6)
    assert (result.top1, result.top5, result.images) == (0.25, 0.75, 4)
    probabilities = [np.exp(row - row.max()) / np.exp(row - row.max()).sum() for row in LOGITS.astype(float)]
    assert result.loss == pytest.approx(-np.mean([np.log(row[label]) for row, label in zip(probabilities, LABELS)]))
    assert result.confusion.sum() == 4
    assert [result.confusion[pair] for pair in ((0, 0), (1, 0), (5, 1))] == [1, 2, 1]


def test_top1_and_top5_count_labels_by_their_rank():
    """Of seven images one has its label in the first place, one in the second ... one in the seventh: 1 / 7 and 5 / 7."""
    logits = np.tile(np.arange(7, 0, -1, dtype=np.float32), (7, 1))
    result = compute_metrics(logits, np.arange(7), 7)
    assert (result.top1, result.top5) == pytest.approx((1 / 7, 5 / 7))


def test_per_class_leaves_out_classes_without_images():
    result = compute_metrics(LOGITS, LABELS, 6)
    assert result.per_class[[0, 1, 5]].tolist() == [1, 0, 0]
    assert np.isnan(result.per_class[[2, 3, 4]]).all()
    assert result.as_dict()["per_class"] == [1, 0, None, None, None, 0]


def results(correct, wrong):
    """The `Metrics` of as many images of each class, of which so many are predicted correctly and so many as the next class."""
    classes = len(correct)
    labels = np.repeat(np.arange(classes), np.add(correct, wrong))
    predicted = np.concatenate([[label] * correct[label] + [(label + 1) % classes] * wrong[label] for label in range(classes)])
    return compute_metrics(np.eye(classes, dtype=np.float32)[predicted.astype(int)], labels, classes)


def test_balanced_accuracy_is_the_mean_recall_of_the_classes_that_have_images():
    """As scikit-learn's balanced_accuracy_score: its own example, and classes that the truth lacks count for nothing."""
    truth, predicted = np.array([0, 1, 0, 0, 1, 0]), np.array([0, 1, 0, 0, 0, 1])
    result = compute_metrics(np.eye(2, dtype=np.float32)[predicted], truth, 2)
    assert result.balanced_accuracy == result.scalars()["balanced_accuracy"] == 0.625
    assert compute_metrics(np.eye(5, dtype=np.float32)[predicted], truth, 5).balanced_accuracy == 0.625
    uneven = results([9, 30, 0], [1, 10, 5])
    assert uneven.balanced_accuracy == pytest.approx(np.mean([9 / 10, 30 / 40, 0 / 5])) and uneven.top1 == 39 / 55


def test_precision_recall_and_f1_are_those_of_counting():
    """Truth 0 0 0 1 1 2, predictions 0 0 1 1 1 0: of class 0 2 of 3 predictions and 2 of 3 images, of 1 2 of 3 and 2 of 2."""
    truth, predicted = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 0, 1, 1, 1, 0])
    result = compute_metrics(np.eye(3, dtype=np.float32)[predicted], truth, 3)
    assert result.precision[:2] == pytest.approx([2 / 3, 2 / 3]) and np.isnan(result.precision[2])
    assert result.per_class == pytest.approx([2 / 3, 1, 0])
    assert result.f1 == pytest.approx([2 / 3, 2 * (2 / 3) / (2 / 3 + 1), 0])
    assert [result.macro_f1, result.scalars()["macro_f1"]] == pytest.approx([(2 / 3 + 4 / 5) / 3] * 2, abs=1e-6)
    assert result.as_dict()["precision"] == [0.666667, 0.666667, None] and result.as_dict()["f1"] == [0.666667, 0.8, 0]


def test_macro_f1_is_that_of_scikit_learns_example():
    """Of the documentation of f1_score: truth 0 1 2 0 1 2, predictions 0 2 1 0 0 1: macro average 0.26..., classes 0.8, 0, 0."""
    result = compute_metrics(np.eye(3, dtype=np.float32)[[0, 2, 1, 0, 0, 1]], np.array([0, 1, 2, 0, 1, 2]), 3)
    assert result.f1 == pytest.approx([0.8, 0, 0]) and result.macro_f1 == pytest.approx(0.8 / 3)


def test_a_class_without_images_counts_for_nothing_in_the_means():
    """Even where it is predicted, which lowers the precision of none but itself."""
    result = compute_metrics(np.eye(3, dtype=np.float32)[[0, 0, 2, 1]], np.array([0, 0, 0, 1]), 3)
    assert np.isnan(result.f1[2]) and result.precision[2] == 0
    assert result.macro_f1 == pytest.approx((0.8 + 1) / 2) and result.by_f1() == [0, 1, 2]


def test_the_score_is_more_for_better_weights():
    scalars = {"top1": 0.9, "balanced_accuracy": 0.5, "macro_f1": 0.4, "loss": 0.3}
    assert score_of(scalars, "top1") == [0.9, -0.3] and score_of(scalars, "macro_f1") == [0.4, -0.3]
    assert score_of(scalars, "loss") == [-0.3, -0.3]
    assert score_of({**scalars, "loss": 0.2}, "loss") > score_of(scalars, "loss")
    assert score_of({**scalars, "top1": 0.91, "loss": 5.0}, "top1") > score_of(scalars, "top1")


def test_a_class_that_is_never_predicted_is_named_though_top1_is_high():
    """10 roses and 110 tulips, all predicted as tulips."""
    result = results([0, 110], [10, 0])
    assert result.top1 == pytest.approx(0.9167, abs=1e-4)
    assert result.imbalance(["rose", "tulip"]) == "50.00%, the mean over the classes; the worst: rose 0% of 10"


def test_one_bad_class_of_many_is_named_though_the_mean_differs_little():
    result = results([5] * 29 + [2], [0] * 29 + [3])
    assert abs(result.top1 - result.balanced_accuracy) < 0.01
    assert result.imbalance([f"c{label}" for label in range(30)]) == "98.00%, the mean over the classes; the worst: c29 40% of 5"


def test_the_worst_classes_come_first_and_three_at_most():
    result = results([10, 4, 1, 3, 100], [0, 6, 9, 7, 0])
    assert result.worst_classes() == [2, 3, 1]
    assert result.imbalance("abcde").endswith("; the worst: c 10% of 10, d 30% of 10, b 40% of 10")


@pytest.mark.parametrize("result", [results([9, 8, 10], [1, 2, 0]), results([10, 10], [0, 0]), results([0, 0], [5, 5])])
def test_where_classes_differ_little_nothing_is_said(result):
    assert result.imbalance(["a", "b", "c"]) == ""


def test_constant_logits_win_nothing():
    result = compute_metrics(np.zeros((10, 7), np.float32), np.arange(10) % 7, 7)
    assert (result.top1, result.top5) == (0, 0)
    assert "worst" not in result.imbalance("abcdefg")  # no class has less than nothing


def test_broken_logits_win_nothing():
    result = compute_metrics(np.full((4, 7), np.nan, np.float32), np.arange(4), 7)
    assert (result.top1, result.top5) == (0, 0)


def test_probabilities_of_large_logits_are_finite():
    np.testing.assert_allclose(softmax(np.array([[1e4, 0, -1e4]], np.float32)), [[1, 0, 0]])
