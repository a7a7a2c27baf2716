"""What a net has seen is not what it is measured on: by the contents of files, whatever they are called and wherever they lie."""

import base64
import hashlib
import json
import logging
import os
import shutil
from pathlib import Path

import pytest

from mindclf.card import Card, read_card
from mindclf.config import merge
from mindclf.dataset import seen
from mindclf.dataset.folder import digests_of
from mindclf.dataset.seen import Seen, seen_by, seen_images
from mindclf.dataset.splits import Chosen, images_to_measure, read_splits
from mindclf.train import features, fit
from mindclf.train.checkpointing import CheckpointManager
from tests.dataset.test_split_folder import grow

from ..test_checkpoint import CARD

pytestmark = pytest.mark.usefixtures("uncompiled")

COUNT = 30  # images a class


def photos(first):
    return {f"{number:02}.ppm": first + number for number in range(COUNT)}


@pytest.fixture
def own(tmp_path):
    return grow(tmp_path / "own", {"cat": photos(0), "dog": photos(100)})


def config_of(folder, **fields):
    return merge({"dataset_path": str(folder), "class_index": ["cat", "dog"], **fields}, {})


def card_of(splits, parent=None, parent_name="parent.ckpt"):
    """What the card of a net that was trained on `splits` says of its images, as read from its file."""
    card = {**CARD, "classes": ["cat", "dog"], "config": {}, "seen_images": seen_images(splits, parent or {}, parent_name),
            "data": {"path": splits.path, "train": len(splits.train), "held_out": len(splits.valid), "test": len(splits.test)}}
    return Card.parse(json.dumps({**card, "format": 1, "weights_sha256": ""}), "card")


def contents(images):
    return {Path(path).read_bytes() for path in images.paths}


def measured(card, folder):
    """(the bytes of what is measured, the `Chosen`)."""
    images, chosen = images_to_measure(card, Path(folder), config_of(folder))
    assert len(contents(images)) == len(images)
    return contents(images), chosen


def test_the_card_keeps_the_first_48_bits_of_each_files_sha256(own):
    splits = read_splits(config_of(own))
    kept = card_of(splits)["seen_images"]
    for side, images in (("train", splits.train), ("validation", splits.valid), ("test", splits.test)):
        expected = {base64.b64encode(hashlib.sha256(content).digest()[:6]).decode() for content in contents(images)}
        assert {kept[side][start:start + 8] for start in range(0, len(kept[side]), 8)} == expected
        assert len(kept[side]) == 8 * len(images) > 0


def test_the_folder_itself_is_measured_by_its_test_images(own):
    splits = read_splits(config_of(own))
    found, chosen = measured(card_of(splits), own)
    assert found == contents(splits.test)
    assert (chosen.whole, chosen.trained_on, chosen.validation) == (True, len(splits.train), len(splits.valid))


def test_renamed_and_moved_files_are_known_again(own, tmp_path):
    splits = read_splits(config_of(own))
    card, expected = card_of(splits), contents(splits.test)
    moved = own.rename(tmp_path / "elsewhere")
    for number, file in enumerate(sorted((moved / "cat").iterdir())):
        file.rename(file.with_name(f"IMG_{99 - number}.ppm"))
    assert measured(card, moved)[0] == expected


def test_images_that_join_are_measured_too_and_none_that_was_trained_on(own):
    splits = read_splits(config_of(own))
    card, before = card_of(splits), contents(splits.test)
    new = grow(own.parent / "more", {"cat": {f"A{n}.ppm": 500 + n for n in range(3)}, "dog": {"A.ppm": 600}})
    for file in new.rglob("*.ppm"):
        shutil.copy(file, own / file.parent.name)
    found, chosen = measured(card, own)
    assert found == before | {file.read_bytes() for file in new.rglob("*.ppm")}
    assert (chosen.trained_on, chosen.validation) == (len(splits.train), len(splits.valid))


def test_as_many_new_images_are_all_measured(own, tmp_path):
    card = card_of(read_splits(config_of(own)))
    other = grow(tmp_path / "other", {"cat": photos(1000), "dog": photos(2000)})
    found, chosen = measured(card, other)
    assert len(found) == 2 * COUNT and chosen.whole and not chosen.trained_on + chosen.validation


