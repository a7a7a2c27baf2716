"""Building blocks that several nets share, and the true freeze."""

from mindspore import nn, ops
from mindspore.common.initializer import HeNormal, Normal, initializer

PAD_MODES = ("pad", "same")


def make_divisible(value, divisor=8, min_value=None):
    """The multiple of `divisor` nearest to `value`, at least `min_value` and never under 90 % of `value`.

    Source: the channel rounding of the MobileNet papers' reference code. make_divisible(32 * 0.35) is 16, not 8.
    """
    rounded = max(min_value or divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded


def conv2d(in_channels, out_channels, kernel_size, stride=1, groups=1, pad_mode="pad"):
    """A convolution without bias: (N, in_channels, H, W) -> (N, out_channels, H / stride, W / stride), rounded up.

    pad_mode "pad" puts (kernel_size - 1) / 2 zeros on each side, as PyTorch and the MindSpore tutorials do. "same" puts what
    TensorFlow does: with stride 2 and even sizes one zero after, none before. Weights trained under one of the two compute
    something else under the other.
    """
    if pad_mode not in PAD_MODES:
        raise ValueError(f"pad_mode={pad_mode!r} is not known; expected one of {', '.join(PAD_MODES)}")
    padding = (kernel_size - 1) // 2 if pad_mode == "pad" else 0
    return nn.Conv2d(in_channels, out_channels, kernel_size, stride, pad_mode=pad_mode, padding=padding, group=groups,
                     has_bias=False)


class GlobalAvgPooling(nn.Cell):
    """Mean over height and width: (N, C, H, W) -> (N, C). What is averaged already, (N, C), stays as it is."""

    def construct(self, x):
        return ops.mean(x, (2, 3)) if x.ndim == 4 else x


def initialise(cell):
    """Draws fresh weights: He normal over the fan-out for convolutions, deviation 0.01 and zero bias for dense layers."""
    for _, child in cell.cells_and_names():
        if isinstance(child, nn.Conv2d):
            _fill(child.weight, HeNormal(mode="fan_out", nonlinearity="relu"))
        elif isinstance(child, nn.Dense):
            _fill(child.weight, Normal(0.01))
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
