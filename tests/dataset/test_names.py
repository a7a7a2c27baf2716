"""What names of files and folders mean."""

import logging

import pytest

from mindclf.dataset.names import is_ignored, say_ignored, split_of

# Names from .gitignore's templates for macOS, Windows and Dropbox, from the exclude lists of Synology Drive and Nextcloud, and
# from programs that scan shared folders of QNAP's and NetApp's.
LEFT_BEHIND = (
    ".DS_Store", "._photo.jpg", ".AppleDouble", ".Spotlight-V100", ".Trashes", ".fseventsd", "__MACOSX", "Icon\r",
    "Network Trash Folder", "Temporary Items", "Thumbs.db", "Thumbs.db:encryptable", "ehthumbs.db", "Desktop.ini",
    "$RECYCLE.BIN", "System Volume Information", "photo.jpg:Zone.Identifier", "photo.jpg.Zone.Identifier", "lost+found",
    "LOST.DIR", "FOUND.000", "found.017", "@eaDir", "@tmp", "#recycle", "#snapshot", "@sharebin", "photo.jpg@SynoEAStream",
    "photo.jpg@SynoResource", "@Recycle", "@Recently-Snapshot", ".@__thumb", "~snapshot", ".snapshot", ".zfs", ".dropbox",
    ".dropbox.cache", ".git", ".ipynb_checkpoints", "__pycache__", "Picasa.ini", "photothumb.db", "~$photos.docx",
)


@pytest.mark.parametrize("change", [str, str.lower, str.upper, str.swapcase])
def test_what_systems_leave_behind_is_ignored_in_any_case(change):
    assert [name for name in LEFT_BEHIND if not is_ignored(change(name))] == []


def test_what_people_call_classes_and_images_is_not_ignored():
    names = ("cat", "Recovery", "Recycler", "recycle", "snapshot", "tmp", "eaDir", "Icon", "Icons", "thumbs", "lost and found",
             "found", "found.0000", "$", "@home", "#1", "__background__", "__class__", "test", "desktop", "~cat", "photo.jpg~",
             "Zone", "encryptable", "垃圾")
    assert [name for name in names if is_ignored(name)] == []


def test_what_is_ignored_is_counted_once_by_kind_unless_hidden(tmp_path, caplog):
    names = ["a.jpg", ".DS_Store", "thumbs.db", "Thumbs.db", "Icon\r", "a.jpg:Zone.Identifier", "b.jpg:Zone.Identifier"]
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            say_ignored(tmp_path, names)
        say_ignored(tmp_path, ["a.jpg", ".DS_Store"])
    assert caplog.messages == [f"ignored in {tmp_path}, as left behind by systems: 2 *:Zone.Identifier, 1 Icon\\r, 2 Thumbs.db"]


@pytest.mark.parametrize(("name", "split", "same_affix"), [
    ("train", "train", "TEST"), ("Training", "train", "validation"), ("TEST", "test", "val"), ("Testing", "test", "dev"),
    ("seg_train", "train", "seg_test"), ("training_set", "train", "test_set"), ("images-Valid", "valid", "images test"),
    ("Train Data", "train", "test_data"), ("训练集", "train", "测试集"), ("验证", "valid", "test")])
def test_a_folder_is_called_after_a_split_by_one_word_in_any_case(name, split, same_affix):
    assert split_of(name)[0] == split
    assert split_of(name)[1] == split_of(same_affix)[1]


def test_affixes_tell_pairs_of_folders_apart():
    affixes = {split_of(name)[1] for name in ("train", "seg_train", "train_seg", "my_seg_train", "猫_train")}
    assert len(affixes) == 5


@pytest.mark.parametrize("name", ["cat", "trains", "trainer", "contest", "latest", "evaluation", "train_test", "train-val",
                                  "seg_pred", "", "_"])
def test_other_names_mean_no_split(name):
    assert split_of(name) is None