def test_of_a_copy_and_one_more_the_test_images_and_that_one_are_measured(own, tmp_path):
    splits = read_splits(config_of(own))
    copy = shutil.copytree(own, tmp_path / "copy")
    grow(tmp_path / "one", {"cat": {"one.ppm": 77_777}})
    shutil.copy(tmp_path / "one" / "cat" / "one.ppm", copy / "cat")
    found, _ = measured(card_of(splits), copy)
    assert found == contents(splits.test) | {(copy / "cat" / "one.ppm").read_bytes()}


@pytest.mark.parametrize("side", ["train", "valid", "test"])
def test_images_that_change_during_a_run_are_said_to_and_count_as_seen(tiny_config, colour_folder, tmp_path, monkeypatch, caplog,
                                                                       side):
    """Their old content and the new one. One that is only touched has not changed."""
    folder = shutil.copytree(colour_folder, tmp_path / "photos")
    config, changed = {**tiny_config, "dataset_path": str(folder)}, []
    splits = read_splits(merge(config, {}))

    def changing(self, row, metrics, after_epoch=CheckpointManager.after_epoch):
        after_epoch(self, row, metrics)
        if not changed:
            changed.append(Path(getattr(splits, side).paths[0]))
            changed[0].write_bytes(changed[0].read_bytes() + b"of another content")
            os.utime(splits.train.paths[-1])

    monkeypatch.setattr(CheckpointManager, "after_epoch", changing)
    before = {name: set(digests) for name, digests in splits.digests.items()}
    checkpoint = fit(config).checkpoint
    said = "1 image changed during the run, so that it trained on the old content, the new one, or both: "
    assert [message for message in caplog.messages if "changed during" in message] == [f"{said}{changed[0]}"]
    [new] = digests_of(changed)
    for name in ("best.ckpt", "last.ckpt"):
        known = seen_by(read_card(checkpoint.with_name(name)))
        assert set(known.of(before["train"])) == {"train"} and set(known.of(before["validation"])) == {"validation"}
        assert known.of([new]) == [{"train": "train", "valid": "validation", "test": ""}[side]]


def test_features_of_an_image_that_changes_meanwhile_are_not_stored(tiny_config, colour_folder, tmp_path, monkeypatch, caplog):
    folder = shutil.copytree(colour_folder, tmp_path / "photos")
    first = next(iter(sorted((folder / "train").glob("*/9.png"))))

    predict_logits = features.predict_logits

    def changing(*arguments):
        first.write_bytes(first.read_bytes() + b"of another content")
        return predict_logits(*arguments)

    monkeypatch.setattr(features, "predict_logits", changing)
    fit({**tiny_config, "dataset_path": str(folder), "layers": "head", "cached_views": 2, "epochs": 1})
    assert caplog.messages.count("images changed while their features were computed, which are not stored") == 2
    assert len(list(Path(tiny_config["feature_cache"]).iterdir())) == 1  # those of the validation images


def test_where_all_was_seen_there_is_nothing_to_measure(own, tmp_path):
    splits = read_splits(config_of(own))
    for path in splits.test.paths:
        Path(path).unlink()
    with pytest.raises(ValueError, match=f"of the {2 * COUNT - len(splits.test)} images in .*own the net was trained on "
                                         f"{len(splits.train)}, and {len(splits.valid)} chose its best epoch: none is left"):
        measured(card_of(splits), own)


def test_what_the_parent_has_seen_counts_as_seen(own, tmp_path, caplog):
    """Another division of the same images: what the first net was trained on is for testing here and there."""
    first = read_splits(config_of(own))
    divided = tmp_path / "divided"
    for number, file in enumerate(sorted(own.rglob("*.ppm"))):
        target = divided / ("test" if number % 2 else "train") / file.parent.name
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
    second = read_splits(config_of(divided, valid_fraction=0.0))
    card = card_of(second, card_of(first), "first.ckpt")
    with caplog.at_level(logging.WARNING):
        found, chosen = measured(card, own)
    assert found == contents(second.test) - contents(first.train) - contents(first.valid)
    assert chosen.trained_on == len(contents(second.train) | contents(first.train)) and caplog.messages == []
    with caplog.at_level(logging.WARNING):
        measured(card, divided)  # divided by hand: measured as it is, and said to look too good
    leaked = len(contents(second.test) & contents(first.train))
    assert caplog.messages[0].startswith(f"the net was trained on {leaked} of the {len(second.test)} test images, so accuracy ")


