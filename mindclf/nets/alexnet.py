"""AlexNet in one column (arXiv:1404.5997). Images (N, 3, H, W) -> logits (N, num_classes).

Channels, paddings and numbers of the layers are torchvision's: `features.0.weight` ... `classifier.6.bias`.
"""

from mindspore import nn

from mindclf.nets.dropout import Dropout
from mindclf.nets.layers import AdaptiveAvgPool, ImageClassifier, MaxPool, SequentialBackbone, conv2d, initialise

CONVOLUTIONS = (  # channels, kernel, stride, padding, whether a pool follows
    (64, 11, 4, 2, True),
    (192, 5, 1, 2, True),
    (384, 3, 1, 1, False),
    (256, 3, 1, 1, False),
    (256, 3, 1, 1, True),
)


class AlexNetBackbone(SequentialBackbone):
    """The convolutional part: (N, 3, H, W) -> (N, 256, h, w), where h = w = 6 for images of 224 x 224."""

    out_channels = CONVOLUTIONS[-1][0]
    min_size = 63

    def __init__(self):
        super().__init__()
        layers = []
        in_channels = 3
        for channels, kernel_size, stride, padding, pooled in CONVOLUTIONS:
            layers += [conv2d(in_channels, channels, kernel_size, stride, padding=padding, has_bias=True), nn.ReLU()]
            layers += [MaxPool(kernel_size=3, stride=2)] if pooled else []
            in_channels = channels
        self.features = nn.SequentialCell(layers)
        initialise(self)


class AlexNetHead(nn.Cell):
    """Three dense layers on 6 x 6 averages of the maps: (N, in_channels, h, w) -> logits (N, num_classes).

    The first two have hidden_channels outputs each. `dropout` is the share of their inputs that training sets to zero.
    """

    def __init__(self, in_channels=256, num_classes=1000, hidden_channels=4096, dropout=0.5):
        super().__init__()
        self.pool = AdaptiveAvgPool(6)
        self.flatten = nn.Flatten()
        self.classifier = nn.SequentialCell(
            Dropout(p=dropout), nn.Dense(in_channels * 6 * 6, hidden_channels), nn.ReLU(),
            Dropout(p=dropout), nn.Dense(hidden_channels, hidden_channels), nn.ReLU(),
            nn.Dense(hidden_channels, num_classes),
        )
        initialise(self)

    def construct(self, x):
        return self.classifier(self.flatten(self.pool(x)))


class AlexNet(ImageClassifier):
    """AlexNet without the split into two columns and without local response normalisation; arguments as in AlexNetHead."""

    def __init__(self, num_classes=1000, hidden_channels=4096, dropout=0.5):
        backbone = AlexNetBackbone()
        super().__init__(backbone, AlexNetHead(backbone.out_channels, num_classes, hidden_channels, dropout))
