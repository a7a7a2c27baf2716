"""Images that are the same byte for byte, in one folder or in several: copies, contradictions and leaks."""

import os
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from mindclf.utils.files import one_line

EXAMPLES = 3  # in a line: each has two paths or more


@dataclass(frozen=True)
class Copy:
    """One of several equal images: its split, such as "train", its class, and its path below the folder that has them all."""

    split: str
    class_name: str
    name: str


def equal_images(parts):
    """Groups, tuples of two or more `Copy`, of images that are the same byte for byte; `parts` is {split: Images}.

    Images are in the order of `parts`, and groups in that of their first images. Those of CIFAR-10, which are no files of their
    own, are left out.
    """
    parts = {split: images for split, images in parts.items() if len(images) and not images.raw_size}
    paths = [path for images in parts.values() for path in images.paths]
    root = os.path.commonpath([Path(path).parents[1] for path in paths]) if paths else ""  # above the class folders
    groups = {}
    for split, images in parts.items():
        for path, label, digest in zip(images.paths, images.labels, images.digests()):
            name = os.path.relpath(path, root).replace(os.sep, "/")
            groups.setdefault(digest, []).append(Copy(split, images.classes[label], name))
    return tuple(tuple(group) for group in groups.values() if len(group) > 1)


def warnings_of(groups):
    """A line for each kind of harm that `groups` of `equal_images` do, with count and examples: on two sides, in two classes.

    Copies on one side, in one class, do none.
    """
    splits = list(dict.fromkeys(copy.split for group in groups for copy in group))
    kinds = {f"in {one} and in {other}": [group for group in groups if {one, other} <= {copy.split for copy in group}]
             for one, other in combinations(splits, 2)}
    kinds["in more than one class"] = [group for group in groups if len({copy.class_name for copy in group}) > 1]
    return [f"the same image is {kind}, {len(found)} time{'s' if len(found) > 1 else ''}: "
            + "; ".join(" = ".join(one_line(copy.name) for copy in group) for group in found[:EXAMPLES])
            + ("; ..." if len(found) > EXAMPLES else "")
            for kind, found in kinds.items() if found]
