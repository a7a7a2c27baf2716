"""Which weights a run starts from."""

from pathlib import Path

import pytest

from mindclf import pretrained
from mindclf.config import merge
from mindclf.pretrained import GARBAGE_SORTER, find_pretrained, named_checkpoint


@pytest.fixture
def no_imagenet(monkeypatch):
    monkeypatch.setattr(pretrained, "find_imagenet_mobilenet_v2", lambda: None)


@pytest.mark.usefixtures("no_imagenet")
@pytest.mark.parametrize("dataset", ["", "garbage26"])
def test_the_garbage_sorter_stands_in_for_imagenet(dataset):
    path, origin = find_pretrained(merge({"dataset": dataset, "pretrained": "imagenet"}, {}))
    assert (path, origin) == (GARBAGE_SORTER, "the backbone of mindclf's own garbage sorter") and path.is_file()


@pytest.mark.usefixtures("no_imagenet")
@pytest.mark.parametrize("dataset", ["flowers102", "caltech16"])
def test_nothing_stands_in_where_results_are_compared(dataset):
    with pytest.raises(ValueError, match=r"^no ImageNet weights can be downloaded: put mobilenetV2-200_1067.ckpt or "):
        find_pretrained(merge({"dataset": dataset, "pretrained": "imagenet"}, {}))


def test_a_checkpoint_of_mindclf_is_known_by_its_name():
    assert named_checkpoint("garbage26_mobilenet_v2") == GARBAGE_SORTER
    assert named_checkpoint("outputs/run/best.ckpt") == Path("outputs/run/best.ckpt")
