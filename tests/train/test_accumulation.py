"""Gradient accumulation and clipping: what a step does to the weights, against NumPy in float64."""

import numpy as np
import pytest
from mindspore import Tensor

from mindclf.config import merge
from mindclf.train import create_model
from mindclf.train.accumulation import looks_in_step
from mindclf.train.batches import check_count
from mindclf.train.distillation import packed
from tests.train.test_model import dense, gradients_at, train

pytestmark = pytest.mark.usefixtures("uncompiled")  # test_model.py has a step that is compiled

RNG = np.random.default_rng(2)
IMAGES = RNG.standard_normal((70, 5)).astype(np.float32)
LABELS = RNG.integers(0, 3, 70).astype(np.int32)
BATCH = (IMAGES, LABELS)
MIXED = (IMAGES, RNG.dirichlet([1, 1, 1], 70).astype(np.float32))
ACCUMULATED = {"batch_size": 16, "accumulation_steps": 5}  # 14, for the batch has 70: what matters is the number of parts


def norm_of(*gradients):
    return np.sqrt(sum((gradient ** 2).sum() for gradient in gradients))


@pytest.mark.parametrize(("part", "scale", "fields"), [(0.5, 1024, {}), (2.0, 1, {}), (0.5, 1024, ACCUMULATED)])
def test_gradients_that_are_too_long_are_made_as_long_as_clip_norm(part, scale, fields):
    """Before weight decay, which is no part of them."""
    net = dense()
    weight, bias = net.weight.asnumpy().astype(float), net.bias.asnumpy().astype(float)
    by_weight, by_bias = gradients_at(weight, bias, batch=BATCH)
    clip_norm = part * norm_of(by_weight, by_bias)
    factor = min(1, part)
    got = train(net, [0.3], BATCH, optimizer="sgd", momentum=0.0, clip_norm=clip_norm, weight_decay=0.2, loss_scale=scale,
                **fields)
    np.testing.assert_allclose(got[0], weight - 0.3 * (factor * by_weight + 0.2 * weight), rtol=0, atol=1e-6)
    np.testing.assert_allclose(got[1], bias - 0.3 * factor * by_bias, rtol=0, atol=1e-6)


@pytest.mark.parametrize("fields", [{"optimizer": "adamw", "label_smoothing": 0.2}, {"sam_rho": 0.3, "clip_norm": 0.05}])
def test_accumulated_steps_are_those_of_the_large_batch(fields):
    """Two of them, so that nothing of one is left in the next; of SAM the climb is that of the large batch too."""
    whole = train(dense(), [0.1, 0.2], BATCH, weight_decay=0.1, **fields)
    parts = train(dense(), [0.1, 0.2], BATCH, weight_decay=0.1, **fields, **ACCUMULATED)
    for one, other in zip(whole, parts):
        np.testing.assert_allclose(one, other, rtol=0, atol=2e-6)
    assert abs(whole[0] - dense().weight.asnumpy()).max() > 0.01


@pytest.mark.parametrize("batch", [BATCH, MIXED], ids=["labels", "mixed labels"])
def test_loss_and_correct_predictions_are_those_of_the_whole_batch(batch):
    """With class weights, by which parts of the same size count more or less."""
    seen = []
    for fields in ({}, ACCUMULATED):
        step = create_model(dense(), merge({}, fields), [0.1], class_weights=np.array([1.0, 2.0, 8.0])).train_network
        weight = dense()
        loss = step(*map(Tensor, batch))
        seen.append((float(loss.asnumpy()), int(step.loss.correct_predictions.asnumpy()),
                     step.optimizer.parameters[0].asnumpy() - weight.weight.asnumpy()))
    assert seen[0][0] == pytest.approx(seen[1][0], rel=1e-6) and seen[0][1] == seen[1][1] > 0
    np.testing.assert_allclose(seen[0][2], seen[1][2], rtol=0, atol=1e-6)


def test_a_net_that_is_taught_in_parts_moves_as_with_the_whole_batch():
    taught = (IMAGES, packed(LABELS, RNG.standard_normal((70, 3))))
    whole, parts = (train(dense(), [0.1, 0.2], taught, teacher="x", **fields)
                    for fields in ({}, ACCUMULATED))
    for one, other in zip(whole, parts):
        np.testing.assert_allclose(one, other, rtol=0, atol=2e-6)
    assert abs(whole[0] - dense().weight.asnumpy()).max() > 0.01


def test_dropout_goes_on_as_often_as_it_drew():
    """A step of 4 x 16 images looks at 4 parts; SAM climbs by a fourth of them, one part; of 8 x 16, two."""
    for fields, looks in (({}, 1), ({"sam_rho": 0.1}, 2), ({"accumulation_steps": 4}, 4),
                          ({"accumulation_steps": 4, "sam_rho": 0.1}, 5), ({"accumulation_steps": 8, "sam_rho": 0.1}, 10)):
        assert looks_in_step(merge({}, {"batch_size": 16, **fields})) == looks


def test_too_few_images_for_a_step_are_refused_with_both_numbers():
    check_count(64, 16, 4)
    with pytest.raises(ValueError, match="^batch_size=16 times accumulation_steps=4 is more than the 63 training images$"):
        check_count(63, 16, 4)
