"""Mixup and CutMix: images and labels are mixed in the same fractions, which have their distribution."""

import numpy as np
import pytest
from scipy import stats

from mindclf.dataset.draws import Draws
from mindclf.train.mixing import Mixing, cutmix, mixup


def numbered(count, height=2, width=2):
    """Images that are their label, image i is all i, and their labels one-hot."""
    images = np.tile(np.arange(count, dtype=np.float32)[:, None, None, None], (1, 3, height, width))
    return images, np.eye(count, dtype=np.float32)


def test_mixing_takes_images_and_labels_in_the_same_shares():
    """A mixed image is the mean of its labels, in every pixel with mixup, over all pixels with CutMix."""
    for seed in range(40):
        for mix, size in ((mixup, (2, 2)), (cutmix, (9, 14))):
            mixed, shares = mix(*numbered(6, *size), 0.5, np.random.default_rng(seed))
            assert mixed.dtype == shares.dtype == np.float32
            np.testing.assert_allclose(shares.sum(1), 1, rtol=1e-6)
            pixels = mixed if mix is mixup else mixed.mean((1, 2, 3), keepdims=True)
            np.testing.assert_allclose(pixels, np.broadcast_to((shares @ np.arange(6))[:, None, None, None], pixels.shape),
                                       rtol=0, atol=1e-4)


def test_the_share_is_beta_distributed():
    """Beta(a, a) has the mean 1/2 and the variance 1 / (4 (2 a + 1)): 0.17857 for a = 0.2. Partners of another class only."""
    rng = np.random.default_rng(0)
    shares = [mixup(np.zeros((2, 1), np.float32), np.eye(2, dtype=np.float32), 0.2, rng)[1][0, 0] for _ in range(8000)]
    shares = np.array([share for share in shares if share != 1])
    assert abs(shares.mean() - 0.5) < 0.03
    assert abs(shares.var() - 0.17857) < 0.01


def test_cutmix_pastes_one_box_of_the_images_shape_anywhere():
    """Boxes that touch no edge are 16 : 12 as the images; their centre is any pixel, so many are cut at an edge."""
    cut = 0
    for seed in range(300):
        images, labels = numbered(4, 48, 64)
        mixed, shares = cutmix(images, labels, 1.0, np.random.default_rng(seed))
        changed = (mixed != images).any(1)                            # (N, height, width)
        boxes = [np.argwhere(image) for image in changed if image.any()]
        for box, others in zip(boxes, boxes[1:]):
            np.testing.assert_array_equal(box, others)
        if not boxes:
            continue  # each was mixed with itself, or the box is empty
        (top, left), (bottom, right) = boxes[0].min(0), boxes[0].max(0)
        assert len(boxes[0]) == (bottom - top + 1) * (right - left + 1)
        share = len(boxes[0]) / (48 * 64)
        for image, row, is_changed in zip(mixed, shares, changed):
            if is_changed.any():
                assert sorted(row[row > 0].tolist()) == pytest.approx(sorted([share, 1 - share][:(share < 1) + 1]), abs=1e-6)
                other = np.unique(image[:, is_changed])
                assert len(other) == 1 and row[int(other[0])] == pytest.approx(share, abs=1e-6)
        if top > 0 and left > 0 and bottom < 47 and right < 63:
            assert abs((right - left + 1) / 64 - (bottom - top + 1) / 48) < 1 / 48
        else:
            cut += 1
    assert 100 < cut < 290


def test_the_box_of_cutmix_has_the_area_of_one_minus_lambda():
    """With alpha 1 lambda is uniform, and so is the area. A square of side s in [0, 1] is not cut in (1 - s)^2 of all cases."""
    images, labels = numbered(2, 100, 100)
    rng, sides = np.random.default_rng(0), []
    for _ in range(4000):
        mixed, _ = cutmix(images, labels, 1.0, rng)
        rows, columns = (np.flatnonzero((mixed[0, 0] == 1).any(axis)) for axis in (1, 0))
        if len(rows) and min(rows[0], columns[0]) > 0 and max(rows[-1], columns[-1]) < 99:
            assert len(rows) == len(columns)
            sides.append(len(rows))
    areas = ((np.array(sides) + rng.random(len(sides))) / 100)**2  # sides are whole pixels, rounded down; none is 0
    least = 0.01**2

    def below(area):
        return area - 4 / 3 * area**1.5 + area**2 / 2  # the integral of (1 - sqrt(area))^2

    assert len(areas) > 200
    assert stats.kstest(areas, lambda area: (below(area) - below(least)) / (below(1) - below(least))).pvalue > 1e-4


def test_each_batch_is_mixed_in_one_of_two_ways():
    """Read off the images: CutMix leaves each pixel one of the two, mixup leaves none that differ. Half of the batches each."""
    images, labels = numbered(4, 16, 16)[0], np.arange(4, dtype=np.int32)
    both, ways = Mixing(1.0, 1.0, 4), []
    for number in range(600):
        mixed, shares = both(images, labels, Draws(1, 1, 1), number)
        if (shares.max(1) == 1).all():
            continue  # each with itself, or no box
        ways.append(np.isin(mixed, range(4)).all())
        only = Mixing(0.0, 1.0, 4) if ways[-1] else Mixing(1.0, 0.0, 4)  # draws the same, whether the other could have been
        np.testing.assert_array_equal(only(images, labels, Draws(1, 1, 1), number)[0], mixed)
    assert len(ways) > 500
    assert stats.binomtest(int(sum(ways)), len(ways)).pvalue > 1e-4
