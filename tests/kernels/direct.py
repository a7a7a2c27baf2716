"""The C functions called straight from NumPy, without MindSpore, in each variant that this processor runs, or that an emulator
runs; and what they should compute, in NumPy and float64."""

import ctypes

import numpy as np

from mindclf import kernels
from mindclf.kernels.variants import FLOAT32
from tests.kernels import emulator


def variants():
    """The variants that are compiled and run here; with an emulator the one that it runs."""
    return [emulator.VARIANT] if emulator.COMMAND else [name for name in kernels.VARIANTS if kernels.available(name)]


def exact(variant, *arrays):
    """Arrays whose products the variant computes in float32: as they are, or rounded to bfloat16, half to even."""
    if variant in FLOAT32:
        return arrays
    bits = (array.view(np.uint32) for array in arrays)
    return [((value + 0x7FFF + (value >> 16 & 1)) >> 16 << 16).astype(np.uint32).view(np.float32) for value in bits]


def packed(variant, weight, groups=1):
    """The weight of a convolution as the kernels for inference take it: rows filled up to 16 and depths to 32, in a row."""
    rows, depth = -(-len(weight) // groups // 16) * 16, -(-weight[0].size // 32) * 32
    return call(variant, "pack_weights", [weight, np.array([groups], np.int32)], [(groups * rows * depth,)])[0]


GUARD = 32  # floats before and behind an output that must stay as they are


def call(variant, name, inputs, output_shapes, behind=4):
    """Runs the C function `name` on arrays; returns its outputs.

    Outputs begin so many floats `behind` a multiple of 64 bytes; MindSpore's memory begins 4 behind.
    """
    status, outputs = run(variant, name, inputs, output_shapes, behind)
    assert status == 0, f"{name} returned {status}"
    return outputs


def run(variant, name, inputs, output_shapes, behind=4):
    """(what the C function returns, its outputs, which are 77 where it wrote nothing): see `call`."""
    inputs = [np.ascontiguousarray(array) for array in inputs]
    memories = [_guarded(int(np.prod(shape)), behind) for shape in output_shapes]
    if emulator.COMMAND:
        status = emulator.run(name, inputs, memories, output_shapes, GUARD, behind)
    else:
        status = _run_here(variant, name, inputs, memories, output_shapes)
    for memory in memories:
        assert (memory[:GUARD] == 77).all() and (memory[-GUARD:] == 77).all(), f"{name} wrote beside its output"
    return status, [memory[GUARD:-GUARD].reshape(shape) for memory, shape in zip(memories, output_shapes)]


def _run_here(variant, name, inputs, memories, output_shapes):
    function = getattr(ctypes.CDLL(str(kernels.library(variant))), name)
    arrays = inputs + [memory[GUARD:] for memory in memories]
    shapes = [array.shape for array in inputs] + list(output_shapes)
    data = (ctypes.c_void_p * len(arrays))(*[array.ctypes.data for array in arrays])
    sizes = [(ctypes.c_int64 * len(shape))(*shape) for shape in shapes]
    pointers = (ctypes.POINTER(ctypes.c_int64) * len(arrays))(*sizes)
    ranks = (ctypes.c_int * len(arrays))(*map(len, shapes))
    types = (ctypes.c_char_p * len(arrays))(*[str(array.dtype).encode() for array in arrays])
    return function(len(arrays), data, ranks, pointers, types, None, None)


def _guarded(size, behind):
    memory = np.full(GUARD + size + GUARD + 32, 77, np.float32)
    first = -memory.ctypes.data // 4 % 16 + behind  # GUARD is a multiple of 64 bytes
    return memory[first:first + GUARD + size + GUARD]


def out_size(size, kernel_size, stride, padding):
    return -(-size // stride) if padding == kernels.SAME else (size + 2 * padding - kernel_size) // stride + 1


def zeros_before(size, kernel_size, stride, padding):
    """As TensorFlow says in its documentation of padding="SAME", or `padding`."""
    if padding != kernels.SAME:
        return padding
    return max((out_size(size, kernel_size, stride, padding) - 1) * stride + kernel_size - size, 0) // 2


def convolve(x, weight, stride, padding):
    """(y, backward) in float64, by the definition: a sum over the kernel's elements; backward(dy) gives (dx, dweight)."""
    x, weight = x.astype(np.float64), weight.astype(np.float64)
    images, channels, height, width = x.shape
    outs, group_in, kh, kw = weight.shape
    groups = channels // group_in
    rows, columns = out_size(height, kh, stride, padding), out_size(width, kw, stride, padding)
    top, left = zeros_before(height, kh, stride, padding), zeros_before(width, kw, stride, padding)
    padded = np.zeros((images, channels, height + top + kh + stride, width + left + kw + stride))
    padded[:, :, top:top + height, left:left + width] = x
    split = padded.reshape(images, groups, group_in, *padded.shape[2:])
    by_group = weight.reshape(groups, outs // groups, group_in, kh, kw)

    def fields(array, a, b):
        return array[..., a:a + (rows - 1) * stride + 1:stride, b:b + (columns - 1) * stride + 1:stride]

    elements = [(a, b) for a in range(kh) for b in range(kw)]
    y = sum(np.einsum("ngihw,goi->ngohw", fields(split, a, b), by_group[..., a, b]) for a, b in elements)

    def backward(dy):
        dy = dy.astype(np.float64).reshape(images, groups, outs // groups, rows, columns)
        dpadded, dweight = np.zeros_like(split), np.zeros_like(by_group)
        for a, b in elements:
            fields(dpadded, a, b)[...] += np.einsum("ngohw,goi->ngihw", dy, by_group[..., a, b])
            dweight[..., a, b] = np.einsum("ngohw,ngihw->goi", dy, fields(split, a, b))
        dx = dpadded.reshape(padded.shape)[:, :, top:top + height, left:left + width]
        return dx, dweight.reshape(weight.shape)

    return y.reshape(images, outs, rows, columns), backward


def activate(value, activation):
    """(activation(value), its derivative)."""
    if activation is None:
        return value, np.ones_like(value)
    if activation == "relu":
        return np.maximum(value, 0), (value > 0) * 1.0
    if activation == "relu6":
        return np.clip(value, 0, 6), ((value > 0) & (value < 6)) * 1.0
    inside = (value > -3) & (value < 3)
    return value * np.clip(value + 3, 0, 6) / 6, np.where(inside, (2 * value + 3) / 6, value >= 3)


def norm(x, gamma, beta, activation, eps, mean=None, variance=None):
    """(y, backward, mean, variance) in float64; backward(dy) gives (dx, dgamma, dbeta). Without a mean, the batch's."""
    x, gamma, beta = (array.astype(np.float64) for array in (x, gamma, beta))
    training, axes = mean is None, (0, 2, 3)

    def broadcast(values):
        return np.asarray(values, np.float64).reshape(1, -1, 1, 1)

    if training:
        mean, variance = x.mean(axes), x.var(axes)
    inverse = 1 / np.sqrt(broadcast(variance) + eps)
    normal = (x - broadcast(mean)) * inverse
    y, slope = activate(normal * broadcast(gamma) + broadcast(beta), activation)

    def backward(dy):
        dz = dy.astype(np.float64) * slope
        dgamma, dbeta = (dz * normal).sum(axes), dz.sum(axes)
        dx = dz
        if training:
            dx = dz - broadcast(dz.mean(axes)) - normal * broadcast((dz * normal).mean(axes))
        return dx * inverse * broadcast(gamma), dgamma, dbeta

    return y, backward, mean, variance
