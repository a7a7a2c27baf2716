"""Groups of images that show the same: copies, and what was saved again, resized or brightened; nothing else."""

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from mindclf.dataset import ImageSet
from mindclf.dataset.near_duplicates import MOST_BITS, _near, content_groups

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


def test_darker_paler_and_richer_copies_share_a_group_and_other_colours_do_not(images):
    """By Pillow's own changes; colours that change places, or fade, leave the hash nearly as it is."""
    picture = smooth(1)
    red, green, blue = picture.split()
    found = content_groups(images({
        "a.png": picture, "darker.jpg": ImageEnhance.Brightness(picture).enhance(0.5),
        "paler.png": ImageEnhance.Contrast(picture).enhance(0.6), "richer.jpg": ImageEnhance.Contrast(picture).enhance(1.15),
        "grey.png": picture.convert("L").convert("RGB"), "swapped.png": Image.merge("RGB", (blue, green, red))}))
    assert found.tolist() == [0, 0, 0, 0, 1, 2]


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
