"""Building blocks that several nets share, the contract that every net keeps, and the true freeze."""

import mindspore as ms
from mindspore import Parameter, nn, ops
from mindspore.common.initializer import HeNormal, Normal, initializer

from mindclf import kernels
from mindclf.nets.dropout import Dropout, DropPath

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


def conv2d(in_channels, out_channels, kernel_size, stride=1, groups=1, pad_mode="pad", padding=None, has_bias=False,
           shuffled_groups=1):
    """A convolution: (N, in_channels, H, W) -> (N, out_channels, H / stride, W / stride), rounded up.

    pad_mode "pad" puts `padding` zeros on each side, by default (kernel_size - 1) / 2, as PyTorch and the MindSpore tutorials
    do. "same" puts what TensorFlow does: with stride 2 and even sizes one zero after, none before. Weights trained under one
    of the two compute something else under the other. A kernel that is not square is (height, width) and takes "same" only:
    unequal paddings come out in the wrong order when MindSpore 2.10 exports ONNX.

    With `shuffled_groups` it convolves the `channel_shuffle` of its input in so many groups; the CPU kernel of a depthwise
    convolution then reads the channels where they are.
    """
    check_choice("pad_mode", pad_mode, PAD_MODES)
    if pad_mode == "same":
        padding = 0
    elif padding is None:
        padding = (kernel_size - 1) // 2
    return Conv2d(in_channels, out_channels, kernel_size, stride, pad_mode=pad_mode, padding=padding, group=groups,
                  has_bias=has_bias, shuffled_groups=shuffled_groups)


