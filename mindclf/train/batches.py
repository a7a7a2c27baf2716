"""The batches of a phase, epoch by epoch."""

import contextlib
import time

from mindspore import Tensor
from mindspore import dataset as ds

from mindclf.dataset.draws import Draws
from mindclf.distributed import collectives

PREFETCHED = 2  # of batches of 64 images of 224 x 224 pixels MindSpore's own 16 in each thread would take gigabytes


class Batches:
    """Batches for Model.train, epoch by epoch. `waited` sums the seconds that training had to wait for them.

    No Dataset, but it has what Model.train asks of one when nothing is sunk to the device. A subclass gives the batches of the
    next epoch in `next_epoch`, and says how many they are.
    """

    def __init__(self):
        self.waited, self.rows = 0.0, None

    def create_tuple_iterator(self, num_epochs, do_copy):
        """What Model.train takes batches from: it stops after each epoch, and then gives those of the next."""
        return self

    def reset(self):
        """Model.train calls it between epochs; there is nothing to reset."""

    def __next__(self):
        started = time.perf_counter()
        if self.rows is None:
            self.rows = self.next_epoch()
        try:
            return next(self.rows)
        except StopIteration:
            self.rows = None
            raise
        finally:
            self.waited += time.perf_counter() - started


class EpochBatches(Batches):
    """The batches of this worker, in which all that is random depends on seed, phase and epoch alone.

    `make(draws, indices)` gives the MindSpore dataset of whole batches of the samples at `indices` of `count`, in that order. An
    epoch has the samples in the order that its Draws say, in batches of `batch_size` for each worker: all workers together take
    the same samples whatever their number, but for those of the last, incomplete step. `resume` goes on from any epoch and
    step. `mixing`, a `Mixing`, mixes the images of a batch in pairs, as the number of the batch in the epoch says.
    With `balanced`, the labels of the samples, an epoch has as many of each class: see `Draws.balanced_order`.
    """

    def __init__(self, make, count, batch_size, seed, phase, mixing=None, balanced=None):
        super().__init__()
        self.make, self.count, self.batch_size, self.seed, self.phase = make, count, batch_size, seed, phase
        self.mixing, self.balanced, self.epoch, self.steps_done = mixing, balanced, 0, 0

    def resume(self, epochs, steps):
        """Goes on after so many epochs, and so many steps of the next one."""
        self.epoch, self.steps_done = epochs, steps

    def get_dataset_size(self):
        """Batches of each worker in an epoch."""
        return self.count // (self.batch_size * collectives.size())

    def next_epoch(self):
        """The batches of the next epoch, or of what is left of it."""
        self.epoch += 1
        first_step, self.steps_done = self.steps_done, 0
        return self._epoch(first_step)

    def _epoch(self, first_step):
        draws = Draws(self.seed, self.phase, self.epoch)
        order = draws.order(self.count) if self.balanced is None else draws.balanced_order(self.balanced)
        indices = collectives.shard_batches(order, self.batch_size, collectives.rank(), collectives.size())
        batches = self.make(draws, indices[first_step * self.batch_size:])
        with _prefetching(PREFETCHED):
            rows = batches.create_tuple_iterator(num_epochs=1, do_copy=False)
        for step, (images, labels) in enumerate(rows, first_step):
            if self.mixing:
                number = step * collectives.size() + collectives.rank()
                images, labels = map(Tensor, self.mixing(images.asnumpy(), labels.asnumpy(), draws, number))
            yield images, labels


class GivenBatches(Batches):
    """The batches of `dataset`, a MindSpore dataset of (images, labels) of one's own."""

    def __init__(self, dataset):
        super().__init__()
        self.dataset, self.batch_size = dataset, dataset.get_batch_size()

    def resume(self, epochs, steps):
        """Does nothing: a run with such a dataset is not resumed."""

    def get_dataset_size(self):
        """Batches in an epoch."""
        return self.dataset.get_dataset_size()

    def next_epoch(self):
        """The batches of the next epoch."""
        return map(tuple, self.dataset.create_tuple_iterator(num_epochs=1, do_copy=False))


@contextlib.contextmanager
def _prefetching(count):
    """Has the pipelines that begin inside the block prepare so many batches in each of their threads before they are asked."""
    before = ds.config.get_prefetch_size()
    ds.config.set_prefetch_size(count)
    try:
        yield
    finally:
        ds.config.set_prefetch_size(before)


def images_in_step(config):
    """How many images each worker trains on in a step of the phase `config`."""
    return config.batch_size * config.accumulation_steps


def check_count(count, batch_size, accumulation_steps=1):
    """Raises ValueError if `count` training images are too few for one step of each worker."""
    if count < batch_size * accumulation_steps * collectives.size():
        times = f" times accumulation_steps={accumulation_steps}" if accumulation_steps > 1 else ""
        each = f" for each of {collectives.size()} workers" if collectives.size() > 1 else ""
        raise ValueError(f"batch_size={batch_size}{times}{each} is more than the {count} training images")
