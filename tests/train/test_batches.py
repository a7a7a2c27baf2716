"""The draws of an epoch: which depend on what, and what mixing does."""

import itertools
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
from mindspore import dataset as ds

from mindclf.config import merge
from mindclf.dataset import ImageSet, augmented_pipeline, epoch_pipeline, pipeline, read_folder
from mindclf.dataset.cifar10 import read_cifar10
from mindclf.dataset.draws import STORED_VIEWS, Draws
from mindclf.train.batches import EpochBatches
from mindclf.train.mixing import Mixing
from tests.conftest import CLASS_INDEX

EVERYTHING = dict(rotation=30.0, vertical_flip_prob=0.5, hue_adjust=0.1, grey_prob=0.2, erasing_prob=0.5)
BOTH = {"mixup_alpha": 0.4, "cutmix_alpha": 1.0}


@pytest.fixture(params=["photos", "cifar10"])
def images(request, colour_folder, cifar10_folder, tiny_config):
    """(images, config): 30 files under resized crops, or CIFAR-10 as its recipes prepare it, with all that is random."""
    if request.param == "photos":
        return read_folder(colour_folder / "train", CLASS_INDEX), merge(tiny_config, {**EVERYTHING, "policy": "rand_augment"})
    return read_cifar10(cifar10_folder, "train").take(range(30)), merge(
        {"image_height": 32, "image_width": 32, "augment": "padded_crop", "cutout": 8, "batch_size": 6, **EVERYTHING}, {})


def batches_of(images, epochs_done=0, steps_done=0, seed=1, phase=1, mixup_alpha=0.0, cutmix_alpha=0.0, batch_size=6,
               num_classes=10):
    image_set, config = images
    make = partial(epoch_pipeline, image_set, merge(config, {"batch_size": batch_size}))
    mixing = Mixing(mixup_alpha, cutmix_alpha, num_classes) if mixup_alpha or cutmix_alpha else None
    batches = EpochBatches(make, len(image_set), batch_size, seed, phase, mixing)
    batches.resume(epochs_done, steps_done)
    return batches


def epoch(batches):
    """The images of the next epoch, and their labels."""
    found = []
    while True:
        try:
            found.append([array.asnumpy() for array in next(batches)])
        except StopIteration:
            return [np.concatenate(arrays) for arrays in zip(*found)]


def assert_same(first, second):
    for one, other in zip(first, second):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("mixing", [{}, BOTH], ids=["plain", "mixed"])
def test_an_epoch_is_the_same_whatever_came_before(images, mixing):
    batches = partial(batches_of, images, **mixing)
    whole = batches()
    epochs = [epoch(whole) for _ in range(3)]
    before = ds.config.get_seed()
    ds.config.set_seed(99)
    assert_same(epoch(batches(epochs_done=2)), epochs[2])
    for other in (epochs[1], epochs[2], epoch(batches(seed=2)), epoch(batches(phase=2))):
        assert not np.array_equal(other[0], epochs[0][0])
    assert ds.config.get_seed() == 99
    ds.config.set_seed(before)


@pytest.mark.parametrize("mixing", [{}, BOTH], ids=["plain", "mixed"])
def test_a_run_goes_on_within_an_epoch(images, mixing):
    whole = epoch(batches_of(images, epochs_done=1, **mixing))
    for steps in range(1, 5):
        rest = epoch(batches_of(images, epochs_done=1, steps_done=steps, **mixing))
        assert_same(rest, [array[6 * steps:] for array in whole])


def test_the_images_are_the_same_in_any_number_of_threads(images, monkeypatch):
    """MindSpore takes as many threads as there are cores, so that four of them run here without it too."""
    expected = epoch(batches_of(images))
    for threads in range(1, min(os.cpu_count(), 4) + 1):
        monkeypatch.setattr(pipeline, "_threads", lambda threads=threads: threads)
        assert_same(epoch(batches_of(images)), expected)
    image_set, config = images
    draws, views = Draws(1, 1, 1), pipeline._random_views(image_set, config)
    order = draws.order(30)
    words = draws.words(views.names, order)
    with ThreadPoolExecutor(4) as pool:
        rows = pool.map(lambda start: views(order[start:start + 2], words[start:start + 2]), range(0, 30, 2))
    np.testing.assert_array_equal(np.concatenate(list(rows)), expected[0])


