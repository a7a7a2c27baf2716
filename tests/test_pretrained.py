"""Which weights a run starts from."""

import zipfile
from pathlib import Path

import mindspore as ms
import pytest

from mindclf import pretrained, published
from mindclf.checkpoint import GARBAGE_SORTER, named_checkpoint
from mindclf.config import merge
from mindclf.dataset import locate
from mindclf.dataset.seen import seen_by
from mindclf.nets import MobileNetV2Backbone
from mindclf.pretrained import find_pretrained, parent_card, start_net


@pytest.fixture
def no_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MINDCLF_DATA", raising=False)
    monkeypatch.setenv("MINDCLF_CACHE_DIR", "cache")


@pytest.fixture
def no_imagenet(monkeypatch, no_files, closed_url):
    """Neither on disk nor on the network."""
    monkeypatch.setattr(pretrained, "find_imagenet_mobilenet_v2", lambda check: None)
    nowhere = (closed_url.replace("http:", "https:") + "/",)
    monkeypatch.setattr(published, "ADDRESSES", dict.fromkeys(published.ADDRESSES, nowhere))


@pytest.mark.usefixtures("no_imagenet")
@pytest.mark.parametrize("dataset", ["", "garbage26"])
def test_the_garbage_sorter_stands_in_for_imagenet(dataset):
    path, origin = find_pretrained(merge({"dataset": dataset, "pretrained": "imagenet"}, {}))
    assert (path, origin) == (GARBAGE_SORTER, "the backbone of mindclf's own garbage sorter") and path.is_file()


@pytest.mark.usefixtures("no_imagenet")
def test_what_the_stand_in_has_seen_counts_as_seen():
    """It was trained on 2,181 photos. The net of a fold, which starts as that of the run did, does not ask the network again."""
    _, config, _ = start_net(merge({"pretrained": "imagenet"}, {}), 3)
    assert config.pretrained == "garbage26_mobilenet_v2"
    assert len(seen_by(parent_card(config)).train) == 2181


@pytest.mark.usefixtures("no_imagenet")
@pytest.mark.parametrize("dataset", ["flowers102", "caltech16"])
def test_nothing_stands_in_where_results_are_compared(dataset):
    with pytest.raises(ValueError, match=r"^ImageNet weights of mobilenet_v2 are not on disk, and cannot be downloaded: get "):
        find_pretrained(merge({"dataset": dataset, "pretrained": "imagenet"}, {}))


def test_a_checkpoint_of_mindclf_is_known_by_its_name():
    assert named_checkpoint("garbage26_mobilenet_v2") == GARBAGE_SORTER
    assert named_checkpoint("outputs/run/best.ckpt") == Path("outputs/run/best.ckpt")


@pytest.mark.parametrize(("width_mult", "says"), [(1.0, None), (0.5, "mobilenet.ckpt does not fit the net: ")])
def test_downloaded_weights_are_those_of_the_backbone(server, no_files, monkeypatch, caplog, width_mult, says):
    url = f"{server.url}/weights.zip"
    monkeypatch.setattr(locate, "IMAGENET_URL", url)
    ms.save_checkpoint(MobileNetV2Backbone(width_mult=width_mult), "mobilenet.ckpt")
    with zipfile.ZipFile("weights.zip", "w") as archive:
        archive.write("mobilenet.ckpt", "mobilenetV2-200_1067/mobilenet.ckpt")
    server.files["/weights.zip"] = Path("weights.zip").read_bytes()
    config = merge({"pretrained": "imagenet"}, {})
    if says:
        with pytest.raises(ValueError, match=f"^{url} is not what it should be, and was deleted: {says}"):
            find_pretrained(config)
        assert not list(Path("cache").rglob("*.ckpt"))
    else:
        with caplog.at_level("INFO"):
            path, origin = find_pretrained(config)
        assert path.is_file() and origin == f"ImageNet weights downloaded from {url}"
        assert f"{url} is confirmed by what it holds: all 260 weights of MobileNetV2's backbone; no hash" in caplog.text
