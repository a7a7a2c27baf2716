"""What happens to a picture between its file and the net: the training list above the evaluation list.

They take encoded bytes (uint8, 1-D), or with raw_size pixels (uint8, *raw_size, 3), and give float32 (3, height, width). Sizes
are (height, width) in pixels; `mean` and `std` are per channel, in RGB order, on the scale of the pixels, 0 to 255.
"""

import numpy as np
from mindspore.dataset import vision

CROP_SHARE = 0.875  # evaluation sees the central 224 of 256 pixels: the customary ImageNet protocol


def train_transforms(image_size, mean, std, scale=(0.08, 1.0), ratio=(0.75, 1.333), flip_prob=0.5, color_adjust=0.4,
                     raw_size=None):
    """A random part of the picture, perhaps mirrored, in other light.

    `scale` is the part of the area and `ratio` the width over height that a crop may have; brightness, contrast and saturation
    each change by up to `color_adjust`.
    """
    crop = vision.RandomResizedCrop if raw_size else vision.RandomCropDecodeResize
    return [
        crop(tuple(image_size), scale=tuple(scale), ratio=tuple(ratio)),
        vision.RandomHorizontalFlip(flip_prob),
        vision.RandomColorAdjust(color_adjust, color_adjust, color_adjust),
        vision.Normalize(list(mean), list(std)),
        vision.HWC2CHW(),
    ]


def padded_crop_transforms(image_size, mean, std, padding=4, flip_prob=0.5, color_adjust=0.0, cutout=0, raw_size=None):
    """The whole picture, shifted by up to `padding` pixels over black, perhaps mirrored: the customary CIFAR protocol.

    Raw pictures are shifted at their own size and resized afterwards, others resized first. `cutout` is the side of a
    square of the mean colour at a random place, in pixels of the net's input (arXiv:1708.04552); 0 is none.
    """
    size = tuple(raw_size or image_size)
    operations = [] if raw_size else [vision.Decode(), vision.Resize(size)]
    operations += [vision.RandomCrop(size, padding), vision.RandomHorizontalFlip(flip_prob)]
    if color_adjust:
        operations.append(vision.RandomColorAdjust(color_adjust, color_adjust, color_adjust))
    if size != tuple(image_size):
        operations.append(vision.Resize(tuple(image_size)))
    operations.append(vision.Normalize(list(mean), list(std)))
    if cutout:
        operations.append(vision.CutOut(cutout, is_hwc=True))  # of normalised pixels: 0 is the mean colour
    return operations + [vision.HWC2CHW()]


def eval_transforms(image_size, mean, std, crop_share=CROP_SHARE, raw_size=None):
    """The centre of the picture after its shorter side is brought to 256 pixels (for 224, with a crop_share of 0.875)."""
    operations = [] if raw_size else [vision.Decode()]
    if tuple(raw_size or ()) != tuple(image_size) or crop_share != 1:
        operations += [vision.Resize(int(max(image_size) / crop_share)), vision.CenterCrop(tuple(image_size))]
    return operations + [vision.Normalize(list(mean), list(std)), vision.HWC2CHW()]


def unnormalize(images, mean, std):
    """Normalised pictures (N, 3, H, W) as pixels again, uint8 (N, H, W, 3), for showing them."""
    pixels = np.asarray(images).transpose(0, 2, 3, 1) * np.asarray(std) + np.asarray(mean)
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
