"""Packaging of mindclf. The checkpoints at the top of the clone are installed inside the package, as mindclf/checkpoints."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (HERE / "mindclf" / "__init__.py").read_text(encoding="utf-8"))[1]

setup(
    name="mindclf",
    version=VERSION,
    description="Five image classification tutorials, rebuilt on MindSpore and corrected",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10,<3.13",  # the Pythons that the MindSpore wheel is built for
    packages=find_packages(include=["mindclf", "mindclf.*"]) + ["mindclf.checkpoints"],
    package_dir={"mindclf.checkpoints": "checkpoints"},
    package_data={"mindclf.checkpoints": ["*.ckpt", "*.json"]},
    install_requires=[
        "mindspore>=2.10,<2.11",
        "numpy>=1.26,<2",  # with numpy 2 the MindSpore wheel fails at its first ops.mean
        "pillow>=10.1,<14",
        "easydict>=1.13,<2",
        "matplotlib>=3.8,<4",
        "download>=0.3.5,<0.4",
    ],
    extras_require={
        "convert": ["h5py>=3.9"],  # weights of Keras
        "dev": ["pytest>=8", "ruff>=0.6", "h5py>=3.9"],
        "notebooks": ["notebook>=7"],
        "onnx": ["onnx>=1.16", "onnxruntime>=1.18"],
        "torch": ["torch>=2.6"],  # .pth files; .safetensors need no PyTorch
    },
    entry_points={"console_scripts": ["mindclf = mindclf.cli:main"]},
)
