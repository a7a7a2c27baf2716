"""The registry: what each row promises, and that a data set is one row and one finder."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import mindclf.dataset
from mindclf.card import Card
from mindclf.checkpoint import read_card
from mindclf.cli import main
from mindclf.config import merge
from mindclf.dataset.locate import Found
from mindclf.dataset.registry import DATA_SETS, DataSet, class_names
from mindclf.dataset.samples import sample_images
from mindclf.doctor import describe, examine
from mindclf.labels import number_classes
from mindclf.train import fit
from tests.conftest import TINY_NET
from tests.test_checkpoint import CARD

pytestmark = pytest.mark.usefixtures("uncompiled")


def find_toy(only_on_disk=False):
    """The finder of a made-up data set, in the working folder."""
    folder = Path("toys")
    if folder.is_dir() or only_on_disk:
        return Found(folder, "three colours") if folder.is_dir() else None
    raise ValueError("the toys are not in toys/")


@pytest.fixture
def toy(colour_folder, tmp_path, monkeypatch):
    """A made-up data set called "toy": a row, and `find_toy`; the working folder has its images."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MINDCLF_DATA", "")
    Path("toys").symlink_to(colour_folder)
    monkeypatch.setitem(DATA_SETS, "toy", DataSet(number_classes(["green", "blue", "red"]), f"{__name__}:find_toy", "toys",
                                                  class_names=("grass", "sky", "fire")))
    return dict(dataset="toy", image_height=32, image_width=32, batch_size=6, net_options=TINY_NET, epochs=1, output="run",
                valid_fraction=0.2, device_target="CPU")


def test_a_data_set_is_one_row_and_one_finder(toy, capsys):
    """Its name is known to the config, to training, evaluation, prediction, samples and the doctor."""
    fitted = fit(merge({}, toy))
    card = read_card(fitted.checkpoint)
    assert (fitted.data_origin, fitted.classes) == ("three colours", ("grass", "sky", "fire"))
    assert (card["classes"], card["class_folders"]) == (["grass", "sky", "fire"], ["green", "blue", "red"])
    assert [card["data"][part] for part in ("train", "held_out", "test")] == [24, 6, 9]
    assert main(["eval", "--json", "--checkpoint", str(fitted.checkpoint), "dataset=toy"]) == 0
    measured = json.loads(capsys.readouterr().out)
    assert (measured["data"], measured["images"], measured["top1"]) == ("three colours", 9, round(fitted.report.top1, 6))
    images, origin = sample_images(Card({**CARD, "config": {"dataset": "toy"}, "data": {"origin": "three colours"}}), 4)
    assert (len(images), origin) == (4, "three colours")
    facts = examine()
    assert facts["data"]["toys"] == "toys" and dict(describe(facts))["toys"] == "toys"


def test_a_data_set_that_is_not_on_disk_says_what_its_finder_says(toy, capsys):
    Path("toys").unlink()
    assert main(["train", *(f"{name}={value}" for name, value in toy.items())]) == 2
    assert capsys.readouterr().err.endswith("mindclf: the toys are not in toys/\n")
    assert dict(describe(examine()))["toys"].endswith("; there is no download")


def test_an_unknown_name_lists_those_that_are_known(toy):
    with pytest.raises(ValueError) as raised:
        merge({}, {"dataset": "toys"})
    assert str(raised.value) == ("dataset='toys' is not known; expected one of '', 'garbage26', 'cifar10', 'flowers102', "
                                 "'caltech16', 'flower_photos', 'toy'")


@pytest.mark.parametrize("name", DATA_SETS)
def test_a_row_is_whole(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MINDCLF_DATA", "")
    row = DATA_SETS[name]
    assert sorted(row.class_index.values()) == list(range(len(row.class_index)))
    assert not row.class_names or len(set(row.class_names)) == len(row.class_index)
    assert len(class_names(name, row.class_index)) == len(row.class_index)
    assert bool(row.reader) == bool(row.origin_of) == bool(row.raw_size)
    assert row.title and row.division and row.note
    assert row.find(only_on_disk=True) is None  # and downloads nothing: the cache of the tests is empty
    assert list(tmp_path.iterdir()) == []


def test_titles_are_distinct():
    assert len({row.title for row in DATA_SETS.values()}) == len(DATA_SETS)


def test_other_data_sets_have_the_names_of_their_folders():
    assert class_names("", ("1", "10")) == class_names("garbage26", ("1", "10")) == ("1", "10")


def test_the_rows_are_read_without_numpy():
    probe = "import sys, mindclf.dataset.registry; print(sorted({'numpy', 'mindspore', 'PIL'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_every_public_name_of_the_package_is_there_at_its_first_use():
    for name in mindclf.dataset.__all__:
        assert getattr(mindclf.dataset, name).__name__ == name
    with pytest.raises(AttributeError, match="has no attribute 'create_data'"):
        mindclf.dataset.create_data  # noqa: B018
