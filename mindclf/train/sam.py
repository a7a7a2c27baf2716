"""Sharpness-aware minimisation (SAM, arXiv:2010.01412): a step follows the gradient at the worst of the weights nearby."""

from mindspore import nn, ops

FRACTION, LEAST = 4, 16  # a fourth of a batch, but 16 images or more, finds the way up: few find it as well (section 4.1)


def climbers(images):
    """How many of the `images` of a batch find the way up."""
    return min(images, max(images // FRACTION, LEAST))


class SharpnessAwareStep(nn.TrainOneStepCell):
    """Like nn.TrainOneStepCell(network, optimizer, loss_scale), but the gradient is not that at the weights themselves.

    First all weights move by `rho`, the Euclidean length of the step over all of them together, up the loss of the first fourth
    of the batch, or of 16 images where that is more. The gradient of the whole batch there is what the optimizer gets, with the
    weights back where they were. What the network returns, and counts, is of the second look at the batch; moving statistics of
    batch norm see both.
    """

    def __init__(self, network, optimizer, rho, loss_scale):
        super().__init__(network, optimizer, loss_scale)
        self.climb = Climb(self.weights, rho)
        self.look = ops.value_and_grad(ScaledLoss(network, loss_scale), None, self.weights)

    def construct(self, images, labels):
        count = climbers(len(labels))
        _, grads = self._gradients(images[:count], labels[:count])
        moved = self.climb(grads)
        loss, grads = self._gradients(ops.depend(images, moved), labels)
        loss = ops.depend(loss, grads)
        back = self.climb.back(loss)
        return ops.depend(loss, self.optimizer(ops.depend(grads, back)))

    def _gradients(self, images, labels):
        """(loss, gradients times loss_scale, averaged over the workers)."""
        scaled_loss, grads = self.look(images, labels)
        return scaled_loss / self.sens, self.grad_reducer(grads)


class Climb(nn.Cell):
    """Moves `weights` by `rho`, the length over all of them together, along the gradients; `back` moves them back."""

    def __init__(self, weights, rho):
        super().__init__(auto_prefix=False)
        self.weights, self.rho = weights, rho
        self.kept = weights.clone("kept")

    def construct(self, grads):
        length = ops.sqrt(sum([ops.square(grad).sum() for grad in grads]))
        moved = ()
        for weight, kept, grad in zip(self.weights, self.kept, grads):
            saved = ops.assign(kept, weight)
            moved += (ops.assign_add(ops.depend(weight, saved), grad * (self.rho / (length + 1e-12))),)
        return moved

    def back(self, after):
        """Sets the weights to what they were, once `after` is computed."""
        back = ()
        for weight, kept in zip(self.weights, self.kept):
            back += (ops.assign(weight, ops.depend(kept, after)),)
        return back


class ScaledLoss(nn.Cell):
    """What `network` returns, times `scale`: ops.value_and_grad, which looks at the images once for both, takes no scale."""

    def __init__(self, network, scale):
        super().__init__(auto_prefix=False)
        self.network = network
        self.scale = scale

    def construct(self, images, labels):
        return self.network(images, labels) * self.scale
