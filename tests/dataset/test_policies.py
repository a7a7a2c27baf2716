"""Augmentation policies: the spaces of the papers, choices with their distributions, and what Pillow makes of views."""

import hashlib
import itertools

import numpy as np
import pytest
from PIL import Image
from scipy import stats

from mindclf.config import DEFAULTS, FIELDS, merge
from mindclf.dataset import ImageSet, epoch_pipeline
from mindclf.dataset.draws import Draws, uniform
from mindclf.dataset.operations import OPERATIONS
from mindclf.dataset.policies import (
    CIFAR10,
    IDENTITY,
    IMAGENET,
    AutoAugment,
    RandAugment,
    TrivialAugment,
    changed,
    narrow_space,
    parsed,
    policy_of,
    wide_space,
)
from tests.dataset.test_augmentation import UNLIKELY, assert_independent

COUNT = 6000
SIGNED = ("ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate", "Brightness", "Color", "Contrast", "Sharpness")
PLAIN = ("AutoContrast", "Equalize")


def drawn(policy, count=COUNT, epoch=1):
    """What the policy draws for so many images: [[(operation, magnitude)]]."""
    words = Draws(1, 1, epoch).words(policy.names, range(count))
    return policy.drawn(dict(zip(policy.names, words.transpose(1, 0, 2))))


def assert_equally_likely(counts, classes):
    assert len(counts) == classes and stats.chisquare(counts).pvalue > UNLIKELY


@pytest.mark.parametrize(("table", "digest"), [
    (IMAGENET, "68828d735cf8517a37f409481370956fb549e16ef52280a53a86a111a5f19cc1"),
    (CIFAR10, "5056aff8acd15e40aa2a05bb0cedb80111e363a664a79b135a66d171378e4319")])
def test_sub_policies_are_those_of_torchvision(table, digest):
    """SHA-256 of the lists of torchvision 0.29.1, with 0 where those have None."""
    assert hashlib.sha256(repr(parsed(table)).encode()).hexdigest() == digest


# (magnitude at the end of the range, at its beginning), by arXiv:1805.09501, Table 6, and arXiv:2103.10158, for 331 x 331 pixels
NARROW = {"ShearX": (0.3, 0), "ShearY": (0.3, 0), "TranslateX": (150, 0), "TranslateY": (150, 0), "Rotate": (30, 0),
          "Brightness": (0.9, 0), "Color": (0.9, 0), "Contrast": (0.9, 0), "Sharpness": (0.9, 0), "Posterize": (4, 8),
          "Solarize": (0, 256)}
WIDE = {**dict.fromkeys(SIGNED, (0.99, 0)), "TranslateX": (32, 0), "TranslateY": (32, 0), "Rotate": (135, 0),
        "Posterize": (2, 8), "Solarize": (0, 256)}


@pytest.mark.parametrize(("space", "ranges"), [(narrow_space(331, 331), NARROW), (wide_space(32), WIDE)], ids=["narrow", "wide"])
def test_a_space_has_the_operations_and_ranges_of_its_paper(space, ranges):
    """With the identity there are 14; Invert is AutoAugment's alone."""
    assert set(space) == {*ranges, *PLAIN} and len(space) == 13
    for name, (end, beginning) in ranges.items():
        assert space[name] == (beginning, pytest.approx(end), name in SIGNED)


def test_shifts_follow_the_side_they_go_along():
    space = narrow_space(100, 200)
    assert space["TranslateX"][1] == pytest.approx(2 * space["TranslateY"][1]) == pytest.approx(200 * 150 / 331)
    config = merge({}, {"policy": "trivial_augment"})
    assert policy_of(config, (112, 112), 0.5).space["TranslateX"][1] == 16


def test_the_names_are_those_of_the_field():
    assert policy_of(merge({}, {}), (32, 32), 1.0) is None
    for name in FIELDS["policy"].choices[1:]:
        assert policy_of(merge({}, {"policy": name}), (32, 32), 1.0).names
    with pytest.raises(ValueError, match="^policy='augmix' is not known; expected one of '', 'trivial_augment', "):
        policy_of({**DEFAULTS, "policy": "augmix"}, (32, 32), 1.0)


