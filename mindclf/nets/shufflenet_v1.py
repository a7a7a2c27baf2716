"""ShuffleNetV1 (arXiv:1707.01083, Table 1). Images (N, 3, H, W) -> logits (N, num_classes).

The public names, arguments and checkpoint keys are those of MindSpore's ShuffleNet tutorial.
"""

import mindspore as ms
from mindspore import nn, ops

from mindclf.nets.layers import (
    Add,
    AvgPool,
    BatchNorm,
    Concat,
    Conv2d,
    Convolves,
    DenseHead,
    ImageClassifier,
    MaxPool,
    check_choice,
    conv2d,
    initialise,
)

STAGE_CHANNELS = {1: 144, 2: 200, 3: 240, 4: 272, 8: 384}  # groups: channels of stage 2 at 1.0x; stages 3 and 4 double them
STAGE_REPEATS = (4, 8, 4)
MODEL_SIZES = {"0.25x": 6, "0.5x": 12, "1.0x": 24, "1.5x": 24, "2.0x": 48}  # size: channels of the first layer
STEMS = ("imagenet", "cifar")


class GroupConv(Convolves, nn.Cell):
    """A grouped convolution whose keys are the tutorial's, a convolution a group: `convs.0.weight`, `convs.1.weight`, ...

    (N, in_channels, H, W) -> (N, out_channels, H', W'). Where the device can it runs as one grouped convolution of the joined
    weights (`native`), and group by group on Ascend, which runs groups only where each is one channel. The weights, and so the
    checkpoints, are the same.
    """

    def __init__(self, in_channels, out_channels, kernel_size, stride, pad_mode="pad", pad=0, groups=1, has_bias=False):
        super().__init__()
        for name, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
            if channels % groups:
                raise ValueError(f"{name}={channels} must be a multiple of groups={groups}")
        self.groups, self.has_bias = groups, has_bias
        self.native = groups > 1 and ms.get_context("device_target") != "Ascend"
        self.convs = nn.CellList([
            nn.Conv2d(in_channels // groups, out_channels // groups, kernel_size, stride, pad_mode=pad_mode, padding=pad,
                      has_bias=has_bias)
            for _ in range(groups)
        ])
        first = self.convs[0]
        self.convolve = ops.Conv2D(out_channels, first.kernel_size, pad_mode=pad_mode, pad=pad, stride=first.stride, group=groups)
        self.choose_kernel(out_channels, first.kernel_size, first.stride, pad_mode, pad)

    def construct(self, x):
        if self.takes(x):
            return self.run_kernel(x, self._joined_weights(), self._joined_biases() if self.has_bias else None)
        if self.native:
            output = self.convolve(x, self._joined_weights())
            return self.activation(output + self._joined_biases().reshape(1, -1, 1, 1) if self.has_bias else output)
        outputs = ()
        for conv, part in zip(self.convs, ops.chunk(x, self.groups, axis=1)):
            outputs += (conv(part),)
        return self.activation(ops.concat(outputs, axis=1))

    def joined(self):
        """A convolution that computes the same and need not join its weights at each run, for inference."""
        first = self.convs[0]
        conv = Conv2d(first.in_channels * self.groups, first.out_channels * self.groups, first.kernel_size, first.stride,
                      pad_mode=first.pad_mode, padding=first.padding, group=self.groups, has_bias=self.has_bias)
        conv.weight.set_data(self._joined_weights())
        conv.weight.name = first.weight.name
        if self.has_bias:
            conv.bias.set_data(self._joined_biases())
            conv.bias.name = first.bias.name
        return conv

    def _joined_weights(self):
        weights = ()
        for conv in self.convs:
            weights += (conv.weight,)
        return ops.concat(weights)

    def _joined_biases(self):
        biases = ()
        for conv in self.convs:
            biases += (conv.bias,)
        return ops.concat(biases)


