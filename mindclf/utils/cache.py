"""The cache: one folder for what is downloaded, converted or computed once, wherever a command is run."""

import contextlib
import os
from pathlib import Path

import platformdirs

from mindclf.utils.claim import waiting_for
from mindclf.utils.files import CannotWrite

VARIABLE = "MINDCLF_CACHE_DIR"
_chosen = ""  # the field cache_dir of the config in use


def use_cache(folder):
    """Has this process use the cache that the field cache_dir names; for "" see `cache_folder`."""
    global _chosen
    _chosen = folder


def cache_folder():
    """The folder of the cache, which need not be there: cache_dir, else $MINDCLF_CACHE_DIR, else mindclf/ in the user's cache.

    It has data/ for data sets and weights that are downloaded or drawn, weights/ for those that are converted, and features/.
    """
    named = _chosen or os.environ.get(VARIABLE)
    return Path(named).expanduser() if named else platformdirs.user_cache_path("mindclf", appauthor=False)


def feature_folder(feature_cache):
    """The folder for stored features that the field feature_cache names, "auto" in the cache; None for "", which stores none."""
    if not feature_cache:
        return None
    return cache_folder() / "features" if feature_cache == "auto" else Path(feature_cache)


@contextlib.contextmanager
def adding_to(folder):
    """Has `folder`, in the cache, for this command alone while the block runs: others that would add to it wait.

    CannotWrite says besides how another cache is named.
    """
    try:
        with waiting_for(folder):
            yield
    except CannotWrite as error:
        raise CannotWrite(f"{error}; cache_dir or {VARIABLE} names another cache") from None
