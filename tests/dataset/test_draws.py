"""Random words: those of Philox, which depend on seed, phase, epoch, name and index, and on nothing else."""

import itertools

import numpy as np
import pytest
from scipy import stats

from mindclf.dataset.draws import STORED_VIEWS, WORDS, Draws, integers, uniform

NAMES = ("crop", "rotation", "horizontal flip", "vertical flip", "light", "grey", "cutout")


def philox(counter, key, rounds=10):
    """Philox 4x64 in Python's integers, from the paper: Salmon et al., SC 2011, section 4.3."""
    multipliers, weyl, mask = (0xD2E7470EE14C6C93, 0xCA5A826395121157), (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B), 2**64 - 1
    left, right = list(counter), list(key)
    for _ in range(rounds):
        (high0, low0), (high1, low1) = (divmod(multipliers[i] * left[2 * i], 2**64) for i in (0, 1))
        left = [high1 ^ left[1] ^ right[0], low1, high0 ^ left[3] ^ right[1], low0]
        right = [(word + step) & mask for word, step in zip(right, weyl)]
    return left


def test_philox_here_is_that_of_its_authors():
    """The first known answer in kat_vectors of Random123."""
    assert philox((0,) * 4, (0,) * 2) == [0x16554D9ECA36314C, 0xDB20FE9D672D0FDC, 0xD7E772CEE186176B, 0x7E68B68AEC7BA23B]


def test_words_are_philox_of_the_index_under_a_key_of_all_the_rest():
    """NumPy counts on before it computes: the words of index 0 are those of the counter 1."""
    draws = Draws(5, 2, 3)
    words = draws.words(NAMES, [0, 7, 1000])
    assert (words.shape, words.dtype) == ((3, len(NAMES), WORDS), np.uint64)
    for column, name in enumerate(NAMES):
        key = [int(word) for word in draws._key(name)]
        for row, index in enumerate((0, 7, 1000)):
            assert words[row, column].tolist() == philox((index + 1, 0, 0, 0), key)


def test_words_of_an_image_are_the_same_whichever_others_are_asked_for():
    draws = Draws(1, 1, 1)
    everything = draws.words(NAMES, range(50))
    np.testing.assert_array_equal(draws.words(NAMES[3:5], [40, 2, 2]), everything[[40, 2, 2]][:, 3:5])


def test_no_two_epochs_share_their_words():
    """Among seeds, phases, epochs and stored views, also those that add up to the same: seed 1 view 2 and seed 2 view 1."""
    keys = itertools.product((0, 1, 2, 11), (STORED_VIEWS, 1, 2, 11), (1, 2, 11))
    seen = [Draws(*key).words(["crop"], [0]).tobytes() for key in keys]
    assert len(set(seen)) == len(seen)


def test_words_of_all_names_seeds_epochs_and_words_are_independent():
    """Chi-squared of eighths against eighths, 20,000 images, for each pair of columns."""
    keys = (1, 1, 1), (1, 1, 2), (1, 2, 1), (2, 1, 1)
    columns = [words for key in keys for words in Draws(*key).words(NAMES[:3], range(20_000)).reshape(20_000, -1).T[:5]]
    eighths = [integers(words, 8) for words in columns]
    p_values = []
    for first, second in itertools.combinations(eighths, 2):
        table = np.bincount(8 * first + second, minlength=64).reshape(8, 8)
        p_values.append(stats.chi2_contingency(table).pvalue)
    assert min(p_values) > 1e-3 / len(p_values)
    assert stats.kstest(p_values, "uniform").pvalue > 1e-4


def test_neighbours_are_independent():
    words = uniform(Draws(1, 1, 1).words(["crop"], range(20_000))[:, 0, 0])
    assert abs(np.corrcoef(words[:-1], words[1:])[0, 1]) < 0.03


@pytest.mark.parametrize("count", [1, 2, 9, 32])
def test_integers_are_equally_likely(count):
    words = np.random.default_rng(0).integers(0, 2**64, 50_000, np.uint64, endpoint=False)
    drawn = integers(words, count)
    assert (drawn.min(), drawn.max()) == (0, count - 1)
    assert count == 1 or stats.chisquare(np.bincount(drawn)).pvalue > 1e-4


def test_uniform_numbers_lie_in_their_interval():
    extremes = np.array([0, 2**64 - 1], np.uint64)
    low, high = uniform(extremes, -3, 5)
    assert low == -3 and 4.999 < high < 5
    numbers = uniform(np.random.default_rng(0).integers(0, 2**64, 50_000, np.uint64, endpoint=False), -3, 5)
    assert stats.kstest(numbers, "uniform", (-3, 8)).pvalue > 1e-4


def test_an_order_has_each_number_once_and_is_another_in_each_epoch():
    orders = [Draws(seed, phase, epoch).order(50).tolist() for seed, phase, epoch in ((1, 1, 1), (1, 1, 2), (1, 2, 1), (2, 1, 1))]
    assert all(sorted(order) == list(range(50)) for order in orders)
    assert len(set(map(tuple, orders))) == 4
    assert Draws(1, 1, 1).order(50).tolist() == orders[0]


def test_batches_have_generators_of_their_own():
    draws = Draws(1, 1, 1)
    numbers = {draws.generator(name, number).random() for name in ("mixup", "order") for number in range(4)}
    assert len(numbers) == 8
    assert draws.generator("mixup", 3).random() in numbers