class ShuffleV1Block(nn.Cell):
    """Grouped 1x1, shuffle, depthwise 3x3, grouped 1x1 (Figure 2). (N, inp, H, W) -> (N, oup, H / stride, W / stride).

    With stride 1 the input is added, with stride 2 its 3x3 average is put before the output's other oup - inp channels.
    first_group leaves the first 1x1 ungrouped. ksize is the depthwise kernel's size.
    """

    def __init__(self, inp, oup, group, first_group, mid_channels, ksize, stride):
        super().__init__()
        check_choice("stride", stride, (1, 2))
        self.stride = stride
        outputs = oup - inp if stride == 2 else oup
        self.branch_main_1 = nn.SequentialCell(
            GroupConv(inp, mid_channels, 1, 1, groups=1 if first_group else group),
            BatchNorm(mid_channels, "relu"),
        )
        self.branch_main_2 = nn.SequentialCell(
            conv2d(mid_channels, mid_channels, ksize, stride, groups=mid_channels, shuffled_groups=group),
            BatchNorm(mid_channels),
            GroupConv(mid_channels, outputs, 1, 1, groups=group),
            BatchNorm(outputs),
        )
        self.branch_proj = AvgPool(3, 2)
        if stride == 2:
            self.concat = Concat(0, 1)
        self.end = Add("relu") if stride == 1 else nn.ReLU()

    def construct(self, old_x):
        x = self.branch_main_2(self.branch_main_1(old_x))
        if self.stride == 1:
            return self.end(old_x, x)
        return self.end(self.concat(self.branch_proj(old_x), x))


class ShuffleNetV1Backbone(nn.Cell):
    """The convolutional part: (N, 3, H, W) -> (N, out_channels, H / 32, W / 32), or / 8 with the CIFAR stem, rounded up.

    Args:
        model_size: "0.25x", "0.5x", "1.0x", "1.5x" or "2.0x", the paper's scale factor of all channels.
        group: 1, 2, 3, 4 or 8. Scaled channels are rounded to a multiple of 4 x group, which the paper's tables leave open.
        stem: "imagenet" (stride 2 and a pool) or "cifar" (stride 1 and no pool, for images of about 32 pixels).
    """

    def __init__(self, model_size="2.0x", group=3, stem="imagenet"):
        super().__init__()
        check_choice("model_size", model_size, MODEL_SIZES)
        check_choice("group", group, STAGE_CHANNELS)
        check_choice("stem", stem, STEMS)
        channels = -(-MODEL_SIZES[model_size] // group) * group
        stage_channels = scaled(STAGE_CHANNELS[group], float(model_size[:-1]), 4 * group)
        self.first_conv = nn.SequentialCell(
            conv2d(3, channels, 3, stride=2 if stem == "imagenet" else 1),
            BatchNorm(channels, "relu"),
        )
        self.maxpool = MaxPool(3, 2, pad_mode="same") if stem == "imagenet" else nn.Identity()
        blocks = []
        for stage, repeats in enumerate(STAGE_REPEATS):
            out_channels = stage_channels * 2 ** stage
            for number in range(repeats):
                blocks.append(ShuffleV1Block(channels, out_channels, group, first_group=not blocks, ksize=3,
                                             mid_channels=out_channels // 4, stride=2 if number == 0 else 1))
                channels = out_channels
        self.features = nn.SequentialCell(blocks)
        self.out_channels = channels
        initialise(self)

    def construct(self, x):
        return self.features(self.maxpool(self.first_conv(x)))


class ShuffleNetV1(ImageClassifier):
    """ShuffleNetV1 in one piece, for n_class classes; further arguments as in ShuffleNetV1Backbone."""

    def __init__(self, n_class=1000, model_size="2.0x", group=3, stem="imagenet"):
        backbone = ShuffleNetV1Backbone(model_size, group, stem)
        super().__init__(backbone, DenseHead(backbone.out_channels, n_class))


def shufflenet_v1(num_classes=1000, model_size="1.0x", group=3, stem="imagenet"):
    """ShuffleNetV1 (arXiv:1707.01083) with the argument names of the other nets."""
    return ShuffleNetV1(num_classes, model_size, group, stem)


def scaled(channels, scale, divisor):
    """The multiple of `divisor` nearest to channels * scale, halves up."""
    return max(divisor, int(channels * scale / divisor + 0.5) * divisor)
