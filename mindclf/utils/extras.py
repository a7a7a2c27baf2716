"""Packages that only some commands need: the extras of setup.py."""

import importlib

from mindclf.utils.files import first_line


def require(module, purpose, advice):
    """The module of that name, such as "onnxruntime.quantization", of an optional package.

    Raises ValueError of one line that begins with `purpose`, as in "ONNX files need onnx". Where the package is not installed it
    ends with `advice`, as in "pip install onnx"; where it is, and cannot be imported, with the reason.
    """
    package = module.partition(".")[0]
    try:
        return importlib.import_module(module)
    except Exception as error:  # ImportError of a library that it needs; a broken installation raises anything
        if isinstance(error, ModuleNotFoundError) and error.name == package:
            raise ValueError(f"{purpose}: {advice}") from None
        raise ValueError(f"{purpose}, and {package} is installed but cannot be imported: {first_line(error)}") from None
