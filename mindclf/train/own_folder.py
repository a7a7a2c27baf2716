"""One's own folder of images: the config that `mindclf train FOLDER` and `train_folder` begin with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mindclf.config import DEFAULTS, merge
from mindclf.dataset.layout import check_divided, check_names, class_folders, entries, index_of_folders, split_folders, unwrapped
from mindclf.dataset.names import split_of
from mindclf.own_images import own_images
from mindclf.train.fit import Fitted, fit
from mindclf.utils.cache import cache_folder, feature_folder


def train_folder(folder: str | Path, *, best: bool = False, **fields: Any) -> Fitted:
    """Trains a classifier of the images in `folder`, and returns a `Fitted`: in Python what `mindclf train FOLDER` does.

    `folder` has a folder for each class, of which about a fifth of the images is for testing, or train/ and test/ (or val/) with
    such folders. `fields` are fields of the config, as in train_folder("my_photos", net="resnet18"), and arguments of `fit`.
    Without others a head is solved on the features of a backbone that knows ImageNet, in seconds; with some that only gradient
    descent has, such as epochs=20, it is trained by that. With `best` all layers are trained after the head: usually more
    accurate, in minutes to hours, see docs/how_to/fine_tune.md. Raises ValueError for a folder without two classes, and as `fit`
    does.
    """
    named = fields.get("resume") or "output" in fields
    options = {name: fields.pop(name) for name in ("loss", "metrics", "callbacks", "may_extend", "verbose") if name in fields}
    if options.keys() & {"loss", "callbacks"}:  # of gradient descent
        fields = {"optimizer": DEFAULTS.optimizer, **fields}
    config = merge(own_images(str(folder), fields, best), fields)
    return fit(prepared(config, folder), shrink_batches="batch_size" not in fields and "phases" not in fields,
               or_next=not named, **options)


def prepared(config, folder):
    """`config` with the classes of `folder` numbered by name, after a look at what people get wrong there (ValueError)."""
    folder = Path(folder)
    check_divided(unwrapped(folder))
    divided = split_folders(unwrapped(folder))
    source = divided.get("train", unwrapped(folder))
    if not config.class_index:
        check_names(source)
    classes = list(index_of_folders(source))
    if len(classes) < 2:
        raise ValueError(f"{folder} has one class folder, {classes[0]!r}: a net needs two to tell apart")
    if all(map(_is_of_split, class_folders(source).values())):
        raise ValueError(f"{folder} has {', '.join(classes)}, but no class folders in them: sort the images of each into class "
                         f"folders, or rename them if these are the classes")
    places = {"output": config.output, "cache_dir": cache_folder(), "feature_cache": feature_folder(config.feature_cache)}
    for name, place in places.items():
        if place and not divided and Path(place).resolve().is_relative_to(folder.resolve()):
            raise ValueError(f"{name}={place} lies in {folder}, where it would be a class: run this elsewhere, or set {name}")
    if config.trainable == "head" and not config.pretrained and not config.phases:
        raise ValueError("pretrained= is empty, and a head on a backbone of random weights learns little: add trainable=all "
                         "cached_views=0, or let pretrained name a checkpoint")
    return merge(config, {} if config.class_index else {"class_index": classes})


def _is_of_split(place):
    """Whether the folder `place` is for a split, not a class: its name is nothing but that word, or it has no images but folders.

    A class may have such a word in its name: covid_test_negative, "train station".
    """
    split = split_of(place.name)
    return bool(split) and (split[1] == (None,) or all(entry.is_dir() for entry in entries(place)))
