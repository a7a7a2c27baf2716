"""mindclf: five image classification tutorials, rebuilt on MindSpore and corrected.

`fit` trains as a config says, `train_folder` on a folder of your own; `Predictor` classifies images, `evaluate` measures a
checkpoint; `extract_features` and `similar_images` find images that resemble others; `create_net` and `list_nets` are for the
nets, `load_checkpoint` and `make_card` for weights on disk.

Importing this package does not import MindSpore; the first use of one of these does. It does set two environment variables that
MindSpore reads when it starts, unless you have set them yourself: see `tune_cpu`.
"""

import importlib
import logging
import os
import platform
from pathlib import Path

__version__ = "0.1.0"

log = logging.getLogger(__name__)

# What `mindclf.NAME` is, by the module that has it; imported when it is first used.
PUBLIC = {"Predictor": "mindclf.predict", "create_net": "mindclf.pretrained", "evaluate": "mindclf.evaluation",
          "extract_features": "mindclf.embedding", "similar_images": "mindclf.embedding",
          "fit": "mindclf.train", "list_nets": "mindclf.nets", "load_checkpoint": "mindclf.checkpoint",
          "make_card": "mindclf.checkpoint", "train_folder": "mindclf.train"}


def __getattr__(name):
    if name not in PUBLIC:
        raise AttributeError(f"module 'mindclf' has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(PUBLIC[name]), name)
    return value


def __dir__():
    return sorted({*globals(), *PUBLIC})


def has_avx512(cpuinfo=Path("/proc/cpuinfo")):
    """Whether this processor may run AVX-512 code.

    Linux says so in /proc/cpuinfo. Other systems are not asked: on x86 the answer is then True, which is safe here because
    the cap below only ever lowers what oneDNN uses.
    """
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return False
    if platform.system() == "Linux" and cpuinfo.exists():
        return "avx512f" in cpuinfo.read_text(encoding="utf-8")
    return True


def tune_cpu(environ=os.environ):
    """Caps oneDNN at AVX2 on processors with AVX-512; returns the instruction set in force, or "" for oneDNN's own choice.

    With AVX-512 the oneDNN inside the MindSpore 2.10.0 wheel runs convolutions through a reference implementation, many
    times slower. ONEDNN_MAX_CPU_ISA=AVX2, in place before the first operator runs, avoids that. A value that you set stays.
    """
    if "ONEDNN_MAX_CPU_ISA" not in environ and has_avx512():
        environ["ONEDNN_MAX_CPU_ISA"] = "AVX2"
        log.info("oneDNN capped at AVX2: MindSpore's convolutions are many times slower with AVX-512 "
                 "(set ONEDNN_MAX_CPU_ISA yourself to choose otherwise)")
    return environ.get("ONEDNN_MAX_CPU_ISA", "")


tune_cpu()
os.environ.setdefault("GLOG_v", "3")  # MindSpore's C++ warnings say nothing that a user can act on
