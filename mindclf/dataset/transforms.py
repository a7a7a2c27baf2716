"""What happens to a picture between its file and the net: the training list above the evaluation list.

They take encoded bytes (uint8, 1-D), or with raw_size pixels (uint8, *raw_size, 3), and give float32 (3, height, width). Sizes
are (height, width) in pixels; `mean` and `std` are per channel, in RGB order, on the scale of the pixels, 0 to 255.
"""

import numpy as np
from mindspore.dataset import transforms, vision

CROP_SHARE = 0.875  # evaluation sees the central 224 of 256 pixels: the customary ImageNet protocol


def train_transforms(image_size, mean, std, scale=(0.08, 1.0), ratio=(0.75, 1.333), raw_size=None, **variations):
    """A random part of the picture, varied as `_variations` says.

    `scale` is the part of the area and `ratio` the width over height that a crop may have.
    """
    crop = vision.RandomResizedCrop if raw_size else vision.RandomCropDecodeResize
    return [
        crop(tuple(image_size), scale=tuple(scale), ratio=tuple(ratio)),
        *_variations(mean, **variations),
        vision.Normalize(list(mean), list(std)),
        vision.HWC2CHW(),
    ]


def padded_crop_transforms(image_size, mean, std, padding=4, cutout=0, raw_size=None, **variations):
    """The whole picture, shifted by up to `padding` pixels over black and varied as `_variations` says: so is CIFAR customary.

    Raw pictures are shifted at their own size and resized afterwards. Of others the centre is taken first that evaluation takes
    with a crop_share of 1. `cutout` is the side of a square of the mean colour at a random place, in pixels of the net's input
    (arXiv:1708.04552); 0 is none.
    """
    size = tuple(raw_size or image_size)
    operations = [] if raw_size else pixel_transforms(size, crop_share=1)
    operations += [vision.RandomCrop(size, padding), *_variations(mean, **variations)]
    if size != tuple(image_size):
        operations.append(vision.Resize(tuple(image_size)))
    operations.append(vision.Normalize(list(mean), list(std)))
    if cutout:
        operations.append(vision.CutOut(cutout, is_hwc=True))  # of normalised pixels: 0 is the mean colour
    return operations + [vision.HWC2CHW()]


def _variations(mean, rotation=0.0, flip_prob=0.5, vertical_flip_prob=0.0, color_adjust=0.4, hue_adjust=0.0, grey_prob=0.0):
    """What training does to a crop, whatever its kind: perhaps turned, mirrored, in other light, without colour.

    It is turned by up to `rotation` degrees to either side, what that bares being of the colour `mean`. Brightness, contrast and
    saturation each change by up to `color_adjust` of themselves, the hue by up to `hue_adjust` of the colour wheel.
    """
    operations = []
    if rotation:
        bared = tuple(int(min(max(value, 0), 255)) for value in reversed(mean))  # MindSpore 2.10.0 takes it as blue, green, red
        operations.append(vision.RandomRotation(rotation, vision.Inter.BILINEAR, fill_value=bared))
    if flip_prob:
        operations.append(vision.RandomHorizontalFlip(flip_prob))
    if vertical_flip_prob:
        operations.append(vision.RandomVerticalFlip(vertical_flip_prob))
    if color_adjust or hue_adjust:
        operations.append(vision.RandomColorAdjust(color_adjust, color_adjust, color_adjust, hue_adjust))
    if grey_prob:
        operations.append(transforms.RandomApply([vision.AdjustSaturation(0.0)], grey_prob))
    return operations


def eval_transforms(image_size, mean, std, crop_share=CROP_SHARE, raw_size=None):
    """What `pixel_transforms` gives, normalised: what a net sees in evaluation."""
    return [*pixel_transforms(image_size, crop_share, raw_size), vision.Normalize(list(mean), list(std)), vision.HWC2CHW()]


def pixel_transforms(image_size, crop_share=CROP_SHARE, raw_size=None):
    """The centre of the picture after its shorter side is brought to 256 pixels (for 224, with a crop_share of 0.875).

    It stays pixels: uint8 (height, width, 3).
    """
    operations = [] if raw_size else [vision.Decode()]
    side = shorter_side(image_size, crop_share, raw_size)
    if side:
        operations += [vision.Resize(side), vision.CenterCrop(tuple(image_size))]
    return operations


def shorter_side(image_size, crop_share, raw_size):
    """What evaluation brings the shorter side of a picture to, in pixels; None where it takes raw pictures as they are."""
    if tuple(raw_size or ()) == tuple(image_size) and crop_share == 1:
        return None
    return int(max(image_size) / crop_share)


def eval_box(size, image_size, crop_share=CROP_SHARE, raw_size=None):
    """The part of a picture of `size`, (height, width), that `eval_transforms` show to the net: (top, left, bottom, right).

    They are parts of its height and width, 0 to 1. With `raw_size` the picture is first cut to the shape of raw_size, as
    `small_picture` does.
    """
    taken = raw_size or size
    shorter = shorter_side(image_size, crop_share, raw_size)
    resized = [shorter * side // min(taken) for side in taken] if shorter else taken
    pixels_a_pixel = min(whole / side for whole, side in zip(size, taken))  # of the picture, in one of raw_size
    edges = []
    for whole, side, length, shown in zip(size, taken, resized, image_size):
        share = side * pixels_a_pixel / whole  # 1 without raw_size
        first = (length - shown) // 2
        edges.append([(1 - share) / 2 + share * edge / length for edge in (first, first + shown)])
    (top, bottom), (left, right) = edges
    return top, left, bottom, right


def unnormalize(images, mean, std):
    """Normalised pictures (N, 3, H, W) as pixels again, uint8 (N, H, W, 3), for showing them."""
    pixels = np.asarray(images).transpose(0, 2, 3, 1) * np.asarray(std) + np.asarray(mean)
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
