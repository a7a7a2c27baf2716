"""Random numbers of training that depend on what they are drawn for, and on nothing that happened before.

A counter-based generator, Philox 4x64-10 (Salmon et al., Parallel Random Numbers: As Easy as 1, 2, 3, SC 2011), has a key and a
counter. Here the key comes from seed, phase, epoch and the name of the choice, and the counter is the index of the image in the
data set. So the crop of image 17 in epoch 3 is the same whichever thread, worker or machine makes it, and whether the run was
interrupted, and it tells nothing about the flip of that image, which has another name.

MindSpore 2.10 seeds all random operations of a pipeline alike, so that a flip is a function of the crop: see docs/upstream.md.
"""

import hashlib

import numpy as np

WORDS = 4  # 64-bit numbers for an image and a choice: what Philox gives for one value of the counter
DRAWS_VERSION = 1  # of what is drawn and how: stored views of another version are not taken
VIEWS_AN_EPOCH = 16  # at most, of an image that an epoch has several times
STORED_VIEWS = 0  # the phase of views that are made once and stored; those of training are numbered from 1


class Draws:
    """The random numbers of one epoch (or, in phase STORED_VIEWS, of one stored view). All arguments are integers >= 0."""

    def __init__(self, seed, phase, epoch):
        self.seed, self.phase, self.epoch = seed, phase, epoch

    def words(self, names, indices):
        """Random bits, uint64 (images, names, WORDS), for each of `indices` in the data set and each of `names`, texts."""
        indices = np.asarray(indices, np.int64)
        count = indices.max(initial=-1) + 1
        return np.stack([np.random.Philox(key=self._key(name)).random_raw(count * WORDS).reshape(count, WORDS)[indices]
                         for name in names], axis=1)

    def generator(self, name, number=0):
        """A np.random.Generator for what is drawn of a whole epoch, or with `number` of one of its batches."""
        return np.random.Generator(np.random.Philox(key=self._key(f"{name} {number}")))

    def order(self, count):
        """The numbers below `count`, shuffled: the order of the images in the epoch."""
        return self.generator("order").permutation(count)

    def balanced_order(self, labels):
        """As many numbers as there are `labels`, shuffled, of which each class has as many as any other, or one more.

        Within a class each image has as many as any other, or one more. The first number of an image is its index in `labels`;
        the next ones of a rare class's are that plus a multiple of their length, up to VIEWS_AN_EPOCH different ones: so its
        views differ. Modulo the length they are all indices.
        """
        labels, rng = np.asarray(labels), self.generator("balanced order")
        classes, count = np.unique(labels), len(labels)
        quotas = np.full(len(classes), count // len(classes))
        quotas[rng.permutation(len(classes))[:count % len(classes)]] += 1
        chosen = []
        for label, quota in zip(classes, quotas):
            members = rng.permutation(np.flatnonzero(labels == label))
            turns = np.arange(quota)
            chosen.append(members[turns % len(members)] + turns // len(members) % VIEWS_AN_EPOCH * count)
        return rng.permutation(np.concatenate(chosen))

    def _key(self, name):
        return key_of(f"{self.seed} {self.phase} {self.epoch} {name}")


def key_of(text):
    """The key of a Philox, (2,) uint64, that belongs to a text."""
    return np.frombuffer(hashlib.sha256(text.encode()).digest(), "<u8", 2)


def uniform(words, low=0.0, high=1.0):
    """Numbers from low to high, float64, evenly distributed, one for each of `words`, uint64. The default is [0, 1)."""
    return low + (high - low) * ((words >> np.uint64(11)) * 2.0**-53)


def integers(words, count):
    """Integers below `count`, each as likely as the others: one for each of `words`, uint64."""
    return (uniform(words) * count).astype(np.int64)
