"""Distillation: the loss and a step against PyTorch-like arithmetic in NumPy, what the teacher sees, and runs with one."""

import numpy as np
import pytest
from mindspore import Tensor, nn
from mindspore import dataset as ds

from mindclf.checkpoint import load_net, make_card, read_card, read_weights, save_checkpoint
from mindclf.config import merge
from mindclf.dataset.splits import read_splits
from mindclf.nets import create_net
from mindclf.train import create_model, fit
from mindclf.train.batches import EpochBatches
from mindclf.train.distillation import DistillationLoss, DistilledBatches, Teacher, packed
from mindclf.train.mixing import Mixing
from mindclf.train.model import ClassifierLoss
from tests.conftest import CLASS_INDEX, TINY_NET

pytestmark = pytest.mark.usefixtures("uncompiled")
RNG = np.random.default_rng(0)
LOGITS, TAUGHT = RNG.standard_normal((2, 6, 3)).astype(np.float32) * 3
LABELS = np.array([0, 2, 1, 1, 0, 2], np.int32)


def probabilities(logits):
    exponentials = np.exp(logits.astype(float) - logits.max(1, keepdims=True))
    return exponentials / exponentials.sum(1, keepdims=True)


def loss_of(logits, target, temperature, weight, class_weights=None):
    """By arXiv:1503.02531, section 2, in float64; `target` (n, 3) has the fractions of the classes."""
    hot, cold = probabilities(TAUGHT / temperature), probabilities(logits / temperature)
    divergence = (hot * np.log(hot / cold)).sum(1).mean()
    images = -(target * np.log(probabilities(logits))).sum(1)
    counts = np.ones(len(target)) if class_weights is None else np.array(class_weights)[target.argmax(1)]
    return weight * temperature**2 * divergence + (1 - weight) * (counts * images).sum() / counts.sum()


@pytest.mark.parametrize(("temperature", "weight", "mixed", "class_weights"), [
    (1.0, 0.5, False, None), (4.0, 0.9, False, None), (4.0, 0.9, True, None), (2.0, 0.3, False, [1.0, 5.0, 0.5]),
    (3.0, 1.0, False, None), (3.0, 0.0, False, None)])
def test_the_loss_is_that_of_the_formula(temperature, weight, mixed, class_weights):
    target = np.eye(3)[LABELS]
    if mixed:
        target = 0.7 * target + 0.3 * target[::-1]
    cell = DistillationLoss(ClassifierLoss(class_weights=class_weights), temperature, weight)
    targets = packed(target.astype(np.float32) if mixed else LABELS, TAUGHT)
    found = cell(Tensor(LOGITS), Tensor(targets))
    assert float(found.asnumpy()) == pytest.approx(loss_of(LOGITS, target, temperature, weight, class_weights), rel=1e-5)
    assert int(cell.correct_predictions.asnumpy()) == (LOGITS.argmax(1) == target.argmax(1)).sum() > 0


def test_a_step_follows_the_gradient_of_both():
    """weight x T x (p_T - q_T) + (1 - weight) x (p - y), over n, times x: section 2's equation 2, with its T^2."""
    images, temperature, weight = RNG.standard_normal((6, 5)).astype(np.float32), 4.0, 0.6
    net = nn.Dense(5, 3)
    before, bias = net.weight.asnumpy().astype(float).copy(), net.bias.asnumpy().astype(float)
    config = merge({}, {"teacher": "any", "distillation_temperature": temperature, "distillation_weight": weight,
                        "optimizer": "sgd", "momentum": 0.0, "weight_decay": 0.0})
    batches = ds.NumpySlicesDataset((images, packed(LABELS, TAUGHT)), ["image", "label"], shuffle=False).batch(6)
    create_model(net, config, [0.5]).train(1, batches, dataset_sink_mode=False)
    logits = images @ before.T + bias
    soft = temperature * (probabilities(logits / temperature) - probabilities(TAUGHT / temperature))
    hard = probabilities(logits) - np.eye(3)[LABELS]
    gradient = (weight * soft + (1 - weight) * hard).T @ images / 6
    np.testing.assert_allclose(net.weight.asnumpy(), before - 0.5 * gradient, atol=1e-5)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    """A checkpoint of random weights, whose classes lie in the order green, blue, red, and whose pixels are of another scale."""
    file = tmp_path_factory.mktemp("teacher") / "teacher.ckpt"
    card = make_card("mobilenet_v2", ["green", "blue", "red"], {
        "image_height": 32, "image_width": 32, "net_options": TINY_NET, "mean": (100, 110, 90), "std": (70, 50, 60)})
    return save_checkpoint(create_net("mobilenet_v2", 3, **TINY_NET), file, card)


