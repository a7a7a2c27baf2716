"""What is downloaded, converted or computed once lies in one cache, whichever folder a command is run in."""

import errno
import threading
import time
from pathlib import Path

import numpy as np
import platformdirs
import pytest

from mindclf import pretrained
from mindclf.checkpoint import card_path, read_card, save_checkpoint
from mindclf.cli import main
from mindclf.config import DEFAULTS
from mindclf.pretrained import converted
from mindclf.train import features, fit
from mindclf.utils import cache
from mindclf.utils.cache import cache_folder, feature_folder, use_cache
from mindclf.utils.files import CannotWrite, sha256
from tests.conftest import ONLY_HEAD
from tests.test_checkpoint import CARD, small_net

pytestmark = pytest.mark.usefixtures("uncompiled")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """An empty working folder, and a cache outside."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "cache"))
    yield tmp_path
    use_cache("")


@pytest.fixture
def conversions(monkeypatch):
    """The files that were converted; of anything a small net is made."""
    sources = []

    def convert(source, destination):
        sources.append(source)
        time.sleep(0.1)
        return save_checkpoint(small_net(), destination, {**CARD, "data": {"sha256": sha256(source)}})

    monkeypatch.setattr(pretrained, "convert", convert)
    return sources


def weights(folder, content="weights"):
    folder.mkdir(exist_ok=True)
    (folder / "slim.npz").write_text(content)
    return folder / "slim.npz"


def test_the_field_wins_over_the_variable_and_both_over_the_system(tmp_path, monkeypatch):
    assert cache_folder() == tmp_path / "cache"
    use_cache(str(tmp_path / "field"))
    assert cache_folder() == tmp_path / "field"
    use_cache("~/mine")
    assert cache_folder() == Path.home() / "mine"
    use_cache("")
    for nothing in ("", None):
        monkeypatch.setenv(cache.VARIABLE, "") if nothing == "" else monkeypatch.delenv(cache.VARIABLE)
        assert cache_folder() == platformdirs.user_cache_path("mindclf", appauthor=False)


def test_features_lie_in_the_cache_unless_a_folder_is_named_or_none(tmp_path):
    assert feature_folder(DEFAULTS.feature_cache) == tmp_path / "cache" / "features"
    assert feature_folder("outputs/features") == Path("outputs/features")
    assert feature_folder("") is None


def test_weights_are_converted_once_into_the_cache(tmp_path, conversions):
    source = weights(tmp_path / "data")
    path = converted(source)
    assert path.parent == tmp_path / "cache" / "weights" and converted(source) == path
    assert len(conversions) == 1 and list(Path().iterdir()) == []
    assert sorted(file.name for file in path.parent.iterdir()) == [path.name, card_path(path).name]


def test_other_weights_of_the_same_name_are_others(tmp_path, conversions):
    """As two projects may have; even if the file is older than what was converted."""
    first, second = (converted(weights(tmp_path / name, name)) for name in ("one", "two"))
    assert first != second and len(conversions) == 2
    for path, name in ((first, "one"), (second, "two")):
        assert read_card(path)["data"]["sha256"] == sha256(tmp_path / name / "slim.npz")


def test_what_was_converted_into_data_is_still_found(tmp_path, conversions):
    source = weights(tmp_path / "data")
    old = save_checkpoint(small_net(), Path("data") / "slim.ckpt", {**CARD, "data": {"sha256": sha256(source)}})
    assert converted(source) == old and conversions == []
    source.write_text("other weights")
    assert converted(source) != old and len(conversions) == 1


def test_damaged_weights_in_the_cache_are_converted_again(tmp_path, conversions):
    source = weights(tmp_path / "data")
    path = converted(source)
    path.write_bytes(path.read_bytes()[:-9])
    assert read_card(converted(source))["net"] == CARD["net"] and len(conversions) == 2


def test_commands_that_want_the_same_weights_wait_for_the_first(tmp_path, conversions):
    source, found = weights(tmp_path / "data"), []
    threads = [threading.Thread(target=lambda: found.append(converted(source))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert len(conversions) == 1 and len(found) == 3 and len(set(found)) == 1


def test_a_cache_that_cannot_be_written_says_how_another_is_named(tmp_path, conversions):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(CannotWrite, match="cannot be written: .*; cache_dir or MINDCLF_CACHE_DIR names another cache$"):
        converted(weights(tmp_path / "data"))


def test_features_that_cannot_be_stored_cost_a_warning_and_not_the_run(tiny_config, monkeypatch, caplog):
    def refuse(path, **arrays):
        raise OSError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(features, "write_arrays", refuse)
    assert fit({**tiny_config, **ONLY_HEAD, "epochs": 1}).checkpoint.is_file()
    said = [message for message in caplog.messages if "features are not stored" in message]
    assert said and "Permission denied" in said[0]


def test_features_are_whole_whenever_another_run_stores_the_same(tmp_path):
    file, rows = tmp_path / "features.npz", np.arange(60_000, dtype=np.float32).reshape(-1, 6)
    features._store(file, rows, np.arange(len(rows)))
    writer = threading.Thread(target=lambda: [features._store(file, rows, np.arange(len(rows))) for _ in range(20)])
    writer.start()
    while writer.is_alive():
        read, labels = features._read(file)
        np.testing.assert_array_equal(read, rows)
        np.testing.assert_array_equal(labels, np.arange(len(rows)))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["features.npz", "here"]


def test_one_field_moves_all_that_a_run_keeps_out_of_its_output(tiny_config, tmp_path):
    """The working folder stays empty, and so does the cache that the system has."""
    config = {**tiny_config, **ONLY_HEAD, "epochs": 1, "feature_cache": "auto", "cache_dir": str(tmp_path / "moved")}
    fit(config)
    assert len(list((tmp_path / "moved" / "features").glob("*.npz"))) == 2  # of the training and the held-out images
    assert list(Path().iterdir()) == [] and not (tmp_path / "cache").exists()


@pytest.mark.parametrize("field", ["output", "cache_dir", "feature_cache"])
def test_what_would_become_a_class_is_refused(field, colour_folder, tmp_path, capsys):
    place = colour_folder / "train" / "more"
    others = [f"{name}={tmp_path / name}" for name in ("output", "cache_dir", "feature_cache") if name != field]
    assert main(["train", str(colour_folder / "train"), f"{field}={place}", *others]) == 2
    assert f"mindclf: {field}={place} lies in {place.parent}, where it would be a class" in capsys.readouterr().err
    assert not place.exists()
