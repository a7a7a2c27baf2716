"""Loss, optimizer and mindspore.train.Model of one phase."""

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, nn, ops
from mindspore.train import FixedLossScaleManager, Model

from mindclf.train.accumulation import AccumulatedStep
from mindclf.train.adamw import AdamW
from mindclf.train.clipping import clip
from mindclf.train.distillation import DistillationLoss, is_distilled
from mindclf.train.groups import parameter_groups
from mindclf.train.lion import Lion
from mindclf.train.momentum import momentum_optimizer
from mindclf.train.sam import SharpnessAwareStep

AUXILIARY_WEIGHT = 0.3  # of the loss of an auxiliary head (GoogLeNet, arXiv:1409.4842, section 5)


class ClassifierLoss(nn.Cell):
    """Cross-entropy of logits (N, classes) and labels; of a net that gives (logits, auxiliary logits), of both.

    Labels are int32 (N,), or float32 (N, classes) with the fraction of each class, as `mix` makes them. After a step
    `correct_predictions` counts the images of its batch whose highest logit is that of their label, or of its largest fraction.
    `criterion`, a Cell of (logits, labels), takes the place of cross-entropy. With `class_weights` (classes,) the images of a
    batch count as their classes say, in the mean over what they count; mixed ones in the mean over the batch.
    """

    def __init__(self, label_smoothing=0.0, criterion=None, class_weights=None):
        super().__init__()
        weights = None if class_weights is None else Tensor(class_weights, ms.float32)
        self.criterion = criterion or nn.CrossEntropyLoss(weights, label_smoothing=label_smoothing)
        self.class_weights = class_weights
        self.correct_predictions = Parameter(Tensor(0, ms.int32), name="correct_predictions", requires_grad=False)

    def construct(self, logits, labels):
        main = logits[0] if isinstance(logits, tuple) else logits
        loss = self.criterion(main, labels)
        if isinstance(logits, tuple):
            loss = loss + AUXILIARY_WEIGHT * self.criterion(logits[1], labels)
        classes = labels.argmax(1) if labels.ndim == 2 else labels
        correct = (ops.stop_gradient(main).argmax(1) == classes).sum().astype(ms.int32)
        return ops.depend(loss, ops.assign(self.correct_predictions, correct))

    def total_weight(self, labels):
        """What images with these `labels`, as in `construct`, count together in the mean."""
        is_weighted = self.class_weights is not None and labels.ndim == 1
        return float(np.asarray(self.class_weights)[labels.asnumpy()].sum()) if is_weighted else float(len(labels))


def create_model(net, config, learning_rates, criterion=None, optimizer=None, class_weights=None):
    """A Model that trains the unfrozen weights of `net`, one of `learning_rates` a step.

    The loss is a ClassifierLoss, around `criterion` if that is given, else with `class_weights` (classes,); with a teacher it is
    within a DistillationLoss.
    FixedLossScaleManager multiplies it by config.loss_scale, and the optimizer divides the gradients by the same number; where
    the two differ, the step would be wrong by that factor without a warning, so an `optimizer` of one's own with another
    loss_scale raises ValueError. With config.sam_rho the steps are SharpnessAwareSteps, at the same scale. With config.clip_norm
    gradients are clipped, and with config.accumulation_steps a batch goes through the net in so many parts. Callbacks find the
    loss as `loss` of the train network.
    """
    manager = FixedLossScaleManager(config.loss_scale, drop_overflow_update=False)
    loss = ClassifierLoss(config.label_smoothing, criterion, class_weights)
    if is_distilled(config):
        loss = DistillationLoss(loss, config.distillation_temperature, config.distillation_weight)
    if optimizer is None:
        optimizer = create_optimizer(net, config, learning_rates)
    elif optimizer.loss_scale != manager.get_loss_scale():
        raise ValueError(f"the optimizer has loss_scale={optimizer.loss_scale:g} and the config {config.loss_scale:g}: make it "
                         f"with loss_scale={config.loss_scale:g}, or set loss_scale={optimizer.loss_scale:g}")
    if config.sam_rho:
        model = Model(SharpnessAwareStep(nn.WithLossCell(net, loss), optimizer, config.sam_rho, manager.get_loss_scale()))
    else:
        model = Model(net, loss, optimizer, loss_scale_manager=manager)
    if config.clip_norm:
        clip(model.train_network, config.clip_norm)
    if config.accumulation_steps > 1:
        model = Model(AccumulatedStep(model.train_network, loss, config.accumulation_steps))
    model.train_network.loss = loss
    return model


def create_optimizer(net, config, learning_rates):
    """The optimizer that config.optimizer names, of the `parameter_groups`: biases and batch norm do not decay.

    For "momentum", "sgd" and "adam" weight decay is L2 regularisation: weight_decay x weight is added to the gradient, so that
    Adam's moments see it too. For "adamw" and "lion" it is apart from the gradient. MindSpore's Adam puts epsilon, 1e-8,
    beside the root of the moment before the moment's correction, as the end of section 2 of arXiv:1412.6980 has it.
    """
    groups = parameter_groups(net, config, learning_rates)
    if config.optimizer == "momentum":
        return momentum_optimizer(groups, learning_rates, config.momentum, config.loss_scale)
    if config.optimizer == "sgd":
        return nn.SGD(groups, learning_rates, config.momentum, nesterov=config.nesterov, loss_scale=config.loss_scale)
    if config.optimizer == "adam":
        return nn.Adam(groups, learning_rates, loss_scale=config.loss_scale)
    if config.optimizer == "lion":
        return Lion(groups, learning_rates, loss_scale=config.loss_scale)
    return AdamW(groups, learning_rates, loss_scale=config.loss_scale)
