"""AsymmNet (arXiv:2104.07770, Tables 1 and 2). Images (N, 3, H, W) -> logits (N, num_classes)."""

import math

from mindspore import nn

from mindclf.nets.dropout import Dropout
from mindclf.nets.layers import (
    Add,
    BatchNorm,
    Concat,
    Gate,
    GlobalAvgPooling,
    HSwish,
    ImageClassifier,
    check_choice,
    conv2d,
    initialise,
)

STAGES = {  # kernel size, expanded channels, channels, squeeze-and-excite, activation, stride
    "large": (
        (3, 16, 16, False, "relu", 1),
        (3, 64, 24, False, "relu", 2),
        (3, 72, 24, False, "relu", 1),
        (5, 72, 40, True, "relu", 2),
        (5, 120, 40, True, "relu", 1),
        (5, 120, 40, True, "relu", 1),
        (3, 240, 80, False, "hswish", 2),
        (3, 200, 80, False, "hswish", 1),
        (3, 184, 80, False, "hswish", 1),
        (3, 184, 80, False, "hswish", 1),
        (3, 480, 112, True, "hswish", 1),
        (3, 672, 112, True, "hswish", 1),
        (5, 672, 160, True, "hswish", 2),
        (5, 960, 160, True, "hswish", 1),
        (5, 960, 160, True, "hswish", 1),
    ),
    "small": (
        (3, 16, 16, True, "relu", 2),
        (3, 72, 24, False, "relu", 2),
        (3, 88, 24, False, "relu", 1),
        (5, 96, 40, True, "hswish", 2),
        (5, 240, 40, True, "hswish", 1),
        (5, 240, 40, True, "hswish", 1),
        (5, 120, 48, True, "hswish", 1),
        (5, 144, 48, True, "hswish", 1),
        (5, 288, 96, True, "hswish", 2),
        (5, 576, 96, True, "hswish", 1),
        (5, 576, 96, True, "hswish", 1),
    ),
}
LAST_CHANNELS = {"large": 960, "small": 576}
HIDDEN_CHANNELS = 1280


class SqueezeExcite(nn.Cell):
    """Each channel times a weight from 0 to 1 that follows from the mean of all channels. (N, channels, H, W) stays."""

    def __init__(self, channels):
        super().__init__()
        reduced = ceil_to_8(channels // 4)
        self.squeeze = conv2d(channels, reduced, 1, has_bias=True)
        self.relu = nn.ReLU()
        self.excite = conv2d(reduced, channels, 1, has_bias=True)
        self.pool = GlobalAvgPooling()
        self.gate = Gate()

    def construct(self, x):
        mean = self.pool(x).reshape(-1, x.shape[1], 1, 1)
        return self.gate(x, self.excite(self.relu(self.squeeze(mean))))


class AsymmBottleneck(nn.Cell):
    """Asymmetrical bottleneck (Figure 2): (N, in_channels, H, W) -> (N, out_channels, H / stride, W / stride).

    The expansion makes only expanded - asymmrate * in_channels maps; the input itself goes asymmrate times before and asymmrate
    times after them into the depthwise convolution.
    """

    def __init__(self, in_channels, expanded, out_channels, kernel_size, asymmrate, activation, has_squeeze, stride):
        super().__init__()
        self.asymmrate = asymmrate
        self.expands = expanded > max(in_channels, asymmrate * in_channels)
        if self.expands:
            made = expanded - asymmrate * in_channels
            self.expand = nn.SequentialCell(conv2d(in_channels, made, 1), BatchNorm(made, activation))
            self.concat = Concat(*(0,) * asymmrate, 1, *(0,) * asymmrate)
        width = expanded + asymmrate * in_channels if self.expands else in_channels
        self.depthwise = nn.SequentialCell(
            conv2d(width, width, kernel_size, stride, groups=width), BatchNorm(width, activation))
        self.squeeze_excite = SqueezeExcite(width) if has_squeeze else nn.Identity()
        self.project = nn.SequentialCell(conv2d(width, out_channels, 1), BatchNorm(out_channels))
        self.has_shortcut = stride == 1 and in_channels == out_channels
        if self.has_shortcut:
            self.add = Add()

    def construct(self, x):
        out = x
        if self.expands:
            out = self.concat(x, self.expand(x)) if self.asymmrate else self.expand(x)
        out = self.project(self.squeeze_excite(self.depthwise(out)))
        return self.add(x, out) if self.has_shortcut else out


class AsymmNetBackbone(nn.Cell):
    """The convolutional part: (N, 3, H, W) -> (N, out_channels, H / 32, W / 32), rounded up.

    Args:
        model_size: "large" or "small".
        asymmrate: the paper's r, 0, 1 or 2; 0 is the bottleneck of MobileNetV3.
        width_mult: from 0.35 to 1.0; multiplies every channel count, rounded up to multiples of 8.
    """

    def __init__(self, model_size="large", asymmrate=1, width_mult=1.0):
        super().__init__()
        check_choice("model_size", model_size, STAGES)
        check_choice("asymmrate", asymmrate, (0, 1, 2))  # from 3 on some blocks would have to make a negative number of maps
        if not 0.35 <= width_mult <= 1.0:
            raise ValueError(f"width_mult={width_mult} must be from 0.35 to 1.0")
        channels = ceil_to_8(16 * width_mult)
        layers = [nn.SequentialCell(conv2d(3, channels, 3, stride=2), BatchNorm(channels, "hswish"))]
        for kernel_size, expanded, stage_channels, has_squeeze, activation, stride in STAGES[model_size]:
            out_channels = ceil_to_8(stage_channels * width_mult)
            layers.append(AsymmBottleneck(channels, ceil_to_8(expanded * width_mult), out_channels, kernel_size, asymmrate,
                                          activation, has_squeeze, stride))
            channels = out_channels
        self.out_channels = ceil_to_8(LAST_CHANNELS[model_size] * width_mult)
        layers.append(nn.SequentialCell(conv2d(channels, self.out_channels, 1), BatchNorm(self.out_channels, "hswish")))
        self.features = nn.SequentialCell(layers)
        initialise(self)

    def construct(self, x):
        return self.features(x)


class AsymmNetHead(nn.Cell):
    """Global average, a layer of 1280 with h-swish, dropout, classes: (N, in_channels, h, w) -> logits (N, num_classes)."""

    def __init__(self, in_channels, num_classes, dropout=0.2):
        super().__init__()
        self.pool = GlobalAvgPooling()
        self.classifier = nn.SequentialCell(
            nn.Dense(in_channels, HIDDEN_CHANNELS, has_bias=False),
            HSwish(),
            Dropout(p=dropout),
            nn.Dense(HIDDEN_CHANNELS, num_classes),
        )
        initialise(self)

    def construct(self, x):
        return self.classifier(self.pool(x))


class AsymmNet(ImageClassifier):
    """AsymmNet in one piece; arguments as in AsymmNetBackbone; `dropout` is the share of features dropped in training."""

    def __init__(self, num_classes=1000, model_size="large", asymmrate=1, width_mult=1.0, dropout=0.2):
        backbone = AsymmNetBackbone(model_size, asymmrate, width_mult)
        super().__init__(backbone, AsymmNetHead(backbone.out_channels, num_classes, dropout))


def ceil_to_8(channels):
    """The smallest multiple of 8 that is at least `channels`."""
    return math.ceil(channels / 8) * 8
