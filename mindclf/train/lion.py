"""Lion: steps of the sign of the momentum (Chen et al., arXiv:2302.06675, algorithm 2)."""

from mindspore import nn, ops

BETA1, BETA2 = 0.9, 0.99


class Lion(nn.Optimizer):
    """Every weight moves by the learning rate, up or down; a step takes learning rate x weight_decay of it off besides.

        w = w - rate * (sign(0.9 m + 0.1 g) + weight_decay * w)
        m = 0.99 m + 0.01 g

    The paper takes a learning rate 3 to 10 times smaller than AdamW's, and a weight decay as many times larger. `params`,
    `learning_rate`, `weight_decay` and `loss_scale` are those of mindspore.nn.Adam, groups included. MindSpore has no Lion.
    """

    def __init__(self, params, learning_rate, weight_decay=0.0, loss_scale=1.0):
        super().__init__(learning_rate, params, weight_decay, loss_scale)
        decays = self.weight_decay if self.is_group else [self.weight_decay] * len(self.parameters)
        self.decays = tuple(decay / loss_scale for decay in decays)  # nn.Optimizer multiplies them for decay inside the gradient
        self.moments = self.parameters.clone(prefix="moment", init="zeros")

    def construct(self, gradients):
        gradients, rates = self.scale_grad(gradients), self.get_lr()
        self.assignadd(self.global_step, self.global_step_increase_tensor)
        if not self.is_group_lr:
            rates = (rates,) * len(self.parameters)
        done = ()
        for weight, moment, rate, decay, gradient in zip(self.parameters, self.moments, rates, self.decays, gradients):
            direction = ops.sign(BETA1 * moment + (1 - BETA1) * gradient)
            moved = ops.assign(weight, weight - rate * (direction + decay * weight))
            done += (moved, ops.assign(moment, ops.depend(BETA2 * moment + (1 - BETA2) * gradient, direction)))
        return done
