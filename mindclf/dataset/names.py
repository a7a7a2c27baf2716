"""What names of files and folders mean: which are ignored, and which folders are for training, validation and testing."""

import functools
import logging
import re
from collections import Counter

from mindclf.utils.files import one_line

log = logging.getLogger(__name__)

# What systems and services leave in folders of images, besides hidden files. From the exclude lists of .gitignore templates, of
# backups and of file synchronisation; without what somebody may call a class, such as "Recovery" or "Recycler".
LEFT_BEHIND = (
    "Thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "$RECYCLE.BIN", "System Volume Information",  # Windows
    "hiberfil.sys", "pagefile.sys", "swapfile.sys",
    "__MACOSX", "Icon\r", "Icon\uf00d", "Icon␍", "Network Trash Folder", "Temporary Items",  # macOS; Icon\r as others spell it
    "lost+found", "LOST.DIR",                                                 # Linux, Android
    "@eaDir", "@tmp", "#recycle", "@sharebin", "#snapshot", "@sharesnap",     # Synology
    "@Recycle", "@Recently-Snapshot", "@Transcode", "~snapshot",              # QNAP, NetApp
    "Picasa.ini", "ZbThumbnail.info", "photothumb.db",                        # programs for photos
    "__pycache__",
)
LEFT_BEHIND_LIKE = {  # how a message calls them: a pattern without groups of the whole name, in lower case
    "FOUND.000": r"found\.\d{3}",                      # lost files that Windows found
    "*:Zone.Identifier": r".*zone\.identifier",        # streams of NTFS that a copy made files of
    "Thumbs.db:encryptable": r".*:encryptable",
    "*@SynoEAStream": r".*@syno(?:eastream|resource)",   # the same of Synology
    "~$*": r"~\$.*",                                   # locks of an office program
}
KINDS = {name.casefold(): name for name in LEFT_BEHIND}
LIKE = re.compile("|".join(f"({pattern})" for pattern in LEFT_BEHIND_LIKE.values()))

SPLIT_WORDS = {"train": "train", "training": "train", "训练": "train", "训练集": "train",
               "test": "test", "testing": "test", "测试": "test", "测试集": "test",
               "val": "valid", "valid": "valid", "validation": "valid", "dev": "valid", "验证": "valid", "验证集": "valid"}


def is_ignored(name):
    """Whether a file or folder of this name is ignored: hidden, or left behind by a system. Case does not matter."""
    return name.startswith(".") or bool(_kind(name))


def say_ignored(folder, names):
    """Logs, once, how many of `names` in `folder` are ignored although people see them: all but the hidden ones."""
    counts = Counter(filter(None, map(_kind, names)))
    if counts:
        shown = ", ".join(f"{count} {one_line(kind)}" for kind, count in sorted(counts.items()))
        _say(f"ignored in {one_line(folder)}, as left behind by systems: {shown}")


def split_of(name):
    """(split, affix) of a folder that is called after a split, else None.

    The split is "train", "valid" or "test", by one of SPLIT_WORDS in any case. The affix is what the name has besides that word:
    seg_train and seg_test have the same, and so have training_set and test_set.
    """
    words = re.split(r"[\W_]+", name.casefold())
    splits = [SPLIT_WORDS[word] for word in words if word in SPLIT_WORDS]
    if len(splits) != 1:
        return None
    return splits[0], tuple(None if word in SPLIT_WORDS else word for word in words)


def _kind(name):
    """How a message calls the kind of what a system left behind under this name; "" for other names."""
    name = name.casefold()
    like = LIKE.fullmatch(name)
    return list(LEFT_BEHIND_LIKE)[like.lastindex - 1] if like else KINDS.get(name, "")


@functools.cache
def _say(text):
    """Logs `text` the first time: a folder is looked through more than once in a run."""
    log.warning("%s", text)
