"""Which part may import which, and what importing costs."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import mindclf

PACKAGE = Path(mindclf.__file__).parent
REGISTRY = "dataset/registry"  # a part by itself: the config reads it, and needs nothing else of dataset/
ALLOWED = {  # parts of mindclf that the files of a part may import; parts that are not listed may import anything
    "utils": {"utils"}, "imagenet": set(), "labels": {"imagenet"},
    REGISTRY: {"labels"}, "config": {"labels", REGISTRY, "utils"}, "kernels": {"kernels", "utils"},
    "device": {"kernels", "utils"},
    "nets": {"nets", "device", "kernels", "utils"},
    "drawings": {"drawings", "labels", "utils"},
    "preprocessing": {"config"},
    "metrics": set(), "label_issues": set(),
    "calibration": {"metrics"},
    "dataset": {"dataset", REGISTRY, "config", "drawings", "kernels", "labels", "preprocessing", "utils"},
    "evaluation": {"calibration", "card", "checkpoint", "config", "dataset", REGISTRY, "device", "inference", "metrics",
                   "preprocessing", "report", "utils"},
    "card": {"calibration", "config", "labels", "preprocessing", "utils"},
    "checkpoint_file": {"card", "utils"},
    "checkpoint": {"card", "checkpoint_file", "device", "nets", "utils"},
    "published": {"dataset", "utils"},
    "convert": {"convert", "card", "checkpoint", "config", "dataset", "labels", "nets", "preprocessing", "published", "utils"},
    "pretrained": {"checkpoint", "config", "convert", "dataset", "device", "nets", "published", "utils"},
    "inference": {"calibration", "inference", "card", "checkpoint", "checkpoint_file", "dataset", "device", "kernels",
                  "labels", "metrics", "nets", "preprocessing", "utils"},
    "embedding": {"checkpoint", "dataset", "inference", "preprocessing", "utils"},
    "recalibration": {"calibration", "card", "checkpoint", "config", "dataset", "inference", "labels", "utils"},
    "predict": {"checkpoint_file", "dataset", "inference", "metrics", "preprocessing", "utils"},
    "explain": {"calibration", "card", "checkpoint", "dataset", "device", "inference", "labels", "preprocessing", "utils"},
    "export": {"card", "checkpoint", "convert", "dataset", "device", "inference", "kernels", "nets", "utils"},
    "quantize": {"card", "checkpoint", "dataset", "inference", "metrics", "utils"},
    "report": {"calibration", "report", "card", "dataset", "explain", "inference", "label_issues", "labels", "metrics",
               "summary", "utils"},
    "demo": {"calibration", "card", "checkpoint", "dataset", "demo", "drawings", "explain", "inference", "labels", "predict",
             "preprocessing", "utils"},
    "summary": {"device", "nets"},
    "distributed": {"distributed", "utils"},
    "train": {"calibration", "train", "card", "checkpoint", "config", "dataset", "device", "distributed", "inference",
              "kernels", "labels", "metrics", "nets", "own_images", "preprocessing", "pretrained", "report", "utils"},
}


def imported_parts(file):
    """The parts of mindclf, such as "nets", that a file imports anywhere in it."""
    parts = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = [f"mindclf.{alias.name}" for alias in node.names] if node.module == "mindclf" else [node.module or ""]
        parts |= {REGISTRY if name == "mindclf.dataset.registry" else name.split(".")[1]
                  for name in names if name.startswith("mindclf.")}
    return {part for part in parts if (PACKAGE / part).is_dir() or (PACKAGE / f"{part}.py").exists()}


@pytest.mark.parametrize("part", ALLOWED)
def test_imports_point_one_way(part):
    files = sorted((PACKAGE / part).rglob("*.py")) or [PACKAGE / f"{part}.py"]
    for file in files:
        assert imported_parts(file) <= ALLOWED[part], file.name


def imported_modules(file, modules):
    """Those of `modules` that a file imports anywhere in it, as in {"mindclf.utils.files"}."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" if f"{node.module}.{alias.name}" in modules else node.module
                      for alias in node.names}
    return found & modules


def test_no_module_imports_itself_by_way_of_others():
    files = {".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): file
             for file in PACKAGE.rglob("*.py")}
    imports = {name: imported_modules(file, set(files)) for name, file in files.items()}
    while leaves := {name for name, needed in imports.items() if not needed}:
        imports = {name: needed - leaves for name, needed in imports.items() if name not in leaves}
    assert not imports, "these import each other in a circle, or import such"


def test_only_the_device_file_calls_set_context():
    callers = [file.name for file in PACKAGE.rglob("*.py") if "set_context(" in file.read_text(encoding="utf-8")]
    assert callers == ["device.py"]


def python(code, **environment):
    """Standard output of a new Python that runs `code`."""
    inherited = {name: value for name, value in os.environ.items() if name not in ("ONEDNN_MAX_CPU_ISA", "ONEDNN_VERBOSE")}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True, cwd=PACKAGE.parent,
                          env={**inherited, **environment}, timeout=120).stdout


def test_importing_mindclf_does_not_import_mindspore():
    assert python("import sys, mindclf; print('mindspore' in sys.modules)") == "False\n"


@pytest.mark.parametrize(("machine", "cpuinfo", "cap"), [
    ("x86_64", "flags: avx2 avx512f avx512bw", "AVX2"), ("x86_64", "flags: avx2", None), ("aarch64", "avx512f", None)])
def test_the_cap_is_for_x86_with_avx512(tmp_path, monkeypatch, machine, cpuinfo, cap):
    (tmp_path / "cpuinfo").write_text(cpuinfo)
    monkeypatch.setattr("platform.machine", lambda: machine)
    monkeypatch.setattr("platform.system", lambda: "Linux")
    assert mindclf.has_avx512(tmp_path / "cpuinfo") is (cap is not None)


def test_a_cap_that_the_user_set_stays():
    environment = {"ONEDNN_MAX_CPU_ISA": "SSE41"}
    assert mindclf.tune_cpu(environment) == "SSE41" and environment == {"ONEDNN_MAX_CPU_ISA": "SSE41"}


def test_the_cap_is_said_once_at_info(monkeypatch, caplog):
    monkeypatch.setattr(mindclf, "has_avx512", lambda: True)
    environment = {}
    with caplog.at_level("INFO", logger="mindclf"):
        assert [mindclf.tune_cpu(environment), mindclf.tune_cpu(environment)] == ["AVX2", "AVX2"]
    assert len(caplog.records) == 1 and "AVX2" in caplog.text


@pytest.mark.skipif(not mindclf.has_avx512(), reason="needs a processor with AVX-512: there is nothing to cap on this one")
def test_the_cap_reaches_onednn():
    """oneDNN's own account of a 3x3 convolution: the slow reference implementation without the cap, not with it."""
    convolution = ("import numpy as np, mindspore as ms; from mindspore import nn; ms.set_context(mode=ms.GRAPH_MODE); "
                   "nn.Conv2d(8, 8, 3)(ms.Tensor(np.ones((1, 8, 16, 16), np.float32))).asnumpy()")
    capped = [line for line in python(f"import mindclf; {convolution}", ONEDNN_VERBOSE="1").splitlines() if "convolution" in line]
    assert capped and not any("ref" in line for line in capped)
    stock = python(convolution, ONEDNN_VERBOSE="1").splitlines()
    assert any("convolution" in line and "ref" in line for line in stock), "stock MindSpore is no longer slow: drop the cap"
