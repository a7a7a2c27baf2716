"""Loss, optimizer and mindspore.train.Model of one phase."""

import mindspore as ms
from mindspore import Parameter, Tensor, nn, ops
from mindspore.train import FixedLossScaleManager, Model

from mindclf.train.adamw import AdamW
from mindclf.train.sam import SharpnessAwareStep

AUXILIARY_SHARE = 0.3  # of the loss of an auxiliary head (GoogLeNet, arXiv:1409.4842, section 5)


class ClassifierLoss(nn.Cell):
    """Cross-entropy of logits (N, classes) and labels; of a net that gives (logits, auxiliary logits), of both.

    Labels are int32 (N,), or float32 (N, classes) with the share of each class, as `mix` makes them. After a step
    `right_answers` counts the images of its batch whose highest logit is that of their label, or of its largest share.
    """

    def __init__(self, label_smoothing=0.0):
        super().__init__()
        self.cross_entropy = nn.CrossEntropyLoss(label_smoothing=label_smoothing)
        self.right_answers = Parameter(Tensor(0, ms.int32), name="right_answers", requires_grad=False)

    def construct(self, logits, labels):
        main = logits[0] if isinstance(logits, tuple) else logits
        loss = self.cross_entropy(main, labels)
        if isinstance(logits, tuple):
            loss = loss + AUXILIARY_SHARE * self.cross_entropy(logits[1], labels)
        classes = labels.argmax(1) if labels.ndim == 2 else labels
        right = (ops.stop_gradient(main).argmax(1) == classes).sum().astype(ms.int32)
        return ops.depend(loss, ops.assign(self.right_answers, right))


def create_model(net, config, learning_rates):
    """A Model that trains the unfrozen weights of `net`, one of `learning_rates` a step.

    The loss is a ClassifierLoss. It is multiplied by config.loss_scale and the optimizer divides the gradients by the same
    number; where the two differ, the step is wrong by that factor without a warning. With config.sam_rho the steps are
    SharpnessAwareSteps. Callbacks find the loss as `loss` of the train network.
    """
    loss = ClassifierLoss(config.label_smoothing)
    optimizer = create_optimizer(net, config, learning_rates)
    if config.sam_rho:
        model = Model(SharpnessAwareStep(nn.WithLossCell(net, loss), optimizer, config.sam_rho, config.loss_scale))
    else:
        manager = FixedLossScaleManager(config.loss_scale, drop_overflow_update=False)
        model = Model(net, loss, optimizer, loss_scale_manager=manager)
    model.train_network.loss = loss
    return model


def create_optimizer(net, config, learning_rates):
    """The optimizer that config.optimizer names; only kernels and matrices decay, biases and batch norm do not.

    For "momentum", "sgd" and "adam" weight decay is L2 regularisation: weight_decay x weight is added to the gradient, so that
    Adam's moments see it too. For "adamw" it is apart from the gradient. MindSpore's Adam puts epsilon, 1e-8, beside the root of
    the moment before the moment's correction, as the end of section 2 of arXiv:1412.6980 has it.
    """
    weights = net.trainable_params()
    groups = [{"params": [p for p in weights if p.ndim > 1], "weight_decay": config.weight_decay},
              {"params": [p for p in weights if p.ndim <= 1], "weight_decay": 0.0}]
    groups = [group for group in groups if group["params"]]
    if config.optimizer == "momentum":
        return nn.Momentum(groups, learning_rates, config.momentum, loss_scale=config.loss_scale)
    if config.optimizer == "sgd":
        return nn.SGD(groups, learning_rates, config.momentum, nesterov=config.nesterov, loss_scale=config.loss_scale)
    if config.optimizer == "adam":
        return nn.Adam(groups, learning_rates, loss_scale=config.loss_scale)
    return AdamW(groups, learning_rates, loss_scale=config.loss_scale)


def set_learning_rates(optimizer, learning_rates):
    """Has `optimizer` go on with `learning_rates`, a list as long as the one that it was made with: one rate a step."""
    optimizer.learning_rate.learning_rate.set_data(Tensor(learning_rates, ms.float32))
