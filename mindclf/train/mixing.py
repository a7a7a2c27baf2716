"""Mixup and CutMix: each image of a batch mixed with another one, and their labels in the same fractions."""

import numpy as np


class Mixing:
    """Mixes the images of a batch in pairs: by `mixup` with mixup_alpha, by `cutmix` with cutmix_alpha (0 is none).

    With both, each batch is mixed in one of the two ways, as likely as the other. MindSpore's own MixUpBatch stops at random
    with a small alpha: its Gamma numbers may all come out as 0.
    """

    def __init__(self, mixup_alpha, cutmix_alpha, num_classes):
        self.mixup_alpha, self.cutmix_alpha, self.num_classes = mixup_alpha, cutmix_alpha, num_classes

    def __call__(self, images, labels, draws, number):
        """(images float32 (N, ...), labels float32 (N, num_classes)) of batch `number` of the epoch that has these `draws`.

        `labels` are int32 (N,).
        """
        one_hot = np.eye(self.num_classes, dtype=np.float32)[labels]
        if self.mixup_alpha and self.cutmix_alpha:
            is_cut = draws.generator("mixup or cutmix", number).random() < 0.5
        else:
            is_cut = self.cutmix_alpha > 0
        if is_cut:
            return cutmix(images, one_hot, self.cutmix_alpha, draws.generator("cutmix", number))
        return mixup(images, one_hot, self.mixup_alpha, draws.generator("mixup", number))


def mixup(images, labels, alpha, rng):
    """(images, labels) with each image (...) and label (classes,) mixed with another of its batch.

    One fraction of Beta(alpha, alpha) for the batch, and a random partner for each image, as in the code of the paper,
    arXiv:1710.09412.
    """
    fraction = np.float32(rng.beta(alpha, alpha))
    partner = rng.permutation(len(labels))
    return fraction * images + (1 - fraction) * images[partner], fraction * labels + (1 - fraction) * labels[partner]


def cutmix(images, labels, alpha, rng):
    """(images (N, 3, height, width), labels (N, classes)) with a box of each image from another of its batch.

    One box for the batch, of the images' shape, and a random partner for each image (arXiv:1905.04899, Algorithm 1). The box has
    a fraction 1 - lambda of the area, lambda from Beta(alpha, alpha), and its centre anywhere. What of it lies outside is lost,
    so the labels have the fraction that is left.
    """
    height, width = images.shape[2:]
    side = np.sqrt(1 - rng.beta(alpha, alpha))
    partner = rng.permutation(len(labels))
    rows, columns = (_cut(rng.integers(size), int(size * side), size) for size in (height, width))
    mixed = images.copy()
    mixed[:, :, rows, columns] = images[partner, :, rows, columns]
    fraction = np.float32(mixed[0, 0, rows, columns].size / (height * width))
    return mixed, (1 - fraction) * labels + fraction * labels[partner]


def _cut(centre, length, size):
    """The slice of `length` about `centre`, as far as it lies in 0 to `size`."""
    start = centre - length // 2
    return slice(max(start, 0), max(min(start + length, size), 0))
