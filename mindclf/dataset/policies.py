"""Augmentation policies: which operations change a training view, and by how much.

TrivialAugment (arXiv:2103.10158, the "wide" space), RandAugment (arXiv:1909.13719) and AutoAugment (arXiv:1805.09501, what was
found for ImageNet and for CIFAR-10). MindSpore has operations of these names, which are seeded like all others of a pipeline (see
docs/upstream.md). Here each choice follows from random words of its own (see mindclf.dataset.draws), and Pillow does what was
chosen (see mindclf.dataset.operations).

A space says for each operation its magnitude at strength 0 and at strength 1, and whether the sign is drawn too.
"""

import itertools

import numpy as np

from mindclf.dataset.draws import integers, uniform
from mindclf.dataset.operations import OPERATIONS

LEVELS = 31            # strengths of TrivialAugment: 0, 1/30 ... 1
WIDE_SHIFT = 32        # pixels
SHIFT = 150 / 331      # of the side: AutoAugment's range on images of 331 pixels
STRONGEST = 10         # magnitude of RandAugment at the end of its ranges
AUTO_STRONGEST = 9     # and of AutoAugment, which has ten from 0 on
IDENTITY = "Identity"
PLAIN = {"AutoContrast": (0, 0, False), "Equalize": (0, 0, False)}  # nothing to draw but whether

# Operation, probability and magnitude of the first and of the second of each sub-policy: arXiv:1805.09501, Tables 9 and 7
IMAGENET = """
    Posterize .4 8, Rotate .6 9; Solarize .6 5, AutoContrast .6 0; Equalize .8 0, Equalize .6 0; Posterize .6 7, Posterize .6 6
    Equalize .4 0, Solarize .2 4; Equalize .4 0, Rotate .8 8; Solarize .6 3, Equalize .6 0; Posterize .8 5, Equalize 1 0
    Rotate .2 3, Solarize .6 8; Equalize .6 0, Posterize .4 6; Rotate .8 8, Color .4 0; Rotate .4 9, Equalize .6 0
    Equalize 0 0, Equalize .8 0; Invert .6 0, Equalize 1 0; Color .6 4, Contrast 1 8; Rotate .8 8, Color 1 2
    Color .8 8, Solarize .8 7; Sharpness .4 7, Invert .6 0; ShearX .6 5, Equalize 1 0; Color .4 0, Equalize .6 0
    Equalize .4 0, Solarize .2 4; Solarize .6 5, AutoContrast .6 0; Invert .6 0, Equalize 1 0; Color .6 4, Contrast 1 8
    Equalize .8 0, Equalize .6 0
"""
CIFAR10 = """
    Invert .1 0, Contrast .2 6; Rotate .7 2, TranslateX .3 9; Sharpness .8 1, Sharpness .9 3; ShearY .5 8, TranslateY .7 9
    AutoContrast .5 0, Equalize .9 0; ShearY .2 7, Posterize .3 7; Color .4 3, Brightness .6 7; Sharpness .3 9, Brightness .7 9
    Equalize .6 0, Equalize .5 0; Contrast .6 7, Sharpness .6 5; Color .7 7, TranslateX .5 8; Equalize .3 0, AutoContrast .4 0
    TranslateY .4 3, Sharpness .2 6; Brightness .9 6, Color .2 8; Solarize .5 2, Invert 0 0; Equalize .2 0, AutoContrast .6 0
    Equalize .2 0, Equalize .6 0; Color .9 9, Equalize .6 0; AutoContrast .8 0, Solarize .2 8; Brightness .1 3, Color .7 0
    Solarize .4 5, AutoContrast .9 0; TranslateY .9 9, TranslateY .7 9; AutoContrast .9 0, Solarize .8 3
    Equalize .8 0, Invert .1 0; TranslateY .7 9, AutoContrast .9 0
"""


def narrow_space(height, width):
    """The space of AutoAugment and RandAugment for images of this size (arXiv:1805.09501, Table 6)."""
    return {"ShearX": (0, 0.3, True), "ShearY": (0, 0.3, True), "TranslateX": (0, SHIFT * width, True),
            "TranslateY": (0, SHIFT * height, True), "Rotate": (0, 30, True), **_light(0.9), "Posterize": (8, 4, False),
            "Solarize": (256, 0, False), **PLAIN}


def wide_space(shift):
    """The space of TrivialAugment, with shifts of so many pixels (arXiv:2103.10158, "TA (Wide)")."""
    return {"ShearX": (0, 0.99, True), "ShearY": (0, 0.99, True), "TranslateX": (0, shift, True), "TranslateY": (0, shift, True),
            "Rotate": (0, 135, True), **_light(0.99), "Posterize": (8, 2, False), "Solarize": (256, 0, False), **PLAIN}


