"""The draws of an epoch: which depend on what, and what mixing does."""

import numpy as np
import pytest
from mindspore import dataset as ds

from mindclf.config import merge
from mindclf.dataset import read_folder, train_pipeline
from mindclf.dataset.cifar10 import read_cifar10
from mindclf.train.batches import EpochBatches, mix

from ..conftest import CLASS_INDEX


@pytest.fixture(params=["photos", "cifar10"])
def any_pipeline(request, pipeline, cifar10_folder):
    """Files under resized crops, and CIFAR-10 as its recipes prepare it."""
    if request.param == "photos":
        return pipeline
    return train_pipeline(read_cifar10(cifar10_folder, "train").take(range(30)), merge(
        {"image_height": 32, "image_width": 32, "augment": "padded_crop", "cutout": 8, "batch_size": 6}, {}))


@pytest.fixture
def pipeline(colour_folder, tiny_config):
    return train_pipeline(read_folder(colour_folder / "train", CLASS_INDEX), merge(tiny_config, {}))


def epoch(batches):
    """The pictures of the next epoch."""
    images = []
    while True:
        try:
            images.append(next(batches)[0].asnumpy())
        except StopIteration:
            return np.concatenate(images)


@pytest.mark.parametrize("mixup_alpha", [0.0, 0.4])
def test_an_epoch_is_the_same_whatever_came_before(any_pipeline, mixup_alpha):
    def batches(epochs_done=0, seed=1, phase=1):
        return EpochBatches(any_pipeline, seed, phase, mixup_alpha, 10, epochs_done)

    whole = batches()
    epochs = [epoch(whole) for _ in range(3)]
    ds.config.set_seed(99)
    np.testing.assert_array_equal(epoch(batches(epochs_done=2)), epochs[2])
    for other in (epochs[1], epochs[2], epoch(batches(seed=2)), epoch(batches(phase=2))):
        assert not np.array_equal(other, epochs[0])
    assert ds.config.get_seed() == 99


def test_an_epoch_has_all_whole_batches(pipeline):
    batches = EpochBatches(pipeline, 1, 1)
    assert batches.get_dataset_size() == 5  # 30 pictures in batches of 6
    for _ in range(2):
        assert len(epoch(batches)) == 30


def test_waiting_is_counted(monkeypatch):
    """A clock that goes on only while the pipeline works: 2 s for each of 3 batches, and for noticing that there are no more."""
    clock = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: clock[0])

    def slow():
        for row in range(3):
            clock[0] += 2
            yield row, row
        clock[0] += 2

    batches = EpochBatches(None, 1, 1)
    batches.rows = slow()
    for _ in range(3):
        next(batches)
    with pytest.raises(StopIteration):
        next(batches)
    assert batches.waited == 8


def test_mixing_takes_pictures_and_labels_in_the_same_shares():
    """Pictures that are their label: picture i is all i. A mixed picture is then the mean of its labels."""
    labels = np.arange(6, dtype=np.int32)
    images = np.repeat(labels, 12).reshape(6, 3, 2, 2).astype(np.float32)
    for seed in range(20):
        mixed, shares = mix(images, labels, 6, 0.5, np.random.default_rng(seed))
        assert mixed.dtype == shares.dtype == np.float32
        np.testing.assert_allclose(shares.sum(1), 1, rtol=1e-6)
        np.testing.assert_allclose(mixed, np.broadcast_to((shares @ labels)[:, None, None, None], mixed.shape), atol=1e-5)


def test_the_share_is_beta_distributed():
    """Beta(a, a) has the mean 1/2 and the variance 1 / (4 (2 a + 1)): 0.17857 for a = 0.2. Partners of another class only."""
    rng = np.random.default_rng(0)
    labels = np.array([0, 1], np.int32)
    shares = [mix(np.zeros((2, 1), np.float32), labels, 2, 0.2, rng)[1][0, 0] for _ in range(8000)]
    shares = np.array([share for share in shares if share != 1])
    assert abs(shares.mean() - 0.5) < 0.03
    assert abs(shares.var() - 0.17857) < 0.01