def test_validation_images_that_the_parent_was_trained_on_are_warned_of(own, caplog):
    """Another seed holds out other images; those that the parent held out as well do no harm."""
    first, second = (read_splits(config_of(own, seed=seed, valid_fraction=0.4)) for seed in (1, 2))
    with caplog.at_level(logging.WARNING):
        seen.warn_of_seen(second.valid, seen_by(card_of(first)), "pretrained=a.ckpt", "validation")
        seen.warn_of_seen(second.test, seen_by(card_of(first)), "pretrained=a.ckpt")
    [line] = caplog.messages
    leaked = len(contents(first.train) & contents(second.valid))
    assert 0 < leaked < len(second.valid)
    assert line.startswith(f"pretrained=a.ckpt was trained on {leaked} of the {len(second.valid)} validation images, so ")


def test_after_additions_the_test_images_of_a_net_and_of_its_parent_are_unseen_by_both(own):
    first = read_splits(config_of(own))
    parent = card_of(first)
    grow(own.parent / "more", {"cat": photos(3000), "dog": photos(4000)})
    for file in (own.parent / "more").rglob("*.ppm"):
        shutil.copy(file, own / file.parent.name / f"new{file.name}")
    second = read_splits(config_of(own))
    assert contents(first.test) < contents(second.test)
    assert set(seen_by(parent).of(second.test.digests())) == {""}
    assert seen_by(card_of(second, parent)).train >= seen_by(parent).train
    assert measured(card_of(second, parent), own)[0] == contents(second.test)


def old(card, **fields):
    """The card, with these fields besides, as an older version wrote it."""
    return Card({name: value for name, value in {**card, **fields}.items() if name != "seen_images"})


CANNOT_KNOW = "the card does not say which images the net was trained on, as those of older versions of mindclf do not: whether"


def test_an_old_card_measures_as_before_and_says_what_cannot_be_known(own, tmp_path, caplog):
    """Every 5th by name of the folder that it was trained on, or of one with as many images; all of any other."""
    card = old(card_of(read_splits(config_of(own))))
    every_5th = {file.read_bytes() for name in ("cat", "dog") for file in sorted((own / name).iterdir())[4::5]}
    moved = shutil.copytree(own, tmp_path / "moved")
    (own / "dog" / "29.ppm").unlink()  # the last one, a 30th: of another number now, but where it was
    fewer = shutil.copytree(own, tmp_path / "fewer")
    with caplog.at_level(logging.WARNING):
        assert measured(card, moved) == (every_5th, Chosen(False))
        assert measured(card, own) == (every_5th - {(moved / "dog" / "29.ppm").read_bytes()}, Chosen(False))
        assert measured(card, fewer) == ({file.read_bytes() for file in own.rglob("*.ppm")}, Chosen(True))
    assert len(caplog.messages) == 3 and all(message.startswith(CANNOT_KNOW) for message in caplog.messages)


def test_a_parent_without_digests_is_named(own, caplog):
    splits = read_splits(config_of(own))
    card = card_of(splits, old(card_of(splits)), "old.ckpt")
    with caplog.at_level(logging.WARNING):
        measured(card, own)
    assert caplog.messages == ["the card of old.ckpt, which the net came from, does not say which images that was trained on: "
                               "whether these are among them cannot be known"]
    grandchild = card_of(splits, card, "child.ckpt")
    assert grandchild["seen_images"]["parents_unknown"] == ["old.ckpt"]
    named = card_of(splits, old(card_of(splits), config={"dataset": "garbage26"}))
    assert "parents_unknown" not in named["seen_images"]


def test_more_images_than_a_card_holds_are_not_kept_and_that_is_said(own, monkeypatch, caplog):
    monkeypatch.setattr(seen, "MAX_IMAGES", 10)
    assert seen_images(read_splits(config_of(own)), {}, "") == {}
    assert "these are more than 10 images: the card does not keep which they are" in caplog.text


def test_as_many_as_a_card_holds_fit_into_it():
    kept = {"train": "A" * 8 * seen.MAX_IMAGES, "validation": "", "test": ""}
    assert len(json.dumps({**CARD, "seen_images": kept})) < 2**24 / 2


def test_a_net_of_raw_pixels_has_seen_no_files():
    assert seen_by({"raw_size": [32, 32]}) == Seen() and seen_by({"raw_size": []}) is None