@pytest.mark.parametrize("size", [1, 2, 4])
def test_the_images_are_the_same_in_one_two_and_four_workers(images, as_worker, size):
    """And so is what each is mixed with, for the number of a batch is the same."""
    alone, mixed = epoch(batches_of(images, batch_size=3)), epoch(batches_of(images, batch_size=3, **BOTH))
    count = 30 // (3 * size) * 3 * size
    assert count == {1: 30, 2: 30, 4: 24}[size]
    for expected, mixing in ((alone, {}), (mixed, BOTH)):
        parts = []
        for rank in range(size):
            as_worker(rank, size)
            parts.append(epoch(batches_of(images, batch_size=3, **mixing)))
        as_worker(0, 1)
        for part, all_of_one in zip(zip(*parts), expected):
            steps = [array.reshape(-1, 3, *array.shape[1:]) for array in part]
            together = np.stack(steps, 1).reshape(count, *all_of_one.shape[1:])
            np.testing.assert_array_equal(together, all_of_one[:count])


def test_an_image_is_the_same_in_batches_of_another_size(images):
    """Of 2 workers with 3 images each, or of one with 6."""
    assert_same(epoch(batches_of(images, batch_size=3)), epoch(batches_of(images)))


def test_views_are_the_same_whichever_part_of_them_is_made(images):
    image_set, config = images

    def views(seed, view, indices=None):
        rows = augmented_pipeline(image_set, config, Draws(seed, STORED_VIEWS, view), indices)
        return np.concatenate([batch for batch, _ in rows.create_tuple_iterator(num_epochs=1, output_numpy=True)])

    whole = views(1, 1)
    assert len(whole) == len(image_set)
    np.testing.assert_array_equal(views(1, 1, [5, 3, 29]), whole[[5, 3, 29]])
    for first, second in itertools.combinations([whole, views(1, 2), views(2, 1), views(2, 2)], 2):
        assert not (first == second).all((1, 2, 3)).any()


def test_every_batch_of_every_epoch_and_worker_is_mixed_in_its_own_way(as_worker):
    """Of 2 workers, in 3 epochs of 4 steps: 24 batches, whose fractions, as their labels tell them, are 24 different ones."""
    pixels = tuple(np.full((4, 4, 3), label, np.uint8) for label in range(48))
    images = ImageSet(pixels, tuple(range(48)), tuple(map(str, range(48)))), merge({}, {"image_height": 32, "image_width": 32})
    fractions = []
    for rank in range(2):
        as_worker(rank, 2)
        batches = batches_of(images, mixup_alpha=1.0, num_classes=48)
        for labels in np.concatenate([epoch(batches)[1] for _ in range(3)]).reshape(12, 6, 48):
            [fraction] = {round(float(largest), 5) for largest in labels.max(1) if largest < 1}  # 1: mixed with itself
            fractions.append(fraction)
    assert len(set(fractions)) == 24


def test_an_epoch_has_all_whole_batches(images):
    batches = batches_of(images)
    assert batches.get_dataset_size() == 5  # 30 images in batches of 6
    for _ in range(2):
        assert len(epoch(batches)[0]) == 30


def test_waiting_is_counted(monkeypatch):
    """A clock that goes on only while the pipeline works: 2 s for each of 3 batches, and for noticing that there are no more."""
    clock = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: clock[0])

    def slow():
        for row in range(3):
            clock[0] += 2
            yield row, row
        clock[0] += 2

    batches = EpochBatches(None, 18, 6, 1, 1)
    batches.rows = slow()
    for _ in range(3):
        next(batches)
    with pytest.raises(StopIteration):
        next(batches)
    assert batches.waited == 8
