"""Collectives: which worker of a training this process is, what its shard is, and what the workers tell each other.

A worker is a process that `msrun` started (see mindclf.distributed.launch). All workers must call a collective in the same order.
A process that is alone gets back what it gave, and never sets up communication.
"""

import contextlib
import functools
import hashlib
import os

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops
from mindspore.communication import get_group_size, get_rank, init

STATISTICS = (".moving_mean", ".moving_variance")  # how the names of what batch norm keeps end
PATIENCE = 24 * 3600  # seconds that a worker on a CPU waits for the slowest; one that fails ends the job anyway

_rank, _size = 0, 1


@functools.cache
def join():
    """Has this process meet the others, if `msrun` started it. From then on gradients are averaged over all of them.

    The process that `msrun` starts besides the workers, to bring them together, stays in here until they are done.
    """
    global _rank, _size
    if "MS_ROLE" in os.environ:
        os.environ.setdefault("MS_CPU_COMM_OP_TIMEOUT", str(PATIENCE))  # MindSpore's own are 30
        init()
        _rank, _size = get_rank(), get_group_size()
        if _size > 1:
            ms.set_auto_parallel_context(parallel_mode=ms.ParallelMode.DATA_PARALLEL, gradients_mean=True)


def rank():
    """The number of this worker, from 0 on."""
    return _rank


def size():
    """How many workers there are; 1 for a process that is alone."""
    return _size


def is_main_process():
    """Whether this is the worker that writes files and speaks."""
    return _rank == 0


def per_rank_seed(seed):
    """A seed for draws that must differ from worker to worker; the first one's is `seed`."""
    return int(np.random.SeedSequence([seed, _rank]).generate_state(1)[0]) if _rank else seed


def shard(images):
    """The part of `images` that this worker looks at where each is to be looked at once: see `unshard`."""
    return images if _size == 1 else images.take(shard_indices(len(images)))


def shard_indices(count):
    """The places, below `count`, of `shard` so many images.

    Where there are more workers than images, some look at the first one, which then counts for nothing.
    """
    return list(range(_rank, count, _size)) or [0]


def unshard(rows, count):
    """The rows (count, ...) of all images in their order, from each worker's rows of its `shard` them."""
    if _size == 1:
        return rows
    values = np.zeros((count, *rows.shape[1:]), np.float32)
    mine = len(range(_rank, count, _size))
    values[_rank::_size] = rows[:mine]
    return all_reduce_sum(values).astype(rows.dtype)


def shard_batches(order, batch_size, rank, size):
    """The part of `order`, an array of places, that worker `rank` of `size` trains on, in batches of `batch_size`.

    Of each size * batch_size places in a row each worker has batch_size. The last ones, too few for that, are left out, as one
    worker with batches as large as all of theirs would.
    """
    steps = len(order) // (size * batch_size)
    return order[:steps * size * batch_size].reshape(steps, size, batch_size)[:, rank].reshape(-1)


def all_reduce_sum(values):
    """The sum of the float32 `values` of all workers, bit for bit the same in each."""
    values = np.asarray(values, np.float32)
    return values if _size == 1 else _sum()(Tensor(values.reshape(-1))).asnumpy().reshape(values.shape)


def all_gather(values):
    """The float32 `values` (...) of all workers: (workers, ...)."""
    values = np.asarray(values, np.float32)
    every = np.zeros((_size, *values.shape), np.float32)
    every[_rank] = values
    return all_reduce_sum(every)


def barrier():
    """Waits until all workers are here."""
    all_reduce_sum([0])


@contextlib.contextmanager
def rank_zero_first():
    """The first worker runs the block, then the others do, and all go on together: what it downloads, they find."""
    if not is_main_process():
        barrier()
    yield
    if is_main_process():
        barrier()
    barrier()


def check_same(**texts):
    """Raises ValueError, in all workers, if one has another text of some name, as images=..., than the first."""
    for name, text in texts.items():
        words = all_gather(np.frombuffer(hashlib.sha256(text.encode()).digest(), np.uint16))
        others = np.flatnonzero((words != words[0]).any(1))
        if len(others):
            raise ValueError(f"worker {others[0]} has other {name} than worker 0: give all of them the same")


def broadcast_parameters(net):
    """Gives `net` the weights that it has in the first worker."""
    if _size > 1:
        parameters = list(net.get_parameters())
        values = [parameter.asnumpy() for parameter in parameters]
        _fill(parameters, _sums_of(values if is_main_process() else [np.zeros_like(value) for value in values]))


def average_statistics(net):
    """Gives `net` the means of its moving statistics over the workers: see `mean_statistics`."""
    if _size > 1:
        parameters = list(net.get_parameters())
        _fill(parameters, mean_statistics(parameters, [parameter.asnumpy() for parameter in parameters]))


def mean_statistics(parameters, values):
    """`values`, an array for each of `parameters`, with the moving statistics of batch norm averaged over the workers.

    Each worker has those of its own part of the batches. The weights are the same in all of them, and are left alone.
    """
    places = [index for index, parameter in enumerate(parameters) if parameter.name.endswith(STATISTICS)]
    if _size > 1 and places:
        values = list(values)
        for index, summed in zip(places, _sums_of([values[index] for index in places])):
            values[index] = summed / np.float32(_size)
    return values


def _sums_of(arrays):
    """`all_reduce_sum` of each of `arrays`, all at once."""
    sums = all_reduce_sum(np.concatenate([array.reshape(-1) for array in arrays]))
    summed = np.split(sums, np.cumsum([array.size for array in arrays])[:-1])
    return [values.reshape(array.shape) for values, array in zip(summed, arrays)]


def _fill(parameters, values):
    for parameter, value in zip(parameters, values):
        parameter.set_data(Tensor(value, parameter.dtype))


class _Sum(nn.Cell):
    """The sum of a vector over all workers."""

    def __init__(self):
        super().__init__()
        self.all_reduce = ops.AllReduce(ops.ReduceOp.SUM)

    def construct(self, values):
        return self.all_reduce(values)


@functools.cache
def _sum():
    return _Sum()  # one for all: it keeps the graphs that it was compiled to
