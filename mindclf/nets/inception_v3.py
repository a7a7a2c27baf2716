"""Inception-v3 (arXiv:1512.00567, Table 1). Images (N, 3, H, W) -> logits (N, num_classes).

Names are torchvision's: `Conv2d_1a_3x3.conv.weight`, `Mixed_5b.branch1x1.conv.weight` ... `Mixed_7c.branch_pool.bn.gamma`; its
`fc` is `classifier` here and its `AuxLogits` is `auxiliary`.
"""

from collections import OrderedDict

from mindspore import nn, ops

from mindclf.nets.layers import BatchNorm, DenseHead, GlobalAvgPooling, ImageClassifier, check_size, conv2d, initialise

STEM = (  # name, channels, kernel, stride, padded
    ("Conv2d_1a_3x3", 32, 3, 2, False),
    ("Conv2d_2a_3x3", 32, 3, 1, False),
    ("Conv2d_2b_3x3", 64, 3, 1, True),
    ("maxpool1", 64, 3, 2, False),
    ("Conv2d_3b_1x1", 80, 1, 1, False),
    ("Conv2d_4a_3x3", 192, 3, 1, False),
    ("maxpool2", 192, 3, 2, False),
)


# The blocks. Each row is a convolution: name, what it reads, channels, kernel, stride. What no row reads, the pool
# included, is the block's output.
def figure_5(pool_channels):
    """The rows of a block on 35 x 35 maps."""
    return (
        ("branch1x1", "input", 64, 1, 1),
        ("branch5x5_1", "input", 48, 1, 1),
        ("branch5x5_2", "branch5x5_1", 64, 5, 1),
        ("branch3x3dbl_1", "input", 64, 1, 1),
        ("branch3x3dbl_2", "branch3x3dbl_1", 96, 3, 1),
        ("branch3x3dbl_3", "branch3x3dbl_2", 96, 3, 1),
        ("branch_pool", "pool", pool_channels, 1, 1),
    )


def figure_6(narrow):
    """The rows of a block on 17 x 17 maps; `narrow` is the channels between its first and its last convolutions."""
    return (
        ("branch1x1", "input", 192, 1, 1),
        ("branch7x7_1", "input", narrow, 1, 1),
        ("branch7x7_2", "branch7x7_1", narrow, (1, 7), 1),
        ("branch7x7_3", "branch7x7_2", 192, (7, 1), 1),
        ("branch7x7dbl_1", "input", narrow, 1, 1),
        ("branch7x7dbl_2", "branch7x7dbl_1", narrow, (7, 1), 1),
        ("branch7x7dbl_3", "branch7x7dbl_2", narrow, (1, 7), 1),
        ("branch7x7dbl_4", "branch7x7dbl_3", narrow, (7, 1), 1),
        ("branch7x7dbl_5", "branch7x7dbl_4", 192, (1, 7), 1),
        ("branch_pool", "pool", 192, 1, 1),
    )


FIGURE_7 = (  # on 8 x 8 maps
    ("branch1x1", "input", 320, 1, 1),
    ("branch3x3_1", "input", 384, 1, 1),
    ("branch3x3_2a", "branch3x3_1", 384, (1, 3), 1),
    ("branch3x3_2b", "branch3x3_1", 384, (3, 1), 1),
    ("branch3x3dbl_1", "input", 448, 1, 1),
    ("branch3x3dbl_2", "branch3x3dbl_1", 384, 3, 1),
    ("branch3x3dbl_3a", "branch3x3dbl_2", 384, (1, 3), 1),
    ("branch3x3dbl_3b", "branch3x3dbl_2", 384, (3, 1), 1),
    ("branch_pool", "pool", 192, 1, 1),
)
FIGURE_10 = (  # half the size
    ("branch3x3", "input", 384, 3, 2),
    ("branch3x3dbl_1", "input", 64, 1, 1),
    ("branch3x3dbl_2", "branch3x3dbl_1", 96, 3, 1),
    ("branch3x3dbl_3", "branch3x3dbl_2", 96, 3, 2),
)
SECOND_REDUCTION = (  # half the size; the paper does not draw this one
    ("branch3x3_1", "input", 192, 1, 1),
    ("branch3x3_2", "branch3x3_1", 320, 3, 2),
    ("branch7x7x3_1", "input", 192, 1, 1),
    ("branch7x7x3_2", "branch7x7x3_1", 192, (1, 7), 1),
    ("branch7x7x3_3", "branch7x7x3_2", 192, (7, 1), 1),
    ("branch7x7x3_4", "branch7x7x3_3", 192, 3, 2),
)
LOWER = (  # up to the maps that the auxiliary head reads
    ("Mixed_5b", figure_5(32)),
    ("Mixed_5c", figure_5(64)),
    ("Mixed_5d", figure_5(64)),
    ("Mixed_6a", FIGURE_10),
    ("Mixed_6b", figure_6(128)),
    ("Mixed_6c", figure_6(160)),
    ("Mixed_6d", figure_6(160)),
    ("Mixed_6e", figure_6(192)),
)
UPPER = (
    ("Mixed_7a", SECOND_REDUCTION),
    ("Mixed_7b", FIGURE_7),
    ("Mixed_7c", FIGURE_7),
)


class ConvBNReLU(nn.Cell):
    """Convolution, batch norm, ReLU: (N, in_channels, h, w) -> (N, out_channels, h, w), or smaller if it is not padded."""

    def __init__(self, in_channels, out_channels, kernel_size, stride=1, padded=True):
        super().__init__()
        # With odd kernels and stride 1 "same" is as symmetric as "pad", and MindSpore's ONNX export takes one side of the
        # padding for another under "pad" where the kernel is not square.
        self.conv = conv2d(in_channels, out_channels, kernel_size, stride, pad_mode="same" if padded else "pad", padding=0)
        self.bn = BatchNorm(out_channels, "relu", eps=1e-3)

    def construct(self, x):
        return self.bn(self.conv(x))


