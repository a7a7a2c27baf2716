"""Layouts of folders of images: what is recognised, and what is said of the rest."""

import logging
import shutil
import unicodedata

import pytest

from mindclf.card import Card
from mindclf.config import DEFAULTS, merge
from mindclf.dataset.folder import check_class_index, read_folder
from mindclf.dataset.layout import check_names, class_folders, index_of_folders, split_folders, unwrapped
from mindclf.dataset.samples import sample_images
from mindclf.dataset.split_folder import split_folder
from mindclf.dataset.splits import find_folder, labelled_for, read_splits
from mindclf.dataset.statistics import folder_statistics
from mindclf.inference.sources import gather
from mindclf.own_images import own_images
from mindclf.train.own_folder import prepared
from tests.dataset.test_folder import grow, names, png
from tests.test_checkpoint import CARD

COMPOSED, TAKEN_APART = (unicodedata.normalize(form, "Äpfel") for form in ("NFC", "NFD"))


def images(*places, count=2):
    """{path: content} of `count` images, all different, in each of the folders `places`."""
    return {f"{place}/{number}.png": png() + f"{place} {number}".encode() for place in places for number in range(count)}


def splits_of(folder, classes=("cat", "dog"), valid_fraction=0):
    """How many images of `folder` are for training, validation and testing."""
    fields = {"dataset_path": str(folder), "class_index": list(classes), "valid_fraction": valid_fraction}
    found = read_splits(merge(fields, {}))
    return len(found.train), len(found.valid), len(found.test)


def measured(folder, classes=("cat", "dog")):
    """The test images of `folder` for a net that knows `classes`, as (path below the folder, label)."""
    config = merge({"dataset_path": str(folder)}, {})
    return names(labelled_for({"classes": list(classes)}, find_folder(config)[0], "test", config), folder)


LITTER = {"@eaDir/x.jpg@SynoEAStream": b"x", "thumbs.db": b"x", "Desktop.ini": b"x", "Icon\r": b"", "#recycle/old.jpg": b"x",
          "lost+found/": b"", "$RECYCLE.BIN/x.jpg": b"x", ".ipynb_checkpoints/a.png": b"x"}


@pytest.fixture
def littered(tmp_path):
    """Ten images of two classes each, and what systems leave in all three folders."""
    root = grow(tmp_path / "photos", images("cat", "dog", count=10))
    for place in ("", "cat/", "dog/"):
        grow(root, {f"{place}{name}": content for name, content in LITTER.items()})
    return root


def test_what_systems_leave_behind_is_in_no_command(littered, tmp_path, caplog):
    """Not in training, statistics, a division, prediction, evaluation, nor among the images that an export is checked with."""
    here = [f"{name}/{number}.png" for name in ("cat", "dog") for number in range(10)]
    with caplog.at_level(logging.WARNING):
        assert list(index_of_folders(littered)) == ["cat", "dog"]
        assert sum(splits_of(littered)) == 20
        found = folder_statistics(littered)
        assert (found.counts, found.problems) == ({"all": {"cat": 10, "dog": 10}}, {"all": ()})
        split_folder(littered, tmp_path / "divided")
        moved = [path for path in (tmp_path / "divided").rglob("*") if path.is_file() and path.name != "split.json"]
        assert sorted(f"{path.parent.name}/{path.name}" for path in moved) == here
        assert [name.removeprefix(f"{littered}/") for name, _ in gather([str(littered)])] == here
        assert {path for path, _ in measured(littered)} <= set(here)
        sampled, _ = sample_images(Card({**CARD, "data": {"path": str(littered)}}), 20)
        assert len(sampled) == 20
    told = [message for message in caplog.messages if message.startswith("ignored in ")]
    assert told == [f"ignored in {littered}, as left behind by systems: 3 #recycle, 3 $RECYCLE.BIN, 3 @eaDir, 3 Icon\\r, "
                    f"3 Thumbs.db, 3 desktop.ini, 3 lost+found"]


@pytest.mark.parametrize(("train", "test"), [
    ("train", "test"), ("TRAIN", "TEST"), ("Training", "Testing"), ("seg_train/seg_train", "seg_test/seg_test"),
    ("training_set", "test_set"), ("Train Images", "Test Images"), ("训练集", "测试集"), ("train/TRAIN", "Val")])
