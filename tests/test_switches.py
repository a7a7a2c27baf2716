"""Each tuned path has a switch; with it off the results are the same, but for rounding."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

import mindclf
from mindclf import kernels
from mindclf.kernels.variants import BFLOAT16
from mindclf.report.history import HistoryFile
from mindclf.train import fit

# Logits, and the losses of two steps of training: the second is that of weights which the first changed.
RUN = """
import json
import mindclf
import numpy as np
from mindspore import Tensor
from mindclf.config import merge
from mindclf.device import set_seeds, use_device
from mindclf.nets import create_net
from mindclf.train.model import create_model

use_device("CPU")
set_seeds(1)
config = merge({"label_smoothing": 0.1}, {})
stages = [[1, 16, 1, 1], [6, 24, 2, 2]]
net = create_net("mobilenet_v2", 5, last_channel=64, inverted_residual_setting=stages)
rng = np.random.default_rng(0)
images = Tensor(rng.standard_normal((4, 3, 48, 48)).astype(np.float32))
labels = Tensor(rng.integers(0, 5, 4).astype(np.int32))
logits = net.set_train(False)(images).asnumpy().tolist()
step = create_model(net.set_train(), config, [0.05] * 2).train_network
print(json.dumps({"logits": logits, "losses": [float(step(images, labels).asnumpy()) for _ in range(2)]}))
"""


@pytest.fixture(scope="module")
def run_with():
    """A function from environment variables to what `RUN` gives under them, run once for each."""
    known = {}

    def run(**environment):
        key = tuple(environment.items())
        if key not in known:
            switches = ("ONEDNN_MAX_CPU_ISA", "MINDCLF_KERNELS")
            others = {name: value for name, value in os.environ.items() if name not in switches}
            output = subprocess.run([sys.executable, "-c", RUN], env={**others, **environment}, stdout=subprocess.PIPE,
                                    encoding="utf-8", check=True, timeout=300).stdout
            known[key] = {name: np.array(values) for name, values in json.loads(output.splitlines()[-1]).items()}
        return known[key]

    return run


def assert_agree(some, others, rtol=1e-5):
    np.testing.assert_allclose(some["logits"], others["logits"], rtol=10 * rtol, atol=rtol)
    np.testing.assert_allclose(some["losses"], others["losses"], rtol=rtol)


@pytest.mark.skipif(not kernels.status()[0], reason=f"the kernels are not in use: {kernels.status()[2]}")
def test_kernels_and_mindspores_operators_agree(run_with):
    assert_agree(run_with(), run_with(MINDCLF_KERNELS="0"))


@pytest.mark.skipif(not any(map(kernels.available, BFLOAT16)),
                    reason="needs a processor with AMX or AVX512_BF16, and a compiler that knows it")
def test_kernels_in_bfloat16_agree_as_far_as_bfloat16_goes(run_with):
    rounded, full = run_with(MINDCLF_KERNELS="bf16"), run_with()
    assert_agree(rounded, full, rtol=2**-8)
    assert (rounded["logits"] != full["logits"]).any()


@pytest.mark.skipif(not mindclf.has_avx512(), reason="needs a processor with AVX-512: there is nothing to cap on this one")
def test_with_and_without_the_cap_results_agree(run_with):
    assert_agree(run_with(MINDCLF_KERNELS="0"), run_with(MINDCLF_KERNELS="0", ONEDNN_MAX_CPU_ISA="ALL"))


def test_stored_features_and_features_computed_anew_agree(tiny_config, tmp_path):
    """All images in one batch and without augmentation, so that both see the same."""
    config = {**tiny_config, "trainable": "head", "epochs": 4, "batch_size": 30, "valid_fraction": 0.0, "crop_pct": 1.0,
              "augment": "padded_crop", "crop_padding": 0, "flip_prob": 0.0, "color_adjust": 0.0}
    runs = [fit({**config, "cached_views": views, "output": str(tmp_path / str(views))}) for views in (0, 1)]
    anew, stored = (HistoryFile(run.checkpoint.parent / "history.csv").rows() for run in runs)
    for column in ("train_loss", "loss", "top1"):
        np.testing.assert_allclose([row[column] for row in anew], [row[column] for row in stored], rtol=1e-4, err_msg=column)
