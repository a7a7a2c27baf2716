"""Groups of images that show the same: copies, and what was saved again, resized or made darker; nothing else."""

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from mindclf.dataset import ImageSet
from mindclf.dataset.near_duplicates import MOST_BITS, MOST_COLOUR, MOST_LEFT, _Alike, _look, _near, content_groups

RNG = np.random.default_rng(0)


def smooth(seed):
    """A picture of coloured clouds, 96 x 128 pixels."""
    small = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((128, 96), Image.Resampling.BICUBIC)


@pytest.fixture
def images(tmp_path):
    """An ImageSet of pictures saved by name, as {name: PIL image}."""
    def save(pictures):
        for name, picture in pictures.items():
            picture.save(tmp_path / name)
        return ImageSet(tuple(str(tmp_path / name) for name in pictures), (0,) * len(pictures), ("one",))

    return save


def test_copies_and_what_is_nearly_the_same_share_a_group(images):
    first, second = smooth(1), smooth(2)
    found = content_groups(images({
        "a.png": first, "b.png": second, "copy.png": first, "worse.jpg": first, "half.png": first.resize((64, 48)),
        "brighter.png": ImageEnhance.Brightness(second).enhance(1.03), "other.png": smooth(3)}))
    assert found.tolist() == [0, 1, 0, 0, 0, 1, 2]


def test_darker_and_paler_copies_share_a_group_and_other_colours_do_not(images):
    """By Pillow's own changes. Without colour, with other colours and with something in front the hash is nearly the same."""
    picture = smooth(1)
    red, green, _ = picture.split()
    covered = picture.copy()
    covered.paste((150, 60, 120), (0, 0, 16, 24))
    other = {"grey.png": picture.convert("L").convert("RGB"),
             "yellow.png": Image.merge("RGB", [red, green, Image.new("L", picture.size, 0)])}
    copies = {"darker.jpg": ImageEnhance.Brightness(picture).enhance(0.5),
              "paler.png": ImageEnhance.Contrast(picture).enhance(0.6),
              "richer.png": ImageEnhance.Contrast(ImageEnhance.Brightness(picture).enhance(0.6)).enhance(1.3)}
    covered = ImageEnhance.Brightness(covered).enhance(0.5)
    for changed in (*other.values(), *copies.values(), covered):
        (hash_then, then), (hash_now, now) = map(_look, (picture, changed))
        assert (hash_then != hash_now).sum() <= MOST_BITS and np.abs(then - now).mean() > MOST_COLOUR
    assert content_groups(images({"a.png": picture, **other, **copies})).tolist() == [0, 1, 2, 0, 0, 0]
    assert content_groups(images({"a.png": picture, "covered.png": covered})).tolist() == [0, 1]


def test_what_a_change_of_brightness_and_contrast_leaves_is_that_of_least_squares():
    thumbnails = RNG.uniform(0, 255, (6, 192)).astype(np.float32)
    thumbnails[1] = 0.4 * thumbnails[0] + 20 + RNG.normal(0, 3, 192)
    thumbnails[2] = 255 - thumbnails[0]  # a negative
    thumbnails[3] = thumbnails[0] + np.tile([90, 0, 0], 64)  # a reddish one

    def left(one, other):
        """Of `other`, when `one` is brought to it with a gain of 0 or more, as a fraction of its variance over the pixels."""
        design = np.stack([one, np.ones(192)], 1)
        gain, offset = np.linalg.lstsq(design, other, rcond=None)[0]
        rest = other - gain * one - offset if gain > 0 else other - other.mean()
        return (rest**2).mean() / np.mean([other[channel::3].var() for channel in range(3)])

    pictures = thumbnails.astype(np.float64)
    expected = [max(left(pictures[0], other), left(other, pictures[0])) for other in pictures]
    found = _Alike(thumbnails).left(0, np.arange(6))
    assert found == pytest.approx(expected, abs=1e-4)
    assert max(found[:2]) < MOST_LEFT < min(found[2:])


def test_images_of_one_colour_are_the_same_only_if_the_colour_is(images):
    """All have the same difference hash, that of nothing."""
    found = content_groups(images({f"{index}.png": Image.new("RGB", (40, 30), colour) for index, colour in enumerate(
        ((200, 30, 30), (30, 30, 200), (203, 31, 30), (30, 200, 30), (100, 15, 15)))}))
    assert found.tolist() == [0, 1, 0, 2, 3]


def test_of_many_hashes_all_pairs_within_the_bits_are_found():
    """Against the comparison of each with each, of hashes that differ from one of five in 0 to 9 bits."""
    hashes = np.repeat(RNG.integers(0, 2, (5, 64), dtype=np.uint8), 30, axis=0)
    for row in hashes:
        row[RNG.permutation(64)[:RNG.integers(0, 10)]] ^= 1
    found = {tuple(sorted(pair)) for pair in _near(hashes, np.zeros((150, 192), np.float32))}
    distance = (hashes[:, None] != hashes[None]).sum(2)
    expected = {(i, j) for i, j in zip(*np.nonzero(distance <= MOST_BITS)) if i < j}
    assert found == expected and len(expected) > 100
