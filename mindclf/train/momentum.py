"""Gradient descent with momentum whose step is one operator for all weights, where the CPU kernels are in use."""

import mindspore as ms
from mindspore import Tensor, nn

from mindclf import kernels


def momentum_optimizer(groups, learning_rates, momentum, loss_scale):
    """An nn.Momentum of `parameter_groups`: on a CPU with kernels one that computes the same in one operator for all weights.

    MindSpore's own takes four operators for each weight: for weight decay, the loss scale and the update. Weights of another type
    than float32, and groups with learning rates of their own, have MindSpore's.
    """
    fits = all("lr" not in group and weight.dtype == ms.float32 for group in groups for weight in group["params"])
    make = Momentum if fits and kernels.in_use() else nn.Momentum
    return make(groups, learning_rates, momentum, loss_scale=loss_scale)


class Momentum(nn.Momentum):
    """nn.Momentum of groups with one learning rate, see `kernels.momentum_step`. Its state has the same names."""

    def __init__(self, groups, learning_rates, momentum, loss_scale):
        super().__init__(groups, learning_rates, momentum, loss_scale=loss_scale)
        self.decays = Tensor([decay / loss_scale for decay in self.group_weight_decay], ms.float32)
        self.step, self.settings = kernels.momentum_step(len(self.params), momentum, 1 / loss_scale)

    def construct(self, gradients):
        rate = self.get_lr()
        self.assignadd(self.global_step, self.global_step_increase_tensor)
        return self.step(*self.params, *self.moments, *gradients, self.decays, rate, self.settings)
