"""mindclf show: the images are those that training gets, to the bit, with their classes."""

import numpy as np
import pytest
from mindspore.train import Callback
from PIL import Image

from mindclf.cli import main
from mindclf.config import merge, pixel_statistics
from mindclf.dataset import augmented_pipeline
from mindclf.dataset.draws import STORED_VIEWS, Draws
from mindclf.show import augmented_images, title_of
from mindclf.train import fit
from tests.conftest import COLOURS

AUGMENTED = dict(policy="trivial_augment", erasing_prob=0.5, mixup_alpha=0.4, cutmix_alpha=1.0, seed=3)


def pixels_of(images, config):
    """Normalised images (N, 3, H, W) as pixels, uint8 (N, H, W, 3)."""
    mean, std = np.array(pixel_statistics(config))[..., None, None]
    return np.rint(np.clip(images * std + mean, 0, 255)).astype(np.uint8).transpose(0, 2, 3, 1)


class Seen(Callback):
    """Keeps the batches that Model.train gets."""

    def __init__(self):
        super().__init__()
        self.batches = []

    def on_train_step_begin(self, run_context):
        self.batches.append([array.asnumpy() for array in run_context.original_args().train_dataset_element])


@pytest.mark.usefixtures("uncompiled", "brief")
def test_what_is_shown_is_what_fit_trains_on(tiny_config):
    seen = Seen()
    config = merge(tiny_config, {**AUGMENTED, "phases": [{"trainable": "head", "epochs": 1, "mixup_alpha": 0.0}, {"epochs": 2}]})
    fit(config, callbacks=[seen])
    images, labels = (np.concatenate(arrays) for arrays in zip(*seen.batches[8:]))  # 4 steps an epoch
    shown = augmented_images(config, 20, epoch=2)
    np.testing.assert_array_equal(shown.images, pixels_of(images, config)[:20])
    assert shown.titles == [title_of(label, shown.splits.classes) for label in labels[:20]]


def test_stored_views_are_shown_as_they_are_made(tiny_config):
    config = merge(tiny_config, {"trainable": "head", "cached_views": 3, "policy": "auto_augment"})
    shown = augmented_images(config, 5, epoch=2)
    train = shown.splits.train
    rows = augmented_pipeline(train, config, Draws(config.seed, STORED_VIEWS, 2))
    images = np.concatenate([batch for batch, _ in rows.create_tuple_iterator(num_epochs=1, output_numpy=True)])
    spread = np.linspace(0, len(train) - 1, 5).round().astype(int)
    np.testing.assert_array_equal(shown.images, pixels_of(images[spread], config))
    assert shown.titles == [train.classes[train.labels[index]] for index in spread]


def test_a_mixed_image_has_both_names_with_the_larger_fraction_first():
    classes = ("cat", "dog", "owl")
    assert title_of(np.int32(1), classes) == "dog"
    assert title_of(np.array([0.25, 0, 0.75]), classes) == "owl 75%\ncat 25%"
    assert title_of(np.array([0, 1.0, 0]), classes) == "dog"


def test_a_folder_is_shown_as_all_layers_would_see_it(colour_folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    command = ["show", str(colour_folder), "policy=rand_augment", "cutmix_alpha=1", "image_height=32", "image_width=32",
               "grid_rows=2", "grid_columns=3", "pretrained=", "seed=5"]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("images    6 of ") and "training images of 3 classes" in printed
    assert "augment=resized_crop, policy=rand_augment, cutmix_alpha=1.0" in printed and "seed=5, epoch 1" in printed
    grid = np.asarray(Image.open(tmp_path / "augmented.png").convert("RGB")).astype(int)
    colours = [abs(grid - np.array(colour)).max(-1).min() < 60 for colour in COLOURS.values()]
    assert any(colours) and grid.std() > 20
    assert main(command) == 2
    assert capsys.readouterr().err == "mindclf: augmented.png exists and is not overwritten: name another with --to\n"


@pytest.mark.parametrize(("arguments", "message"), [
    (["cached_views=1", "trainable=head"], "phase 1 has cached_views=1: it trains on the centre of each image"),
    (["--epoch", "3", "epochs=2"], "epoch 3 is none of the 2 of phase 1"),
    (["--phase", "2"], "phase 2 is none of the config's 1"),
    (["--to", "grid.jpg"], "grid.jpg: the name of the image that is written ends in .png")])
def test_what_cannot_be_shown_is_one_line(arguments, message, colour_folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["show", str(colour_folder), "pretrained=imagenet", *arguments]) == 2
    assert capsys.readouterr().err.startswith(f"mindclf: {message}")


def test_without_images_it_says_what_it_takes(capsys):
    assert main(["show"]) == 2
    assert capsys.readouterr().err == ("mindclf: show takes a folder of images, or the name of a data set, such as cifar10: see "
                                       "the field dataset\n")