@pytest.mark.parametrize("top", ["photos", "photos/photos", "photos/Photos/photos"])
def test_splits_are_told_by_their_names_in_any_case_and_wrapping(tmp_path, top, train, test):
    grow(tmp_path / top, images(f"{train}/cat", f"{train}/dog", count=3))
    grow(tmp_path / top, images(f"{test}/cat", f"{test}/dog", count=1))
    assert splits_of(tmp_path / "photos") == (6, 0, 2)
    assert len(measured(tmp_path / "photos")) == 2
    assert sum(sum(counts.values()) for counts in folder_statistics(tmp_path / "photos").counts.values()) == 8


@pytest.mark.parametrize("valid", ["val", "Valid", "VALIDATION", "dev"])
def test_a_folder_for_validation_is_told_by_its_name(tmp_path, valid):
    grow(tmp_path, images("Train/cat", "Train/dog", count=3) | images(f"{valid}/cat", f"{valid}/dog"))
    assert splits_of(tmp_path) == (6, 0, 4)  # beside none for testing it is that
    grow(tmp_path, images("TEST/cat", "TEST/dog", count=1))
    assert splits_of(tmp_path, valid_fraction=DEFAULTS.valid_fraction) == (6, 4, 2)


def test_classes_that_are_called_as_splits_are_classes(tmp_path):
    grow(tmp_path, images("car", "train", "test", count=5))
    assert split_folders(tmp_path) == {}
    assert sum(splits_of(tmp_path, ("car", "train", "test"))) == 15


@pytest.mark.parametrize("classes", [
    ("covid_test_negative", "covid_test_positive"), ("steam_train", "diesel_train", "electric_train"),
    ("test tube", "train station"), ("train_1", "train_2"), ("val-d-isere", "dev_board"), ("测试_a", "训练_b")])
def test_classes_with_the_word_of_a_split_in_their_names_are_trained_on(tmp_path, classes):
    root = grow(tmp_path / "photos", images(*classes, count=6))
    config = prepared(merge(own_images(str(root)), {}), root)
    assert list(config.class_index) == sorted(classes)
    assert sum(splits_of(root, sorted(classes))) == 6 * len(classes)


@pytest.mark.parametrize("places", [("train", "test"), ("Training", "dev"), ("train", "test_1/a", "valid_x/b")])
def test_folders_for_splits_that_nobody_has_sorted_are_no_classes(tmp_path, places):
    root = grow(tmp_path / "photos", images(*places, count=6))
    with pytest.raises(ValueError, match="but no class folders in them: sort the images of each into class folders, or rename"):
        prepared(merge(own_images(str(root)), {}), root)


def test_a_class_with_a_folder_in_it_is_no_folder_for_testing(tmp_path):
    grow(tmp_path, images("cat", "dog", "test/more"))
    assert split_folders(tmp_path) == {}
    with pytest.raises(ValueError, match="1 problem in .*/test/more is a folder inside a class folder"):
        read_folder(tmp_path, ["cat", "dog", "test"])


def test_a_folder_with_nothing_but_the_word_comes_before_others(tmp_path, caplog):
    grow(tmp_path, images("train/cat", "test/cat", "train_small/cat", "test_small/cat", "pred") | images("extra", count=3))
    assert {split: place.name for split, place in split_folders(tmp_path).items()} == {"train": "train", "test": "test"}
    with caplog.at_level(logging.WARNING):
        splits_of(tmp_path, ["cat"])
    assert caplog.messages == [f"not used in {tmp_path}: extra/ with 3 images in no class folder, pred/ with 2 images in no "
                               f"class folder, test_small/, train_small/"]


@pytest.mark.parametrize(("folders", "split"), [
    (("train", "Training", "test"), "train"), (("train", "test", "testing"), "test"),
    (("train", "val", "valid", "test"), "valid"), (("a_train", "b_train", "a_test"), "train")])
def test_two_folders_for_one_split_are_refused(tmp_path, folders, split):
    grow(tmp_path, images(*(f"{folder}/cat" for folder in folders)))
    with pytest.raises(ValueError, match=rf"^{tmp_path} has (\w+/, )+and it is not clear which one is for {split}: rename"):
        split_folders(tmp_path)


