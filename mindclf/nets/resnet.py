"""ResNet (arXiv:1512.03385, Table 1). Images (N, 3, H, W) -> logits (N, num_classes).

Keys are those of torchvision's checkpoints, in MindSpore's words for batch norm, but for the last layer: `classifier`.
"""

from mindspore import nn

from mindclf.nets.layers import Add, BatchNorm, DenseHead, ImageClassifier, MaxPool, check_choice, conv2d, initialise

CHANNELS = (64, 128, 256, 512)
STEMS = ("imagenet", "cifar")


class BasicBlock(nn.Cell):
    """Two 3x3 convolutions and a shortcut: (N, in_channels, H, W) -> (N, channels, H / stride, W / stride)."""

    expansion = 1

    def __init__(self, in_channels, channels, stride, stride_on="3x3", bn_epsilon=1e-5, pad_mode="pad"):
        super().__init__()
        self.conv1 = conv2d(in_channels, channels, 3, stride, pad_mode=pad_mode)
        self.bn1 = BatchNorm(channels, "relu", bn_epsilon)
        self.conv2 = conv2d(channels, channels, 3, pad_mode=pad_mode)
        self.bn2 = BatchNorm(channels, eps=bn_epsilon)
        self.downsample = shortcut(in_channels, channels, stride, bn_epsilon)
        self.add = Add("relu")

    def construct(self, x):
        return self.add(self.downsample(x), self.bn2(self.conv2(self.bn1(self.conv1(x)))))


class Bottleneck(nn.Cell):
    """1x1, 3x3, 1x1 convolutions and a shortcut: (N, in_channels, H, W) -> (N, 4 channels, H / stride, W / stride).

    stride_on says which convolution strides: the "3x3", as in the PyTorch weights, or the first "1x1", as in the paper and in
    Keras. Weights trained under one of the two compute something else under the other.
    """

    expansion = 4

    def __init__(self, in_channels, channels, stride, stride_on="3x3", bn_epsilon=1e-5, pad_mode="pad"):
        super().__init__()
        out_channels = channels * self.expansion
        self.conv1 = conv2d(in_channels, channels, 1, stride if stride_on == "1x1" else 1)
        self.bn1 = BatchNorm(channels, "relu", bn_epsilon)
        self.conv2 = conv2d(channels, channels, 3, stride if stride_on == "3x3" else 1, pad_mode=pad_mode)
        self.bn2 = BatchNorm(channels, "relu", bn_epsilon)
        self.conv3 = conv2d(channels, out_channels, 1)
        self.bn3 = BatchNorm(out_channels, eps=bn_epsilon)
        self.downsample = shortcut(in_channels, out_channels, stride, bn_epsilon)
        self.add = Add("relu")

    def construct(self, x):
        branch = self.bn2(self.conv2(self.bn1(self.conv1(x))))
        return self.add(self.downsample(x), self.bn3(self.conv3(branch)))


DEPTHS = {  # blocks, repeats of the four stages
    18: (BasicBlock, (2, 2, 2, 2)),
    34: (BasicBlock, (3, 4, 6, 3)),
    50: (Bottleneck, (3, 4, 6, 3)),
    101: (Bottleneck, (3, 4, 23, 3)),
    152: (Bottleneck, (3, 8, 36, 3)),
}


class ResNetBackbone(nn.Cell):
    """The convolutional part: (N, 3, H, W) -> (N, out_channels, H / 32, W / 32), or / 8 with the CIFAR stem.

    Args:
        depth: 18, 34, 50, 101 or 152.
        stem: "imagenet" (7x7 with stride 2 and a pool) or "cifar" (3x3 with stride 1, for images of about 32 pixels).
        stride_on: "3x3" or "1x1", see Bottleneck.
        bn_epsilon: added to the variance; 1e-5 in MindSpore and PyTorch, 1.001e-5 in Keras, 1e-4 in MindSpore Hub.
        pad_mode: of the convolutions, "pad" (symmetric) or "same" (MindSpore Hub's from 50 layers on); see conv2d.
        pool_pad_mode: of the stem's max pool, "pad" (PyTorch's) or "same" (mindcv's, and MindSpore Hub's from 50 layers on).
    """

    def __init__(self, depth=18, stem="imagenet", stride_on="3x3", bn_epsilon=1e-5, pad_mode="pad", pool_pad_mode="pad"):
        super().__init__()
        check_choice("depth", depth, DEPTHS)
        check_choice("stem", stem, STEMS)
        check_choice("stride_on", stride_on, ("3x3", "1x1"))
        block, repeats = DEPTHS[depth]
        self.conv1 = conv2d(3, 64, 7, 2, pad_mode=pad_mode) if stem == "imagenet" else conv2d(3, 64, 3, pad_mode=pad_mode)
        self.bn1 = BatchNorm(64, "relu", bn_epsilon)
        self.maxpool = MaxPool(3, 2, padding=1, pad_mode=pool_pad_mode) if stem == "imagenet" else nn.Identity()
        stages, in_channels = [], 64
        for index, (channels, count) in enumerate(zip(CHANNELS, repeats)):
            blocks = []
            for number in range(count):
                stride = 2 if index > 0 and number == 0 else 1
                blocks.append(block(in_channels, channels, stride, stride_on, bn_epsilon, pad_mode))
                in_channels = channels * block.expansion
            stages.append(nn.SequentialCell(blocks))
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.out_channels = in_channels
        initialise(self)

    def construct(self, x):
        x = self.maxpool(self.bn1(self.conv1(x)))
        return self.layer4(self.layer3(self.layer2(self.layer1(x))))


class ResNet(ImageClassifier):
    """ResNet in one piece; arguments as in ResNetBackbone."""

    def __init__(self, num_classes=1000, depth=18, stem="imagenet", stride_on="3x3", bn_epsilon=1e-5, pad_mode="pad",
                 pool_pad_mode="pad"):
        backbone = ResNetBackbone(depth, stem, stride_on, bn_epsilon, pad_mode, pool_pad_mode)
        super().__init__(backbone, DenseHead(backbone.out_channels, num_classes))


def shortcut(in_channels, out_channels, stride, bn_epsilon):
    """The identity, or a 1x1 convolution and batch norm where the shapes differ."""
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return nn.SequentialCell(conv2d(in_channels, out_channels, 1, stride), BatchNorm(out_channels, eps=bn_epsilon))
