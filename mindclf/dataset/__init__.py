"""Images on disk -> batches on the device."""

from mindclf.dataset.folder import ImageSet, Scan, read_folder, scan_folder
from mindclf.dataset.images import Reading, decode_image, encoded_image, whole_image
from mindclf.dataset.independence import independent
from mindclf.dataset.pipeline import (
    augmented_pipeline,
    create_dataset,
    epoch_pipeline,
    eval_pipeline,
    pixel_pipeline,
    preprocessing_of,
    seen_box,
    train_pipeline,
)
from mindclf.dataset.transforms import eval_transforms, unnormalize

__all__ = ["ImageSet", "Reading", "Scan", "augmented_pipeline", "create_dataset", "decode_image", "encoded_image",
           "epoch_pipeline", "eval_pipeline", "eval_transforms", "independent", "pixel_pipeline", "preprocessing_of",
           "read_folder", "scan_folder", "seen_box", "train_pipeline", "unnormalize", "whole_image"]