def channel_shuffle(x, groups):
    """Channel i of (N, C, H, W) comes from channel (i % (C / groups)) * groups + i // (C / groups).

    This is the order of the ShuffleNet tutorial, (C / groups, groups) transposed, which its published weights need; that of the
    paper (arXiv:1707.01083, section 3.1) is the inverse.
    """
    channels, height, width = x.shape[1:]
    return x.reshape(-1, channels // groups, groups, height, width).swapaxes(1, 2).reshape(-1, channels, height, width)


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

    def choose_kernel(self, out_channels, kernel_size, stride, pad_mode, padding, depthwise=False, shuffled_groups=1):
        """Sets `kernel`, operator(x, weight, settings) without bias, where the kernels have such a convolution.

        `kernel_size` and `stride` are pairs. `depthwise` says that each channel is a group of its own; the kernels can shuffle
        the channels of such convolutions alone.
        """
        self.activation = nn.Identity()
        self.activated = False  # whether the kernel adds the bias and applies the activation
        padding = kernels.SAME if pad_mode == "same" else padding
        if kernels.in_use() and kernels.can_convolve(kernel_size, stride, padding):
            depthwise = depthwise and kernels.can_convolve_depthwise(kernel_size, stride)
            if shuffled_groups > 1 and not depthwise:
                return
            self.geometry = (out_channels, kernel_size, stride[0], padding, depthwise, shuffled_groups)
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

    def __init__(self, in_channels, out_channels, kernel_size, stride, pad_mode, padding, group, has_bias, shuffled_groups=1):
        super().__init__(in_channels, out_channels, kernel_size, stride, pad_mode, padding, group=group, has_bias=has_bias)
        if in_channels % shuffled_groups:
            raise ValueError(f"in_channels={in_channels} must be a multiple of shuffled_groups={shuffled_groups}")
        self.shuffled_groups = shuffled_groups
        self.packs = False  # whether the kernel takes the weight packed too
        self.choose_kernel(out_channels, self.kernel_size, self.stride, pad_mode, padding,
                           depthwise=in_channels == out_channels == group, shuffled_groups=shuffled_groups)

    def end_with(self, activation):
        super().end_with(activation)
        self.packs = self.activated and not self.geometry[4]
        if self.packs:
            pack, settings = kernels.pack_weights(self.group)
            name = self.weight.name.removesuffix("weight") + "packed"
            self.packed = Parameter(pack(self.weight, settings), name=name, requires_grad=False)

    def construct(self, x):
        if self.takes(x):
            if self.packs:
                return self.kernel(x, self.weight, self.packed, self.bias, self.settings)
            return self.run_kernel(x, self.weight, self.bias if self.has_bias else None)
        if self.shuffled_groups > 1:
            x = channel_shuffle(x, self.shuffled_groups)
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
    """The end of a residual block: x + branch, both (N, C, H, W), and then an activation, None or "relu". The shape stays.

    `x` is the shortcut. One CPU kernel of mindclf where that can be. In training `drop_path` may drop the branch, see
    `set_drop_path`.
    """

    def __init__(self, activation=None):
        super().__init__()
        check_choice("activation", activation, (None, "relu"))
        self.activation_name = activation
        self.activation = ACTIVATIONS[activation]()
        self.drop_path = nn.Identity()
        if kernels.in_use():
            self.kernel, self.settings = kernels.add(activation)

    def construct(self, x, branch):
        branch = self.drop_path(branch)
        if self.takes(x) and self.takes(branch) and x.shape == branch.shape:
            return self.kernel(x, branch, self.settings)
        return self.activation(x + branch)


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


class AvgPool(HasKernel, nn.Cell):
    """The mean of kernel_size x kernel_size values; at the border, of those that are in the map.

    (N, C, H, W) -> (N, C, H / stride, W / stride), rounded up, as in TensorFlow with "SAME". Runs as a CPU kernel of mindclf
    where that can be.
    """

    def __init__(self, kernel_size, stride):
        super().__init__()
        self.pool = nn.AvgPool2d(kernel_size, stride, pad_mode="same")
        if kernels.in_use() and kernels.can_pool(kernel_size, stride, kernels.SAME):
            self.kernel, self.settings = kernels.average_pool(kernel_size, stride, kernels.SAME)

    def construct(self, x):
        return self.kernel(x, self.settings) if self.takes(x) else self.pool(x)


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


class Gate(HasKernel, nn.Cell):
    """Each map of x (N, C, H, W) times HSigmoid of its number in `gates` (N, C, 1, 1). The shape of x stays.

    Runs as a CPU kernel of mindclf where that can be.
    """

    def __init__(self):
        super().__init__()
        self.sigmoid = HSigmoid()
        if kernels.in_use():
            self.kernel = kernels.gate()

    def construct(self, x, gates):
        if self.takes(x) and self.takes(gates):
            return self.kernel(x, gates)
        return x * self.sigmoid(gates)


class Concat(HasKernel, nn.Cell):
    """Two inputs (N, C, H, W) after one another along the channels: Concat(0, 1, 0)(x, y) is x, then y, then x again.

    Runs as a CPU kernel of mindclf where that can be; its gradient adds up those of an input that has several places.
    """

    def __init__(self, *order):
        super().__init__()
        self.order = order
        if kernels.in_use() and kernels.can_concat(order):
            self.kernel, self.settings = kernels.concat(*order)

    def construct(self, x, y):
        if self.takes(x) and self.takes(y):
            return self.kernel(x, y, self.settings)
        parts = ()
        for number in self.order:
            parts += ((x, y)[number],)
        return ops.concat(parts, axis=1)


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


def set_drop_path(net, rate):
    """Has the residual blocks of `net` drop their branches in training, each with a probability that rises linearly to `rate`.

    Of L blocks, block l drops with l / L of it (stochastic depth, arXiv:1603.09382, equation 4); 0 undoes it. Call it before the
    net's first training step, as `freeze`. Raises ValueError for a net without residual blocks.
    """
    ends = [cell for _, cell in net.cells_and_names() if isinstance(cell, Add)]
    check_drop_path(net, rate)
    for number, end in enumerate(ends, start=1):
        end.drop_path = DropPath(rate * number / len(ends)) if rate else nn.Identity()


def check_drop_path(net, rate):
    """Raises ValueError if `set_drop_path` does."""
    if rate and not any(isinstance(cell, Add) for _, cell in net.cells_and_names()):
        raise ValueError(f"drop_path_rate={rate} needs a net with residual blocks: resnet, mobilenet_v2, asymmnet or "
                         f"shufflenet_v1")


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
