"""Nets of each kind export, and the file gives the logits that PyTorch gives with the same weights (see tests/reference).

Batch norm is folded, as `export` does. Sizes are odd and not square, and VGG and AlexNet have small heads: see
tests/reference/cases.py.
"""

import numpy as np
import pytest

from mindclf import export as exporting
from mindclf import kernels
from mindclf.nets import fold_batch_norm
from tests.nets.test_contract import REFERENCE, ROWS, assert_logits, build
from tests.reference.rule import images

# Their smaller kin have the same operators, and export sooner; a VGG with batch norm is one without when that is folded.
LARGER = ("asymmnet_large", "resnet34", "resnet50", "resnet101", "resnet152", "densenet161", "densenet169", "densenet201",
          "vgg13", "vgg16", "vgg19", "vgg11_bn", "vgg13_bn", "vgg16_bn", "vgg19_bn", "squeezenet1_0")
EACH_KIND = [case for case in ROWS if case.net not in LARGER]
# One for each operator that formats differ in: h-swish and h-sigmoid, channel shuffle, adaptive pool, pools that round up.
SPECIAL = ("asymmnet_small", "shufflenet_v1", "alexnet", "squeezenet1_1")
FEW = [case for case in ROWS if case.net in SPECIAL]


def exportable(case):
    with kernels.off():
        return fold_batch_norm(build(case))


def assert_the_files_logits(case, file, run):
    """Of two images, together and alone."""
    expected = np.array(REFERENCE[case.name]["logits"])
    batch = images(2, case.height, case.width)
    assert_logits(run(file, batch), expected)
    assert_logits(run(file, batch[1:]), expected[1:])


@pytest.mark.parametrize("case", EACH_KIND, ids=[case.net for case in EACH_KIND])
def test_onnx_runtime_gives_the_logits_of_each_kind_of_net(case, tmp_path):
    for package in ("onnx", "onnxruntime"):
        pytest.importorskip(package, reason="needs the extra onnx")
    exporting._write_onnx(exportable(case), tmp_path / "net.onnx", (None, 3, case.height, case.width))
    assert_the_files_logits(case, tmp_path / "net.onnx", exporting._run_onnx)


@pytest.mark.parametrize("case", FEW, ids=[case.net for case in FEW])
def test_a_mindir_gives_the_logits_of_nets_with_special_operators(case, tmp_path):
    exporting._write_mindir(exportable(case), tmp_path / "net.mindir", (None, 3, case.height, case.width))
    assert_the_files_logits(case, tmp_path / "net.mindir", exporting._run_mindir)
