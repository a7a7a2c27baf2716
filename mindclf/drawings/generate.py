"""Drawn images of the 26 garbage classes: a stand-in for the photographs where there is no network.

An image is an object, drawn on a transparent layer by the class's artist, put in some pose on some ground in some light.
They teach a net to tell drawings apart and nothing about photographs: accuracy on them is no result for real garbage.
"""

import json
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from mindclf.drawings.artists import ARTISTS
from mindclf.drawings.canvas import CANVAS, Surface, hsv, pick, shade
from mindclf.labels import class_en
from mindclf.utils.files import new_folder

DRAWING_VERSION = 1  # raise it with every change that alters an image: folders drawn before are then refused, not mixed up
MANIFEST = "drawn.json"
ORIGIN = "drawings made by mindclf, no photos"
SPLIT_NUMBERS = {"train": 0, "test": 1, "valid": 2, "": 3}  # the name of a split seeds its images; "" is a set that has none


def draw_garbage26(folder, train_per_class=40, test_per_class=10, seed=0, size=224):
    """Path of `folder`, which then holds train/<class>/000.jpg ... and test/<class>/000.jpg ... for the classes of `class_en`.

    An image is size x size pixels and depends only on seed, split, class and number, so a set is the same bytes wherever
    NumPy and Pillow have the same versions. A folder that already holds this set is returned as it is. Raises ValueError if
    `folder` is anything else that exists; nothing in it is touched. The folder appears whole or not at all.
    """
    manifest = {"drawing_version": DRAWING_VERSION, "train_per_class": train_per_class, "test_per_class": test_per_class,
                "seed": seed, "size": size}
    _check_least(train_per_class=(train_per_class, 1), test_per_class=(test_per_class, 1), seed=(seed, 0), size=(size, 16))
    return _draw_set(Path(folder), manifest, class_en, {"train": train_per_class, "test": test_per_class}, seed, size)


def draw_classes(folder, classes, counts, seed=0, size=32):
    """Path of `folder`, which then holds <split>/<class>/000.jpg ... for those of `class_en` that `classes` names.

    `counts` has the images of a class in each split: {"train": 8, "valid": 2, "test": 2}, {"train": 8, "test": 2}, or
    {"": 10} for class folders that are not divided. For trying out what is made for other data sets, in notebooks and tests.
    Otherwise as `draw_garbage26`, which gives the same image for the same seed, split, class, number and size.
    """
    for known, names in ((ARTISTS, classes), (SPLIT_NUMBERS, counts)):
        strangers = [name for name in names if name not in known]
        if strangers or not names or len(set(names)) < len(names):
            raise ValueError(f"{list(names)} must be some of {', '.join(map(repr, known))}, each once")
    _check_least(**{f"counts of {split!r}": (count, 1) for split, count in counts.items()}, seed=(seed, 0), size=(size, 16))
    manifest = {"drawing_version": DRAWING_VERSION, "classes": list(classes), "counts": dict(counts), "seed": seed, "size": size}
    return _draw_set(Path(folder), manifest, classes, counts, seed, size)


def is_drawn(folder):
    """Whether `folder` is a set that was drawn here."""
    manifest = _read_manifest(Path(folder))
    return isinstance(manifest, dict) and "drawing_version" in manifest


def draw_image(name, rng, size=224):
    """An RGB PIL image, size x size, of the class called `name`; everything about it is drawn from `rng`."""
    surface = Surface()
    ARTISTS[name](surface, rng)
    ground = pick(rng, *BACKDROPS)(rng, size)
    return _photograph(_pose(surface.image, rng, size), ground, rng)


def _check_least(**values):
    for name, (value, least) in values.items():
        if value < least:
            raise ValueError(f"{name}={value} must be at least {least}")


def _draw_set(folder, manifest, classes, counts, seed, size):
    if folder.exists():
        if _read_manifest(folder) != manifest:
            raise ValueError(f"{folder} exists and is not the drawn set asked for, {manifest}; name another folder")
        return folder
    with new_folder(folder) as unfinished:
        (unfinished / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
        for split, count in counts.items():
            for name in classes:
                (unfinished / split / name).mkdir(parents=True)
                for index in range(count):
                    rng = np.random.default_rng([seed, SPLIT_NUMBERS[split], class_en.index(name), index])
                    draw_image(name, rng, size).save(unfinished / split / name / f"{index:03d}.jpg", quality=90)
    return folder


def _read_manifest(folder):
    try:
        return json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):  # missing or not JSON: somebody else's folder
        return None


# Pose, ground and light: the same for all classes, so that none of them tells the class.

