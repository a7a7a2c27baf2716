"""AdamW: Adam with decoupled weight decay (Loshchilov and Hutter, arXiv:1711.05101, algorithm 2)."""

import math

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8
# The logarithms of the betas as float32 has them: the operator that updates the moments has no others.
LOG_BETAS = [math.log(np.float32(beta)) for beta in (BETA1, BETA2)]


class AdamW(nn.Optimizer):
    """As torch.optim.AdamW: moments with bias correction; a step takes learning rate x weight_decay of each weight off.

        m = 0.9 m + 0.1 g          v = 0.999 v + 0.001 g g
        w = w - rate * (m / (1 - 0.9^t) / (sqrt(v / (1 - 0.999^t)) + 1e-8) + weight_decay * w)

    `params`, `learning_rate`, `weight_decay` and `loss_scale` are those of mindspore.nn.Adam, groups included. MindSpore's own
    nn.AdamWeightDecay has no bias correction. Its operator serves here: with one learning rate, one epsilon and one decay for
    each step that have the correction in them, it computes the formula above.
    """

    def __init__(self, params, learning_rate, weight_decay=0.0, loss_scale=1.0):
        super().__init__(learning_rate, params, weight_decay, loss_scale)
        decays = self.weight_decay if self.is_group else [self.weight_decay] * len(self.parameters)
        self.decays = tuple(decay / loss_scale for decay in decays)  # nn.Optimizer multiplies them for decay inside the gradient
        self.moments1 = self.parameters.clone(prefix="moment1", init="zeros")
        self.moments2 = self.parameters.clone(prefix="moment2", init="zeros")
        self.beta1, self.beta2 = Tensor(BETA1, ms.float32), Tensor(BETA2, ms.float32)
        self.update = ops.AdamWeightDecay()

    def construct(self, gradients):
        gradients = self.scale_grad(gradients)
        rates, step = self.get_lr(), self.global_step.reshape(()).astype(ms.float32) + 1
        self.assignadd(self.global_step, self.global_step_increase_tensor)
        remaining1, remaining2 = [-ops.expm1(step * log_beta) for log_beta in LOG_BETAS]  # 1 - beta^t, to the last digit
        root = ops.sqrt(remaining2)
        factor = root / remaining1
        if not self.is_group_lr:
            rates = (rates,) * len(self.parameters)
        done = ()
        for weight, first, second, rate, decay, gradient in zip(self.parameters, self.moments1, self.moments2, rates, self.decays,
                                                                gradients):
            done += (self.update(weight, first, second, rate * factor, self.beta1, self.beta2, EPSILON * root, decay / factor,
                                 gradient),)
        return done
