"""Images on disk -> batches on the device."""

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
