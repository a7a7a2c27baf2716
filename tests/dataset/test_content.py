"""Sides by content: what is added moves nothing, about a fifth is for testing, and no class is left without a side."""

import hashlib
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mindclf.dataset.content import TEST_FRACTION, choose, chosen_for_test, chosen_for_validation, position


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


def by_hand(digest, salt):
    """The first 52 bits, 13 hexadecimal digits, of the SHA-256 of salt and digest, as an exact fraction."""
    return Fraction(int(sha256(f"{salt} {digest}")[:13], 16), 16**13)


def test_the_position_is_the_sha256_of_salt_and_digest():
    for number in range(200):
        assert Fraction(position(sha256(str(number)), "test")) == by_hand(sha256(str(number)), "test")


@st.composite
def folders(draw):
    """(digest, label) of each image of up to three classes, of which no two share one, and how many of them were there first."""
    sizes = draw(st.lists(st.integers(1, 30), min_size=1, max_size=3))
    first = draw(st.integers(0, 10**9))
    images = [(sha256(f"{first} {label} {number}"), label) for label, size in enumerate(sizes) for number in range(size)]
    images = draw(st.permutations(images))
    return images, draw(st.integers(1, len(images)))


def side_of(images):
    digests, labels = zip(*images)
    return dict(zip(digests, chosen_for_test(digests, labels)))


@settings(max_examples=500, deadline=None, derandomize=True)
@given(folders())
def test_images_that_are_added_move_none_where_both_sides_came_about_by_position(folder):
    images, count = folder
    before, after = side_of(images[:count]), side_of(images)
    for label in {label for _, label in images[:count]}:
        own = [digest for digest, other in images[:count] if other == label]
        moved = [digest for digest in own if before[digest] != after[digest]]
        by_position = {by_hand(digest, "test") < Fraction(1, 5) for digest in own}
        assert len(moved) <= (0 if by_position == {True, False} else 1)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(folders())
def test_each_class_of_two_different_images_has_both_sides_and_one_image_is_for_training(folder):
    images, _ = folder
    sides = side_of(images)
    for label in {label for _, label in images}:
        own = [sides[digest] for digest, other in images if other == label]
        assert set(own) == ({True, False} if len(own) > 1 else {False})


@settings(max_examples=50, deadline=None, derandomize=True)
@given(folders(), st.randoms(use_true_random=False))
def test_the_order_of_files_and_classes_does_not_matter(folder, random):
    images, _ = folder
    names = list(range(5))
    random.shuffle(names)
    others = [(digest, names[label]) for digest, label in images]
    random.shuffle(others)
    assert side_of(images) == side_of(others)


def test_about_a_fifth_is_for_testing():
    digests = [sha256(str(number)) for number in range(20_000)]
    chosen = chosen_for_test(digests, [0] * len(digests))
    assert np.mean(chosen) == pytest.approx(0.2, abs=4 * np.sqrt(0.2 * 0.8 / 20_000))  # four deviations of a fair draw
    assert [by_hand(digest, "test") < Fraction(1, 5) for digest in digests] == chosen


def test_copies_are_on_one_side_also_in_two_classes():
    digests = [sha256(str(number % 40)) for number in range(120)]
    chosen = chosen_for_test(digests, [number % 3 for number in range(120)])
    assert len(set(zip(digests, chosen))) == 40


def test_validation_is_chosen_by_seed_and_apart_from_testing():
    digests = [sha256(str(number)) for number in range(4000)]
    sides = [chosen_for_test(digests, [0] * 4000)]
    sides += [chosen_for_validation(digests, [0] * 4000, TEST_FRACTION, seed) for seed in (1, 2)]
    assert sides[1] == chosen_for_validation(digests, [0] * 4000, TEST_FRACTION, 1)
    for one, other in ((0, 1), (1, 2), (0, 2)):  # 0.2 * 0.2 of them are in both, as of independent draws
        assert np.mean(np.logical_and(sides[one], sides[other])) == pytest.approx(0.04, abs=0.014)


@pytest.mark.parametrize(("count", "fraction", "least"), [
    (4, 0.1, 0), (5, 0.1, 1), (2, 0.2, 0), (3, 0.2, 1), (9, 0, 0), (1, 0.9, 0)])
def test_a_class_gives_one_to_validation_where_its_fraction_is_half_an_image_or_more(count, fraction, least):
    """Of many classes of so many images none has fewer, one is always left to train on, and smaller classes give none."""
    found = [sum(chosen_for_validation([sha256(f"{trial} {number}") for number in range(count)], [0] * count, fraction, 1))
             for trial in range(300)]
    assert min(found) == least and (max(found) < count if least else max(found) == 0)


def test_an_image_of_two_classes_leaves_each_one_to_train_on():
    shared, other = sorted((sha256(str(number)) for number in range(2)), key=lambda digest: by_hand(digest, "x"))
    assert choose([shared, other, shared], [0, 0, 1], 0.0, "x", least=2) == [False, False, False]
