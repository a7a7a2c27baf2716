"""MobileNetV1 (arXiv:1704.04861, Table 1). Images (N, 3, H, W) -> logits (N, num_classes)."""

import numpy as np
from mindspore import Tensor, nn, ops

from mindclf.nets.layers import BatchNorm, DenseHead, ImageClassifier, check_choice, conv2d, initialise, make_divisible

BLOCKS = (  # channels, stride
    (64, 1),
    (128, 2), (128, 1),
    (256, 2), (256, 1),
    (512, 2), (512, 1), (512, 1), (512, 1), (512, 1), (512, 1),
    (1024, 2), (1024, 1),
)
FIRST_STRIDES = {"imagenet": (2, 2), "cifar": (1, 2), "cifar8": (1, 1)}  # of the first layer, and of the first strided block


class DepthwiseSeparable(nn.Cell):
    """Depthwise 3x3, then pointwise 1x1, each with batch norm and activation (Figure 3).

    (N, in_channels, H, W) -> (N, out_channels, H / stride, W / stride), rounded up.
    """

    def __init__(self, in_channels, out_channels, stride, activation="relu", pad_mode="pad", bn_epsilon=1e-5):
        super().__init__()
        self.depthwise = nn.SequentialCell(
            conv2d(in_channels, in_channels, 3, stride, groups=in_channels, pad_mode=pad_mode),
            BatchNorm(in_channels, activation, bn_epsilon),
        )
        self.pointwise = nn.SequentialCell(
            conv2d(in_channels, out_channels, 1, pad_mode=pad_mode),
            BatchNorm(out_channels, activation, bn_epsilon),
        )

    def construct(self, x):
        return self.pointwise(self.depthwise(x))


class Resize(nn.Cell):
    """Bilinear resizing by a factor: (N, C, H, W) -> (N, C, H x factor, W x factor), rounded, and never empty.

    As two products with constant matrices, which every export format has, unlike MindSpore's own operators for it.
    """

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def construct(self, x):
        height, width = x.shape[2:]
        x = ops.matmul(_bilinear(height, max(1, round(height * self.factor))), x)
        return ops.matmul(x, _bilinear(width, max(1, round(width * self.factor))).T)


@ops.constexpr
def _bilinear(length, count):
    """(count, length): row i holds the weights of the two values that lie round the middle of the i-th of `count` parts."""
    centres = np.clip((np.arange(count) + 0.5) * length / count - 0.5, 0, length - 1)
    return Tensor(np.maximum(0, 1 - np.abs(centres[:, None] - np.arange(length))).astype(np.float32))


class MobileNetV1Backbone(nn.Cell):
    """The convolutional part: (N, 3, H, W) -> (N, out_channels, H / 32, W / 32), rounded up, or as `stem` says.

    Args:
        width_mult: the paper's alpha; multiplies every channel count, rounded to multiples of 8.
        resolution_mult: the paper's rho; height and width of the images are resized by it before the first layer.
        stem: "imagenet", H / 32; for images of about 32 pixels "cifar", H / 16: the first layer has stride 1; or "cifar8",
            H / 8: the first block of 128 channels has stride 1 too, for four times the work. Weights fit all three.
        activation: "relu", or "relu6" as in weights that were trained by Keras or timm.
        pad_mode: "pad" (symmetric) or "same" (TensorFlow's, for weights that were trained there).
        bn_epsilon: added to the variance; 1e-5 in MindSpore and PyTorch, 1e-3 in TensorFlow.
    """

    def __init__(self, width_mult=1.0, resolution_mult=1.0, stem="imagenet", activation="relu", pad_mode="pad", bn_epsilon=1e-5):
        super().__init__()
        check_choice("stem", stem, FIRST_STRIDES)
        check_choice("activation", activation, ("relu", "relu6"))
        if not (width_mult > 0 and resolution_mult > 0):
            raise ValueError(f"width_mult={width_mult} and resolution_mult={resolution_mult} must be positive")
        self.resize = nn.Identity() if resolution_mult == 1.0 else Resize(resolution_mult)
        channels = make_divisible(32 * width_mult)
        layers = [nn.SequentialCell(
            conv2d(3, channels, 3, FIRST_STRIDES[stem][0], pad_mode=pad_mode),
            BatchNorm(channels, activation, bn_epsilon),
        )]
        first_strided = next(number for number, (_, stride) in enumerate(BLOCKS) if stride == 2)
        for number, (block_channels, stride) in enumerate(BLOCKS):
            stride = FIRST_STRIDES[stem][1] if number == first_strided else stride
            out_channels = make_divisible(block_channels * width_mult)
            layers.append(DepthwiseSeparable(channels, out_channels, stride, activation, pad_mode, bn_epsilon))
            channels = out_channels
        self.features = nn.SequentialCell(layers)
        self.out_channels = channels
        initialise(self)

    def construct(self, x):
        return self.features(self.resize(x))


class MobileNetV1(ImageClassifier):
    """MobileNetV1 in one piece; arguments as in MobileNetV1Backbone; `dropout` is the share of features dropped in training."""

    def __init__(self, num_classes=1000, width_mult=1.0, resolution_mult=1.0, stem="imagenet", activation="relu", dropout=0.0,
                 pad_mode="pad", bn_epsilon=1e-5):
        backbone = MobileNetV1Backbone(width_mult, resolution_mult, stem, activation, pad_mode, bn_epsilon)
        super().__init__(backbone, DenseHead(backbone.out_channels, num_classes, dropout))
