"""What happens to an image between its file and the net in evaluation; for training see mindclf.dataset.views.

Transforms take encoded bytes (uint8, 1-D), or with raw_size pixels (uint8, *raw_size, 3), and give float32 (3, height, width).
Sizes are (height, width) in pixels; `mean` and `std` are per channel, in RGB order, on the scale of the pixels, 0 to 255.
"""

import numpy as np
from mindspore.dataset import vision

CROP_SHARE = 0.875  # evaluation sees the central 224 of 256 pixels: the customary ImageNet protocol


def eval_transforms(image_size, mean, std, crop_share=CROP_SHARE, raw_size=None):
    """What `pixel_transforms` gives, normalised: what a net sees in evaluation."""
    return [*pixel_transforms(image_size, crop_share, raw_size), vision.Normalize(list(mean), list(std)), vision.HWC2CHW()]


def pixel_transforms(image_size, crop_share=CROP_SHARE, raw_size=None):
    """The centre of the image after its shorter side is brought to 256 pixels (for 224, with a crop_share of 0.875).

    It stays pixels: uint8 (height, width, 3).
    """
    operations = [] if raw_size else [vision.Decode()]
    side = shorter_side(image_size, crop_share, raw_size)
    if side:
        operations += [vision.Resize(side), vision.CenterCrop(tuple(image_size))]
    return operations


def shorter_side(image_size, crop_share, raw_size):
    """What evaluation brings the shorter side of an image to, in pixels; None where it takes raw images as they are."""
    if tuple(raw_size or ()) == tuple(image_size) and crop_share == 1:
        return None
    return int(max(image_size) / crop_share)


def eval_box(size, image_size, crop_share=CROP_SHARE, raw_size=None):
    """The part of an image of `size`, (height, width), that `eval_transforms` show to the net: (top, left, bottom, right).

    They are parts of its height and width, 0 to 1. With `raw_size` the image is first cut to the shape of raw_size, as
    `small_image` does.
    """
    taken = raw_size or size
    shorter = shorter_side(image_size, crop_share, raw_size)
    resized = [shorter * side // min(taken) for side in taken] if shorter else taken
    pixels_a_pixel = min(whole / side for whole, side in zip(size, taken))  # of the image, in one of raw_size
    edges = []
    for whole, side, length, shown in zip(size, taken, resized, image_size):
        share = side * pixels_a_pixel / whole  # 1 without raw_size
        first = (length - shown) // 2
        edges.append([(1 - share) / 2 + share * edge / length for edge in (first, first + shown)])
    (top, bottom), (left, right) = edges
    return top, left, bottom, right


def unnormalize(images, mean, std):
    """Normalised images (N, 3, H, W) as pixels again, uint8 (N, H, W, 3), for showing them."""
    pixels = np.asarray(images).transpose(0, 2, 3, 1) * np.asarray(std) + np.asarray(mean)
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