class Mixed(nn.Cell):
    """Convolutions and a pool side by side: (N, in_channels, h, w) -> (N, out_channels, h, w).

    `rows` is one of the tables above. A block without stride 2 keeps the size; its pool is the mean of 3 x 3, padding included
    if `count_include_pad`. One with stride 2 halves the size, without padding where it does; its pool is the largest of 3 x 3.
    """

    def __init__(self, in_channels, rows, count_include_pad=True):
        super().__init__()
        if any(stride == 2 for *_, stride in rows):
            self.pool = nn.MaxPool2d(kernel_size=3, stride=2, pad_mode="valid")
        elif not count_include_pad:
            self.pool = nn.AvgPool2d(kernel_size=3, stride=1, pad_mode="same")
        else:
            self.pool = nn.SequentialCell(nn.Pad(((0, 0), (0, 0), (1, 1), (1, 1))),
                                          nn.AvgPool2d(kernel_size=3, stride=1, pad_mode="valid"))
        channels = {"input": in_channels, "pool": in_channels}
        for name, source, out_channels, kernel_size, stride in rows:
            setattr(self, name, ConvBNReLU(channels[source], out_channels, kernel_size, stride, padded=stride == 1))
            channels[name] = out_channels
        self.reads = [(name, source) for name, source, *_ in rows]
        names, sources = zip(*self.reads)
        self.outputs = [name for name in (*names, "pool") if name not in sources]
        self.out_channels = sum(channels[name] for name in self.outputs)

    def construct(self, x):
        maps = {"input": x, "pool": self.pool(x)}
        for name, source in self.reads:
            maps[name] = getattr(self, name)(maps[source])
        return ops.cat([maps[name] for name in self.outputs], 1)


def mixed_blocks(in_channels, table, count_include_pad):
    """The blocks of LOWER or UPPER in a row, by name."""
    blocks = OrderedDict()
    for name, rows in table:
        blocks[name] = Mixed(in_channels, rows, count_include_pad)
        in_channels = blocks[name].out_channels
    return blocks


class InceptionV3Backbone(nn.Cell):
    """The convolutional part: (N, 3, H, W) -> (N, 2048, h, w), where h = w = 8 for images of 299 x 299.

    It has two parts, whose names are not in the keys: `upper` takes the maps that `lower` gives, (N, middle_channels, h', w').
    With count_include_pad=False the average pools leave the padding out of the mean, as mindcv's and MindSpore Hub's do.
    """

    middle_channels = 768
    out_channels = 2048
    min_size = 75

    def __init__(self, count_include_pad=True):
        super().__init__(auto_prefix=False)
        stem, channels = OrderedDict(), 3
        for name, out_channels, kernel_size, stride, padded in STEM:
            if name.startswith("maxpool"):
                stem[name] = nn.MaxPool2d(kernel_size, stride, pad_mode="valid")
            else:
                stem[name] = ConvBNReLU(channels, out_channels, kernel_size, stride, padded)
            channels = out_channels
        self.lower = nn.SequentialCell(OrderedDict(**stem, **mixed_blocks(channels, LOWER, count_include_pad)))
        self.upper = nn.SequentialCell(mixed_blocks(self.middle_channels, UPPER, count_include_pad))
        initialise(self, mode="fan_in")  # over the fan-out, as in DenseNet, values pile up before batch norm has moved

    def construct(self, x):
        check_size(x, self.min_size)
        return self.upper(self.lower(x))


class AuxiliaryHead(nn.Cell):
    """A second classifier, for training only: middle maps (N, in_channels, h', w') -> logits (N, num_classes) (Figure 8).

    Its 5 x 5 convolution, without padding, wants images of `min_size` and up.
    """

    min_size = 299

    def __init__(self, in_channels, num_classes):
        super().__init__()
        self.auxiliary = nn.SequentialCell(OrderedDict(
            pool=nn.AvgPool2d(kernel_size=5, stride=3, pad_mode="valid"),
            conv0=ConvBNReLU(in_channels, 128, kernel_size=1),
            conv1=ConvBNReLU(128, 768, kernel_size=5, padded=False),
            mean=GlobalAvgPooling(),
            fc=nn.Dense(768, num_classes),
        ))
        initialise(self)

    def construct(self, x):
        return self.auxiliary(x)


class InceptionV3(ImageClassifier):
    """Inception-v3. With aux_logits=True training gives two logits: (the head's, the auxiliary head's).

    `count_include_pad` as in InceptionV3Backbone; `dropout` is the fraction of features that training sets to zero.
    """

    def __init__(self, num_classes=1000, aux_logits=False, dropout=0.5, count_include_pad=True):
        backbone = InceptionV3Backbone(count_include_pad)
        super().__init__(backbone, DenseHead(backbone.out_channels, num_classes, dropout))
        self.auxiliary = AuxiliaryHead(backbone.middle_channels, num_classes) if aux_logits else None

    @property
    def min_training_size(self):
        return self.auxiliary.min_size if self.auxiliary else self.backbone.min_size

    def construct(self, x):
        if not self.training or self.auxiliary is None:
            return self.head(self.backbone(x))
        check_size(x, self.auxiliary.min_size)
        middle = self.backbone.lower(x)
        return self.head(self.backbone.upper(middle)), self.auxiliary(middle)
