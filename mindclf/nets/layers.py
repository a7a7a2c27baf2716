"""Building blocks that several nets share, the contract that every net keeps, and the true freeze."""

import itertools

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, nn, ops
from mindspore.common.initializer import HeNormal, Normal, initializer

from mindclf import kernels

PAD_MODES = ("pad", "same")
HEAD_KEYS = ("head.", "classifier.", "auxiliary.")  # what the keys of heads begin with; no backbone has such keys


def make_divisible(value, divisor=8, min_value=None):
    """The multiple of `divisor` nearest to `value`, at least `min_value` and never under 90 % of `value`.

    Source: the channel rounding of the MobileNet papers' reference code. make_divisible(32 * 0.35) is 16, not 8.
    """
    rounded = max(min_value or divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded


def check_choice(name, value, choices):
    """Raises ValueError unless the argument `name` is one of `choices`."""
    if value not in choices:
        raise ValueError(f"{name}={value!r} is not known; expected one of {', '.join(map(str, choices))}")


def check_size(images, min_size):
    """Raises ValueError if `images` (N, 3, H, W) are smaller than `min_size` pixels in height or width."""
    if min(images.shape[2:]) < min_size:
        raise ValueError(f"images of {images.shape[2]} x {images.shape[3]} pixels are too small for this net: it takes "
                         f"{min_size} x {min_size} and up")


class SequentialBackbone(nn.Cell):
    """Layers in a row, `features`: images (N, 3, H, W) of min_size pixels and up -> maps (N, out_channels, h, w)."""

    def construct(self, x):
        check_size(x, self.min_size)
        return self.features(x)


def conv2d(in_channels, out_channels, kernel_size, stride=1, groups=1, pad_mode="pad", padding=None, has_bias=False):
    """A convolution: (N, in_channels, H, W) -> (N, out_channels, H / stride, W / stride), rounded up.

    pad_mode "pad" puts `padding` zeros on each side, by default (kernel_size - 1) / 2, as PyTorch and the MindSpore tutorials
    do. "same" puts what TensorFlow does: with stride 2 and even sizes one zero after, none before. Weights trained under one
    of the two compute something else under the other. A kernel that is not square is (height, width) and takes "same" only:
    unequal paddings come out in the wrong order when MindSpore 2.10 exports ONNX.
    """
    check_choice("pad_mode", pad_mode, PAD_MODES)
    if pad_mode == "same":
        padding = 0
    elif padding is None:
        padding = (kernel_size - 1) // 2
    return Conv2d(in_channels, out_channels, kernel_size, stride, pad_mode=pad_mode, padding=padding, group=groups,
                  has_bias=has_bias)


class HSigmoid(nn.Cell):
    """ReLU6(x + 3) / 6 (MobileNetV3, arXiv:1905.02244, section 5.2), in operators that every export format has."""

    def __init__(self):
        super().__init__()
        self.relu6 = nn.ReLU6()

    def construct(self, x):
        return self.relu6(x + 3.0) / 6.0


class HSwish(nn.Cell):
    """x times HSigmoid of x (MobileNetV3, arXiv:1905.02244, section 5.2). The shape stays."""

    def __init__(self):
        super().__init__()
        self.gate = HSigmoid()

    def construct(self, x):
        return x * self.gate(x)


ACTIVATIONS = {None: nn.Identity, "relu": nn.ReLU, "relu6": nn.ReLU6, "hswish": HSwish}


class HasKernel:
    """What layers share that run as a CPU kernel of mindclf where that can be; `kernel` is None where it cannot."""

    kernel = settings = None
    fp16 = bf16 = False  # to_float sets them

    def takes(self, x):
        """Whether the kernel computes `x`: kernels are for float32 (N, C, H, W) only."""
        return self.kernel is not None and not self.fp16 and not self.bf16 and x.dtype == ms.float32 and x.ndim == 4


class Convolves(HasKernel):
    """A convolution that has a kernel, and may end with an activation once a batch norm is folded into it."""

    def choose_kernel(self, out_channels, kernel_size, stride, pad_mode, padding, depthwise=False):
        """Sets `kernel`, operator(x, weight, settings) without bias, where the kernels have such a convolution.

        `kernel_size` and `stride` are pairs. `depthwise` says that each channel is a group of its own.
        """
        self.activation = nn.Identity()
        self.activated = False  # whether the kernel adds the bias and applies the activation
        padding = kernels.SAME if pad_mode == "same" else padding
        if kernels.in_use() and kernels.can_convolve(kernel_size, stride, padding):
            depthwise = depthwise and kernels.can_convolve_depthwise(kernel_size, stride)
            self.geometry = (out_channels, kernel_size, stride[0], padding, depthwise)
            self.kernel, self.settings = kernels.convolution(*self.geometry)

    def end_with(self, activation):
        """From now on the convolution, which has a bias, ends with one of ACTIVATIONS; for inference only."""
        self.activation_name = activation
        self.activation = ACTIVATIONS[activation]()
        if self.kernel is not None and kernels.in_use():
            self.kernel, self.settings = kernels.activated_convolution(*self.geometry, activation)
            self.activated = True
        else:
            self.kernel = None

    def run_kernel(self, x, weight, bias):
        """What the kernel makes of `x`; `bias` is None where there is none."""
        if self.activated:
            return self.kernel(x, weight, bias, self.settings)
        output = self.kernel(x, weight, self.settings)
        return output if bias is None else output + bias.reshape(1, -1, 1, 1)


class Conv2d(Convolves, nn.Conv2d):
    """nn.Conv2d that runs as a CPU kernel of mindclf where that can be. Make it with `conv2d`."""

    def __init__(self, in_channels, out_channels, kernel_size, stride, pad_mode, padding, group, has_bias):
        super().__init__(in_channels, out_channels, kernel_size, stride, pad_mode, padding, group=group, has_bias=has_bias)
        self.choose_kernel(out_channels, self.kernel_size, self.stride, pad_mode, padding,
                           depthwise=in_channels == out_channels == group)

    def construct(self, x):
        if self.takes(x):
            return self.run_kernel(x, self.weight, self.bias if self.has_bias else None)
        return self.activation(super().construct(x))


class BatchNorm(HasKernel, nn.BatchNorm2d):
    """Batch norm and then an activation: None, "relu", "relu6" or "hswish". The shape (N, channels, H, W) stays.

    Both are one CPU kernel of mindclf where that can be. Training on a single value a channel raises ValueError: it has no
    spread, and MindSpore's own layer would put NaN into its moving variance without a word.
    """

    def __init__(self, channels, activation=None, eps=1e-5):
        super().__init__(channels, eps=eps)
        check_choice("activation", activation, ACTIVATIONS)
        self.activation_name = activation
        self.activation = ACTIVATIONS[activation]()
        if kernels.in_use():
            self.kernel, self.infer_kernel, self.settings = kernels.batch_norm(eps, 1 - self.momentum, activation)

    def construct(self, x):
        learns = self.training if self.use_batch_statistics is None else self.use_batch_statistics
        if learns and x.size == x.shape[1]:
            raise ValueError("batch norm cannot train on one value a channel: take a batch_size of 2 or more, or larger images")
        if not self.takes(x):
            return self.activation(super().construct(x))
        if not learns:
            return self.infer_kernel(x, self.gamma, self.beta, self.moving_mean, self.moving_variance, self.settings)
        y, _, _, mean, variance = self.kernel(x, self.gamma, self.beta, self.moving_mean, self.moving_variance, self.settings)
        y = ops.depend(y, ops.assign(self.moving_mean, mean))
        return ops.depend(y, ops.assign(self.moving_variance, variance))


class Add(HasKernel, nn.Cell):
    """The end of a residual block: a + b, both (N, C, H, W), and then an activation, None or "relu". The shape stays.

    One CPU kernel of mindclf where that can be.
    """

    def __init__(self, activation=None):
        super().__init__()
        check_choice("activation", activation, (None, "relu"))
        self.activation_name = activation
        self.activation = ACTIVATIONS[activation]()
        if kernels.in_use():
            self.kernel, self.settings = kernels.add(activation)

    def construct(self, a, b):
        if self.takes(a) and self.takes(b) and a.shape == b.shape:
            return self.kernel(a, b, self.settings)
        return self.activation(a + b)


class MaxPool(HasKernel, nn.Cell):
    """The largest of kernel_size x kernel_size values that are 0 or more, as they are after a ReLU.

    (N, C, H, W) -> (N, C, (H + 2 padding - kernel_size) / stride + 1, ...), rounded down; with pad_mode "same" (N, C, H / stride,
    ...), rounded up, as in TensorFlow (see `conv2d`). Since nothing is negative the padding may be zeros, and a pool without
    padding is what every export format has. Runs as a CPU kernel of mindclf where that can be.
    """

    def __init__(self, kernel_size, stride, padding=0, pad_mode="pad"):
        super().__init__()
        check_choice("pad_mode", pad_mode, PAD_MODES)
        if pad_mode == "same":
            padding = 0
        self.pad = nn.Pad(((0, 0), (0, 0), (padding, padding), (padding, padding))) if padding else nn.Identity()
        self.pool = nn.MaxPool2d(kernel_size, stride, pad_mode="same" if pad_mode == "same" else "valid")
        padding = kernels.SAME if pad_mode == "same" else padding
        if kernels.in_use() and kernels.can_pool(kernel_size, stride, padding):
            self.kernel, self.settings = kernels.max_pool(kernel_size, stride, padding)

    def construct(self, x):
        return self.kernel(x, self.settings) if self.takes(x) else self.pool(self.pad(x))


class GlobalAvgPooling(HasKernel, nn.Cell):
    """Mean over height and width: (N, C, H, W) -> (N, C). What is averaged already, (N, C), stays as it is.

    Runs as a CPU kernel of mindclf where that can be.
    """

    def __init__(self):
        super().__init__()
        if kernels.in_use():
            self.kernel = kernels.global_average()

    def construct(self, x):
        if x.ndim != 4:
            return x
        return self.kernel(x) if self.takes(x) else ops.mean(x, (2, 3))


class AdaptiveAvgPool(nn.Cell):
    """Means over size x size windows that cover the maps: (N, C, h, w) -> (N, C, size, size), for any h and w.

    As in PyTorch, window i of n values reaches from i * n / size, rounded down, to (i + 1) * n / size, rounded up. Maps of
    size x size stay as they are.
    """

    def __init__(self, size):
        super().__init__()
        self.size = size

    def construct(self, x):
        height, width = x.shape[2:]
        if height != self.size:
            x = ops.cat([ops.mean(x[:, :, first:last], 2, True) for first, last in _windows(height, self.size)], 2)
        if width != self.size:
            x = ops.cat([ops.mean(x[:, :, :, first:last], 3, True) for first, last in _windows(width, self.size)], 3)
        return x


def _windows(length, count):
    return [(index * length // count, -(-(index + 1) * length // count)) for index in range(count)]


class Dropout(nn.Cell):
    """Sets the share `p` of the values to zero in training and divides the others by 1 - p; in inference the input itself.

    What it draws depends on a key and on the number of draws since it got the key, and on nothing else: `seed_dropout` sets both,
    and training goes on as it would have. MindSpore's nn.Dropout repeats itself under no seed on CPU. x is (N, ...).
    """

    _made = itertools.count()

    def __init__(self, p):
        super().__init__()
        if not 0 <= p < 1:
            raise ValueError(f"p={p}, the share of values to drop, must be at least 0 and less than 1")
        self.p = p
        self.least = round(p * 2**32) - 2**31  # of numbers spread evenly over int32, p are less
        number = next(self._made)
        # Set past Cell, which would count it among the net's weights: it belongs to a run, not to a checkpoint.
        object.__setattr__(self, "draws", Parameter(Tensor([number, 0], ms.int32), name=f"draws_of_dropout_{number}",
                                                    requires_grad=False))

    def construct(self, x):
        if not self.training or self.p == 0:
            return x
        rows, columns = x.shape[0], x.size // x.shape[0]
        draws = ops.assign_add(self.draws, Tensor([0, 1], ms.int32))
        stream = _scramble(_scramble(draws[1]) ^ draws[0])
        words = _scramble(_scramble(ops.arange(0, rows + columns).astype(ms.int32)) ^ stream) * 2 + 1
        # Odd random factors for rows and columns: their products mod 2^32 are even over int32 (multiplicative hashing), and
        # h + 2 h^2 is one-to-one. Scrambling every value as well as rows and columns would take ten times as long.
        product = words[:rows].reshape(-1, 1) * words[rows:].reshape(1, -1)
        square = product * product
        kept = (product + square + square >= self.least).reshape(x.shape)
        return x * (kept.astype(x.dtype) * (1 / (1 - self.p)))


def _scramble(words):
    """int32 -> int32, one to one, each bit of the result depending on all bits: lowbias32 of C. Wellons's hash-prospector."""
    words = (words ^ _shifted(words, 16)) * 0x7FEB352D
    words = (words ^ _shifted(words, 15)) * (0x846CA68B - 2**32)
    return words ^ _shifted(words, 16)


def _shifted(words, bits):
    return ops.bitwise_and(ops.bitwise_right_shift(words, Tensor(bits, ms.int32)), (1 << (32 - bits)) - 1)


def seed_dropout(cell, seeds, draws=0):
    """Has every Dropout in `cell` draw by `seeds`, a list of whole numbers, as after `draws` draws; no two draw the same."""
    layers = [child for _, child in cell.cells_and_names() if isinstance(child, Dropout)]
    for layer, words in zip(layers, np.random.SeedSequence(seeds).spawn(len(layers))):
        key = words.generate_state(1).astype(np.int32)[0]
        layer.draws.set_data(Tensor([int(key), draws], ms.int32))


class DenseHead(nn.Cell):
    """Global average, dropout, dense layer: maps (N, in_channels, h, w), or their averages -> logits (N, num_classes).

    `dropout` is the share of features that training sets to zero.
    """

    def __init__(self, in_channels, num_classes, dropout=0.0):
        super().__init__()
        self.pool = GlobalAvgPooling()
        self.dropout = Dropout(p=dropout) if dropout else nn.Identity()
        self.classifier = nn.Dense(in_channels, num_classes)
        initialise(self)

    def construct(self, x):
        return self.classifier(self.dropout(self.pool(x)))


class ImageClassifier(nn.Cell):
    """A backbone and a head as one net: images (N, 3, H, W) -> logits (N, num_classes).

    What every net of mindclf has, so that phases, stored features and Grad-CAM work with all of them:
    - net.backbone: images -> maps (N, backbone.out_channels, h, w);
    - net.head: maps -> logits, with keys that begin with one of HEAD_KEYS;
    - net.head.pool: maps -> the smallest thing that the head takes in their place, mostly their averages (N, C).
    The keys of the net are those of its parts, without a prefix.
    """

    def __init__(self, backbone, head):
        super().__init__(auto_prefix=False)
        self.backbone = backbone
        self.head = head

    @property
    def min_training_size(self):
        """The smallest height and width, in pixels, of images that the net can be trained on."""
        return getattr(self.backbone, "min_size", 1)

    def construct(self, x):
        return self.head(self.backbone(x))


def initialise(cell, mode="fan_out"):
    """Draws fresh weights: He normal over `mode` for convolutions, deviation 0.01 for dense layers, zeros for biases."""
    for _, child in cell.cells_and_names():
        if isinstance(child, nn.Conv2d):
            _fill(child.weight, HeNormal(mode=mode, nonlinearity="relu"))
        elif isinstance(child, nn.Dense):
            _fill(child.weight, Normal(0.01))
        if isinstance(child, (nn.Conv2d, nn.Dense)) and child.has_bias:
            _fill(child.bias, "zeros")


def _fill(parameter, values):
    parameter.set_data(initializer(values, parameter.shape, parameter.dtype))


def freeze(cell):
    """Freezes `cell` for good: no gradients, and batch norm stays in inference mode whatever set_train says.

    requires_grad=False alone leaves batch norm normalising with batch statistics and moving its averages during training, so
    the features of a "frozen" backbone would drift. `unfreeze` undoes it. Call either before the net's first training step:
    a step that is compiled keeps what it was compiled with. Returns `cell`.
    """
    return _set_frozen(cell, True)


def unfreeze(cell):
    """Undoes `freeze`: every weight trains again, and batch norm follows set_train. Returns `cell`."""
    return _set_frozen(cell, False)


def _set_frozen(cell, frozen):
    statistics = set()
    for _, child in cell.cells_and_names():
        if isinstance(child, nn.BatchNorm2d):
            child.use_batch_statistics = False if frozen else None
            statistics |= {child.moving_mean.name, child.moving_variance.name}
    for parameter in cell.get_parameters():
        parameter.requires_grad = not frozen and parameter.name not in statistics
    return cell
