"""Which side an image is on, by its content: files that are added, renamed or moved move no other image to the other side.

The SHA-256 of a file and a salt give the image its position, a number from 0 to 1, evenly distributed. An image is chosen, for
testing or for validation, if its position is less than the fraction wanted. So files that are the same byte for byte are on one
side, and the number of chosen images is about the fraction, not exactly.
"""

import hashlib
import math

TEST_FRACTION = 0.2
POSITION_BITS = 52  # a float holds them exactly


def position(digest, salt):
    """A number in [0, 1) that depends on the texts `digest` and `salt` alone."""
    value = int.from_bytes(hashlib.sha256(f"{salt} {digest}".encode()).digest()[:8], "big")
    return (value >> 64 - POSITION_BITS) / 2**POSITION_BITS


def chosen_for_test(digests, labels):
    """For each image, by its digest and label, whether it is for testing: see `choose`. Of a class of one image none is."""
    return choose(digests, labels, TEST_FRACTION, "test", least=2)


def chosen_for_validation(digests, labels, fraction, seed):
    """For each training image whether it is for validation: see `choose`. With another seed others are chosen.

    A class gives one at least where `fraction` of it, rounded, is one, and else none.
    """
    if not fraction:
        return [False] * len(digests)
    return choose(digests, labels, fraction, f"validation {seed}", least=max(2, math.ceil(0.5 / fraction)))


def choose(digests, labels, fraction, salt, least):
    """For each image, by its digest and label, whether it is one of the `fraction` chosen.

    Of a class of `least` different images or more, those are chosen whose position is less than `fraction`, at least one, if need
    be that of the smallest position, and never all: if need be that of the largest is not. Of a smaller class none is chosen. (A
    class that shares images with another may miss one of these.) So images that are added to a class of `least` move none where
    both kinds came about by position alone, and else at most one.
    """
    positions = {digest: position(digest, salt) for digest in digests}
    classes = {}
    for digest, label in zip(digests, labels):
        classes.setdefault(label, set()).add(digest)
    by_position = [sorted(members, key=lambda digest: (positions[digest], digest)) for members in classes.values()]
    large = [members for members in by_position if len(members) >= least]
    chosen = {digest for members in large for digest in members if positions[digest] < fraction}
    chosen |= {members[0] for members in large if not chosen & set(members)}
    chosen -= {members[-1] for members in by_position if chosen >= set(members)}
    return [digest in chosen for digest in digests]
