"""The batches of a phase, epoch by epoch."""

import itertools
import time

import numpy as np
from mindspore import Tensor
from mindspore import dataset as ds

from mindclf import workers
from mindclf.device import data_seed


class EpochBatches:
    """`batches`, a MindSpore dataset, for Model.train: the draws of an epoch depend on seed, phase and epoch alone.

    A dataset that runs on from epoch to epoch goes on drawing, so that epoch 7 can only come after epochs 1 to 6. Here every
    epoch begins anew under a seed of its own, and a run can go on from any, after `steps_done` of its batches, which are made
    again and passed over. With mixup_alpha the pictures of a batch are mixed in pairs (see `mix`), each worker those of its own
    batches. `waited` sums the seconds that training had to wait for batches.

    No Dataset, but it has what Model.train asks of one when nothing is sunk to the device.
    """

    def __init__(self, batches, seed, phase, mixup_alpha=0.0, num_classes=0, epochs_done=0, steps_done=0):
        self.batches, self.seed, self.phase = batches, seed, phase
        self.mixup_alpha, self.num_classes = mixup_alpha, num_classes
        self.epoch, self.steps_done, self.waited, self.rows = epochs_done, steps_done, 0.0, None

    def get_dataset_size(self):
        """Batches in an epoch."""
        return self.batches.get_dataset_size()

    def create_tuple_iterator(self, num_epochs, do_copy):
        """What Model.train takes batches from: it stops after each epoch, and then gives those of the next."""
        return self

    def reset(self):
        """Model.train calls it between epochs; there is nothing to reset."""

    def __next__(self):
        started = time.perf_counter()
        if self.rows is None:
            self.epoch += 1
            seeds = np.random.SeedSequence([self.seed, self.phase, self.epoch]).spawn(2 + workers.rank())
            rows = self._epoch(seeds[0], seeds[-1])
            self.rows, self.steps_done = itertools.islice(rows, self.steps_done, None), 0
        try:
            return next(self.rows)
        except StopIteration:
            self.rows = None
            raise
        finally:
            self.waited += time.perf_counter() - started

    def _epoch(self, pipeline_seed, mixup_seed):
        rng = np.random.default_rng(mixup_seed)
        with data_seed(int(pipeline_seed.generate_state(1)[0])):
            rows = self.batches.create_tuple_iterator(num_epochs=1, do_copy=False)
            first = next(rows)  # MindSpore reads the seed when the first row is asked for
        for images, labels in itertools.chain([first], rows):
            if self.mixup_alpha:
                mixed = mix(images.asnumpy(), labels.asnumpy(), self.num_classes, self.mixup_alpha, rng)
                images, labels = map(Tensor, mixed)
            yield images, labels


class SharedBatches:
    """The batches of this worker, where several train: what an `EpochBatches` needs of a MindSpore dataset.

    An epoch has the `count` pictures in the order in which a single worker would take them under the same seed, in batches as
    large as those of all workers together, and each worker makes its part of every one (see `part_of_batches`). `make(places)`
    gives the dataset of the pictures at those places, in that order. The workers augment under seeds of their own.
    """

    def __init__(self, make, count, batch_size):
        if count < batch_size * workers.size():
            raise ValueError(f"batch_size={batch_size} for each of {workers.size()} workers is more than the {count} training "
                             f"pictures")
        self.make, self.count, self.batch_size = make, count, batch_size

    def get_dataset_size(self):
        """Batches of each worker in an epoch."""
        return self.count // (self.batch_size * workers.size())

    def create_tuple_iterator(self, num_epochs, do_copy):
        """The batches of an epoch, whose draws depend on the seed at the time of the first of them."""
        order = shuffled(self.count)
        rows = self.make(workers.part_of_batches(order, self.batch_size, workers.rank(), workers.size()))
        with data_seed(workers.own_seed(ds.config.get_seed())):
            rows = rows.create_tuple_iterator(num_epochs=num_epochs, do_copy=do_copy)
            first = next(rows)
        yield from itertools.chain([first], rows)


def shuffled(count):
    """The numbers below `count` in the order in which a MindSpore dataset shuffles under the seed of the moment."""
    numbers = ds.NumpySlicesDataset(np.arange(count), shuffle=True, num_parallel_workers=1).batch(count)
    [[order]] = numbers.create_tuple_iterator(num_epochs=1, output_numpy=True)
    return order


def mix(images, labels, num_classes, alpha, rng):
    """(images, labels) with each picture mixed with another of its batch, labels float32 (N, num_classes): mixup.

    One share of Beta(alpha, alpha) for the batch, and a random partner for each picture, as in the code of the paper,
    arXiv:1710.09412. MindSpore's own MixUpBatch stops at random with a small alpha: its Gamma numbers may all come out as 0.
    """
    share = np.float32(rng.beta(alpha, alpha))
    partner = rng.permutation(len(labels))
    one_hot = np.eye(num_classes, dtype=np.float32)[labels]
    return share * images + (1 - share) * images[partner], share * one_hot + (1 - share) * one_hot[partner]
