"""Evaluation counts every image, in its order."""

import sys

import numpy as np
import pytest
from mindspore import dataset as ds
from mindspore import nn

from mindclf.inference.batches import run_batches
from mindclf.inference.logits import evaluate_net, predict_logits
from tests.support.terminal import TextTerminal, screen


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


@pytest.mark.parametrize("seconds", [0.1, 5])
def test_an_evaluation_that_takes_long_shows_a_bar_on_a_terminal(monkeypatch, seconds):
    clock = [100.0]
    monkeypatch.setattr("tqdm.std.time", lambda: clock[0])
    monkeypatch.setattr("sys.stderr", TextTerminal())

    def run(images):
        clock[0] += seconds
        return images

    run_batches(run, rows(np.eye(10, dtype=np.float32), range(10)), title="features")
    shown = sys.stderr.getvalue()
    assert ("features  33%|" in shown) == ("| 1/3 00:10 left" in shown) == (seconds == 5)
    assert screen(shown, 80)[0] == ""
