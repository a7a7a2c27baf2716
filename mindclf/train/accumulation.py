"""Gradient accumulation: a step on a large batch, of which the net sees one micro batch after the other."""

import mindspore as ms
from mindspore import Tensor, nn, ops

from mindclf.train.batches import images_in_step
from mindclf.train.sam import ScaledLoss, climbers

ONE = Tensor(1.0, ms.float32)


class AccumulatedStep(nn.Cell):
    """A step like `step`, an nn.TrainOneStepCell or a SharpnessAwareStep, with the memory that a micro batch needs.

    A batch (N, ...) goes through the net in `count` parts, each a fraction of the mean, and the optimizer gets the sum of their
    gradients: that of the whole batch, but for batch norm, whose statistics are those of the micro batch. A step is one of the
    optimizer, so schedule, EMA and checkpoints know nothing of this. Nothing is left between two steps. `loss`, the
    ClassifierLoss in the net, says what a part counts, and then has the correct predictions of the whole batch.

    It calls three cells, each compiled for itself: one graph of all parts would take `count` times as long to compile.
    """

    def __init__(self, step, loss, count):
        super().__init__(auto_prefix=False)
        self.loss, self.count, self.optimizer = loss, count, step.optimizer
        sums = step.weights.clone("accumulated", init="zeros")
        climb = getattr(step, "climb", None)
        self.add = Add(step.network, step.weights, sums, step.sens)
        self.climb = ClimbBySums(climb, sums, step.grad_reducer) if climb else None
        self.update = Update(step.optimizer, climb, sums, step.grad_reducer)
        self.set_train()

    def __call__(self, images, labels):
        size = -(-len(labels) // self.count)
        if self.climb:
            most = climbers(len(labels))
            self._add_up(images[:most], labels[:most], size)
            self.climb(ONE)
        loss, correct = self._add_up(images, labels, size)
        self.update(ONE)
        self.loss.correct_predictions.set_data(Tensor(correct, ms.int32))
        return loss

    def _add_up(self, images, labels, size):
        """Sets the sums to the gradients of (images, labels); returns (mean loss, correct predictions)."""
        loss, correct, total = 0.0, 0, self.loss.total_weight(labels)
        for first in range(0, len(labels), size):
            part = labels[first:first + size]
            fraction = self.loss.total_weight(part) / total
            kept = 0.0 if first == 0 else 1.0
            mean = self.add(images[first:first + size], part, Tensor(fraction, ms.float32), Tensor(kept, ms.float32))
            loss += fraction * float(mean.asnumpy())
            correct += int(self.loss.correct_predictions.asnumpy())
        return Tensor(loss, ms.float32), correct


class Add(nn.Cell):
    """(images, labels, fraction, kept) -> loss; `sums` become kept x sums + fraction x the gradients times `scale`."""

    def __init__(self, network, weights, sums, scale):
        super().__init__(auto_prefix=False)
        self.sums, self.scale = sums, scale
        self.look = ops.value_and_grad(ScaledLoss(network, scale), None, weights)

    def construct(self, images, labels, fraction, kept):
        scaled_loss, grads = self.look(images, labels)
        done = ()
        for total, grad in zip(self.sums, grads):
            done += (ops.assign(total, kept * total + fraction * grad),)
        return ops.depend(scaled_loss, done) / self.scale


class ClimbBySums(nn.Cell):
    """Moves the weights as `climb` does, up the gradients in `sums`."""

    def __init__(self, climb, sums, reducer):
        super().__init__(auto_prefix=False)
        self.climb, self.sums, self.reducer = climb, sums, reducer

    def construct(self, one):
        return self.climb(self.reducer(values_of(self.sums, one)))


class Update(nn.Cell):
    """Gives `optimizer` the gradients in `sums`, with the weights back where they were before `climb`, if that is given."""

    def __init__(self, optimizer, climb, sums, reducer):
        super().__init__(auto_prefix=False)
        self.optimizer, self.climb, self.sums, self.reducer = optimizer, climb, sums, reducer

    def construct(self, one):
        grads = self.reducer(values_of(self.sums, one))
        if self.climb is not None:
            grads = ops.depend(grads, self.climb.back(grads))
        return self.optimizer(grads)


def values_of(sums, one):
    """The values of the parameters `sums`. `one` is 1, and what a graph gets: it would leave out the product with a constant.

    In a graph MindSpore 2.10 takes parameters of the same shape for one another where a function gets them, as an optimizer's
    division by the loss scale does. Values it tells apart.
    """
    values = ()
    for total in sums:
        values += (one * total,)
    return values


def looks_in_step(config):
    """How often the net sees images in a step of the phase `config`: dropout draws as often."""
    climbs = -(-climbers(images_in_step(config)) // config.batch_size) if config.sam_rho else 0
    return config.accumulation_steps + climbs
