"""DenseNet (arXiv:1608.06993, Table 1, with bottlenecks and compression). Images (N, 3, H, W) -> logits (N, num_classes).

Names are torchvision's: `features.conv0.weight` ... `features.denseblock1.denselayer1.norm1.gamma` ... `classifier.bias`.
"""

from collections import OrderedDict

from mindspore import nn, ops

from mindclf.nets.layers import (
    BatchNorm,
    DenseHead,
    ImageClassifier,
    MaxPool,
    SequentialBackbone,
    check_choice,
    conv2d,
    initialise,
)

DEPTHS = {  # growth, channels of the first convolution, layers in each block
    121: (32, 64, (6, 12, 24, 16)),
    161: (48, 96, (6, 12, 36, 24)),
    169: (32, 64, (6, 12, 32, 32)),
    201: (32, 64, (6, 12, 48, 32)),
}


class DenseLayer(nn.Cell):
    """The input and `growth` new maps after it: (N, in_channels, h, w) -> (N, in_channels + growth, h, w)."""

    def __init__(self, in_channels, growth):
        super().__init__()
        self.norm1 = BatchNorm(in_channels, "relu")
        self.conv1 = conv2d(in_channels, 4 * growth, kernel_size=1)
        self.norm2 = BatchNorm(4 * growth, "relu")
        self.conv2 = conv2d(4 * growth, growth, kernel_size=3)

    def construct(self, x):
        new = self.conv2(self.norm2(self.conv1(self.norm1(x))))
        return ops.cat((x, new), 1)


def dense_block(in_channels, growth, layers):
    """`layers` dense layers in a row: (N, in_channels, h, w) -> (N, in_channels + layers * growth, h, w)."""
    return nn.SequentialCell(OrderedDict(
        (f"denselayer{index + 1}", DenseLayer(in_channels + index * growth, growth)) for index in range(layers)))


TRANSITION_POOLS = {"avg": nn.AvgPool2d, "max": nn.MaxPool2d}


def transition(in_channels, pool="avg"):
    """Half the channels and half the size: (N, in_channels, h, w) -> (N, in_channels / 2, h / 2, w / 2), rounded down."""
    return nn.SequentialCell(OrderedDict(
        norm=BatchNorm(in_channels, "relu"),
        conv=conv2d(in_channels, in_channels // 2, kernel_size=1),
        pool=TRANSITION_POOLS[pool](kernel_size=2, stride=2, pad_mode="valid"),
    ))


class DenseNetBackbone(SequentialBackbone):
    """The convolutional part: (N, 3, H, W) -> (N, out_channels, h, w), where h = w = 7 for images of 224 x 224.

    Args:
        depth: 121, 161, 169 or 201.
        transition_pool: between the blocks, "avg" (the paper's) or "max" (MindSpore Hub's).
        pool_pad_mode: of the first max pool, "pad" (symmetric) or "same" (MindSpore Hub's); see conv2d.
    """

    min_size = 29

    def __init__(self, depth=121, transition_pool="avg", pool_pad_mode="pad"):
        super().__init__()
        check_choice("depth", depth, DEPTHS)
        check_choice("transition_pool", transition_pool, TRANSITION_POOLS)
        growth, channels, blocks = DEPTHS[depth]
        features = OrderedDict(
            conv0=conv2d(3, channels, kernel_size=7, stride=2),
            norm0=BatchNorm(channels, "relu"),
            pool0=MaxPool(kernel_size=3, stride=2, padding=1, pad_mode=pool_pad_mode),
        )
        for number, layers in enumerate(blocks, start=1):
            features[f"denseblock{number}"] = dense_block(channels, growth, layers)
            channels += layers * growth
            if number < len(blocks):
                features[f"transition{number}"] = transition(channels, transition_pool)
                channels //= 2
        features["norm5"] = BatchNorm(channels, "relu")
        self.features = nn.SequentialCell(features)
        self.out_channels = channels
        initialise(self, mode="fan_in")  # over the fan-out, concatenation would pile up huge values before batch norm has moved


class DenseNet(ImageClassifier):
    """DenseNet of `depth` 121, 161, 169 or 201; further arguments as in DenseNetBackbone."""

    def __init__(self, num_classes=1000, depth=121, transition_pool="avg", pool_pad_mode="pad"):
        backbone = DenseNetBackbone(depth, transition_pool, pool_pad_mode)
        super().__init__(backbone, DenseHead(backbone.out_channels, num_classes))
