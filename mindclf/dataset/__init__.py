"""Pictures on disk -> batches on the device."""

from mindclf.dataset.folder import Pictures, Scan, read_folder, scan_folder
from mindclf.dataset.independence import independent
from mindclf.dataset.pictures import Reading, decode_picture, encoded_picture, whole_picture
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

__all__ = ["Pictures", "Reading", "Scan", "augmented_pipeline", "create_dataset", "decode_picture", "encoded_picture",
           "epoch_pipeline", "eval_pipeline", "eval_transforms", "independent", "pixel_pipeline", "preprocessing_of",
           "read_folder", "scan_folder", "seen_box", "train_pipeline", "unnormalize", "whole_picture"]
