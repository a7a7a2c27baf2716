"""The variants of the compiled kernels: the compiler flags of each, and the processor features that it needs.

This is the only list of them. setup.py, `make sanitize`, the tests and dispatch.py read it. It imports nothing of mindclf,
because setup.py runs it before mindclf is installed. make asks it on the command line:

    python mindclf/kernels/variants.py runnable         the variants that this processor runs, as in "avx2 portable"
    python mindclf/kernels/variants.py sanitize avx2    the compiler flags of that variant with the sanitizers
    python mindclf/kernels/variants.py compile neon     its compiler flags as setup.py gives them
"""

import platform
import sys
from pathlib import Path

# Compiler flag of GCC and Clang: the feature in /proc/cpuinfo without which a processor cannot run what the flag compiles.
AVX2 = {"-mavx2": "avx2", "-mfma": "fma"}
AVX512 = {**AVX2, "-mavx512f": "avx512f", "-mavx512bw": "avx512bw", "-mavx512dq": "avx512dq", "-mavx512vl": "avx512vl",
          "-mprefer-vector-width=512": "avx512f"}
AVX512_BF16 = {**AVX512, "-mavx512bf16": "avx512_bf16"}
AMX = {**AVX512_BF16, "-mamx-tile": "amx_tile", "-mamx-bf16": "amx_bf16"}
NEON = {"-march=armv8-a+simd": "asimd"}
# The fastest first.
VARIANTS = {"amx": AMX, "avx512_bf16": AVX512_BF16, "avx512": AVX512, "avx2": AVX2, "neon": NEON, "portable": {}}
BFLOAT16 = ("amx", "avx512_bf16")  # multiply bfloat16 numbers in their convolutions
FLOAT32 = tuple(variant for variant in VARIANTS if variant not in BFLOAT16)

COMMON = ("-std=gnu11", "-pthread", "-Wno-psabi")  # psabi: a note of GCC about vectors as arguments, of no use here
OPTIMIZED = ("-O3", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math", "-fvisibility=hidden")
SANITIZED = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-Wall", "-Wextra")
LINK = ("-pthread", "-Wl,-z,nodelete")  # nodelete: threads sleep in a library between two calls, so it must stay loaded


def compile_flags(variant, kind=OPTIMIZED):
    """The compiler flags of a variant, a list. `kind` is OPTIMIZED or SANITIZED."""
    return [*COMMON, *kind, *VARIANTS[variant]]


def features(variant):
    """The features, as in /proc/cpuinfo, that a processor needs to run a variant: a set, empty for "portable"."""
    return set(VARIANTS[variant].values())


def compilable():
    """The variants that a compiler for this kind of processor takes, the fastest first: on other kinds only "portable".

    On aarch64 there is no "portable", which would be the same: each of those processors has NEON.
    """
    kinds = {"x86-64": [variant for variant in VARIANTS if variant != "neon"], "aarch64": ["neon"]}
    return kinds.get(_kind(), ["portable"])


def runnable():
    """The variants of this kind of processor whose features it has."""
    return [variant for variant in compilable() if features(variant) <= processor_features()]


def processor_features(cpuinfo=Path("/proc/cpuinfo")):
    """The features of this processor that the file `cpuinfo` lists: a set, empty on kinds that no variant is made for."""
    title = {"x86-64": "flags", "aarch64": "Features"}.get(_kind())
    if title is None or not cpuinfo.exists():
        return set()
    lines = (line for line in cpuinfo.read_text(encoding="utf-8").splitlines() if line.startswith(title))
    return set(next(lines, "").partition(":")[2].split())


def _kind():
    """The kind of this processor: one name, where systems have several."""
    machine = platform.machine().lower()
    return {"amd64": "x86-64", "x86_64": "x86-64", "arm64": "aarch64"}.get(machine, machine)


if __name__ == "__main__":
    question, *variant = sys.argv[1:]
    names, kinds = {"runnable": runnable, "compilable": compilable}, {"sanitize": SANITIZED, "compile": OPTIMIZED}
    print(*(names[question]() if question in names else compile_flags(*variant, kinds[question])))
