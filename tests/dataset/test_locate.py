"""Where data and pretrained weights come from: data/, $MINDCLF_DATA, the cache, the network, then drawings or nothing."""

import hashlib
import io
import logging
import tarfile
import zipfile
from pathlib import Path

import pytest

from mindclf.dataset import cifar10, locate
from mindclf.dataset.locate import (
    find_caltech16,
    find_cifar10,
    find_flower_photos,
    find_flowers102,
    find_garbage26,
    find_imagenet_mobilenet_v2,
)
from mindclf.labels import FLOWER_PHOTOS, index_en


@pytest.fixture(autouse=True)
def empty_place(tmp_path, monkeypatch, closed_url):
    """An empty working folder without network, and drawings that cost nothing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MINDCLF_DATA", raising=False)
    monkeypatch.setenv("MINDCLF_CACHE_DIR", "cache")
    monkeypatch.setattr(locate, "GARBAGE26_URL", f"{closed_url}/data_en.zip")
    monkeypatch.setattr(locate, "IMAGENET_URL", f"{closed_url}/weights.zip")
    monkeypatch.setattr(locate, "CIFAR10_URLS", (f"{closed_url}/cifar.tar.gz",))
    monkeypatch.setattr(locate, "draw_garbage26", lambda folder: make_set(folder))


def make_set(folder):
    for split in ("train", "test"):
        (folder / split).mkdir(parents=True)
    return folder


JPEG = b"\xff\xd8\xff\xe0content"


def zipped(*names, content=JPEG):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, content)
    return buffer.getvalue()


def photos(train=2, test=1, top="", without=()):
    """Names of so many photos of each class of the garbage set, but of those parts and classes `without`."""
    return [f"{top}{part}/{name}/{number}.jpg" for part, count in (("train", train), ("test", test)) for name in index_en
            for number in range(count) if (part, name) not in without]


def any_weights(file):
    """Stands in for the look at the weights, which needs a net."""
    assert file.is_file()
    return "all weights"


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """The folder that $MINDCLF_DATA names."""
    monkeypatch.setenv("MINDCLF_DATA", str(tmp_path / "elsewhere"))
    return tmp_path / "elsewhere"


@pytest.mark.parametrize("name", ["data_en", "garbage26", "data/data_en", "data/garbage26"])
def test_photos_are_found_in_mindclf_data(elsewhere, name):
    make_set(elsewhere / name)
    found = find_garbage26()
    assert (found.path, found.origin) == (elsewhere / name, "photos of the garbage sorting tutorial")


def test_data_wins_over_mindclf_data(elsewhere):
    make_set(elsewhere / "data_en")
    make_set(Path("data/garbage26"))
    assert find_garbage26().path == Path("data/garbage26")


def test_a_folder_without_test_images_is_passed_over(elsewhere):
    (elsewhere / "data_en" / "train").mkdir(parents=True)
    make_set(elsewhere / "garbage26")
    assert find_garbage26().path == elsewhere / "garbage26"


def test_an_empty_mindclf_data_is_no_place(monkeypatch):
    """And not the working folder, which Path("") would be."""
    monkeypatch.setenv("MINDCLF_DATA", "")
    make_set(Path("garbage26"))
    assert find_garbage26().path == Path("cache/data/garbage26_drawn")


def test_drawings_say_that_they_are_drawings(closed_url, caplog):
    with caplog.at_level(logging.WARNING):
        found = find_garbage26()
    assert found.path == Path("cache/data/garbage26_drawn")
    assert "drawings" in found.origin
    assert "no photos" in found.origin
    [message] = caplog.messages
    assert f"{closed_url}/data_en.zip cannot be downloaded" in message
    assert "MINDCLF_DATA" in message


def test_photos_that_are_there_are_not_downloaded(server, monkeypatch):
    monkeypatch.setattr(locate, "GARBAGE26_URL", f"{server.url}/data_en.zip")
    make_set(Path("data/data_en"))
    find_garbage26()
    assert server.requests == []


@pytest.fixture
def few_photos(monkeypatch):
    """So many photos are enough."""
    monkeypatch.setattr(locate, "GARBAGE26_LEAST", {"train": 52, "test": 26})


@pytest.mark.parametrize(("top", "expected"), [("", "cache/data/data_en"), ("data_en/", "cache/data/data_en/data_en")],
                         ids=["train at the top", "one folder at the top"])
def test_photos_are_downloaded_once(server, monkeypatch, caplog, few_photos, top, expected):
    url = f"{server.url}/data_en.zip"
    monkeypatch.setattr(locate, "GARBAGE26_URL", url)
    server.files["/data_en.zip"] = zipped(*photos(top=top))
    with caplog.at_level(logging.INFO):
        found = find_garbage26()
    assert (found.path, found.origin) == (Path(expected), f"photos downloaded from {url}")
    assert (found.path / "train" / "Hats" / "1.jpg").read_bytes() == JPEG
    assert caplog.messages == [f"{url} is confirmed by what it holds: 26 classes, 52 training and 26 test photos; no hash of it "
                               f"is published, its SHA-256 is {hashlib.sha256(server.files['/data_en.zip']).hexdigest()}"]
    assert [path.name for path in Path("cache/data").iterdir()] == ["data_en"]
    requests = len(server.requests)
    assert find_garbage26().path == Path(expected)
    assert len(server.requests) == requests


@pytest.mark.parametrize(("archive", "says"), [
    (zipped("README.txt"), "train/ has no photos of Seashell, Lighter, Old Mirror ..."),
    (zipped(*photos(without=[("test", "Hats"), ("test", "Cans")])), "test/ has no photos of Hats, Cans"),
    (zipped(*photos(train=1)), "train/ has 26 photos, and should have 52 or more"),
    (zipped(*photos(), content=b"<html>404</html>"), "train/ has no photos of Seashell, Lighter, Old Mirror ..."),
], ids=["another archive", "a class is missing", "half of it", "pages named .jpg"])
def test_a_download_without_the_photos_is_deleted_and_no_reason_to_draw(server, monkeypatch, few_photos, archive, says):
    url = f"{server.url}/data_en.zip"
    monkeypatch.setattr(locate, "GARBAGE26_URL", url)
    server.files["/data_en.zip"] = archive
    for _ in range(2):  # it is asked for again
        requests = len(server.requests)
        with pytest.raises(ValueError) as error:
            find_garbage26()
        digest = hashlib.sha256(archive).hexdigest()
        assert str(error.value) == f"{url} is not what it should be, and was deleted: {says} (its SHA-256: {digest})"
        assert not [file for file in Path("cache/data").rglob("*") if file.is_file()] and len(server.requests) > requests


def test_a_folder_that_an_earlier_download_left_is_looked_at_too(server, monkeypatch, few_photos):
    monkeypatch.setattr(locate, "GARBAGE26_URL", f"{server.url}/data_en.zip")
    Path("cache/data/data_en").mkdir(parents=True)
    with pytest.raises(ValueError, match="^cache/data/data_en is not what .*data_en.zip should hold: train/ has no photos of .*; "
                                         "delete it to have that downloaded again$"):
        find_garbage26()
    assert server.requests == []


def test_the_photos_of_the_course_are_enough(shared, monkeypatch):
    """The copy beside this clone has fewer photos than the archive of the course."""
    assert locate._photos_of_garbage(shared / "data" / "garbage26") == "26 classes, 2,181 training and 130 test photos"


@pytest.mark.parametrize("name", ["mobilenetV2-200_1067.ckpt", "weights/mobilenetV2-200_1067.ckpt",
                                  "mobilenet_v2_1.0_224_imagenet_tf.npz", "weights/mobilenet_v2_1.0_224_imagenet_tf.npz"])
def test_imagenet_weights_are_found_in_mindclf_data(elsewhere, name):
    (elsewhere / name).parent.mkdir(parents=True)
    (elsewhere / name).touch()
    found = find_imagenet_mobilenet_v2(any_weights)
    assert (found.path, found.origin) == (elsewhere / name, "ImageNet weights")


def test_imagenet_weights_in_data_win(elsewhere):
    for folder in (elsewhere, Path("data")):
        folder.mkdir()
        (folder / "mobilenetV2-200_1067.ckpt").touch()
    assert find_imagenet_mobilenet_v2(any_weights).path == Path("data/mobilenetV2-200_1067.ckpt")


def test_imagenet_weights_are_downloaded_once(server, monkeypatch, caplog):
    url = f"{server.url}/weights.zip"
    monkeypatch.setattr(locate, "IMAGENET_URL", url)
    server.files["/weights.zip"] = zipped("README.txt", "some/folder/mobilenet.ckpt")
    with caplog.at_level(logging.INFO):
        found = find_imagenet_mobilenet_v2(any_weights)
    assert (found.path.name, found.path.read_bytes()) == ("mobilenet.ckpt", JPEG)
    assert caplog.messages[0].startswith(f"{url} is confirmed by what it holds: all weights; no hash of it is published")
    assert found.origin == f"ImageNet weights downloaded from {url}"
    requests = len(server.requests)
    assert find_imagenet_mobilenet_v2(any_weights).path == found.path
    assert len(server.requests) == requests


@pytest.mark.parametrize(("name", "says"), [("README.txt", "it has no .ckpt"), ("net.ckpt", "net.ckpt is of another net")])
def test_a_download_without_the_weights_is_deleted(server, monkeypatch, name, says):
    url = f"{server.url}/weights.zip"
    monkeypatch.setattr(locate, "IMAGENET_URL", url)
    server.files["/weights.zip"] = zipped(name)

    def refuse(file):
        raise ValueError(f"{file} is of another net")

    with pytest.raises(ValueError, match=rf"^{url} is not what it should be, and was deleted: {says} \(its SHA-256: \w+\)$"):
        find_imagenet_mobilenet_v2(refuse)
    assert not [file for file in Path("cache/data").rglob("*") if file.is_file()]


def test_without_imagenet_weights_there_is_none(closed_url, caplog):
    with caplog.at_level(logging.WARNING):
        assert find_imagenet_mobilenet_v2(any_weights) is None
    assert f"{closed_url}/weights.zip cannot be downloaded" in caplog.text


def test_a_mistyped_folder_is_named_and_not_passed_over(tmp_path, monkeypatch):
    monkeypatch.setenv("MINDCLF_DATA", str(tmp_path / "photoz"))
    with pytest.raises(ValueError, match="photoz is not a folder"):
        find_garbage26()


@pytest.fixture
def origins(monkeypatch):
    """Files of any content are taken for the official ones."""
    monkeypatch.setattr(cifar10, "origin_of", lambda folder: "CIFAR-10")


def make_cifar(folder):
    folder.mkdir(parents=True)
    (folder / "test_batch.bin").touch()
    return folder


@pytest.mark.parametrize("name", ["cifar-10-batches-bin", "data/cifar-10-batches-bin", "cifar10/cifar-10-batches-bin", "cifar10"])
def test_cifar10_is_found_in_mindclf_data(elsewhere, origins, name):
    make_cifar(elsewhere / name)
    found = find_cifar10()
    assert (found.path, found.origin) == (elsewhere / name, "CIFAR-10")


def test_files_of_cifar10_win_over_copies_wherever_they_are(elsewhere):
    copies = [Path("data/cifar10_jpeg.npz"), elsewhere / "cifar10_jpeg.npz", elsewhere / "data" / "cifar10_jpeg.npz"]
    for copy in copies[::-1]:
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.touch()
        assert find_cifar10(only_on_disk=True).path == copy
    unpacked = make_cifar(Path("data/cifar-10-batches-bin-jpeg"))
    assert find_cifar10(only_on_disk=True).path == unpacked
    official = make_cifar(elsewhere / "cifar-10-batches-bin")
    assert find_cifar10(only_on_disk=True).path == official


def test_a_copy_of_cifar10_is_unpacked_once(elsewhere, monkeypatch):
    (elsewhere / "data").mkdir(parents=True)
    (elsewhere / "data" / "cifar10_jpeg.npz").touch()
    unpacked = []

    def unpack(archive, folder):
        unpacked.append(archive)
        return make_cifar(folder)

    monkeypatch.setattr(cifar10, "unpack_copy", unpack)
    monkeypatch.setattr(cifar10, "origin_of", lambda folder: "CIFAR-10, JPEG copy")
    for _ in range(2):
        found = find_cifar10()
        assert (found.path, found.origin) == (Path("cache/data/cifar-10-batches-bin-jpeg"), "CIFAR-10, JPEG copy")
    assert unpacked == [elsewhere / "data" / "cifar10_jpeg.npz"]


@pytest.fixture
def cifar_server(server, monkeypatch, origins):
    """A server with /good.tar.gz, small files in place of CIFAR-10's; and with /bad.tar.gz, which is something else."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name in (*cifar10.MD5, "readme.html"):
            info = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            info.size = 4
            archive.addfile(info, io.BytesIO(b"abcd"))
    server.files.update({"/good.tar.gz": buffer.getvalue(), "/bad.tar.gz": b"something else"})
    monkeypatch.setattr(cifar10, "FILE_BYTES", 4)
    monkeypatch.setattr(locate, "CIFAR10_SHA256", hashlib.sha256(buffer.getvalue()).hexdigest())
    return server


