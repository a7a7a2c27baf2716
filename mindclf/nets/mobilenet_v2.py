"""MobileNetV2 (arXiv:1801.04381, Table 2). Images (N, 3, H, W) -> logits (N, num_classes).

The public names and arguments are those of MindSpore's garbage sorting tutorial, and so are the attribute names, because they
are the keys of its checkpoints: `features.0.features.0.weight` ... `head.1.bias`.
"""

from mindspore import nn

from mindclf.nets.dropout import Dropout
from mindclf.nets.layers import (
    Add,
    BatchNorm,
    GlobalAvgPooling,
    ImageClassifier,
    check_choice,
    conv2d,
    initialise,
    make_divisible,
)

STAGES = (  # expansion, channels, repeats, first stride
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
ACTIVATIONS = {"None": None, "Sigmoid": nn.Sigmoid, "Softmax": nn.Softmax}


class ConvBNReLU(nn.Cell):
    """Convolution, batch norm, ReLU6: (N, in_planes, H, W) -> (N, out_planes, H / stride, W / stride)."""

    def __init__(self, in_planes, out_planes, kernel_size=3, stride=1, groups=1, pad_mode="pad", bn_epsilon=1e-5):
        super().__init__()
        self.features = nn.SequentialCell(
            conv2d(in_planes, out_planes, kernel_size, stride, groups, pad_mode),
            BatchNorm(out_planes, "relu6", bn_epsilon),
        )

    def construct(self, x):
        return self.features(x)


class InvertedResidual(nn.Cell):
    """Expand (1x1), filter (depthwise 3x3), project (1x1, linear); plus the input where the shapes agree (Figure 4).

    (N, inp, H, W) -> (N, oup, H / stride, W / stride). An expand_ratio of 1 has no expansion layer.
    """

    def __init__(self, inp, oup, stride, expand_ratio, pad_mode="pad", bn_epsilon=1e-5):
        super().__init__()
        check_choice("stride", stride, (1, 2))
        hidden = round(inp * expand_ratio)
        norm = {"pad_mode": pad_mode, "bn_epsilon": bn_epsilon}
        layers = [] if expand_ratio == 1 else [ConvBNReLU(inp, hidden, kernel_size=1, **norm)]
        layers += [
            ConvBNReLU(hidden, hidden, stride=stride, groups=hidden, **norm),
            conv2d(hidden, oup, kernel_size=1, pad_mode=pad_mode),
            BatchNorm(oup, eps=bn_epsilon),
        ]
        self.conv = nn.SequentialCell(layers)
        self.use_res_connect = stride == 1 and inp == oup
        if self.use_res_connect:
            self.add = Add()

    def construct(self, x):
        return self.add(x, self.conv(x)) if self.use_res_connect else self.conv(x)


class MobileNetV2Backbone(nn.Cell):
    """The convolutional part: (N, 3, H, W) -> (N, out_channels, H / 32, W / 32), rounded up.

    Args:
        width_mult: multiplies every channel count; the last layer only grows with it, it never shrinks below last_channel.
        inverted_residual_setting: rows of (expansion, channels, repeats, first stride); None is the paper's Table 2.
        round_nearest: channel counts are rounded to multiples of this.
        input_channel: channels of the first layer, before the multiplier.
        last_channel: channels of the last layer, before the multiplier.
        pad_mode: "pad" (symmetric) or "same" (TensorFlow's, for weights that were trained there).
        bn_epsilon: added to the variance; 1e-5 in MindSpore and PyTorch, 1e-3 in TensorFlow.
    """

    def __init__(self, width_mult=1., inverted_residual_setting=None, round_nearest=8, input_channel=32, last_channel=1280,
                 pad_mode="pad", bn_epsilon=1e-5):
        super().__init__()
        if min(width_mult, round_nearest, input_channel, last_channel) <= 0:
            raise ValueError(f"width_mult={width_mult}, round_nearest={round_nearest}, input_channel={input_channel} and "
                             f"last_channel={last_channel} must be positive")
        norm = {"pad_mode": pad_mode, "bn_epsilon": bn_epsilon}
        channels = make_divisible(input_channel * width_mult, round_nearest)
        self.out_channels = make_divisible(last_channel * max(1.0, width_mult), round_nearest)

        layers = [ConvBNReLU(3, channels, stride=2, **norm)]
        stages = STAGES if inverted_residual_setting is None else inverted_residual_setting
        for expansion, stage_channels, repeats, first_stride in stages:
            out_channels = make_divisible(stage_channels * width_mult, round_nearest)
            for index in range(repeats):
                stride = first_stride if index == 0 else 1
                layers.append(InvertedResidual(channels, out_channels, stride, expansion, **norm))
                channels = out_channels
        layers.append(ConvBNReLU(channels, self.out_channels, kernel_size=1, **norm))
        self.features = nn.SequentialCell(layers)
        initialise(self)

    def construct(self, x):
        return self.features(x)


class MobileNetV2Head(nn.Cell):
    """The classifier: features (N, input_channel, h, w), or averaged already (N, input_channel) -> logits (N, num_classes).

    `activation` "Sigmoid" or "Softmax" turns the logits into probabilities, for inference only: the losses of mindclf.train
    want logits ("None"). has_dropout drops 20 % of the features in training.
    """

    def __init__(self, input_channel=1280, num_classes=1000, has_dropout=False, activation="None"):
        super().__init__()
        check_choice("activation", activation, ACTIVATIONS)
        self.pool = GlobalAvgPooling()
        layers = [self.pool, nn.Dense(input_channel, num_classes)]
        if has_dropout:
            layers.insert(1, Dropout(p=0.2))
        if activation != "None":
            layers.append(ACTIVATIONS[activation]())
        self.head = nn.SequentialCell(layers)
        initialise(self)

    def construct(self, x):
        return self.head(x)


class MobileNetV2(ImageClassifier):
    """MobileNetV2 in one piece; arguments as in MobileNetV2Backbone and MobileNetV2Head, keys as in `mobilenet_v2`."""

    def __init__(self, num_classes=1000, width_mult=1., has_dropout=False, inverted_residual_setting=None, round_nearest=8,
                 input_channel=32, last_channel=1280, pad_mode="pad", bn_epsilon=1e-5):
        backbone = MobileNetV2Backbone(width_mult, inverted_residual_setting, round_nearest, input_channel, last_channel,
                                       pad_mode, bn_epsilon)
        super().__init__(backbone, MobileNetV2Head(backbone.out_channels, num_classes, has_dropout))


def mobilenet_v2(backbone, head):
    """The net made of a MobileNetV2Backbone and a MobileNetV2Head."""
    return ImageClassifier(backbone, head)
