"""Confident learning against the equations of arXiv:1911.00068, written down here image by image, and on planted wrong labels."""

import numpy as np

from mindclf.label_issues import find_label_issues

RNG = np.random.default_rng(0)
CLASSES, COUNT = 4, 400


def drawn():
    """(probabilities (400, 4), given labels, true labels): a tenth of the labels is wrong, and the predictions are unsure.

    Most so of class 1, so that its threshold is low.
    """
    true = RNG.integers(CLASSES, size=COUNT)
    given = np.where(RNG.random(COUNT) < 0.1, (true + RNG.integers(1, CLASSES, COUNT)) % CLASSES, true)
    logits = np.array([6.0, 0.5, 3.0, 3.0])[true, None] * np.eye(CLASSES)[true] + RNG.standard_normal((COUNT, CLASSES))
    return np.exp(logits) / np.exp(logits).sum(1, keepdims=True), given, true


def test_the_issues_are_those_off_the_diagonal_of_the_confident_joint_but_for_most_probable_labels():
    probabilities, given, _ = drawn()
    thresholds = [np.mean([p[label] for p, own in zip(probabilities, given) if own == label]) for label in range(CLASSES)]
    expected, joint = [], np.zeros((CLASSES, CLASSES), int)
    for index, (p, own) in enumerate(zip(probabilities, given)):
        reached = [label for label in range(CLASSES) if p[label] >= thresholds[label]]
        if reached:
            counted_as = max(reached, key=lambda label: p[label])
            joint[own, counted_as] += 1
            if counted_as != own and p[own] < p.max():
                expected.append((p[own] - max(np.delete(p, own)), index, int(own), int(p.argmax())))
    found = find_label_issues(probabilities, given)
    assert [(issue.index, issue.given, issue.suggested) for issue in found] == [row[1:] for row in sorted(expected)]
    np.testing.assert_allclose([issue.margin for issue in found], [row[0] for row in sorted(expected)])
    assert 10 < len(found) < joint.sum() - joint.trace()  # some labels are the most probable, and below their threshold


def test_most_of_the_planted_labels_are_found_and_rank_first():
    probabilities, given, true = drawn()
    found = find_label_issues(probabilities, given)
    wrong = [given[issue.index] != true[issue.index] for issue in found]
    assert sum(wrong) > 0.65 * np.sum(given != true) and np.mean(wrong[:10]) > 0.85 > np.mean(wrong)
    assert all(issue.given_probability < issue.suggested_probability for issue in found)


def test_a_class_without_images_is_not_suggested():
    """All images are a bit like class 2, which no image has as its label."""
    probabilities = np.array([[0.5, 0.1, 0.4], [0.1, 0.3, 0.6], [0.05, 0.35, 0.6], [0.9, 0.05, 0.05]])
    [issue] = find_label_issues(probabilities, np.array([0, 1, 0, 0]))
    assert (issue.index, issue.suggested) == (2, 1)


def test_perfect_predictions_have_no_issue():
    assert find_label_issues(np.eye(3)[[0, 1, 2, 0]], np.array([0, 1, 2, 0])) == []
