"""Cards: what is read is fit for use or refused in one line, what is written is read again, and names come from the card."""

import contextlib
import hashlib
import json
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mindspore.nn.utils import no_init_parameters

from mindclf.card import OF_CLASSES, Card, card_path, read_card
from mindclf.checkpoint import CHECKPOINTS, save_checkpoint
from mindclf.labels import CATEGORIES, CIFAR10_CHINESE, GARBAGE, ClassLabel, class_labels
from mindclf.nets import create_net
from mindclf.preprocessing import Preprocessing, Reading
from tests.test_checkpoint import CARD, small_net


@pytest.mark.parametrize(("content", "message"), [
    ("{", "is not a card"),
    ("[]", "expected a JSON object"),
    (json.dumps({**CARD, "format": 1}), "'weights_sha256' must be of type str"),
    (json.dumps({**CARD, "format": 1, "classes": "abc", "weights_sha256": ""}), "'classes' must be of type list"),
    (json.dumps({**CARD, "format": 99, "weights_sha256": ""}), "format 99"),
    ("[" * 100_000, "is not a card: maximum recursion depth"),
    ('{"format": ' + "9" * 5000 + "}", "is not a card: Exceeds the limit"),
    ("{" + " " * 2**24 + "}", "is not a card: it is larger than 16 MiB"),
    *((json.dumps({**CARD, "format": 1, "weights_sha256": "", **fields}), message) for fields, message in [
        ({"format": True}, "'format' must be of type int, received True"),
        ({"format": 0}, "has format 0"),
        ({"classes": ["a", 7]}, "'classes' must hold names of one line, received 7"),
        ({"classes": ["a", "b\nc"]}, "'classes' must hold names of one line"),
        ({"class_folders": ["a"]}, "'class_folders' must be as many as the 3 classes"),
        ({"classes_chinese": ["a", "b"]}, "'classes_chinese' must be as many as the 3 classes"),
        ({"categories": "abc"}, "'categories' must be of type list, received 'abc'"),
        ({"categories_chinese": ["a", "b", None]}, "'categories_chinese' must hold names of one line, received None"),
        ({"image_height": 10**9}, "image_height=1000000000 must lie between 32 and 4096"),
        ({"image_width": -1}, "image_width=-1 must lie between 32 and 4096"),
        ({"mean": [1, 2]}, r"mean=\(1, 2\) must have 3 numbers"),
        ({"mean": [1, 2, "3"]}, "mean=.* must be numbers"),
        ({"std": [1, 2, float("nan")]}, "std=.* must be numbers"),
        ({"std": [1, 2, 0]}, r"std=\(1, 2, 0\) must be numbers between 0.001 and 255"),
        ({"mean": [1, 2, 256]}, r"mean=\(1, 2, 256\) must be numbers between 0 and 255"),
        ({"std": []}, "mean and std belong together"),
        ({"crop_share": 0}, "crop_pct=0.0 must lie between 0.1 and 1"),
        ({"crop_share": "1"}, "'crop_share' must be of type number, received '1'"),
        ({"raw_size": [32]}, "'raw_size' must be a height and a width"),
        ({"raw_size": [32, 10**9]}, "'raw_size' must be a height and a width"),
        ({"raw_size": "32"}, "'raw_size' must be of type list"),
        ({"config": []}, "'config' must be of type dict"),
        ({"config": {"dataset": []}}, r"'config.dataset' must be of type str, received \[\]"),
        ({"data": {"path": 7}}, "'data.path' must be of type str, received 7"),
        ({"data": {"train": "many"}}, "'data.train' must be of type int, received 'many'"),
        ({"speed": [{"phase": 1, "images_per_second": "many", "data_share": 0}]},
         "'speed' must hold numbers phase, images_per_second, data_share, received {'phase': 1, "),
        ({"speed": [7]}, "'speed' must hold numbers .*, received 7"),
        ({"stopped_early": [{"phase": 1}]}, "'stopped_early' must hold numbers phase, epoch, planned_epochs, received"),
        ({"stopped_early": {"phase": 1}}, "'stopped_early' must be of type list"),
        ({"metrics": {"out of fold": 0.9}}, "'metrics' must hold numbers top1 and images of 'out of fold', received 0.9"),
        ({"metrics": {"test": {"top1": "0.9"}}}, "'metrics' must hold numbers top1 and images of 'test', received"),
        ({"exported": {"with_preprocessing": 1}}, "'exported.with_preprocessing' must be of type bool, received 1"),
        ({"data": {"test": 0.5}}, "'data.test' must be of type int, received 0.5"),
        ({"seen_images": []}, "'seen_images' must be of type dict"),
        ({"seen_images": {"train": "", "validation": ""}}, "'seen_images.test' must hold 8 characters of base64 an image"),
        ({"seen_images": {"train": "AAAAAAA", "validation": "", "test": ""}}, "'seen_images.train' must hold 8 characters"),
        ({"seen_images": {"train": "", "validation": "AAAA-AAA", "test": ""}}, "'seen_images.validation' must hold 8 characters"),
        ({"seen_images": {"train": "", "validation": "", "test": "", "parents_unknown": ["a\nb"]}},
         "'seen_images.parents_unknown' must hold names of one line"),
        ({"exported": {"batch_size": 0}}, "'exported.batch_size' must lie between 1 and 65536, received 0"),
    ]),
])
def test_a_card_that_is_none_says_why(tmp_path, content, message):
    path = save_checkpoint(small_net(), tmp_path / "net.ckpt", CARD)
    card_path(path).write_text(content)
    with pytest.raises(ValueError, match=message):
        read_card(path)


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.sampled_from([1, 32, 4096, "a"])),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=2)), max_leaves=5)
FIELDS = [*CARD, *OF_CLASSES, "format", "weights_sha256", "crop_share", "raw_size", "config", "metrics", "data", "exported",
          "speed", "seen_images", "other"]


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=2), st.sets(st.sampled_from(FIELDS), max_size=1))
def test_a_card_is_refused_in_one_line_or_fit_for_use(changed, missing):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.ckpt"
        path.write_bytes(b"weights")
        card = {**CARD, "format": 1, "weights_sha256": hashlib.sha256(b"weights").hexdigest(), **changed}
        card_path(path).write_text(json.dumps({name: value for name, value in card.items() if name not in missing}))
        try:
            read = read_card(path)
        except ValueError as error:
            assert str(error).startswith(str(path)) and "\n" not in str(error) and len(str(error)) < 1000
            return
    assert all(type(name) is str for name in read["classes"])
    assert all(32 <= read[side] <= 4096 and type(read[side]) is int for side in ("image_height", "image_width"))
    for name in ("mean", "std"):
        assert len(read[name]) in (0, 3) and np.isfinite(np.array(read[name], float)).all()
    assert all(value > 0 for value in read["std"])
    assert len(read.labels) == len(read.classes) and read.preprocessing.size == (read["image_height"], read["image_width"])
    assert 0.1 <= read.get("crop_share", 1) <= 1
    assert len(read.get("raw_size", ())) in (0, 2) and all(type(side) is int and side > 0 for side in read.get("raw_size", ()))
    if {"net", "net_options"} & changed.keys():
        with contextlib.suppress(ValueError), no_init_parameters():  # what is wrong with these is create_net's to say
            create_net(read["net"], 3, **read["net_options"])


