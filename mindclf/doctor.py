"""What mindclf runs on here: versions, device, instruction sets, kernels, memory, data. For `mindclf doctor` and bug reports."""

import importlib.metadata
import os
import platform
from pathlib import Path

import mindclf
from mindclf.dataset.registry import DATA_SETS
from mindclf.utils.cache import cache_folder
from mindclf.utils.cores import usable_cores
from mindclf.utils.files import first_line

EXTRAS = {  # what setup.py lists as extras: the packages that a user of each needs
    "onnx": ("onnx", "onnxruntime"), "torch": ("torch",), "convert": ("h5py",), "demo": ("gradio",),
    "notebooks": ("nbclient", "ipykernel", "notebook"), "tensorboard": ("tensorboard",), "heif": ("pillow-heif",),
}
IMAGENET = "ImageNet weights"
GIB = 2**30


def examine():
    """Facts as a dict that JSON can hold. None of them is an error: what is broken is said in its place."""
    return {
        "versions": {"mindclf": mindclf.__version__, "Python": platform.python_version(),
                     **{name: version_of(name) for name in ("mindspore", "numpy", "pillow")}},
        "extras": {extra: {name: version_of(name) for name in packages} for extra, packages in EXTRAS.items()},
        "system": f"{platform.system()} {platform.machine()}",
        **_device(),
        "cores": {"usable": usable_cores(), "present": os.cpu_count()},
        "memory_gib": memory_gib(),
        "cache": str(cache_folder()),
        "data": {"MINDCLF_DATA": os.environ.get("MINDCLF_DATA", ""),
                 **{row.title: _looked_for(lambda row=row: row.find(only_on_disk=True)) for row in DATA_SETS.values()},
                 IMAGENET: _looked_for(_imagenet)},
    }


def describe(facts):
    """[(title, text)] of what `examine` found, a line each."""
    cores, memory, data = facts["cores"], facts["memory_gib"], facts["data"]
    missing = [name for name, there in facts["devices"].items() if not there]
    others = f" (not here: {', '.join(missing)})" if missing else ""
    elsewhere = f" or {data['MINDCLF_DATA']}/" if data["MINDCLF_DATA"] else " (MINDCLF_DATA is not set)"
    lines = [(name, version or "not installed") for name, version in facts["versions"].items()]
    for extra, packages in facts["extras"].items():
        absent = not all(packages.values())
        shown = ", ".join(f"{name} {version}" if version else f"{name} not installed" for name, version in packages.items())
        lines.append((f"extra {extra}", shown + (f": pip install -e \".[{extra}]\" in mindclf's folder" if absent else "")))
    lines += [
        ("system", facts["system"]),
        ("device", f"{facts['device']}{others}" if facts["device"] else facts["mindspore_problem"]),
        ("processor", facts["processor"]),
        ("cores", f"{cores['usable']} usable of {cores['present']}"),
        ("oneDNN", facts["onednn"]["reason"]),
        ("kernels", ", ".join(filter(None, ("in use" if facts["kernels"]["in_use"] else "not in use",
                                            facts["kernels"]["instruction_set"]))) + f": {facts['kernels']['reason']}"),
        ("memory", f"{memory['free']:.1f} GiB free of {memory['present']:.1f} GiB" if memory else "unknown"),
        ("cache", facts["cache"]),
        *((row.title, data[row.title] or f"not in data/{elsewhere}" + (f": {row.download}" if row.download else
                                                                       "; there is no download"))
          for row in DATA_SETS.values()),
        (IMAGENET, data[IMAGENET] or f"not in data/{elsewhere}: they will be downloaded"),
    ]
    return lines


def version_of(package):
    """The version of an installed package, or "" if it is not there. Does not import it."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def memory_gib(meminfo=Path("/proc/meminfo")):
    """{"free", "present"} in GiB, free being what can be had without swapping; None where the system does not say so there."""
    try:
        rows = dict(line.split(":") for line in meminfo.read_text(encoding="utf-8").splitlines())
        return {name: round(int(rows[key].split()[0]) * 2**10 / GIB, 2)
                for name, key in (("free", "MemAvailable"), ("present", "MemTotal"))}
    except (OSError, ValueError, KeyError):
        return None


def _device():
    """What needs MindSpore to be found out. One that cannot be imported is what a doctor is asked about: it says why."""
    try:
        from mindclf import kernels
        from mindclf.device import AVAILABLE, processor, use_device

        device = use_device("auto")
    except Exception as error:  # ImportError of a missing package or library; with NumPy 2 others
        problem = f"MindSpore does not start: {first_line(error)}"
        return {"device": "", "devices": {}, "mindspore_problem": problem, "processor": platform.machine(), "onednn": _onednn(),
                "kernels": {"in_use": False, "instruction_set": "", "reason": problem}}
    try:
        in_use, instruction_set, reason = kernels.status()
    except ValueError as error:  # a value of MINDCLF_KERNELS that is none
        in_use, instruction_set, reason = False, "", str(error)
    return {"device": device, "devices": {name: bool(available()) for name, available in AVAILABLE.items()},
            "mindspore_problem": "", "processor": processor(), "onednn": _onednn(),
            "kernels": {"in_use": in_use, "instruction_set": instruction_set, "reason": reason}}


def _onednn():
    """The most that MindSpore's own operators may use of the processor, "" for what it has, and why."""
    cap, has_avx512 = mindclf.tune_cpu(), mindclf.has_avx512()
    if cap == "AVX2" and has_avx512:
        reason = "MindSpore's operators capped at AVX2: with AVX-512 its convolutions are many times slower"
    elif cap:
        reason = f"MindSpore's operators capped at {cap}: ONEDNN_MAX_CPU_ISA says so"
    else:
        reason = "MindSpore's operators not capped: this processor has no AVX-512"
    return {"ONEDNN_MAX_CPU_ISA": cap, "has_avx512": has_avx512, "reason": reason}


def _looked_for(find):
    """The path that `find` returns in a `Found`, "" if it returns None, or why it cannot look."""
    try:
        found = find()
    except Exception as error:  # MINDCLF_DATA names no folder; or the import of MindSpore, see _device
        return f"not looked for: {first_line(error)}"
    return found.path.as_posix() if found else ""


def _imagenet():
    from mindclf.dataset.locate import imagenet_on_disk

    return imagenet_on_disk()
