"""`mindclf doctor` says facts, whatever state the installation is in, and always ends well."""

import ast
import importlib.metadata
import json
import os
import re
import subprocess
import sys

import pytest

import mindclf
from mindclf.doctor import EXTRAS, describe, examine, memory_gib
from tests.test_cli import ROOT, run


def fact(output, title):
    return re.search(rf"^{title} +(.*)$", output, re.MULTILINE)[1]


def test_a_screen_of_facts():
    result = run("doctor")
    assert result.returncode == 0, result.stderr
    assert len(result.stdout.splitlines()) <= 26
    for package in ("mindspore", "numpy", "pillow"):
        assert fact(result.stdout, package) == importlib.metadata.version(package)
    assert fact(result.stdout, "mindclf") == mindclf.__version__
    assert fact(result.stdout, "cores").endswith(f"of {os.cpu_count()}")


def test_json_has_the_same_facts():
    result = run("doctor", "--json")
    facts = json.loads(result.stdout)
    assert result.returncode == 0 and facts["devices"]["CPU"] and facts["versions"]["mindclf"] == mindclf.__version__
    titles = [title for title, _ in describe(facts)]
    assert len(set(titles)) == len(titles)


@pytest.mark.parametrize(("value", "reason"), [("0", "MINDCLF_KERNELS=0"), ("mmx", "MINDCLF_KERNELS='mmx' is not known")])
def test_it_says_why_the_kernels_are_not_in_use(monkeypatch, value, reason):
    monkeypatch.setenv("MINDCLF_KERNELS", value)
    kernels = examine()["kernels"]
    assert not kernels["in_use"] and reason in kernels["reason"]


@pytest.mark.parametrize(("cap", "has_avx512", "reason"), [
    ("AVX2", True, "capped at AVX2: with AVX-512"), ("SSE41", True, "ONEDNN_MAX_CPU_ISA says so"), ("", False, "no AVX-512")])
def test_it_says_why_onednn_is_capped(monkeypatch, cap, has_avx512, reason):
    monkeypatch.setattr(mindclf, "tune_cpu", lambda: cap)
    monkeypatch.setattr(mindclf, "has_avx512", lambda: has_avx512)
    assert reason in examine()["onednn"]["reason"]


def test_a_mindspore_that_does_not_start_is_a_fact(tmp_path, monkeypatch):
    (tmp_path / "mindspore.py").write_text("raise ImportError('numpy.core.multiarray failed to import')")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(tmp_path), str(ROOT))))
    result = subprocess.run([sys.executable, "-m", "mindclf", "doctor"], capture_output=True, encoding="utf-8", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert fact(result.stdout, "device") == "MindSpore does not start: numpy.core.multiarray failed to import"


def test_data_is_looked_for_and_not_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MINDCLF_DATA", str(tmp_path / "missing"))
    assert "is not a folder" in examine()["data"]["garbage photos"]
    monkeypatch.setenv("MINDCLF_DATA", "")
    assert examine()["data"]["garbage photos"] == ""
    for split in ("train", "test"):
        (tmp_path / "data" / "data_en" / split).mkdir(parents=True)
    assert examine()["data"]["garbage photos"] == "data/data_en"
    assert [entry.name for entry in tmp_path.iterdir()] == ["data"]


def test_memory_is_read_in_gib(tmp_path):
    (tmp_path / "meminfo").write_text("MemTotal:  2097152 kB\nMemFree: 5 kB\nMemAvailable:  524288 kB\nHugePages_Total: 0\n")
    assert memory_gib(tmp_path / "meminfo") == {"free": 0.5, "present": 2.0}
    assert memory_gib(tmp_path / "nothing") is None


def test_the_extras_are_those_of_setup():
    text = (ROOT / "setup.py").read_text(encoding="utf-8")
    extras = ast.literal_eval(re.sub(r"#.*", "", re.search(r"extras_require=(\{.*?\n    \})", text, re.DOTALL)[1]))
    packages = {extra: tuple(re.match(r"[\w-]+", package)[0] for package in needed) for extra, needed in extras.items()}
    assert packages.pop("dev") and packages.pop("docs")  # of developers
    assert packages == EXTRAS