def test_cifar10_is_downloaded_once(cifar_server, monkeypatch):
    url = f"{cifar_server.url}/good.tar.gz"
    monkeypatch.setattr(locate, "CIFAR10_URLS", (url,))
    found = find_cifar10()
    assert (found.path, found.origin) == (Path("cache/data/cifar-10-batches-bin"), f"CIFAR-10 downloaded from {url}")
    assert {file.name: file.read_bytes() for file in found.path.iterdir()} == dict.fromkeys(cifar10.MD5, b"abcd")
    assert [path.name for path in Path("cache/data").iterdir()] == ["cifar-10-batches-bin"]
    requests = len(cifar_server.requests)
    assert find_cifar10().path == found.path
    assert len(cifar_server.requests) == requests


def test_the_next_address_is_tried_after_a_wrong_file_or_none(cifar_server, closed_url, monkeypatch, caplog):
    addresses = (f"{cifar_server.url}/bad.tar.gz", f"{closed_url}/good.tar.gz", f"{cifar_server.url}/good.tar.gz")
    monkeypatch.setattr(locate, "CIFAR10_URLS", addresses)
    with caplog.at_level(logging.WARNING):
        assert find_cifar10().origin == f"CIFAR-10 downloaded from {addresses[2]}"
    digest = hashlib.sha256(b"something else").hexdigest()
    assert caplog.messages == [f"{addresses[0]} is not CIFAR-10, and was deleted: its SHA-256 is {digest}, not "
                               f"{locate.CIFAR10_SHA256}"]
    assert [path.name for path in Path("cache/data").iterdir()] == ["cifar-10-batches-bin"]


