"""Features: what a net's backbone makes of images, pooled, before the head tells classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from mindspore import nn

from mindclf.checkpoint import CheckpointFile
from mindclf.dataset import ImageSet, eval_pipeline
from mindclf.inference.logits import predict_logits, run_net
from mindclf.inference.runner import EXPORTED, Runner
from mindclf.preprocessing import Preprocessing


class PooledFeatures(nn.Cell):
    """Images (N, 3, H, W) -> what the head of `net` takes in place of maps, mostly (N, channels): backbone and pool."""

    def __init__(self, net):
        super().__init__(auto_prefix=False)
        self.backbone = net.backbone
        self.pool = net.head.pool

    def construct(self, images):
        return self.pool(self.backbone(images))


class FeatureRunner(Runner):
    """A `Runner` that gives features float32 (n, channels) in the place of logits; of maps, which some heads take, their means.

    Raises ValueError for an exported file too: it has logits alone.
    """

    def __init__(self, checkpoint: str | Path | CheckpointFile):
        file = CheckpointFile.of(checkpoint)
        if file.path.suffix in EXPORTED:
            raise ValueError(f"{file.path} gives logits alone, no features: name the checkpoint that it was exported from")
        super().__init__(file)
        pooled = PooledFeatures(self.net)
        self.run = lambda images: averaged(run_net(pooled, images))


def averaged(features: np.ndarray) -> np.ndarray:
    """Features (n, channels): those of maps (n, channels, height, width) are their means."""
    return features.mean((2, 3)) if features.ndim == 4 else features


def features_of(net: nn.Cell, images: ImageSet, preprocessing: Preprocessing, batch_size: int) -> np.ndarray:
    """Features float32 (n, channels) of n images, as evaluation sees them. Leaves the net in inference mode."""
    return averaged(predict_logits(PooledFeatures(net), eval_pipeline(images, preprocessing, batch_size))[0])
