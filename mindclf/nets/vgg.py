"""VGG (arXiv:1409.1556, Table 1, columns A, B, D and E). Images (N, 3, H, W) -> logits (N, num_classes).

Layers are numbered as in torchvision, ReLUs and pools included: `features.0.weight` ... `classifier.6.bias`.
"""

from mindspore import nn

from mindclf.nets.layers import (
    AdaptiveAvgPool,
    BatchNorm,
    Dropout,
    ImageClassifier,
    MaxPool,
    SequentialBackbone,
    check_choice,
    conv2d,
    initialise,
)

CHANNELS = (64, 128, 256, 512, 512)  # of the five stages
CONVOLUTIONS = {  # depth: convolutions in each stage
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}


class VGGBackbone(SequentialBackbone):
    """The convolutional part: (N, 3, H, W) -> (N, 512, H / 32, W / 32), rounded down."""

    out_channels = CHANNELS[-1]
    min_size = 32

    def __init__(self, depth=16, batch_norm=False):
        super().__init__()
        check_choice("depth", depth, CONVOLUTIONS)
        layers = []
        in_channels = 3
        for channels, count in zip(CHANNELS, CONVOLUTIONS[depth]):
            for _ in range(count):
                layers += [conv2d(in_channels, channels, kernel_size=3, has_bias=True)]
                layers += [BatchNorm(channels), nn.ReLU()] if batch_norm else [nn.ReLU()]
                in_channels = channels
            layers += [MaxPool(kernel_size=2, stride=2)]
        self.features = nn.SequentialCell(layers)
        initialise(self)


class VGGHead(nn.Cell):
    """Three dense layers on 7 x 7 averages of the maps: (N, in_channels, h, w) -> logits (N, num_classes).

    Images of 224 x 224 give maps of 7 x 7, which are taken as they are. `dropout` is the share of the two hidden layers, of
    hidden_channels each, that training sets to zero.
    """

    def __init__(self, in_channels=512, num_classes=1000, hidden_channels=4096, dropout=0.5):
        super().__init__()
        self.pool = AdaptiveAvgPool(7)
        self.flatten = nn.Flatten()
        self.classifier = nn.SequentialCell(
            nn.Dense(in_channels * 7 * 7, hidden_channels), nn.ReLU(), Dropout(p=dropout),
            nn.Dense(hidden_channels, hidden_channels), nn.ReLU(), Dropout(p=dropout),
            nn.Dense(hidden_channels, num_classes),
        )
        initialise(self)

    def construct(self, x):
        return self.classifier(self.flatten(self.pool(x)))


class VGG(ImageClassifier):
    """VGG with `depth` layers that have weights: 11, 13, 16 or 19. batch_norm=True puts one after each convolution.

    hidden_channels and `dropout` as in VGGHead, which at 4096 has most of the weights.
    """

    def __init__(self, num_classes=1000, depth=16, batch_norm=False, hidden_channels=4096, dropout=0.5):
        backbone = VGGBackbone(depth, batch_norm)
        super().__init__(backbone, VGGHead(backbone.out_channels, num_classes, hidden_channels, dropout))
