"""Dispatch: which library of kernels this process uses, and why.

setup.py compiles csrc/ once for each variant of variants.py. The environment variable MINDCLF_KERNELS chooses one: 0 turns the
kernels off; the name of a variant asks for that one; bf16 asks for the fastest of those that multiply bfloat16 numbers in their
convolutions, with float32 sums: "amx" (Intel) or "avx512_bf16" (AMD and Intel). They are faster and less exact. Without the
variable this process takes the fastest variant that computes in float32 and runs here.
"""

import contextlib
import ctypes
import functools
import hashlib
import os
import platform
from pathlib import Path

import mindspore as ms

from mindclf.kernels.variants import BFLOAT16, FLOAT32, VARIANTS, compilable, features, processor_features
from mindclf.utils.cores import usable_cores

INTERFACE_VERSION = 6  # of the C functions, as in csrc/custom_op.h

_off = 0


@contextlib.contextmanager
def off():
    """Layers that are made or folded inside the block use MindSpore's own operators. Exported files need that."""
    global _off
    _off += 1
    try:
        yield
    finally:
        _off -= 1


def in_use():
    """Whether layers that are made now use the kernels."""
    return status()[0]


def status():
    """(in use, variant, reason): True, one of VARIANTS and why that one; or False, "" and why not."""
    if _off:
        return False, "", "turned off for now, as for export"
    target = ms.get_context("device_target")
    if target != "CPU":
        return False, "", f"the device is {target}; the kernels are for CPU"
    variant, reason = _choose(os.environ.get("MINDCLF_KERNELS", ""))
    return bool(variant), variant, reason


@functools.cache
def _choose(wanted):
    """(variant, why) that MINDCLF_KERNELS=wanted gives on this machine; ("", why) if none."""
    if wanted == "0":
        return "", "turned off by MINDCLF_KERNELS=0"
    if wanted not in ("", "1", "bf16", *VARIANTS):
        raise ValueError(f"MINDCLF_KERNELS={wanted!r} is not known; expected one of 0, 1, bf16, {', '.join(VARIANTS)}")
    if platform.system() != "Linux":
        return "", "MindSpore has operators of one's own on Linux only"
    if not any(map(library, VARIANTS)):
        return "", "they are not compiled; that needs a C compiler, GCC or Clang, when mindclf is installed"
    found = processor_features()
    reasons = []
    in_float32 = [variant for variant in FLOAT32 if variant in compilable()]
    for variant in (wanted,) if wanted in VARIANTS else BFLOAT16 if wanted == "bf16" else in_float32:
        if lacking := features(variant) - found:
            reasons.append(f"{variant}: this processor lacks {', '.join(sorted(lacking))}")
        elif (problem := _problem_of(variant)) is not None:
            reasons.append(f"{variant}: {problem}")
        else:
            reasons.insert(0, "asked for by MINDCLF_KERNELS" if wanted not in ("", "1") else "the fastest that fits")
            return variant, "; ".join(reasons)
    return "", "; ".join(reasons)


def available(variant):
    """Whether a variant is compiled and runs on this processor."""
    return features(variant) <= processor_features() and _problem_of(variant) is None


def library(variant):
    """The path of the compiled library of a variant, or None if it was not compiled."""
    return next(iter(sorted(Path(__file__).parent.glob(f"_{variant}.*so"))), None)


@functools.cache
def digest(variant):
    """The SHA-256 of the library of a variant, in hexadecimal: another one may compute in another order or precision."""
    return hashlib.sha256(library(variant).read_bytes()).hexdigest()


def _problem_of(variant):
    """Why the library of a variant does not work on a processor that has its features; None if it does."""
    path = library(variant)
    if path is None:
        return "not compiled"
    try:
        loaded = ctypes.CDLL(str(path))
    except OSError as error:
        return f"cannot be loaded: {error}"
    if not hasattr(loaded, "interface_version") or loaded.interface_version() != INTERFACE_VERSION:
        return "compiled for another mindclf: install it again"
    loaded.limit_threads(ctypes.c_long(usable_cores()))
    return None if loaded.permitted() else "the system does not let programs use this part of the processor"


def render_views():
    """The C function of that name, of csrc/view.h, or None where no kernels are in use.

    It takes a count and three addresses and returns an int. MINDCLF_KERNELS chooses the variant as for nets; the device does not
    matter, because the processor prepares the images for every device.
    """
    return _render_views(os.environ.get("MINDCLF_KERNELS", ""))


@functools.cache
def _render_views(wanted):
    variant, _ = _choose(wanted)
    if not variant:
        return None
    function = ctypes.CDLL(str(library(variant))).render_views
    function.argtypes, function.restype = [ctypes.c_int64] + [ctypes.c_void_p] * 3, ctypes.c_int
    return function


