"""SqueezeNet (arXiv:1602.07360, Table 1). Images (N, 3, H, W) -> logits (N, num_classes).

Version 1.1 is its authors' later release: the same layers with a smaller first kernel and earlier pools, for less than half
the work. Layers are numbered as in torchvision: `features.0.weight` ... `classifier.1.bias`.
"""

from mindspore import nn, ops
from mindspore.common.initializer import Normal, initializer

from mindclf.nets.layers import (
    Dropout,
    GlobalAvgPooling,
    ImageClassifier,
    MaxPool,
    SequentialBackbone,
    check_choice,
    conv2d,
    initialise,
)

POOL = None
VERSIONS = {  # channels and kernel of the first convolution; then pools and fires, these as (squeezed, expanded twice)
    "1_0": ((96, 7), POOL, (16, 64), (16, 64), (32, 128), POOL, (32, 128), (48, 192), (48, 192), (64, 256), POOL, (64, 256)),
    "1_1": ((64, 3), POOL, (16, 64), (16, 64), POOL, (32, 128), (32, 128), POOL, (48, 192), (48, 192), (64, 256), (64, 256)),
}


class CeilMaxPool(nn.Cell):
    """The largest of 3 x 3 values that are 0 or more, stride 2: (N, C, H, W) -> (N, C, H / 2, W / 2), rounded down.

    A window that begins inside the maps counts even if it ends outside ("ceil mode"). A zero after the last row and column does
    that: it makes an even size odd, so that the last window fits, and an odd size even, which changes nothing.
    """

    def __init__(self):
        super().__init__()
        self.pad = nn.Pad(((0, 0), (0, 0), (0, 1), (0, 1)))
        self.pool = nn.MaxPool2d(kernel_size=3, stride=2, pad_mode="valid")

    def construct(self, x):
        return self.pool(self.pad(x))


class Fire(nn.Cell):
    """Squeeze (1x1), then expand (1x1 and 3x3 side by side): (N, in_channels, h, w) -> (N, 2 * expanded, h, w) (Figure 1)."""

    def __init__(self, in_channels, squeezed, expanded):
        super().__init__()
        self.squeeze = conv2d(in_channels, squeezed, kernel_size=1, has_bias=True)
        self.expand1x1 = conv2d(squeezed, expanded, kernel_size=1, has_bias=True)
        self.expand3x3 = conv2d(squeezed, expanded, kernel_size=3, has_bias=True)
        self.relu = nn.ReLU()

    def construct(self, x):
        x = self.relu(self.squeeze(x))
        return self.relu(ops.cat((self.expand1x1(x), self.expand3x3(x)), 1))


class SqueezeNetBackbone(SequentialBackbone):
    """The convolutional part: (N, 3, H, W) -> (N, 512, h, w), where h = w = 13 for images of 224 x 224.

    Args:
        version: "1_0" or "1_1".
        ceil_mode: whether a window that ends outside the maps counts, as in PyTorch; False (mindcv, MindSpore Hub) leaves it out.
        stem_padding: zeros on each side for the first convolution; 0 in PyTorch, 1 in version 1.1 of mindcv and MindSpore Hub.
    """

    def __init__(self, version="1_0", ceil_mode=True, stem_padding=0):
        super().__init__()
        check_choice("version", version, VERSIONS)
        (channels, kernel_size), *rows = VERSIONS[version]
        pools = rows.count(POOL)
        smallest = 2 ** pools if ceil_mode else 2 ** (pools + 1) - 1  # maps of the first convolution of which one value is left
        self.min_size = kernel_size + 2 * (smallest - 1) - 2 * stem_padding
        layers = [conv2d(3, channels, kernel_size, stride=2, padding=stem_padding, has_bias=True), nn.ReLU()]
        for row in rows:
            if row is POOL:
                layers.append(CeilMaxPool() if ceil_mode else MaxPool(kernel_size=3, stride=2))
            else:
                layers.append(Fire(channels, *row))
                channels = 2 * row[1]
        self.out_channels = channels
        self.features = nn.SequentialCell(layers)
        initialise(self)


class SqueezeNetHead(nn.Cell):
    """A map for each class, averaged: (N, in_channels, h, w) -> logits (N, num_classes), which are 0 or more.

    `dropout` is the share of the input values that training sets to zero. The average comes after a ReLU, so nothing smaller
    than the maps can stand in for them. Trained alone at a large rate, maps may fall silent for good: ReLU lets nothing back.
    """

    def __init__(self, in_channels=512, num_classes=1000, dropout=0.5):
        super().__init__()
        self.pool = nn.Identity()
        maps_of_classes = conv2d(in_channels, num_classes, kernel_size=1, has_bias=True)
        self.classifier = nn.SequentialCell(Dropout(p=dropout), maps_of_classes, nn.ReLU(), GlobalAvgPooling())
        initialise(self)
        # As a dense layer's: drawn over its fan-out, a layer of ten outputs would begin with logits in the tens.
        maps_of_classes.weight.set_data(initializer(Normal(0.01), maps_of_classes.weight.shape))

    def construct(self, x):
        return self.classifier(self.pool(x))


class SqueezeNet(ImageClassifier):
    """SqueezeNet; arguments as in SqueezeNetBackbone and SqueezeNetHead."""

    def __init__(self, num_classes=1000, version="1_0", dropout=0.5, ceil_mode=True, stem_padding=0):
        backbone = SqueezeNetBackbone(version, ceil_mode, stem_padding)
        super().__init__(backbone, SqueezeNetHead(backbone.out_channels, num_classes, dropout))
