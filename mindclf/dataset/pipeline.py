"""Batches of images for training and evaluation."""

import contextlib
import copy
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from mindspore import dataset as ds
from mindspore.dataset import vision

from mindclf.config import DEFAULTS, ERASING_FIELDS, VARIATION_FIELDS, own_names, pixel_statistics
from mindclf.dataset.draws import Draws
from mindclf.dataset.folder import read_folder
from mindclf.dataset.images import opened_image, small_image
from mindclf.dataset.independence import independent
from mindclf.dataset.layout import split_folders, unwrapped
from mindclf.dataset.policies import policy_of
from mindclf.dataset.reduce import Reduced
from mindclf.dataset.views import RandomCrop, RandomCropDecodeResize, RandomViews
from mindclf.preprocessing import Preprocessing, Reading
from mindclf.utils.cores import usable_cores


def create_dataset(dataset_path: str | Path, config: Mapping, training: bool = True,
                   transforms: Sequence | None = None) -> ds.Dataset:
    """The pipeline over `dataset_path`/train or, with training=False, `dataset_path`/test: (image, label) batches.

    The two folders may be called otherwise (see `split_folders`).

    `config` needs `class_index`; what else it does not set is taken from mindclf.config.DEFAULTS. Images are float32
    (batch, 3, image_height, image_width), normalised; labels int32 (batch,). Only training shuffles, augments and drops an
    incomplete last batch; evaluation counts every image. Of images of more than 8 bits only training finds out what is white:
    give what it logs as config.white to both. Raises ValueError for a folder that is missing, or images that cannot be used
    (see `read_folder`).

    Training images are shuffled and augmented as config.seed says, whatever the seed of MindSpore, and otherwise in each epoch
    of an iterator and in each iterator: the first one of two data sets made alike gives the same images. They are batches
    from the beginning, so what follows, such as `shuffle` or `take`, has batches for rows.

    `transforms`, a list of MindSpore's vision operations or of functions, takes the place of all of this: each image comes to it
    as pixels, uint8 (H, W, 3) in RGB at its own size, and must leave it as float32 (3, image_height, image_width), the same size
    for all. In training its random operations are independent of each other (see `independent`), and images are shuffled.
    """
    config = {**DEFAULTS, **own_names(config)}
    split = "train" if training else "test"
    folder = split_folders(unwrapped(dataset_path)).get(split, Path(dataset_path) / split)
    images = read_folder(folder, config["class_index"], config["on_bad_image"], reading=Reading.of(config), find_white=training)
    if transforms is not None:
        return _transformed(images, list(transforms), config, training)
    if training:
        return train_pipeline(images, config)
    return eval_pipeline(images, Preprocessing.from_config(config), config["eval_batch_size"])


def _transformed(images, transforms, config, training):
    """Batches of `images` after `transforms` of one's own."""
    rows, batch_size = images.source(), config["batch_size" if training else "eval_batch_size"]
    if not images.raw_size:
        rows = rows.map(vision.Decode(), "image", num_parallel_workers=_threads())
    if training:
        if len(images) < batch_size:
            raise ValueError(f"batch_size={batch_size} is more than the {len(images)} training images")
        rows = rows.shuffle(len(images))
        transforms = independent(transforms, config["seed"])
    if transforms:
        rows = rows.map(transforms, "image", num_parallel_workers=1 if training else _threads())
    return rows.batch(batch_size, drop_remainder=training)


def train_pipeline(images, config):
    """Augmented, whole batches of `images`, shuffled: in each epoch of an iterator, and in each iterator, otherwise."""
    config = {**DEFAULTS, **own_names(config)}
    if len(images) < config["batch_size"]:
        raise ValueError(f"batch_size={config['batch_size']} is more than the {len(images)} training images")

    def epochs(iterator):
        for epoch in itertools.count(1):
            draws = Draws(config["seed"], iterator, epoch)
            yield draws, draws.order(len(images))

    return _augmented(images, config, epochs, len(images), config["batch_size"], drop_remainder=True)


def epoch_pipeline(images, config, draws, indices):
    """The augmented, whole batches of one epoch of training: `images` at `indices`, in that order, as `draws` has them.

    An index of so many images or more is that of an image again, in another view: see `Draws.balanced_order`.
    """
    return _augmented(images, config, lambda _: itertools.repeat((draws, indices)), len(indices), config["batch_size"],
                      drop_remainder=True)


def augmented_pipeline(images, config, draws, indices=None):
    """All of `images`, or those at `indices`, in their order, each as one random training view: what the feature cache stores.

    The last batch is as short as it comes.
    """
    indices = range(len(images)) if indices is None else indices
    return _augmented(images, {**DEFAULTS, **own_names(config)}, lambda _: itertools.repeat((draws, indices)), len(indices),
                      config["eval_batch_size"], drop_remainder=False)


def _augmented(images, config, epochs, count, batch_size, drop_remainder):
    """Batches of training views; epochs(number) gives the (draws, indices) of each epoch of the iterator of that number.

    A row of the pipeline is a batch from the beginning: to hand rows on takes MindSpore as long as to make a small view.
    """
    views = _random_views(images, config)
    steps = count // batch_size if drop_remainder else -(-count // batch_size)
    rows = _RandomRows(_Batches(images.labels, views.names, batch_size, steps), epochs)
    threads = 1 if images.raw_size else _threads()  # small images take Python's time, for which two threads would wait
    dataset = rows.map(views, ["image", "words"], ["image"], num_parallel_workers=threads)
    dataset.get_batch_size = lambda: batch_size  # MindSpore would say 1
    return dataset