def test_without_cifar10_one_line_says_what_to_do(cifar_server, closed_url, monkeypatch):
    monkeypatch.setattr(locate, "CIFAR10_URLS", (f"{closed_url}/good.tar.gz", f"{cifar_server.url}/bad.tar.gz"))
    with pytest.raises(ValueError) as raised:
        find_cifar10()
    message = str(raised.value)
    assert message.startswith("CIFAR-10 is neither in data/ nor in $MINDCLF_DATA: put the folder cifar-10-batches-bin ")
    assert f"{closed_url}/good.tar.gz cannot be downloaded: " in message
    assert f"{cifar_server.url}/bad.tar.gz is not CIFAR-10, and was deleted: its SHA-256 is " in message
    assert "\n" not in message and not list(Path().iterdir())


def test_a_folder_of_something_else_is_not_downloaded_over(cifar_server, monkeypatch):
    monkeypatch.setattr(locate, "CIFAR10_URLS", (f"{cifar_server.url}/good.tar.gz",))
    Path("cache/data/cifar-10-batches-bin").mkdir(parents=True)
    with pytest.raises(ValueError, match="cache/data/cifar-10-batches-bin holds none of data_batch_1.bin, .*put them there, or"):
        find_cifar10()
    assert cifar_server.requests == []


@pytest.mark.parametrize("name", ["flowers102", "flower_data", "data/flowers102", "data/flower_data"])
def test_flowers_are_found_with_all_their_splits(elsewhere, name):
    make_set(Path("data/flowers102"))  # without valid/
    make_set(elsewhere / name)
    (elsewhere / name / "valid").mkdir()
    found = find_flowers102()
    assert (found.path, found.origin) == (elsewhere / name, "photos of Oxford's 102 flowers")


