"""Packaging of mindclf. What lies beside the package in a clone (see SHIPPED in mindclf/utils/shipped.py) is installed inside it.

The CPU kernels of mindclf/kernels are compiled where there is a C compiler, once for each instruction set. Where there is none,
or it fails, mindclf is installed without them and nets run on MindSpore's own operators.
"""

import copy
import re
import runpy
import sys
from pathlib import Path
from types import SimpleNamespace

from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext

HERE = Path(__file__).parent
SHIPPED = runpy.run_path(str(HERE / "mindclf" / "utils" / "shipped.py"))["SHIPPED"]
VERSION = re.search(r'__version__ = "(.+)"', (HERE / "mindclf" / "__init__.py").read_text(encoding="utf-8"))[1]

KERNELS = Path("mindclf") / "kernels"


def kernels():
    """The kernels' libraries; plain ones without a Python module inside. MindSpore takes them on Linux only."""
    if sys.platform != "linux":
        return []
    variants = SimpleNamespace(**runpy.run_path(str(KERNELS / "variants.py")))
    sources, headers = (sorted(map(str, (KERNELS / "csrc").glob(f"*.{suffix}"))) for suffix in "ch")
    return [Extension(f"mindclf.kernels._{variant}", sources, depends=[*headers, str(KERNELS / "variants.py")], libraries=["m"],
                      extra_compile_args=variants.compile_flags(variant), extra_link_args=list(variants.LINK), optional=True)
            for variant in variants.compilable()]


class BuildKernels(build_ext):
    """Compiles the variants side by side, each in a folder of its own: their objects have the same names."""

    def build_extension(self, ext):
        apart = copy.copy(self)
        apart.build_temp = str(Path(self.build_temp) / ext.name)
        build_ext.build_extension(apart, ext)


setup(
    name="mindclf",
    version=VERSION,
    description="Five image classification tutorials, rebuilt on MindSpore and corrected",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10,<3.13",  # the Pythons that the MindSpore wheel is built for
    packages=find_packages(include=["mindclf", "mindclf.*"]) + [f"mindclf.{name}" for name in SHIPPED],
    package_dir={f"mindclf.{name}": folder for name, folder in SHIPPED.items()},
    package_data={"mindclf.checkpoints": ["*.ckpt", "*.json"], "mindclf.kernels": ["README.md", "csrc/*.[ch]"],
                  "mindclf.notebooks": ["*.ipynb"], "mindclf": ["locale/*.po"], "mindclf.report": ["font/*"],
                  "mindclf.results": ["tables/*.json", "runs/*/*", "runs/*/runs/*"]},
    ext_modules=kernels(),
    cmdclass={"build_ext": BuildKernels},
    options={"build_ext": {"parallel": True}},  # a variant on each core
    install_requires=[
        "mindspore>=2.10,<2.11",
        "numpy>=1.26,<2",  # with numpy 2 the MindSpore wheel fails at its first ops.mean
        "pillow>=10.1,<14",
        "easydict>=1.14,<2",  # from then on it leaves subclasses of dict as they are
        "matplotlib>=3.8,<4",
        "download>=0.3.5,<0.4",
        "platformdirs>=3,<5",
        "tqdm>=4.62,<5",  # which download needs too
    ],
    extras_require={
        "convert": ["h5py>=3.9"],  # weights of Keras
        "demo": ["gradio>=6.31,<7"],  # the page of `mindclf demo`
        "dev": ["pytest>=9", "pytest-xdist>=3.5", "ruff>=0.6", "mypy>=1.11", "h5py>=3.9", "hypothesis>=6", "tensorboard>=2.16",
                "pillow-heif>=0.18", "nbclient>=0.11", "ipykernel>=6.29",  # these two execute notebooks
                "setuptools>=68", "wheel>=0.40"],  # `make wheel`
        # the site: `make docs` installs the same list, docs/requirements.txt, without mindclf
        "docs": ["mkdocs>=1.6,<2", "mkdocs-material>=9.6,<10", "mkdocstrings[python]>=0.30,<2", "mkdocs-static-i18n>=1.3,<2",
                 "jieba>=0.42", "ruff>=0.6"],  # the last formats signatures
        "heif": ["pillow-heif>=0.18"],  # HEIC, the kind of image that phones make
        "notebooks": ["nbclient>=0.11", "ipykernel>=6.29", "notebook>=7"],  # the last opens them
        "onnx": ["onnx>=1.16", "onnxruntime>=1.18"],
        "tensorboard": ["tensorboard>=2.16"],
        "torch": ["torch>=2.6"],  # .pth files; .safetensors need no PyTorch
    },
    entry_points={"console_scripts": ["mindclf = mindclf.cli:main"]},
)
