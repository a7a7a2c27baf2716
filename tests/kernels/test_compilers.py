"""Other compilers than the one that made the kernels: they take every source file, and shuffle lanes alike."""

import ctypes
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import setuptools

from mindclf import kernels

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(Path(kernels.__file__).parent.glob("*.c"))


COMPILERS = {"cc": ["cc"], "GCC before 12": ["gcc", "-U__GNUC__", "-D__GNUC__=11"], "Clang": ["clang"]}


def each(*names):
    return pytest.mark.parametrize("compiler", [
        pytest.param(COMPILERS[name], id=name, marks=pytest.mark.skipif(not shutil.which(COMPILERS[name][0]),
                                                                        reason=f"there is no {COMPILERS[name][0]}"))
        for name in names])


pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernels are for Linux")


@pytest.fixture(scope="module")
def flags():
    """The flags of each variant, as setup.py hands them to the compiler."""
    made = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(setuptools, "setup", lambda **fields: made.update(fields))
        runpy.run_path(str(ROOT / "setup.py"))
    return {extension.name.partition("._")[2]: extension.extra_compile_args for extension in made["ext_modules"]}


def compiled(*command):
    """What a compiler says, beside that it succeeds."""
    result = subprocess.run(list(map(str, command)), capture_output=True, encoding="utf-8")
    assert result.returncode == 0, result.stderr
    return result.stderr


@each("Clang")
@pytest.mark.parametrize("variant", kernels.VARIANTS)
def test_every_source_file_compiles_without_a_warning(flags, compiler, variant):
    if variant not in flags:
        pytest.skip("this variant is for x86-64")
    assert compiled(*compiler, *flags[variant], "-Wall", "-Wextra", "-fsyntax-only", *SOURCES) == ""


@each(*COMPILERS)
@pytest.mark.parametrize("variant", [name for name, needed in kernels.VARIANTS.items() if needed <= kernels._processor_flags()])
def test_lanes_are_shuffled_alike(flags, compiler, variant, tmp_path):
    library = tmp_path / "shuffles.so"
    compiled(*compiler, *flags[variant], "-fPIC", "-shared", "-o", library, ROOT / "tests/kernels/shuffles.c")
    loaded = ctypes.CDLL(str(library))
    width = loaded.width()
    assert width == {"portable": 4, "avx2": 8}.get(variant, 16)
    a, b = np.arange(2 * width, dtype=np.float32).reshape(2, width)
    shuffled, square, turned = (np.zeros((rows, width), np.float32) for rows in (3, width, width))
    loaded.shuffled(*(ctypes.c_void_p(array.ctypes.data) for array in (a, b, shuffled)))
    np.testing.assert_array_equal(shuffled[:2].ravel(), np.stack([a, b], 1).ravel())
    np.testing.assert_array_equal(shuffled[2], np.concatenate([a, b])[::2])
    square[:] = np.arange(width * width).reshape(width, width)
    loaded.transposed(*(ctypes.c_void_p(array.ctypes.data) for array in (square, turned)))
    np.testing.assert_array_equal(turned, square.T)