class _RandomRows(ds.GeneratorDataset):
    """What a pipeline of training begins with. MindSpore copies it for each iterator, and asks for its rows in each epoch."""

    def __init__(self, batches, epochs):
        super().__init__(_Epochs(batches, epochs), ["image", "label", "words"], shuffle=False, num_parallel_workers=1,
                         python_multiprocessing=False)

    def pre_parse(self, getter_mode):
        super().pre_parse(getter_mode)
        self.source = self.source.begun(getter_mode)  # MindSpore's copies share it


class _Epochs:
    """What a GeneratorDataset reads: batches(draws, indices) of the next epoch each time that it begins.

    MindSpore also begins an epoch of a pipeline that it only asks for its shapes and types, or makes. That is no iterator, and
    gets the number 0.
    """

    def __init__(self, batches, epochs):
        self.batches, self.epochs, self.iterators = batches, epochs, itertools.count(1)
        self.coming = iter(self.epochs(0))

    def begun(self, is_asked):
        """These epochs for another iterator, or for a pipeline that is asked something."""
        other = copy.copy(self)
        other.coming = iter(self.epochs(0)) if is_asked else None
        return other

    def __len__(self):
        return self.batches.steps

    def __iter__(self):
        if self.coming is None:  # not before: a pipeline that tells its size begins no epoch
            self.coming = iter(self.epochs(next(self.iterators)))
        return self.batches(*next(self.coming))


class _Batches:
    """(indices (N,), labels (N,), words (N, names, WORDS)) of batches of batch_size images, of which there are `steps`."""

    def __init__(self, labels, names, batch_size, steps):
        self.labels, self.names, self.batch_size, self.steps = np.asarray(labels, np.int32), names, batch_size, steps

    def __call__(self, draws, indices):
        indices = np.asarray(indices, np.int64)
        words = draws.words(self.names, indices)
        for start in range(0, self.steps * self.batch_size, self.batch_size):
            batch = slice(start, start + self.batch_size)
            images = indices[batch] % len(self.labels)
            yield images, self.labels[images], words[batch]


def eval_pipeline(images, preprocessing, batch_size):
    """(image, label) batches of all of `images` in their order, as `preprocessing` makes them: float32 (batch, 3, height, width).

    The last batch is as short as it comes. Images that are pixels of one size are taken at that size.
    """
    return _eval_pipeline(images, preprocessing, batch_size, Preprocessing.transforms)


def pixel_pipeline(images, preprocessing, batch_size):
    """The batches of `eval_pipeline` before they are normalised: uint8 (batch, height, width, 3), for nets that do so inside."""
    return _eval_pipeline(images, preprocessing, batch_size, Preprocessing.pixel_transforms)


def _eval_pipeline(images, preprocessing, batch_size, transforms):
    if images.raw_size:
        preprocessing = replace(preprocessing, raw_size=images.raw_size)
        rows, operations = images.source(), []
    else:
        rows = images.source(Reduced(preprocessing))
        operations = [partial(small_image, size=preprocessing.raw_size)] if preprocessing.raw_size else []
    operations += transforms(preprocessing)
    if operations:
        rows = rows.map(operations, "image", num_parallel_workers=_threads())
    return rows.batch(batch_size)


def _random_views(images, config):
    """The RandomViews of training that a config asks for. With raw images crop_padding is in pixels of their own size."""
    share = config["train_scale"]
    size = tuple(round(side * share) for side in (config["image_height"], config["image_width"]))
    fields = {field: config[field] for field in (*VARIATION_FIELDS, *ERASING_FIELDS)}
    fields["policy"] = policy_of(config, size, share)
    if fields["policy"]:
        fields["color_adjust"] = 0.0  # a policy takes its place
    load = partial(_load, images)
    if config["augment"] == "padded_crop":
        crop = RandomCrop(config["crop_padding"] if images.raw_size else round(config["crop_padding"] * share))
        if not images.raw_size:
            load = partial(_load_centre, images, Preprocessing(size, crop_pct=1).pixel_transforms()[1:])  # Pillow decodes
        fields["cutout"] = round(config["cutout"] * share)
    else:
        crop = RandomCropDecodeResize(config["scale"], config["ratio"])
    return RandomViews(load, crop, size, *pixel_statistics(config), **fields)


@contextlib.contextmanager
def _load(images, index):
    """Gives the image at an index as RandomViews take it. Raises ValueError that names a file which cannot be read any more."""
    source = images.paths[index]
    if isinstance(source, np.ndarray) and source.dtype == np.uint8 and source.shape[2:] == (3,) and source.size:
        yield source
        return
    with opened_image(source, reading=images.reading) as image:
        yield image.decoded()


@contextlib.contextmanager
def _load_centre(images, transforms, index):
    """Gives what evaluation sees of the image at an index, with a crop_pct of 1."""
    with opened_image(images.paths[index], reading=images.reading) as image:
        pixels = np.asarray(image.decoded().convert("RGB"))
        for transform in transforms:
            pixels = transform(pixels)
    yield pixels


def _threads():
    """How many threads of a pipeline prepare images at once."""
    return min(usable_cores(), 8)  # MindSpore refuses more threads than cores
