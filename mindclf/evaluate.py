"""How good a net is, over every image of a data set."""

from dataclasses import asdict, dataclass
from functools import partial

import numpy as np
from mindspore import Tensor

from mindclf.device import exclusive

WORST_SHOWN = 3
MUCH = 0.05             # between top-1 and balanced accuracy
MUCH_OF_A_CLASS = 0.25  # between top-1 and the accuracy of a class


@dataclass(frozen=True)
class Report:
    """Figures over a data set. `confusion[t][p]` counts images of class t that were taken for class p."""

    loss: float            # mean cross-entropy, without label smoothing
    top1: float            # 0 to 1
    top5: float            # 0 to 1
    images: int
    confusion: np.ndarray  # (classes, classes) int

    @property
    def per_class(self):
        """Accuracy of each class, NaN for a class without images."""
        counts = self.confusion.sum(1)
        return np.divide(self.confusion.diagonal(), counts, out=np.full(len(counts), np.nan), where=counts > 0)

    @property
    def balanced_accuracy(self):
        """The mean of the accuracies of the classes that have images, 0 to 1: macro recall, as scikit-learn defines it."""
        return float(np.nanmean(self.per_class))

    def worst_classes(self, count=WORST_SHOWN):
        """Up to `count` indices of the classes of least accuracy, the least first, of those below top-1."""
        per_class = self.per_class
        below = np.flatnonzero(per_class < self.top1)
        return below[np.argsort(per_class[below], kind="stable")][:count].tolist()

    def imbalance(self, classes):
        """What top-1 hides, in words: balanced accuracy and the worst of `classes`; "" where they differ little from top-1."""
        worst = self.worst_classes()
        drop = self.top1 - min((self.per_class[label] for label in worst), default=self.top1)
        if abs(self.top1 - self.balanced_accuracy) < MUCH and drop < MUCH_OF_A_CLASS:
            return ""
        named = ", ".join(f"{classes[label]} {self.per_class[label]:.0%} of {self.confusion[label].sum()}"
                          for label in worst)
        return f"{self.balanced_accuracy:.2%}, the mean over the classes; the worst: {named}"

    def metrics(self):
        """The figures as plain numbers, for a card."""
        return {"top1": round(self.top1, 6), "top5": round(self.top5, 6), "balanced_accuracy": round(self.balanced_accuracy, 6),
                "loss": round(self.loss, 6), "images": self.images}

    def as_dict(self):
        """Everything, as JSON can hold it."""
        return {**asdict(self), **self.metrics(), "confusion": self.confusion.tolist(),
                "per_class": [None if np.isnan(value) else round(float(value), 6) for value in self.per_class]}


def evaluate(net, dataset, num_classes, whole=lambda rows: rows):
    """The `Report` of `net` over `dataset`, batches of (images, labels). Leaves the net in inference mode.

    If `dataset` is a part of the images, `whole` makes the rows of all from those of the part.
    """
    logits, labels = map(whole, predict_logits(net, dataset))
    return report(logits, labels, num_classes)


def predict_logits(net, dataset):
    """Logits (n, classes) and labels (n,) of a whole data set, in its order, from a Cell, which is left in inference mode."""
    net.set_train(False)
    return run_batches(partial(run_net, net), dataset)


def run_net(net, images):
    """What a Cell gives for `images`, both NumPy arrays. Threads that call this wait for one another."""
    with exclusive():
        return net(Tensor(images)).asnumpy()


def run_batches(run, dataset, fill=True):
    """Logits (n, classes) and labels (n,) of a whole data set, in its order.

    `run` gives the logits of a batch of images, both NumPy arrays. With `fill` a last batch that is shorter is filled up and the
    filling dropped: of another shape, MindSpore would compile the graph again, and a net for batches of one size would refuse it.
    """
    batch_size = dataset.get_batch_size()
    logits, labels = [], []
    for images, batch_labels in dataset.create_tuple_iterator(num_epochs=1, output_numpy=True):
        count = len(images)
        logits.append(run(filled_up(images, batch_size) if fill else images)[:count])
        labels.append(batch_labels)
    return np.concatenate(logits), np.concatenate(labels)


def filled_up(images, count):
    """`images` with the last one repeated until there are `count`."""
    return np.concatenate([images, np.repeat(images[-1:], count - len(images), axis=0)])


def report(logits, labels, num_classes):
    """The `Report` of logits (n, classes) against labels (n,)."""
    rows = np.arange(len(labels))
    log_probability = np.log(softmax(logits)[rows, labels].clip(1e-30))
    # A class is among the top 5 if fewer than 5 others score as high. Ties count against it, and so does NaN, so that neither
    # constant nor broken logits win anything.
    rank = (~(logits < logits[rows, labels][:, None])).sum(1) - 1
    confusion = np.zeros((num_classes, num_classes), int)
    np.add.at(confusion, (labels, logits.argmax(1)), 1)
    return Report(loss=float(-log_probability.mean()), top1=float((rank < 1).mean()), top5=float((rank < 5).mean()),
                  images=len(labels), confusion=confusion)


def softmax(logits):
    """Probabilities (n, classes) of logits (n, classes), in float64."""
    shifted = np.exp(logits.astype(np.float64) - logits.max(1, keepdims=True))
    return shifted / shifted.sum(1, keepdims=True)
