"""Class weights: how much the images of each class count in the loss."""

import numpy as np

from mindclf.config import AUTO
from mindclf.dataset.layout import listed
from mindclf.labels import composed


def weights_of_classes(class_weights, train, folders):
    """The weight of each class (classes,), float64, that the field `class_weights` asks for; None if it is empty.

    `train` are the training images, an ImageSet; `folders` what the class folders are called, in the order of the labels, a name
    that stands for a class as that of the class does. AUTO is n / (classes with images x images of the class), so that all images
    together count n; a class without images has 1. Raises ValueError for a name that is no class.
    """
    if not class_weights:
        return None
    if class_weights == AUTO:
        counts = np.bincount(train.labels, minlength=len(train.classes))
        return np.where(counts > 0, counts.sum() / (np.count_nonzero(counts) * np.maximum(counts, 1)), 1.0)
    labels = {composed(name): label for names in (folders, train.classes) for label, name in enumerate(names)}
    unknown = [repr(name) for name in class_weights if composed(name) not in labels]
    if unknown:
        raise ValueError(f"class_weights names what is no class, {listed(unknown)}: the classes are {listed(train.classes)}")
    weights = np.ones(len(train.classes))
    for name, weight in class_weights.items():
        weights[labels[composed(name)]] = weight
    return weights