@pytest.mark.parametrize("unlabelled", ["test", "Test/test"])
def test_a_test_folder_without_labels_is_said_and_not_measured(tmp_path, unlabelled, caplog):
    """As competitions give it away: what is on these images nobody tells."""
    grow(tmp_path, images("train/cat", "train/dog", count=5) | images(unlabelled, count=4))
    test = unlabelled.partition("/")[0]
    with pytest.raises(ValueError) as raised:
        splits_of(tmp_path)
    assert str(raised.value) == (f"{tmp_path} has train/ and {test}/ with 4 images in no class folder, and no class folders to "
                                 f"test with: sort them, or give {tmp_path}/train, to be divided")
    assert sum(splits_of(tmp_path / "train")) == 10
    grow(tmp_path, images("valid/cat", "valid/dog", count=1))
    with caplog.at_level(logging.WARNING):
        assert splits_of(tmp_path) == (10, 0, 2)
    assert caplog.messages == [f"not used in {tmp_path}: {test}/ with 4 images in no class folder"]


@pytest.mark.parametrize("test", ["test", "TEST/test", "Val", "seg_test"])
def test_a_folder_for_testing_alone_is_enough_to_measure_and_not_to_train(tmp_path, test):
    grow(tmp_path, images(f"{test}/cat", f"{test}/dog"))
    assert measured(tmp_path) == [(f"{test}/{name}/{number}.png", label) for label, name in enumerate(("cat", "dog"))
                                  for number in range(2)]
    with pytest.raises(ValueError, match=r"/ and no train/: mindclf eval can measure with it, but there is nothing to train on"):
        splits_of(tmp_path)


def test_a_folder_for_training_alone_says_what_would_do(tmp_path):
    grow(tmp_path, images("Training/cat", "Training/dog", count=5))
    for look in (splits_of, measured):
        with pytest.raises(ValueError, match="has Training/ and neither test/ nor val/: add one, or give .*/Training, to be"):
            look(tmp_path)
    assert sum(splits_of(tmp_path / "Training")) == 10


def test_a_folder_of_its_own_name_is_unwrapped_if_it_is_all_there_is(tmp_path, monkeypatch):
    beside = {"readme.txt": b"x", "__MACOSX/a.png": b"x"}
    root = grow(tmp_path / "photos", images("Photos/photos/cat", "Photos/photos/dog") | beside)
    inside = root / "Photos" / "photos"
    assert unwrapped(root) == inside and unwrapped(inside) == inside
    monkeypatch.chdir(root)
    assert unwrapped(".").resolve() == inside
    grow(root, {"loose.jpg": png()})
    assert unwrapped(root) == root
    (root / "loose.jpg").unlink()
    grow(root, {"other/": b""})
    assert unwrapped(root) == root


def test_a_link_to_itself_is_not_followed_for_ever(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "photos").symlink_to(tmp_path / "photos")
    assert unwrapped(tmp_path / "photos") == tmp_path / "photos"


@pytest.mark.parametrize(("places", "told"), [
    (["archive/cat", "archive/dog"], "archive/"), (["Trainset/cat", "Testset/cat"], "Testset/, Trainset/"),
    (["archive/train/cat", "archive/test/cat"], "archive/")])
def test_folders_instead_of_images_are_said_with_what_would_do(tmp_path, places, told):
    grow(tmp_path, images(*places))
    for look in (class_folders, index_of_folders, folder_statistics, splits_of, measured):
        with pytest.raises(ValueError) as raised:
            look(tmp_path)
        assert str(raised.value) == (
            f"{tmp_path} has {told}, with folders in it instead of images: give the one that has the class folders, such as "
            f"{tmp_path}/{told.partition('/')[0]}; folders to train and to test with are called train and test, or training, "
            f"testing, val, valid, validation, dev")


@pytest.mark.parametrize(("on_disk", "known"), [(TAKEN_APART, COMPOSED), (COMPOSED, TAKEN_APART)])
def test_a_class_is_the_same_with_letters_composed_or_taken_apart(tmp_path, on_disk, known):
    """macOS takes the letters of names apart; archives and other systems keep them so, or compose them."""
    grow(tmp_path, images(f"train/{known}", "train/cat", f"test/{on_disk}", "test/cat"))
    assert splits_of(tmp_path, ["cat", known]) == splits_of(tmp_path, ["cat", on_disk]) == (4, 0, 4)
    assert [label for path, label in measured(tmp_path, [known, "cat"]) if on_disk in path] == [0, 0]
    assert list(index_of_folders(tmp_path / "train", tmp_path / "test")) == ["cat", COMPOSED]
    assert folder_statistics(tmp_path).counts["test"] == {"cat": 2, COMPOSED: 2}


