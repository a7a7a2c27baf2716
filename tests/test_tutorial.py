"""The tutorial's own script runs when its names are imported from mindclf."""

import os
import re
import subprocess
import sys
from pathlib import Path

import mindspore as ms
from mindspore import nn

from mindclf.drawings.generate import draw_garbage26
from mindclf.nets import MobileNetV2

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "tests" / "support" / "tutorial_script.py"


def test_the_tutorials_script_runs(tmp_path):
    """With a backbone file as published: a head of 1000 classes and an optimizer's moments inside."""
    draw_garbage26(tmp_path / "data_en", train_per_class=1, test_per_class=1)
    net = MobileNetV2(1000)
    step = nn.TrainOneStepCell(nn.WithLossCell(net, nn.CrossEntropyLoss()), nn.Momentum(net.trainable_params(), 0.1, 0.9))
    ms.save_checkpoint(step, str(tmp_path / "mobilenetV2-200_1067.ckpt"))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
    result = subprocess.run([sys.executable, str(SCRIPT)], cwd=tmp_path, env=environment,
                            capture_output=True, encoding="utf-8", timeout=300)
    assert result.returncode == 0, result.stderr[-2000:]
    # 26 images make one step of 16; evaluation counts all 26
    pattern = r"1 steps, 26 test images, loss \d\.\d{3}, Cardboard taken for [\w ]+, [\u4e00-\u9fff]+, 4 categories"
    assert re.search(pattern, result.stdout), result.stdout
