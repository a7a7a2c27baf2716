"""Independent random operations for a pipeline of one's own.

MindSpore 2.10 seeds every random operation of a pipeline alike, so that what one of them draws tells what the others draw: see
docs/upstream.md. mindclf's own training data do not need this, see mindclf.dataset.views.
"""

import contextlib
import hashlib
import os
import random
import threading
from collections import Counter

import numpy as np
from mindspore import dataset as ds
from mindspore.dataset import transforms

from mindclf.dataset.draws import key_of

COMPOSED = (transforms.Compose, transforms.RandomApply, transforms.RandomChoice, transforms.RandomOrder)
_seeding = threading.Lock()  # MindSpore has one seed for the whole process


def independent(operations, seed):
    """The random `operations` of MindSpore as one operation for `map`, in which none of them knows what another one draws.

    >>> import mindspore.dataset as ds
    >>> from mindspore.dataset import vision
    >>> from mindclf.dataset import independent
    >>> images = ds.NumpySlicesDataset(np.zeros((8, 32, 32, 3), np.uint8), ["image"])
    >>> both = independent([vision.RandomHorizontalFlip(0.5), vision.RandomVerticalFlip(0.5)], seed=1)
    >>> images = images.map(both, "image", num_parallel_workers=1)  # mirrored in four ways; without `independent` in two

    `operations` are vision operations and functions of one image, an array, also inside Compose, RandomApply, RandomChoice and
    RandomOrder of mindspore.dataset.transforms. What is drawn depends on `seed`, an int >= 0, on the image as it comes in, on how
    often it has come in so far (so each epoch differs), and on the operation's position in the list: not on the number of threads
    nor on the order of the images, unless images are equal. It remembers every image that it has seen, in some 80 bytes each.

    After each call MindSpore's seed and the random numbers of NumPy and Python are what they were. While a pipeline runs, its
    threads change them all the time: what other threads draw meanwhile, and pipelines that are made meanwhile, are disturbed.
    Draw there from generators of your own, as np.random.default_rng(0).

    It runs in Python, one operation at a time in the whole process, and so is slower than MindSpore's own pipeline. Raises
    ValueError for an operation that holds others and is none of those named, as UniformAugment: it would seed them alike. What a
    function holds it cannot see. Raises ValueError too if it is called in a process that it was not made in, as with
    python_multiprocessing=True: each process would count for itself, and every epoch would be the same.
    """
    if not isinstance(operations, (list, tuple)):
        raise ValueError(f"independent takes a list of operations, received {type(operations).__name__}")
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ValueError(f"seed={seed!r} must be an int, 0 or more")
    for operation in operations:
        _check(operation)
    return _Independent(operations, seed)


class _Independent:
    """See `independent`."""

    def __init__(self, operations, seed):
        self.operations, self.seed, self.process = operations, seed, os.getpid()
        self.seen, self.counting = Counter(), threading.Lock()  # how often an image, by its digest, has come in

    def __call__(self, image):
        if os.getpid() != self.process:
            raise ValueError("independent() counts in the process that made it: use threads, python_multiprocessing=False")
        image = np.asarray(image)
        digest = hashlib.blake2b(repr((image.shape, image.dtype)).encode() + image.tobytes(), digest_size=16).digest()
        with self.counting:
            self.seen[digest] += 1
            view = f"{self.seed} {digest.hex()} {self.seen[digest]}"
        return _in_order(self.operations, image, view)


def _in_order(operations, image, view):
    for position, operation in enumerate(operations):
        image = _apply(operation, image, f"{view}.{position}")
    return image


def _apply(operation, image, view):
    if isinstance(operation, transforms.Compose):
        return _in_order(operation.transforms, image, view)
    if isinstance(operation, transforms.RandomApply):
        chosen = _generator(view).random() < operation.prob
        return _in_order(operation.transforms, image, view) if chosen else image
    if isinstance(operation, transforms.RandomChoice):
        position = int(_generator(view).integers(len(operation.transforms)))
        return _apply(operation.transforms[position], image, f"{view}.{position}")
    if isinstance(operation, transforms.RandomOrder):
        order = _generator(view).permutation(len(operation.transforms))
        return _in_order([operation.transforms[position] for position in order], image, view)
    with _seeded(int(_generator(view).integers(2**32))):
        return operation(image)


def _generator(view):
    """A random generator of its own for each operation on each view of an image."""
    return np.random.Generator(np.random.Philox(key=key_of(view)))


@contextlib.contextmanager
def _seeded(seed):
    """Has what runs inside the block draw from `seed`: MindSpore's operations, and functions that use random or numpy.random."""
    with _seeding:
        before, of_python, of_numpy = ds.config.get_seed(), random.getstate(), np.random.get_state()
        ds.config.set_seed(seed)
        try:
            yield
        finally:
            ds.config.set_seed(before)
            random.setstate(of_python)
            np.random.set_state(of_numpy)


def _check(operation):
    """Raises ValueError for what `independent` does not take."""
    name = type(operation).__name__
    if isinstance(operation, COMPOSED):
        for inner in operation.transforms:
            _check(inner)
    elif not callable(operation):
        raise ValueError(f"{name} is no operation on an image: give operations of mindspore.dataset.vision, or functions")
    elif any(map(_is_operation, _values(list(getattr(operation, "__dict__", {}).values())))):
        raise ValueError(f"{name} holds operations that it would seed alike: give them in a RandomApply, RandomChoice or "
                         f"RandomOrder instead")


def _is_operation(value):
    return type(value).__module__.startswith("mindspore.dataset") and callable(value)


def _values(value):
    """What stands in lists and tuples, however deep, one by one."""
    if not isinstance(value, (list, tuple)):
        return [value]
    return [inner for each in value for inner in _values(each)]