@pytest.fixture
def taught(tiny_config, teacher):
    return {**tiny_config, "teacher": str(teacher), "epochs": 1, "mixup_alpha": 0.4}


def test_the_teacher_sees_the_same_images_as_it_was_trained_to_and_answers_in_the_order_of_the_classes(taught, teacher):
    config = merge({**taught, "class_index": {"red": 0, "blue": 2, "green": 1}}, {"mean": (120, 130, 140), "std": (60, 61, 62)})
    found = Teacher(config, read_splits(config))
    pixels = RNG.integers(0, 256, (4, 3, 32, 32)).astype(np.float32)
    normalised, own = ((pixels - np.array(mean, np.float32).reshape(3, 1, 1)) / np.array(std, np.float32).reshape(3, 1, 1)
                       for mean, std in (((120, 130, 140), (60, 61, 62)), ((100, 110, 90), (70, 50, 60))))
    expected = load_net(teacher)[0](Tensor(own)).asnumpy()
    assert list(CLASS_INDEX.items()) == [("red", 2), ("green", 0), ("blue", 1)]
    np.testing.assert_allclose(found.logits(normalised), expected[:, [2, 0, 1]], atol=1e-4)


def test_a_batch_has_the_teachers_logits_of_its_mixed_images():
    images = RNG.standard_normal((12, 4)).astype(np.float32)
    labels = (np.arange(12) % 3).astype(np.int32)

    class Doubling:
        """A teacher whose logits are twice the first pixels."""

        @staticmethod
        def logits(seen):
            return 2 * seen[:, :3]

    def make(draws, indices):
        return ds.NumpySlicesDataset((images[indices], labels[indices]), shuffle=False).batch(4)

    plain, distilled = (EpochBatches(make, 12, 4, 1, 1, Mixing(0.4, 0.0, 3)) for _ in range(2))
    distilled = DistilledBatches(distilled, Doubling)
    distilled.resume(0, 1)  # the first step is over
    found = list(distilled.next_epoch())
    expected = list(plain.next_epoch())[1:]
    assert len(found) == len(expected) == 2 and distilled.get_dataset_size() == 3
    for (seen, targets), (mixed, fractions) in zip(found, expected):
        assert np.array_equal(seen.asnumpy(), mixed.asnumpy())
        np.testing.assert_allclose(targets.asnumpy(), np.concatenate([fractions.asnumpy(), 2 * mixed.asnumpy()[:, :3]], 1))


def test_a_run_with_a_teacher_names_it_on_its_card_and_does_not_go_on_with_another(taught, teacher, tmp_path, monkeypatch):
    config = {**taught, "ema_decay": 0.9}
    made = fit(config).checkpoint
    assert read_card(made)["teacher"] == {"file": "teacher.ckpt", "net": "mobilenet_v2",
                                          "weights_sha256": read_card(teacher)["weights_sha256"]}
    assert read_weights(made).keys() == read_weights(teacher).keys()  # nothing of the teacher is saved
    net, own = load_net(teacher)
    next(net.get_parameters()).set_data(next(net.get_parameters()) + 1)
    changed = save_checkpoint(net, tmp_path / "changed.ckpt", own)
    monkeypatch.setattr("mindclf.train.distillation.named_checkpoint", lambda name: changed)
    with pytest.raises(ValueError, match="its teacher was another file"):
        fit({**config, "resume": True})


@pytest.mark.parametrize(("fields", "message"), [
    ({"image_width": 40}, "sees images of 32 x 32 pixels, and the net that learns 32 x 40: set image_height=32 image_width=32"),
    ({"train_scale": 0.5, "image_height": 32}, "sees images of one size, and train_scale shows smaller ones"),
    ({"trainable": "head", "cached_views": 1, "mixup_alpha": 0.0},
     "teaches a net that sees images, not a head on stored features"),
    ({"white": 4095.0}, "takes white=255 for white, and here it is 4095"),
    ({"teacher": "", "distillation_weight": 0.9, "mixup_alpha": 0.0}, "distillation_weight=0.9 means nothing without a teacher"),
    ({"teacher": "garbage26_mobilenet_v2"}, "has other classes than the images: it lacks 'green', 'blue', 'red'; it alone has"),
])
def test_a_teacher_that_cannot_teach_is_refused(taught, fields, message):
    with pytest.raises(ValueError, match=message):
        config = merge({**taught, **fields}, {"mean": (1, 1, 1), "std": (9, 9, 9)})
        Teacher(config, read_splits(config))