class TrivialAugment:
    """One operation a view, or none, each as likely as the others, and its strength one of 31. No setting is to be tuned."""

    names = ("policy",)

    def __init__(self, space):
        self.space, self.operations = space, (IDENTITY, *space)

    def drawn(self, words):
        """[(operation, magnitude)] of each view; `words` has uint64 (N, WORDS) for each of `names`."""
        words = words["policy"]
        strengths, negative = integers(words[:, 1], LEVELS) / (LEVELS - 1), uniform(words[:, 2]) < 0.5
        return [_step(self.space, self.operations[number], *how)
                for number, *how in zip(integers(words[:, 0], len(self.operations)), strengths, negative)]


class RandAugment:
    """`count` operations a view, one after another, each drawn as in TrivialAugment, all of one `strength` from 0 to 1."""

    def __init__(self, space, count, strength):
        self.space, self.operations, self.strength = space, (IDENTITY, *space), strength
        self.names = tuple(f"policy {number + 1}" for number in range(count))

    def drawn(self, words):
        """As that of TrivialAugment."""
        steps = []
        for name in self.names:
            chosen, negative = integers(words[name][:, 0], len(self.operations)), uniform(words[name][:, 1]) < 0.5
            steps.append([_step(self.space, self.operations[number], self.strength, sign)
                          for number, sign in zip(chosen, negative)])
        return [list(itertools.chain(*of_view)) for of_view in zip(*steps)]


class AutoAugment:
    """One of 25 `sub_policies` a view: two operations, each with its probability and magnitude (see IMAGENET)."""

    names = ("policy", "policy 1", "policy 2")

    def __init__(self, space, sub_policies):
        self.space, self.sub_policies = {**space, "Invert": (0, 0, False)}, parsed(sub_policies)

    def drawn(self, words):
        """As that of TrivialAugment."""
        chosen = integers(words["policy"][:, 0], len(self.sub_policies))
        fractions, negative = (uniform(np.stack([words[name][:, part] for name in self.names[1:]], 1)) for part in (0, 1))
        return [[step for (operation, probability, magnitude), fraction, sign in zip(self.sub_policies[number], *of_view)
                 if fraction < probability
                 for step in _step(self.space, operation, magnitude / AUTO_STRONGEST, sign < 0.5)]
                for number, *of_view in zip(chosen, fractions, negative)]


def policy_of(config, size, scale):
    """The policy that `config` names, for views of `size`, (height, width); None for none.

    `scale` is what these are of the config's own size: TrivialAugment's shifts, in pixels, shrink with them. Raises ValueError
    for a name that is not known.
    """
    space = narrow_space(*size)
    policies = {
        "": lambda: None,
        "trivial_augment": lambda: TrivialAugment(wide_space(WIDE_SHIFT * scale)),
        "rand_augment": lambda: RandAugment(space, config["rand_augment_ops"], config["rand_augment_magnitude"] / STRONGEST),
        "auto_augment": lambda: AutoAugment(space, IMAGENET),
        "auto_augment_cifar10": lambda: AutoAugment(space, CIFAR10),
    }
    if config["policy"] not in policies:
        raise ValueError(f"policy={config['policy']!r} is not known; expected one of {', '.join(map(repr, policies))}")
    return policies[config["policy"]]()


def changed(image, steps, fill):
    """`image`, an RGB PIL image, after `steps`, [(operation, magnitude)].

    Pixels that come from outside have the colour `fill`, (red, green, blue), 0 to 255.
    """
    fill = tuple(map(round, fill))
    for operation, magnitude in steps:
        image = OPERATIONS[operation](image, magnitude, fill)
    return image


def parsed(sub_policies):
    """[[(operation, probability, magnitude), (operation, probability, magnitude)]] of a table such as IMAGENET."""
    pairs = [pair.split(",") for line in sub_policies.strip().splitlines() for pair in line.split(";")]
    return [[(name, float(probability), int(magnitude)) for name, probability, magnitude in map(str.split, pair)]
            for pair in pairs]


def _light(most):
    return dict.fromkeys(("Brightness", "Color", "Contrast", "Sharpness"), (0, most, True))


def _step(space, operation, strength, is_negative):
    """[(operation, magnitude)], or [] for the identity; the magnitude of Posterize is a whole number of bits."""
    if operation == IDENTITY:
        return []
    least, most, is_signed = space[operation]
    magnitude = least + (most - least) * float(strength)
    if operation == "Posterize":
        magnitude = least - round(least - magnitude)
    return [(operation, -magnitude if is_signed and is_negative else magnitude)]
