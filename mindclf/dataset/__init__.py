"""Images on disk -> batches on the device.


The names below are imported at their first use: the config needs mindclf.dataset.registry alone, and no MindSpore.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mindclf.dataset.folder import ImageSet, Scan, read_folder, scan_folder
    from mindclf.dataset.images import decode_image, encoded_image, whole_image
    from mindclf.dataset.independence import independent
    from mindclf.dataset.pipeline import (
        augmented_pipeline,
        create_dataset,
        epoch_pipeline,
        eval_pipeline,
        pixel_pipeline,
        train_pipeline,
    )
    from mindclf.preprocessing import Reading

__all__ = ["ImageSet", "Reading", "Scan", "augmented_pipeline", "create_dataset", "decode_image", "encoded_image",
           "epoch_pipeline", "eval_pipeline", "independent", "pixel_pipeline", "read_folder", "scan_folder", "train_pipeline",
           "whole_image"]

_MODULES = ("images", "folder", "independence", "pipeline")  # that define these names


def __getattr__(name):
    for module in _MODULES if name in __all__ else ():
        defined = vars(importlib.import_module(f"{__name__}.{module}"))
        if name in defined:
            return defined[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
