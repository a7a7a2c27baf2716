"""Compilers: setup.py gives them the flags of variants.py, and others than the one that made the kernels take the same source."""

import ctypes
import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import setuptools

from mindclf.kernels import variants
from tests.kernels.headers import CSRC

ROOT = Path(__file__).resolve().parents[2]
COMPILERS = {"cc": ["cc"], "GCC before 12": ["gcc", "-U__GNUC__", "-D__GNUC__=11"], "Clang": ["clang"]}

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernels are for Linux")


def test_setup_compiles_every_source_once_a_variant_with_its_flags(monkeypatch):
    made = {}
    monkeypatch.setattr(setuptools, "setup", lambda **fields: made.update(fields))
    monkeypatch.chdir(ROOT)
    runpy.run_path("setup.py")
    expected = {f"mindclf.kernels._{variant}": variants.compile_flags(variant) for variant in variants.compilable()}
    assert {extension.name: extension.extra_compile_args for extension in made["ext_modules"]} == expected
    for extension in made["ext_modules"]:
        assert {Path(source).name for source in extension.sources} == {source.name for source in CSRC.glob("*.c")}
        assert {Path(file).name for file in extension.depends} == {"variants.py", *(header.name for header in CSRC.glob("*.h"))}


def test_no_two_variants_write_the_same_file(tmp_path):
    """They are compiled at the same time: an object of one in the library of another crashes, or computes otherwise."""
    written, compiler = tmp_path / "written", tmp_path / "cc"
    compiler.write_text('#!/bin/sh\nwhile [ "$1" != -o ]; do shift; done\n'
                        f'echo "$2" >> {written}\n: > "$2"\n', encoding="utf-8")
    compiler.chmod(0o755)
    folders = ["--build-lib", tmp_path / "lib", "--build-temp", tmp_path / "temp"]
    subprocess.run([sys.executable, "setup.py", "-q", "build_ext", "--force", *folders], cwd=ROOT, check=True,
                   env={**os.environ, "CC": str(compiler), "LDSHARED": str(compiler)})
    files = written.read_text(encoding="utf-8").split()
    assert len(files) == len(set(files)) == len(variants.compilable()) * (len(list(CSRC.glob("*.c"))) + 1)


def test_make_asks_variants_without_mindclf_or_its_requirements():
    def answer(*question):
        command = [sys.executable, "-I", "-S", str(Path(variants.__file__)), *question]
        return subprocess.run(command, capture_output=True, encoding="utf-8", check=True).stdout.split()

    assert answer("runnable") == variants.runnable()
    assert answer("compilable") == variants.compilable()
    for variant in variants.VARIANTS:
        assert answer("sanitize", variant) == variants.compile_flags(variant, variants.SANITIZED)
        assert answer("compile", variant) == variants.compile_flags(variant)


@pytest.mark.parametrize("compiler", [
    pytest.param(command, id=name, marks=pytest.mark.skipif(not shutil.which(command[0]), reason=f"there is no {command[0]}"))
    for name, command in COMPILERS.items()])
@pytest.mark.parametrize("variant", variants.runnable())
def test_lanes_are_shuffled_alike(compiler, variant, tmp_path):
    library = tmp_path / "shuffles.so"
    subprocess.run([*compiler, *variants.compile_flags(variant), "-fPIC", "-shared", "-o", library,
                    ROOT / "tests/kernels/shuffles.c"], check=True)
    loaded = ctypes.CDLL(str(library))
    width = loaded.width()
    assert width == {"portable": 4, "neon": 4, "avx2": 8}.get(variant, 16)
    a, b = np.arange(2 * width, dtype=np.float32).reshape(2, width)
    shuffled, square, transposed = (np.zeros((rows, width), np.float32) for rows in (3, width, width))
    loaded.shuffled(*(ctypes.c_void_p(array.ctypes.data) for array in (a, b, shuffled)))
    np.testing.assert_array_equal(shuffled[:2].ravel(), np.stack([a, b], 1).ravel())
    np.testing.assert_array_equal(shuffled[2], np.concatenate([a, b])[::2])
    square[:] = np.arange(width * width).reshape(width, width)
    loaded.transposed(*(ctypes.c_void_p(array.ctypes.data) for array in (square, transposed)))
    np.testing.assert_array_equal(transposed, square.T)
