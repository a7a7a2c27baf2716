"""Gradient clipping: gradients whose global norm is too large are made shorter (Pascanu et al., arXiv:1211.5063, algorithm 1)."""

from mindspore import nn, ops

TINY = 1e-6  # beside the norm, as in PyTorch's clip_grad_norm_: gradients of 0 stay so


class ClippedReducer(nn.Cell):
    """Averages gradients over the workers, as `reducer` does, and then multiplies all by min(1, max_norm / norm).

    `norm` is the Euclidean length of all gradients together. They come times the loss scale, and so does `max_norm`. Weight decay
    comes after this, in the optimizer. MindSpore's ops.clip_by_global_norm, which does as much, is deprecated in 2.10.
    """

    def __init__(self, reducer, max_norm):
        super().__init__(auto_prefix=False)
        self.reducer, self.max_norm = reducer, max_norm

    def construct(self, grads):
        grads = self.reducer(grads)
        norm = ops.sqrt(sum([ops.square(grad).sum() for grad in grads]))
        factor = ops.minimum(self.max_norm / (norm + TINY), 1.0)
        clipped = ()
        for grad in grads:
            clipped += (grad * factor,)
        return clipped


def clip(step, max_norm):
    """Has `step`, an nn.TrainOneStepCell whose network was not run yet, clip its gradients; returns it."""
    step.grad_reducer = ClippedReducer(step.grad_reducer, max_norm * step.sens)
    return step