def test_a_card_keeps_names_that_are_no_utf_8(tmp_path):
    """As folders from an archive of another encoding have them."""
    folder = os.fsdecode(b"caf\xe9")
    path = save_checkpoint(small_net(), tmp_path / "net.ckpt", {**CARD, "command": f"mindclf train {folder}"})
    assert read_card(path)["command"] == f"mindclf train {folder}"


def test_a_card_that_is_none_is_not_written(tmp_path):
    path = save_checkpoint(small_net(), tmp_path / "net.ckpt", {**CARD, "seed": 1})
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    for card, message in (({}, "net.ckpt.json: field 'net' must be of type str, received None"),
                          ({**CARD, "crop_share": 2}, "net.ckpt.json: crop_pct=2.0 must lie between 0.1 and 1")):
        with pytest.raises(ValueError, match=message):
            save_checkpoint(small_net(), path, card)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_unknown_fields_and_the_order_of_all_are_kept(tmp_path):
    fields = {"zebra": [1, {"a": None}], **dict(reversed(CARD.items())), "apple": "x"}
    path = save_checkpoint(small_net(), tmp_path / "net.ckpt", Card(fields))
    assert list(read_card(path)) == [*fields, "format", "weights_sha256"]
    assert {name: read_card(path)[name] for name in fields} == fields
    assert json.loads(card_path(path).read_text(encoding="utf-8")) == read_card(path)


LABELS = (ClassLabel("Can", "易拉罐", "recyclable", "可回收物"), ClassLabel("Ship", "船"), ClassLabel("Paper"))


@pytest.mark.parametrize("preprocessing", [
    Preprocessing((64, 48), 0.5, (1.0, 2.0, 3.0), (4.0, 5.0, 6.0), (32, 32), Reading(white=4095.0)), Preprocessing((32, 32))])
def test_a_card_says_what_it_was_made_from(preprocessing):
    made = Card.describing("resnet18", {"dropout": 0.5}, LABELS, preprocessing, ["1", "2", "3"])
    card = Card.parse(json.dumps({**made, "format": 1, "weights_sha256": ""}), "card")
    assert (card.net, card.net_options, card.labels, card.preprocessing) == ("resnet18", {"dropout": 0.5}, LABELS, preprocessing)
    assert (card.classes, card.class_folders) == (("Can", "Ship", "Paper"), ("1", "2", "3"))
    assert (card.dataset, card.data) == ("", {})


def old_card(names, **fields):
    """A card as mindclf wrote it when it took Chinese names and bins by the name alone, for classes of any origin."""
    known = {english: (chinese, CATEGORIES[category][0]) for english, chinese, category in GARBAGE}
    return Card({**CARD, "classes": names, "classes_chinese": [known.get(name, ("", ""))[0] for name in names],
                 "categories": [known.get(name, ("", ""))[1] for name in names], **fields})


def test_of_an_old_card_names_and_bins_are_those_of_its_data_set():
    """Also where it is not named, but has all of that data set's classes; a class of one's own has its name alone."""
    own = ["Battery", "Paper", "Wood"]
    everything = [english for english, _, _ in GARBAGE]
    assert old_card(own).labels == tuple(map(ClassLabel, own))
    assert old_card(own, config={"dataset": "garbage26"}).labels == class_labels(own, "garbage26") != class_labels(own)
    assert old_card(sorted(everything)).labels == class_labels(sorted(everything), "garbage26")
    assert [label.chinese for label in old_card(list(CIFAR10_CHINESE)).labels] == list(CIFAR10_CHINESE.values())


def test_the_checkpoints_that_come_along_know_chinese_names_and_bins():
    chinese = {english: category for category, (english, _) in CATEGORIES.items()}
    for file in CHECKPOINTS.glob("*.ckpt"):
        card = read_card(file)
        assert [label.chinese for label in card.labels] == card["classes_chinese"] and all(card["classes_chinese"])
        assert [label.category for label in card.labels] == card["categories"]
        assert [label.category_chinese for label in card.labels] == [chinese.get(name, "") for name in card["categories"]]