def _pose(layer, rng, size):
    """The layer as size x size RGBA: turned, scaled, a little squeezed as if seen at a slant, moved, sometimes mirrored."""
    angle = np.radians(rng.uniform(-40, 40) + pick(rng, 0, 0, 0, 90, 180, 270))
    scale = rng.uniform(0.68, 1.02) * np.array([pick(rng, -1, 1), rng.uniform(0.85, 1.0)])
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    to_layer = turn / scale[:, None] * (CANVAS / size)  # Pillow asks where a pixel of the result comes from
    centre = size / 2 + size * rng.uniform(-0.09, 0.09, 2)
    offset = CANVAS / 2 - to_layer @ centre
    coefficients = (*to_layer[0], offset[0], *to_layer[1], offset[1])
    return layer.transform((size, size), Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR)


def _photograph(layer, ground, rng):
    """The RGBA layer on the ground, an array (size, size, 3) of 0 to 255: shadow, light, the blur and noise of a camera."""
    size, alpha = layer.width, layer.getchannel("A")
    right, down = size * rng.uniform(-0.04, 0.04, 2)
    shadow = alpha.transform(alpha.size, Image.Transform.AFFINE, (1, 0, right, 0, 1, down))
    shadow = shadow.filter(ImageFilter.GaussianBlur(size * rng.uniform(0.01, 0.04)))
    scene = ground * (1 - _unit(shadow) * np.float32(rng.uniform(0.25, 0.6)))
    scene += (np.asarray(layer.convert("RGB"), np.float32) - scene) * _unit(alpha)

    across, _ = _directions(rng, size)
    warmth = rng.uniform(-0.08, 0.08)
    light = np.float32(rng.uniform(0.8, 1.2) * np.array([1 + warmth, 1, 1 - warmth]))
    scene *= (1 + np.float32(rng.uniform(0, 0.35)) * across)[..., None] * light
    blurred = _image(scene).filter(ImageFilter.GaussianBlur(rng.uniform(0, 0.8) * size / 224))
    noise = rng.standard_normal((size, size, 3), np.float32) * np.float32(rng.uniform(1, 6))
    return _image(np.asarray(blurred, np.float32) + noise)


def _unit(mask):
    return np.asarray(mask, np.float32)[..., None] / 255


def _image(pixels):
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _directions(rng, size):
    """Two arrays (size, size) of coordinates from about -0.7 to 0.7, along and across a random direction."""
    angle = rng.uniform(0, 2 * np.pi)
    line = np.linspace(-0.5, 0.5, size, dtype=np.float32)
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return cos * line + sin * line[:, None], cos * line[:, None] - sin * line


def _mottle(rng, size, cells):
    """An array (size, size) of smooth noise around 0 with about `cells` spots a side."""
    spots = rng.standard_normal((cells, cells), np.float32)
    return np.asarray(Image.fromarray(spots).resize((size, size), Image.Resampling.BICUBIC))


def _blend(first, second, share):
    """Colour `first` where share is 0 and `second` where it is 1: (size, size) -> (size, size, 3)."""
    first, second = np.float32(first), np.float32(second)
    return first + (second - first) * np.float32(np.clip(share, 0, 1))[..., None]


def _ground_colour(rng):
    return hsv(rng.uniform(0, 1), rng.uniform(0, 0.45), rng.uniform(0.35, 0.98))


def plain(rng, size):
    colour = _ground_colour(rng)
    return _blend(colour, shade(colour, 0.7), 0.3 + 0.2 * _mottle(rng, size, 6))


def gradient(rng, size):
    along, _ = _directions(rng, size)
    return _blend(_ground_colour(rng), _ground_colour(rng), along + 0.5)


def table_edge(rng, size):
    along, _ = _directions(rng, size)
    edge = along - np.float32(rng.uniform(-0.35, 0.35))
    ground = _blend(_ground_colour(rng), _ground_colour(rng), edge * 80)
    return ground * (1 - 0.4 * np.exp(-np.abs(edge) * 40))[..., None]


def wood(rng, size):
    along, across = _directions(rng, size)
    planks = (across + 1) * np.float32(rng.uniform(3, 8))
    grain = np.sin(planks * 19 + 3 * np.sin(along * 5 + np.floor(planks) * 2)) * 0.25 + 0.35 + 0.15 * _mottle(rng, size, 8)
    colour = hsv(rng.uniform(0.05, 0.11), rng.uniform(0.25, 0.6), rng.uniform(0.4, 0.9))
    return _blend(colour, shade(colour, 0.65), grain + (planks % 1 < 0.05))


def tiles(rng, size):
    along, across = _directions(rng, size)
    count = np.float32(rng.uniform(2.5, 6))
    joint = ((along + 1) * count % 1 < 0.05) | ((across + 1) * count % 1 < 0.05)
    return _blend(_ground_colour(rng), _ground_colour(rng), joint * 0.8 + 0.07 * _mottle(rng, size, 12))


def grass(rng, size):
    colour = hsv(rng.uniform(0.12, 0.36), rng.uniform(0.3, 0.6), rng.uniform(0.4, 0.75))  # from dry earth to lawn
    return _blend(colour, shade(colour, 0.45), 0.4 + 0.3 * _mottle(rng, size, size // 3) + 0.15 * _mottle(rng, size, 10))


BACKDROPS = (plain, gradient, table_edge, wood, tiles, grass)
