"""The CPU kernels of mindclf: layers of convolutional nets in C, as MindSpore operators. README.md explains how they work.

What other parts of mindclf use is named here: `status` says which compiled library this process uses and why, `off` leaves the
kernels out for a while, `convolution` and the functions after it make operators, and `render_views` serves mindclf.dataset.
"""

from mindclf.kernels.dispatch import available, digest, in_use, library, off, render_views, status
from mindclf.kernels.operators import (
    ACTIVATIONS,
    SAME,
    activated_convolution,
    add,
    average_pool,
    batch_norm,
    can_concat,
    can_convolve,
    can_convolve_depthwise,
    can_pool,
    concat,
    convolution,
    gate,
    global_average,
    inverted_residual,
    max_pool,
    momentum_step,
    pack_weights,
    separable,
)
from mindclf.kernels.variants import VARIANTS

__all__ = ["ACTIVATIONS", "SAME", "VARIANTS", "activated_convolution", "add", "available", "average_pool", "batch_norm",
           "can_concat", "can_convolve", "can_convolve_depthwise", "can_pool", "concat", "convolution", "digest", "gate",
           "global_average", "in_use", "inverted_residual", "library", "max_pool", "momentum_step", "off", "pack_weights",
           "render_views", "separable", "status"]