def test_a_division_spells_folders_as_the_source_does(tmp_path):
    grow(tmp_path / "photos", images(TAKEN_APART, "cat", count=5))
    split_folder(tmp_path / "photos", tmp_path / "divided", every=5)
    for side in ("train", "test"):
        assert sorted(path.name for path in (tmp_path / "divided" / side).iterdir()) == [TAKEN_APART, "cat"]
    assert splits_of(tmp_path / "divided", ["cat", COMPOSED]) == (8, 0, 2)


def test_one_class_in_two_spellings_side_by_side_is_refused(tmp_path):
    grow(tmp_path, images(COMPOSED, TAKEN_APART, "cat"))
    for look in (class_folders, index_of_folders, folder_statistics):
        with pytest.raises(ValueError) as raised:
            look(tmp_path)
        assert str(raised.value) == (f"{tmp_path} has two class folders of one name, A\\u0308pfel and \\xc4pfel: put the images "
                                     f"of both into one")


LOOK_ALIKE = [("Cat", "cat", "Cat and cat"), ("cat", "cat ", "cat and cat\\x20"), ("a b", "a  b", r"a\x20\x20b and a b"),
              ("cat", "ｃａｔ", r"cat and \uff43\uff41\uff54"), ("ﬁsh", "fish", r"fish and \ufb01sh"),
              ("cat", "cat\u200b", r"cat and cat\u200b"), ("Straße", "STRASSE", r"STRASSE and Stra\xdfe"),
              ("a b", "a\u00a0b", r"a b and a\xa0b")]


@pytest.mark.parametrize(("one", "other", "told"), LOOK_ALIKE)
def test_classes_that_look_alike_are_shown_with_escapes(tmp_path, caplog, one, other, told):
    grow(tmp_path, images(one, other, "dog"))
    with pytest.raises(ValueError) as raised:
        check_names(tmp_path)
    assert str(raised.value) == (f"{tmp_path} has class folders that look alike, {told}: put their images into one, rename one, "
                                 f"or list all classes in class_index if they are meant to be different")
    with caplog.at_level(logging.WARNING):
        assert len(index_of_folders(tmp_path)) == 3  # who only looks is told
    assert caplog.messages == [f"class folders that look alike: {told}"]
    assert len(read_folder(tmp_path, [one, other, "dog"])) == 6  # who lists them means it


@pytest.mark.parametrize(("one", "other", "told"), LOOK_ALIKE)
def test_a_class_that_looks_like_another_of_training_is_shown_with_escapes(tmp_path, one, other, told):
    grow(tmp_path, images(f"train/{one}", "train/dog", f"test/{other}", "test/dog"))
    first, second = sorted(told.split(" and "), key=lambda name: name != escape(other))
    with pytest.raises(ValueError) as raised:
        splits_of(tmp_path, [one, "dog"])
    assert str(raised.value) == (f"{tmp_path}/test has class folders that are not in class_index: {first} (looks like {second}: "
                                 f"rename one)")


def escape(name):
    """As Python itself would write `name` in ASCII, and blanks that are hard to see as what they are in a table of ASCII."""
    return ascii(name)[1:-1].replace("  ", "\\x20\\x20").replace("cat ", "cat\\x20")


def test_letters_of_one_look_in_different_alphabets_are_different_classes(tmp_path):
    """Where a rule would need a list of letters none is tried: a Latin a and a Cyrillic one."""
    grow(tmp_path, images("cаt", "cat"))
    check_names(tmp_path)
    assert len(index_of_folders(tmp_path)) == 2


def test_a_list_of_classes_names_each_once_however_it_is_spelled():
    for listed in ([COMPOSED, TAKEN_APART], {COMPOSED: 0, TAKEN_APART: 1}):
        with pytest.raises(ValueError, match=f"class_index names '{COMPOSED}' more than once"):
            check_class_index(listed)


def test_a_renamed_folder_is_read_again(tmp_path):
    """What was said of a folder is remembered, what is in it is not."""
    grow(tmp_path, images("train/cat", "test/cat"))
    assert len(split_folders(tmp_path)) == 2
    shutil.move(tmp_path / "test", tmp_path / "elsewhere")
    assert len(split_folders(tmp_path)) == 1
