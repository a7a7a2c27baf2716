"""Seen images: the digests of those that a net was trained on, which its card keeps, so that it is measured on others.

A digest here is short: SHORT characters of base64, the first 48 bits of the SHA-256 of the file. Of 50,000 images and 50,000
others two agree by chance once in 100,000 such pairs of folders.
"""

import base64
import logging
from dataclasses import dataclass

from mindclf.dataset.layout import listed
from mindclf.utils.files import one_line

log = logging.getLogger(__name__)

SHORT = 8            # characters
MAX_IMAGES = 500_000  # of which a card keeps digests, 4 MB
UNKNOWN = "parents_unknown"  # in what a card keeps: checkpoints that the net came from and whose cards keep no digests


@dataclass(frozen=True)
class Seen:
    """Short digests of the images that a net, or one that it came from, was trained on, and that chose its best epoch.

    `unknown` names the nets that it came from of which that is not known; `test` are the images that it was measured with.
    """

    train: frozenset = frozenset()
    validation: frozenset = frozenset()
    unknown: tuple = ()
    test: frozenset = frozenset()

    def of(self, digests):
        """For each SHA-256 in hexadecimal "train", "validation", or "" for an image that the net has not seen."""
        return ["train" if digest in self.train else "validation" if digest in self.validation else ""
                for digest in map(short, digests)]


def short(digest):
    """The short digest, a text, for a SHA-256 in hexadecimal."""
    return base64.b64encode(bytes.fromhex(digest)[:SHORT * 6 // 8]).decode()


def seen_by(card):
    """The `Seen` of the net that `card` describes; None if the card does not tell, as those of older versions do not.

    A net that was trained on raw pixels, such as CIFAR-10's, has seen no files.
    """
    if "seen_images" not in card:
        return Seen() if card.get("raw_size") else None
    kept = card["seen_images"]
    return Seen(_unpacked(kept["train"]), _unpacked(kept["validation"]), tuple(kept.get(UNKNOWN, ())), _unpacked(kept["test"]))


def seen_images(splits, parent, parent_name):
    """What a card keeps of the images of `splits`, a Splits, and of those that the net's parent has seen: a dict, {} if nothing.

    {"train": short digests in a row, "validation": ..., "test": ...}. `parent` is the card of the checkpoint `parent_name` that
    training started from, {} for a random initialisation. More than MAX_IMAGES are not kept, and the log says so.
    """
    own = {side: set(map(short, digests)) for side, digests in splits.digests.items()} if not splits.train.raw_size else {}
    before = (seen_by(parent) if parent else Seen()) or Seen(unknown=(parent_name,) if _is_own_folder(parent) else ())
    train = own.get("train", set()) | before.train
    kept = {"train": train, "validation": (own.get("validation", set()) | before.validation) - train, "test": own.get("test", ())}
    if not any(kept.values()):
        return {}
    if sum(map(len, kept.values())) > MAX_IMAGES:
        log.warning("these are more than %d images: the card does not keep which they are, so mindclf eval cannot leave them out",
                    MAX_IMAGES)
        return {}
    return {**_packed(kept),
            **({UNKNOWN: list(before.unknown)} if before.unknown else {})}


def with_validation_trained_on(kept):
    """`kept`, what a card keeps by `seen_images`, of a net that was trained on its validation images too in the end."""
    return {**kept, **_packed({"train": _unpacked(kept["train"]) | _unpacked(kept["validation"]), "validation": ()})}


def with_changes(kept, splits):
    """`kept`, what a card keeps by `seen_images`, with what the images of `splits` have become since they were first read.

    A net may have been trained on either content. The log says which images changed.
    """
    changed = splits.changed()
    names = [one_line(path) for files in changed.values() for path in files]
    if not names:
        return kept
    log.warning("%d image%s changed during the run, so that it trained on the old content, the new one, or both: %s", len(names),
                "s" if len(names) > 1 else "", listed(names))
    if not kept:
        return kept
    sides = {side: _unpacked(kept[side]) | set(map(short, files.values())) for side, files in changed.items()}
    return {**kept, **_packed({**sides, "validation": sides["validation"] - sides["train"]})}


def warn_of_seen(images, seen, who, purpose="test"):
    """Logs how many of `images` the net that `who` names has `seen`, a Seen or None, with examples.

    `purpose` is what the images are for, "test" or "validation". Those for validation may have been so before.
    """
    harms = {"train": "was trained on", **({"validation": "chose its best epoch by"} if purpose == "test" else {})}
    kinds = seen.of(images.digests()) if seen else []
    for side, harm in harms.items():
        found = [one_line(path) for path, kind in zip(images.paths, kinds) if kind == side]
        if found:
            log.warning("%s %s %d of the %d %s images, so accuracy on them looks too good: %s", who, harm, len(found),
                        len(images), purpose, listed(found))


def _packed(sides):
    return {side: "".join(sorted(digests)) for side, digests in sides.items()}


def _unpacked(text):
    return frozenset(text[start:start + SHORT] for start in range(0, len(text), SHORT))


def _is_own_folder(card):
    """Whether `card` is of a net that was trained on somebody's own folder, not on a data set with a name."""
    return "path" in card.data and not card.dataset
