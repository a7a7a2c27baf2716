"""Numbers that C and Python both know are equal: the headers of csrc/ against mindclf.kernels and mindclf.dataset.views."""

import itertools

import numpy as np
import pytest

from mindclf import kernels
from mindclf.dataset import views
from mindclf.kernels import dispatch, operators
from tests.kernels.direct import out_size, run, variants
from tests.kernels.headers import constants, enumerations, structure

compiled = pytest.mark.skipif(not variants(), reason="the kernels are not compiled: that needs a C compiler at installation")
DONE, BAD_SHAPE = (constants("custom_op.h")[name] for name in ("DONE", "BAD_SHAPE"))


def test_activations_have_the_numbers_of_the_header():
    names = {None: "NO_ACTIVATION", "relu": "RELU", "relu6": "RELU6", "hswish": "HSWISH"}
    assert {names[name]: number for name, number in kernels.ACTIVATIONS.items()} == constants("activation.h")


@pytest.mark.parametrize("kind", operators.SETTINGS)
def test_settings_have_the_order_of_the_header(kind):
    prefix = f"{kind.upper()}_"
    orders = [list(members) for members in enumerations("settings.h") if next(iter(members)).startswith(prefix)]
    assert orders == [[prefix + name.upper() for name in operators.SETTINGS[kind]]]


def test_every_order_of_the_header_is_known():
    assert len(enumerations("settings.h")) == len(operators.SETTINGS)


def test_limits_and_marks_are_those_of_the_headers():
    assert constants("im2col.h")["MAX_KERNEL_ELEMENTS"] == operators.MAX_KERNEL_ELEMENTS
    assert {name: constants("gemm.h")[name] for name in ("PACKED_ROWS", "PACKED_DEPTH")} == {
        "PACKED_ROWS": operators.PACKED_ROWS, "PACKED_DEPTH": operators.PACKED_DEPTH}
    assert constants("custom_op.h")["SAME"] == kernels.SAME
    assert constants("custom_op.h")["INTERFACE_VERSION"] == dispatch.INTERFACE_VERSION
    assert constants("view.h")["NO_MEMORY_FOR_VIEW"] == views.NO_MEMORY


def test_a_view_lies_in_memory_as_the_header_declares_it():
    declared = structure("view.h", "View")
    assert views.VIEW.names == declared.names and views.VIEW.itemsize == declared.itemsize
    for name in declared.names:
        (mine, offset), (other, other_offset) = views.VIEW.fields[name][:2], declared.fields[name][:2]
        assert (mine.base, int(np.prod(mine.shape)), offset) == (other.base, int(np.prod(other.shape)), other_offset), name


def outcome(name, weight_shape, kernel_size, stride, padding, settings):
    """What a C function returns for a forward pass over maps of 14 x 14."""
    x = np.ones((1, 2, 14, 14), np.float32)
    y_shape = (1, 2, *(out_size(14, kernel, stride, padding) for kernel in kernel_size))
    weight = [] if weight_shape is None else [np.ones(weight_shape, np.float32)]
    return run(variants()[0], name, [x, *weight, np.array(settings, np.int32)], [y_shape])[0]


@compiled
def test_c_takes_the_convolutions_that_python_gives_it_and_no_larger_kernels():
    sizes = [(1, 1), (1, 7), (5, 2), (11, 11), (11, 12), (13, 10), (14, 14)]
    for kernel_size, stride, padding in itertools.product(sizes, (1, 2, 4), (kernels.SAME, 0, 1, 5)):
        status = outcome("convolution_forward", (2, 2, *kernel_size), kernel_size, stride, padding, (stride, padding, 0))
        if kernels.can_convolve(kernel_size, (stride, stride), padding):
            assert status == DONE, (kernel_size, stride, padding)
        elif kernel_size[0] * kernel_size[1] > operators.MAX_KERNEL_ELEMENTS:
            assert status == BAD_SHAPE, (kernel_size, stride, padding)


@compiled
def test_c_takes_the_depthwise_convolutions_that_python_gives_it_and_no_others():
    sizes = list(itertools.product((1, 2, 3, 4, 5, 6, 7), repeat=2))
    for kernel_size, stride in itertools.product(sizes, (1, 2, 3)):
        status = outcome("depthwise_forward", (2, 1, *kernel_size), kernel_size, stride, kernels.SAME,
                         (stride, kernels.SAME, 0, 1))
        expected = DONE if kernels.can_convolve_depthwise(kernel_size, (stride, stride)) else BAD_SHAPE
        assert status == expected, (kernel_size, stride)


@compiled
@pytest.mark.parametrize("groups", [-1, 0, 3, 4])
def test_c_refuses_groups_that_do_not_divide_the_channels(groups):
    assert outcome("depthwise_forward", (2, 1, 3, 3), (3, 3), 1, 1, (1, 1, 0, groups)) == BAD_SHAPE


@compiled
def test_c_takes_the_pools_that_python_gives_it_and_no_others():
    for size, stride, padding in itertools.product((1, 2, 3, 5), (1, 2, 3), (kernels.SAME, 0, 1, 2, 3, 4)):
        if padding >= 2 * size:
            continue
        status = outcome("max_pool_forward", None, (size, size), stride, padding, (size, stride, padding))
        assert status == (DONE if kernels.can_pool(size, stride, padding) else BAD_SHAPE), (size, stride, padding)