@pytest.mark.parametrize("name", ["caltech16", "data/caltech16"])
def test_caltech_classes_are_found(elsewhere, name):
    (elsewhere / name).mkdir(parents=True)
    found = find_caltech16()
    assert (found.path, found.origin) == (elsewhere / name, "photos of 16 Caltech-101 classes")


@pytest.mark.parametrize(("name", "origin"), [
    ("flower_photos", "photos of five flowers"), ("data/flower_photos_128", "photos of five flowers, at 128 pixels")])
def test_flower_photos_are_found_with_all_their_classes(elsewhere, name, origin):
    elsewhere.mkdir()
    for flower in FLOWER_PHOTOS:
        with pytest.raises(ValueError, match="flower photos"):
            find_flower_photos()
        (elsewhere / name / flower).mkdir(parents=True)
    found = find_flower_photos()
    assert (found.path, found.origin) == (elsewhere / name, origin)


def test_flower_photos_under_the_names_of_tensorflow_are_known_as_such(elsewhere):
    for flower in ("daisy", "dandelion", "roses", "sunflowers", "tulips"):
        (elsewhere / "flower_photos" / flower).mkdir(parents=True)
    with pytest.raises(ValueError, match="rename these folders rose, sunflower and tulip"):
        find_flower_photos()


@pytest.mark.parametrize(("find", "what_to_do"), [
    (find_flowers102, "put the folder flowers102 with train/, valid/ and test/"), (find_caltech16, "copy Leopards, bonsai, "),
    (find_flower_photos, "put the folder flower_photos with daisy, dandelion, rose, sunflower, tulip into data/")])
def test_what_cannot_be_downloaded_says_what_to_do_in_one_line(find, what_to_do):
    with pytest.raises(ValueError) as raised:
        find()
    message = str(raised.value)
    assert "neither in data/ nor in $MINDCLF_DATA, and mindclf cannot download them: " in message
    assert what_to_do in message and "set MINDCLF_DATA to the folder that has " in message and "\n" not in message
