"""The figures of a Report, against counting by hand."""

import numpy as np
import pytest
from mindspore import dataset as ds
from mindspore import nn

from mindclf.evaluate import predict_logits, report, softmax

# Six classes, four pictures. The label of the first is likeliest, of the second third, of the third last, of the fourth second.
LOGITS = np.array([[9, 1, 2, 3, 4, 5], [7, 5, 6, 1, 2, 3], [6, 0, 5, 4, 3, 2], [1, 9, 2, 3, 4, 8]], np.float32)
LABELS = np.array([0, 1, 1, 5])


def test_figures_are_those_of_counting():
    result = report(LOGITS, LABELS, 6)
    assert (result.top1, result.top5, result.images) == (0.25, 0.75, 4)
    probabilities = [np.exp(row - row.max()) / np.exp(row - row.max()).sum() for row in LOGITS.astype(float)]
    assert result.loss == pytest.approx(-np.mean([np.log(row[label]) for row, label in zip(probabilities, LABELS)]))
    assert result.confusion.sum() == 4
    assert [result.confusion[pair] for pair in ((0, 0), (1, 0), (5, 1))] == [1, 2, 1]


def test_per_class_leaves_out_classes_without_pictures():
    result = report(LOGITS, LABELS, 6)
    assert result.per_class[[0, 1, 5]].tolist() == [1, 0, 0]
    assert np.isnan(result.per_class[[2, 3, 4]]).all()
    assert result.as_dict()["per_class"] == [1, 0, None, None, None, 0]


def test_constant_logits_win_nothing():
    result = report(np.zeros((10, 7), np.float32), np.arange(10) % 7, 7)
    assert (result.top1, result.top5) == (0, 0)


def test_broken_logits_win_nothing():
    result = report(np.full((4, 7), np.nan, np.float32), np.arange(4), 7)
    assert (result.top1, result.top5) == (0, 0)


def test_probabilities_of_large_logits_are_finite():
    np.testing.assert_allclose(softmax(np.array([[1e4, 0, -1e4]], np.float32)), [[1, 0, 0]])


@pytest.mark.parametrize("count", [1, 4, 6, 7])
def test_every_picture_is_counted_in_its_order(count):
    """Whatever is left for the last batch, and also when a batch is more than there is."""
    class Double(nn.Cell):
        def construct(self, x):
            return x * 2

    values = np.arange(count * 2, dtype=np.float32).reshape(count, 2)
    batches = ds.NumpySlicesDataset((values, np.arange(count, dtype=np.int32)), ["x", "y"], shuffle=False).batch(4)
    logits, labels = predict_logits(Double(), batches)
    np.testing.assert_array_equal(logits, values * 2)
    np.testing.assert_array_equal(labels, np.arange(count))