@pytest.fixture(scope="module")
def trivial():
    """Operation and magnitude (0 for the identity) that TrivialAugment draws for each image."""
    steps = drawn(TrivialAugment(wide_space(32)))
    assert {len(of_image) for of_image in steps} == {0, 1}
    return [of_image[0] if of_image else (IDENTITY, 0.0) for of_image in steps]


def test_trivial_augment_draws_each_operation_strength_and_sign_alike(trivial):
    names, magnitudes = np.array([name for name, _ in trivial]), np.array([magnitude for _, magnitude in trivial])
    assert_equally_likely(np.unique(names, return_counts=True)[1], 14)
    signed = np.isin(names, SIGNED)
    most = np.array([WIDE.get(name, (1, 0))[0] for name in names])
    strengths = np.rint(30 * abs(magnitudes) / np.where(signed, most, 1)).astype(int)
    assert_equally_likely(np.bincount(strengths[signed]), 31)
    assert stats.binomtest(int((magnitudes[signed & (magnitudes != 0)] < 0).sum()),
                           int((signed & (magnitudes != 0)).sum())).pvalue > UNLIKELY
    assert set(magnitudes[names == "Posterize"]) == {2, 3, 4, 5, 6, 7, 8}
    assert magnitudes[names == "Solarize"].min() == 0 and magnitudes[names == "Solarize"].max() == 256


def test_choices_of_a_policy_are_independent_of_each_other_and_of_flips():
    """Read off the choices: which operation, how strong, which sign, and what the flip of the same image draws."""
    policy = TrivialAugment(dict.fromkeys("abcd", (0, 1, True)))
    operation, strength, negative = np.array([
        ("abcd".index(step[0][0]), abs(step[0][1]), step[0][1] < 0) if step and step[0][1] else (np.nan,) * 3
        for step in drawn(policy)]).T
    flips = uniform(Draws(1, 1, 1).words(["horizontal flip"], range(COUNT))[:, 0, 0]) < 0.5
    another = np.array([bool(step) for step in drawn(policy, epoch=2)])
    two = drawn(RandAugment(dict.fromkeys("ab", (0, 1, True)), 2, 1.0))
    first, second = np.array([(step[0][0] == "a", step[1][0] == "a") if len(step) == 2 else (np.nan, np.nan) for step in two]).T
    signs = np.array([step[0][1] > 0 if step else np.nan for step in two])
    assert_independent({"operation": operation, "strength": strength, "sign": negative, "flip": flips.astype(float),
                        "epoch 2": another.astype(float), "first of two": first, "second of two": second, "its sign": signs})


def test_rand_augment_draws_so_many_operations_of_one_strength():
    steps = drawn(RandAugment(narrow_space(331, 331), 3, 0.9))
    assert [len(of_image) for of_image in steps].count(3) / COUNT == pytest.approx((13 / 14) ** 3, abs=0.03)
    names, magnitudes = zip(*itertools.chain.from_iterable(steps))
    counts = np.unique(names, return_counts=True)[1]
    assert_equally_likely([*counts, 3 * COUNT - counts.sum()], 14)
    found = {name: {round(abs(magnitude), 4) for other, magnitude in zip(names, magnitudes) if other == name}
             for name in OPERATIONS if name != "Invert"}
    assert found == {"ShearX": {0.27}, "ShearY": {0.27}, "TranslateX": {135}, "TranslateY": {135}, "Rotate": {27},
                     "Brightness": {0.81}, "Color": {0.81}, "Contrast": {0.81}, "Sharpness": {0.81}, "Posterize": {4},
                     "Solarize": {25.6}, "AutoContrast": {0}, "Equalize": {0}}


@pytest.mark.parametrize("table", [IMAGENET, CIFAR10], ids=["ImageNet", "CIFAR-10"])
def test_auto_augment_applies_each_operation_of_a_sub_policy_with_its_probability(table):
    """Its sub-policies, one at a time: so often the first, the second, both or none, as two independent choices give."""
    for first, second in parsed(table)[:8]:
        line = ", ".join(f"{name} {probability} {magnitude}" for name, probability, magnitude in (first, second))
        steps = drawn(AutoAugment(narrow_space(331, 331), line), 1000)
        both = sum(len(of_image) == 2 for of_image in steps)
        assert stats.binomtest(both, 1000, first[1] * second[1]).pvalue > UNLIKELY
        some = sum(len(of_image) > 0 for of_image in steps)
        assert stats.binomtest(some, 1000, 1 - (1 - first[1]) * (1 - second[1])).pvalue > UNLIKELY
        assert {tuple(name for name, _ in of_image) for of_image in steps if len(of_image) == 2} <= {(first[0], second[0])}


