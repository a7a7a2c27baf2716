"""Examples: the images that the page offers, of a folder or drawn."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from mindclf.drawings.generate import draw_image
from mindclf.inference.sources import gather
from mindclf.preprocessing import DEFAULT_READING

log = logging.getLogger(__name__)

EXAMPLES = 12             # shown at most
DRAWN_PIXELS = 480
DRAWN = {  # class: seed. Two of each bin that the published sorter, which has seen photos only, predicts correctly
    "Broom": 1, "Disposable Chopsticks": 15, "Basketball": 8, "Paper": 2, "Eggshell": 12, "Banana Peel": 1,
    "Tablet capsules": 14, "Battery": 10,
}


def example_images(folder, labels, to, reading=DEFAULT_READING):
    """Paths of up to EXAMPLES images: from all over `folder`, or, without one, drawings made in the folder `to`.

    Of the classes `labels` it draws those that belong in a bin: others may have the name of one and be something else. Files
    that cannot be used are left out with a warning each. Raises ValueError for a folder without an image.
    """
    if folder is None:
        paths = []
        garbage = {label.name for label in labels if label.category}
        for name in (name for name in DRAWN if name in garbage):
            paths.append(str(Path(to) / f"{name}.png"))
            draw_image(name, np.random.default_rng(DRAWN[name]), DRAWN_PIXELS).save(paths[-1])
        return paths
    if not Path(folder).is_dir():
        raise ValueError(f"--examples {folder} is not a folder")
    files = list(gather([str(folder)], reading=reading))
    paths = []
    for index in np.linspace(0, len(files) - 1, min(EXAMPLES, len(files))).astype(int):
        name, read = files[index]
        try:
            read()
            paths.append(name)
        except ValueError as error:
            log.warning("left out of the examples: %s", error)
    if not paths:
        raise ValueError(f"--examples {folder} has no image that can be used")
    return paths
