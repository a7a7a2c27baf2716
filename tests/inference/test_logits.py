"""Evaluation counts every image, in its order."""

import numpy as np
import pytest
from mindspore import dataset as ds
from mindspore import nn

from mindclf.inference.logits import evaluate_net, predict_logits


class Double(nn.Cell):
    def construct(self, x):
        return x * 2


def rows(values, labels):
    return ds.NumpySlicesDataset((values, np.array(labels, np.int32)), ["x", "y"], shuffle=False).batch(4)


@pytest.mark.parametrize("count", [1, 4, 6, 7])
def test_every_image_is_counted_in_its_order(count):
    """Whatever is left for the last batch, and also when a batch is more than there is."""
    values = np.arange(count * 2, dtype=np.float32).reshape(count, 2)
    logits, labels = predict_logits(Double(), rows(values, range(count)))
    np.testing.assert_array_equal(logits, values * 2)
    np.testing.assert_array_equal(labels, np.arange(count))


def test_a_net_is_evaluated_in_inference_mode_over_all_of_its_outputs():
    net = Double().set_train(True)
    values = np.array([[1, 0], [0, 1], [1, 0], [1, 0], [0, 1]], np.float32)
    result = evaluate_net(net, rows(values, [0, 1, 0, 1, 0]), 2)
    assert (result.top1, result.images, net.training) == (0.6, 5, False)
    assert result.confusion.tolist() == [[2, 1], [1, 1]]


def test_outputs_of_a_shard_are_completed_before_they_are_counted():
    whole = evaluate_net(Double(), rows(np.eye(3, dtype=np.float32)[:1], [0]), 3, lambda shard: np.concatenate([shard] * 3))
    assert (whole.images, whole.top1) == (3, 1.0)