def test_auto_augment_draws_signs_that_do_not_follow_from_what_is_applied():
    steps = drawn(AutoAugment(narrow_space(331, 331), "ShearX .6 9, Rotate .6 9"))
    signs = [np.array([magnitude > 0 for of_image in steps for name, magnitude in of_image if name == wanted])
             for wanted in ("ShearX", "Rotate")]
    for of_one in signs:
        assert stats.binomtest(int(of_one.sum()), len(of_one)).pvalue > UNLIKELY
    both = np.array([[magnitude > 0 for _, magnitude in of_image] for of_image in steps if len(of_image) == 2])
    assert_independent({"first": both[:, 0].astype(float), "second": both[:, 1].astype(float)})


def test_auto_augment_draws_each_sub_policy_alike_and_magnitudes_in_ninths():
    lines = "\n".join(f"ShearX 1 {number % 10}, Rotate 1 {number // 10}" for number in range(25))
    steps = drawn(AutoAugment(narrow_space(331, 331), lines))
    assert_equally_likely(np.unique([round(9 * abs(shear) / 0.3) + 10 * round(9 * abs(degrees) / 30)
                                     for (_, shear), (_, degrees) in steps], return_counts=True)[1], 25)


def test_steps_follow_one_another_and_what_was_outside_gets_the_fill():
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3)).astype(np.uint8)

    def after(*steps):
        return np.asarray(changed(Image.fromarray(image), steps, (1.4, 2, 3)))

    np.testing.assert_array_equal(after(), image)
    np.testing.assert_array_equal(after(("Invert", 0), ("Posterize", 3)), (255 - image) // 32 * 32)
    shifted = after(("TranslateX", 5), ("Invert", 0))
    np.testing.assert_array_equal(shifted[:, 5:], 255 - image[:, :-5])
    assert (shifted[:, :5] == 255 - np.array([1, 2, 3])).all()


@pytest.mark.parametrize("policy", ["trivial_augment", "rand_augment", "auto_augment", "auto_augment_cifar10"])
@pytest.mark.parametrize("augment", ["resized_crop", "padded_crop"])
def test_a_view_is_what_pillow_makes_of_the_cropped_and_flipped_image(policy, augment, tmp_path):
    """The same draws without a policy and without normalisation give the image to which Pillow applies the steps."""
    rng = np.random.default_rng(0)
    paths = []
    for number in range(24):
        small = rng.integers(0, 256, (6, 7, 3)).astype(np.uint8)
        Image.fromarray(small).resize((70, 60), Image.Resampling.BICUBIC).save(tmp_path / f"{number}.png")
        paths.append(str(tmp_path / f"{number}.png"))
    images, draws = ImageSet(tuple(paths), (0,) * 24, ("a",)), Draws(3, 1, 2)
    common = {**DEFAULTS, "image_height": 40, "image_width": 48, "augment": augment, "batch_size": 8, "erasing_prob": 0.0}

    def views(**fields):
        rows = epoch_pipeline(images, {**common, **fields}, draws, np.arange(24))
        return np.concatenate([batch for batch, _ in rows.create_tuple_iterator(num_epochs=1, output_numpy=True)])

    plain = views(color_adjust=0.0, mean=(0, 0, 0), std=(1, 1, 1)).transpose(0, 2, 3, 1)
    mean, std = (100.0, 110.0, 120.0), (50.0, 60.0, 70.0)
    made = views(policy=policy, mean=mean, std=std)
    chosen = policy_of({**common, "policy": policy}, (40, 48), 1.0)
    words = draws.words(chosen.names, range(24))
    different = 0
    for view, pixels, steps in zip(made, plain, chosen.drawn(dict(zip(chosen.names, words.transpose(1, 0, 2))))):
        image = Image.fromarray(np.rint(pixels).astype(np.uint8))
        for name, magnitude in steps:
            image = OPERATIONS[name](image, magnitude, (100, 110, 120))
        different += (np.asarray(image) != np.rint(pixels)).any()
        np.testing.assert_allclose(view, ((np.asarray(image) - mean) / std).transpose(2, 0, 1), rtol=0, atol=1e-5)
    assert different > 8
