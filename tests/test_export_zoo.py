"""Nets of each kind export, and the file gives the logits that PyTorch gives with the same weights (see tests/reference).

Batch norm is folded, as `export` does. Sizes are odd and not square, and VGG and AlexNet have small heads: see
tests/reference/cases.py.
"""

import numpy as np
import pytest
from mindspore import Tensor, nn

from mindclf import export as exporting
from mindclf import kernels
from mindclf.nets import fold_batch_norm
from mindclf.nets.densenet import transition
from mindclf.nets.inception_v3 import Mixed
from mindclf.nets.layers import MaxPool, conv2d
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


def test_layers_of_other_zoos_export(tmp_path):
    """Those that options put in place of mindclf's: "same" padding, means without padding, the largest of negative values."""
    for package in ("onnx", "onnxruntime"):
        pytest.importorskip(package, reason="needs the extra onnx")
    rows = (("branch1x1", "input", 3, 1, 1), ("branch_pool", "pool", 3, 1, 1))
    with kernels.off():
        net = nn.SequentialCell(conv2d(3, 4, 7, 2, pad_mode="same"), nn.ReLU(), MaxPool(3, 2, padding=1, pad_mode="same"),
                                transition(4, "max"), Mixed(2, rows, count_include_pad=False)).set_train(False)
        noise = images(2, 64, 67)  # an even side is padded otherwise than an odd one
        expected = net(Tensor(noise)).asnumpy()
        for file, write, run in (("net.onnx", exporting._write_onnx, exporting._run_onnx),
                                 ("net.mindir", exporting._write_mindir, exporting._run_mindir)):
            write(net, tmp_path / file, (None, 3, 64, 67))
            np.testing.assert_allclose(run(tmp_path / file, noise), expected, atol=1e-5, err_msg=file)
