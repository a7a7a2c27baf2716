"""Published weights: the table, files that are known by their hashes, and downloads over https that are checked."""

import hashlib
import json
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor

from mindclf import published
from mindclf.cli import main
from mindclf.config import merge
from mindclf.nets import NETS
from mindclf.pretrained import check_start, create_net, find_pretrained, start_net
from mindclf.published import TABLE, NotFound, obtain, on_disk, published_as, published_for
from tests.convert.test_zoos import SMALL, arrays_of
from tests.support.web_server import running_server

CONTENT = np.random.default_rng(0).bytes(50_000)
PATH = "resnet/resnet18-0a1b2c3d.ckpt"


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """A PEM file with a key and a certificate of 127.0.0.1, which nobody trusts but who is told to."""
    folder = tmp_path_factory.mktemp("certificate")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
               "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", folder / "key.pem",
               "-out", folder / "own.pem"]
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=60)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs openssl, which makes a certificate for a server on this machine")
    both = folder / "both.pem"
    both.write_text((folder / "key.pem").read_text() + (folder / "own.pem").read_text())
    return both


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty working folder, and a folder that $MINDCLF_DATA names."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MINDCLF_CACHE_DIR", "cache")
    monkeypatch.setenv("MINDCLF_DATA", str(tmp_path / "elsewhere"))
    (tmp_path / "elsewhere").mkdir()
    return tmp_path / "elsewhere"


@pytest.fixture
def server(certificate, place, monkeypatch):
    """An https server with the file of the first row, which the process trusts."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with running_server(certificate) as running:
        running.files[f"/{PATH}"] = CONTENT
        monkeypatch.setattr(published, "ADDRESSES", {"mindcv": (f"{running.url}/",)})
        yield running


@pytest.fixture
def row(monkeypatch):
    """The only published weights: of a file with CONTENT."""
    only = replace(TABLE[0], net="resnet18", path=PATH, sha256=hashlib.sha256(CONTENT).hexdigest()[:8])
    monkeypatch.setattr(published, "TABLE", (only,))
    return only


DOWNLOADED = Path("cache/weights/published/resnet18-0a1b2c3d.ckpt")


def files_in_the_cache():
    return [file.name for file in Path("cache").rglob("*") if file.is_file() and not file.name.startswith(".")]


# The table

def test_every_row_is_of_a_net_has_a_hash_and_https_addresses():
    for row in TABLE:
        assert row.net in NETS and re.fullmatch(r"[0-9a-f]{8}|[0-9a-f]{64}", row.sha256), row.file
        assert row.origin == "hub" or row.sha256 in row.file
        assert row.addresses and all(re.fullmatch(r"https://[\w./-]+\.(ckpt|pth)", address) for address in row.addresses)
        assert 50 < row.top1 < 80 and row.licence and row.preprocessing
    assert len({row.sha256[:8] for row in TABLE}) == len({row.file for row in TABLE}) == len(TABLE)


def test_every_net_but_asymmnet_has_weights_of_its_own():
    assert [net for net in NETS if not published_for(net)] == ["asymmnet_large", "asymmnet_small"]
    for net in NETS:
        assert {row.net for row in published_for(net)} <= {net}


@pytest.mark.parametrize(("net", "origin", "says"), [
    ("resnet18", "torchvision", "shorter side 256, crop 224, ImageNet's mean and std"),
    ("inception_v3", "mindcv", "shorter side 341, crop 299, ImageNet's mean and std"),
    ("inception_v3", "torchvision", "shorter side 341, crop 299, -1 to 1"),
])
def test_preprocessing_is_told(net, origin, says):
    assert [row.preprocessing for row in published_for(net) if row.origin == origin] == [says]


def test_every_published_digit_of_a_hash_counts():
    row = replace(TABLE[0], sha256="0123abcd")
    assert row.is_of("0123abcd" + "0" * 56) and not row.is_of("0123abce" + "0" * 56)


@pytest.mark.parametrize(("net", "options", "first"), [
    ("mobilenet_v1", {}, "mobilenet_v1_100-91c7b206.ckpt"),
    ("mobilenet_v1", {"width_mult": 0.25}, "mobilenet_v1_025-d3377fba.ckpt"), ("mobilenet_v1", {"width_mult": 0.3}, None),
    ("mobilenet_v2", {"width_mult": 1.4, "dropout": 0.1}, "mobilenet_v2_140-98776171.ckpt"),
    ("mobilenet_v2", {"last_channel": 640}, None), ("shufflenet_v1", {"group": 8}, None),
    ("vgg11_bn", {}, "vgg11_bn-6002323d.pth"),
    ("shufflenet_v1", {"model_size": "0.5x"}, "shufflenet_v1_g3_05-42cfe109.ckpt"), ("vgg16", {"hidden_channels": 64}, None),
    ("resnet50", {"stem": "cifar"}, "resnet50-e0733ab8.ckpt"),
])
def test_options_that_change_weights_choose_the_row(net, options, first):
    assert next((row.file for row in published_for(net, options)), None) == first


# Files

def test_a_file_is_known_by_its_hash_under_whatever_name(row, place):
    (place / "deep" / "er").mkdir(parents=True)
    (place / "deep" / "er" / "mine.ckpt").write_bytes(CONTENT)
    (place / "other.ckpt").write_bytes(b"other")
    assert published_as(place / "deep" / "er" / "mine.ckpt") == row and published_as(place / "other.ckpt") is None
    assert on_disk() == {row: place / "deep" / "er" / "mine.ckpt"}
    assert obtain([row]) == (row, place / "deep" / "er" / "mine.ckpt")


def test_a_file_that_is_too_large_is_not_read(row, place, monkeypatch):
    (place / "mine.ckpt").write_bytes(CONTENT)
    monkeypatch.setattr(published, "MAX_BYTES", len(CONTENT) - 1)
    assert published_as(place / "mine.ckpt") is None


def test_of_the_files_on_disk_the_first_row_is_taken(row, place, monkeypatch):
    second = replace(row, path="second.ckpt", sha256=hashlib.sha256(b"second").hexdigest())
    monkeypatch.setattr(published, "TABLE", (second, row))
    (place / "a.ckpt").write_bytes(b"second")
    (place / "b.ckpt").write_bytes(CONTENT)
    assert obtain([row, second]) == (row, place / "b.ckpt") and obtain([second, row]) == (second, place / "a.ckpt")


def test_links_are_followed_and_circles_are_not(row, place):
    (place / "far").mkdir()
    (place / "far" / "mine.ckpt").write_bytes(CONTENT)
    Path("data").symlink_to(place)
    (place / "far" / "circle").symlink_to(place)
    assert list(on_disk()) == [row]


def test_a_file_is_downloaded_once_and_checked(row, server, place):
    assert obtain([row]) == (row, DOWNLOADED) and DOWNLOADED.read_bytes() == CONTENT
    assert files_in_the_cache() == [DOWNLOADED.name]
    requests = len(server.requests)
    assert obtain([row]) == (row, DOWNLOADED) and len(server.requests) == requests
    (place / "again.ckpt").write_bytes(CONTENT)
    assert on_disk() == {row: DOWNLOADED}


def test_a_damaged_download_is_not_used_and_replaced(row, server, caplog):
    """And it stays where there is no other: a user may have put it there."""
    DOWNLOADED.parent.mkdir(parents=True)
    DOWNLOADED.write_bytes(CONTENT[1:])
    with pytest.raises(NotFound):
        obtain([replace(row, path=f"none/{DOWNLOADED.name}")])
    assert DOWNLOADED.read_bytes() == CONTENT[1:] and "but is damaged or another file" in caplog.text
    assert obtain([row]) == (row, DOWNLOADED) and DOWNLOADED.read_bytes() == CONTENT


def test_what_one_address_began_another_does_not_go_on_with(row, server, monkeypatch):
    monkeypatch.setattr(published, "ADDRESSES", {"mindcv": (f"{server.url}/other/", f"{server.url}/")})
    server.files[f"/other/{PATH}"] = bytes(50_000)
    server.breaks_off_after = 20_000
    with pytest.raises(NotFound):
        obtain([row])
    assert {asked for _, asked in server.requests} == {None}


def test_reasons_beyond_two_are_counted(row, server, monkeypatch):
    monkeypatch.setattr(published, "ADDRESSES", {"mindcv": [f"{server.url}/none/{number}/" for number in range(3)]})
    with pytest.raises(NotFound, match=r"downloaded: Not Found; https.*downloaded: Not Found; 1 more address failed\)$"):
        obtain([row])


def test_a_download_that_breaks_off_goes_on_where_it_stopped(row, server):
    server.breaks_off_after = 20_000
    with pytest.raises(NotFound, match=r"it broke off after 20,000 of 50,000 bytes\)$"):
        obtain([row])
    assert not DOWNLOADED.exists()
    server.breaks_off_after = None
    obtain([row])
    assert DOWNLOADED.read_bytes() == CONTENT and server.requests[-1] == (f"/{PATH}", "bytes=20000-")


def test_a_part_that_is_as_long_as_the_file_is_not_taken_for_it(row, server):
    """Servers answer 416 to who asks for what follows; then all is downloaded again, at once."""
    part = DOWNLOADED.with_name(f"{DOWNLOADED.name}.0.part")
    part.parent.mkdir(parents=True)
    part.write_bytes(bytes(len(CONTENT)))
    whole = server.files[f"/{PATH}"]
    server.ways[f"/{PATH}"] = lambda handler: handler.send_error(416) if handler.headers.get("Range") else handler.send(whole)
    obtain([row])
    assert DOWNLOADED.read_bytes() == CONTENT and files_in_the_cache() == [DOWNLOADED.name]
    assert [asked for _, asked in server.requests] == ["bytes=50000-", None]
    server.ways["/odd.ckpt"] = lambda handler: handler.send_error(416)  # whatever is asked for
    with pytest.raises(NotFound, match=r"Requested Range Not Satisfiable\)$"):
        obtain([replace(row, path="odd.ckpt", sha256="f" * 64)])


def test_a_server_that_cannot_resume_sends_all_again(row, server):
    server.breaks_off_after, server.resumes = 20_000, False
    with pytest.raises(NotFound):
        obtain([row])
    server.breaks_off_after = None
    obtain([row])
    assert DOWNLOADED.read_bytes() == CONTENT


def test_another_file_is_deleted_and_the_next_address_tried(row, server, monkeypatch, caplog):
    server.files[f"/bad/{PATH}"] = b"another"
    monkeypatch.setattr(published, "ADDRESSES", {"mindcv": (f"{server.url}/bad/", f"{server.url}/none/", f"{server.url}/")})
    obtain([row])
    assert DOWNLOADED.read_bytes() == CONTENT and files_in_the_cache() == [DOWNLOADED.name]
    digest = hashlib.sha256(b"another").hexdigest()
    assert f"/bad/{PATH} is another file, and was deleted: its SHA-256 is {digest}, not {row.sha256}" in caplog.text


def test_a_mirror_of_ones_own_is_tried_first(row, server, monkeypatch):
    server.files[f"/mirror/{PATH}"] = CONTENT
    monkeypatch.setenv("MINDCLF_WEIGHTS_URL", f"{server.url}/mirror/")
    obtain([row])
    assert {path for path, _ in server.requests} == {f"/mirror/{PATH}"}


@pytest.mark.parametrize("mirror", ["http://127.0.0.1/", "https://", "https://[::1/", "https://host:port/", "files/", "file:///"])
def test_a_mirror_that_is_no_https_address_is_refused(row, server, monkeypatch, mirror):
    """It would be passed over without a word where the next address answers."""
    monkeypatch.setenv("MINDCLF_WEIGHTS_URL", mirror)
    with pytest.raises(ValueError, match="is no https address: correct it, or unset it$") as raised:
        obtain([row])
    assert str(raised.value).startswith(f"MINDCLF_WEIGHTS_URL={mirror} is") and server.requests == [] == files_in_the_cache()


def test_https_may_be_written_in_capitals(row, server, monkeypatch):
    monkeypatch.setattr(published, "ADDRESSES", {"mindcv": ()})
    monkeypatch.setenv("MINDCLF_WEIGHTS_URL", server.url.replace("https", "HTTPS"))
    assert obtain([row]) == (row, DOWNLOADED)


def test_redirects_are_followed_to_https_and_not_to_http(row, server, monkeypatch):
    with running_server() as plain:
        plain.files[f"/{PATH}"] = CONTENT
        server.ways["/plain.ckpt"] = lambda handler: handler.redirect(f"{plain.url}/{PATH}")
        server.ways["/secure.ckpt"] = lambda handler: handler.redirect(f"{server.url}/{PATH}")
        with pytest.raises(NotFound, match=r"it redirects to http://127.*, which is not https"):
            obtain([replace(row, path="plain.ckpt")])
        monkeypatch.setattr(published, "ADDRESSES", {"mindcv": (f"{plain.url}/",)})
        with pytest.raises(NotFound, match=r"it is no https address\)$"):
            obtain([row])
        assert plain.requests == [] and files_in_the_cache() == []
    monkeypatch.setattr(published, "ADDRESSES", {"mindcv": (f"{server.url}/",)})
    assert obtain([replace(row, path="secure.ckpt")])[1].read_bytes() == CONTENT


def test_a_certificate_that_nobody_vouches_for_is_refused(row, server, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(NotFound, match="CERTIFICATE_VERIFY_FAILED"):
        obtain([row])
    assert server.requests == []


def test_offline_one_line_names_the_address_the_file_and_the_folders(row, place, closed_url, monkeypatch):
    base = closed_url.replace("http:", "https:")
    monkeypatch.setattr(published, "ADDRESSES", {"mindcv": (f"{base}/",)})
    with pytest.raises(NotFound) as raised:
        obtain([row])
    message = str(raised.value)
    assert message.startswith(f"ImageNet weights of resnet18 are not on disk, and cannot be downloaded: get {base}/{PATH} and "
                              f"put resnet18-0a1b2c3d.ckpt into data/, cache/weights/published, or a folder that MINDCLF_DATA ")
    assert "Connection refused" in message and "\n" not in message


def test_a_host_that_does_not_answer_is_asked_once(row, place, closed_url, monkeypatch):
    base, asked = closed_url.replace("http:", "https:"), []
    monkeypatch.setattr(published, "ADDRESSES", {"mindcv": (f"{base}/a/", f"{base}/b/")})
    fetch = published.fetch_https
    monkeypatch.setattr(published, "fetch_https", lambda address, path: asked.append(address) or fetch(address, path))
    with pytest.raises(NotFound):
        obtain([row, replace(row, path="other.ckpt")])
    assert asked == [f"{base}/a/{PATH}"]


def test_without_pytorch_its_files_are_not_downloaded(row, server, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(NotFound, match=r"\(its files are read with PyTorch: pip install torch\)$"):
        obtain([replace(row, path="resnet18-0a1b2c3d.pth")])
    assert server.requests == []


def test_a_file_on_disk_that_needs_pytorch_is_named(row, server, place, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    pytorch = replace(row, path="resnet18-0a1b2c3d.pth")
    monkeypatch.setattr(published, "TABLE", (pytorch,))
    (place / "mine.pth").write_bytes(CONTENT)
    with pytest.raises(NotFound, match="mine.pth has ImageNet weights of resnet18, and is read with PyTorch: pip install torch$"):
        obtain([pytorch])


def test_a_damaged_file_under_a_published_name_is_said(row, place, capsys, caplog):
    (place / "resnet18-0a1b2c3d.ckpt").write_bytes(CONTENT[:-1])
    assert main(["weights"]) == 0 and capsys.readouterr().out.endswith(" -\n")
    assert f"elsewhere/resnet18-0a1b2c3d.ckpt has the name of mindcv's weights of resnet18, but is damaged or another file: " \
           f"its SHA-256 is {hashlib.sha256(CONTENT[:-1]).hexdigest()}, not {row.sha256}..." in caplog.text
    on_disk()
    assert len(caplog.messages) == 1


def test_a_file_that_cannot_be_read_does_not_hide_the_others(row, place, monkeypatch, caplog):
    """In a folder that several use."""
    (place / "locked.ckpt").write_bytes(b"secret")
    (place / "mine.ckpt").write_bytes(CONTENT)
    digest = published.sha256

    def locked(path):
        if path.name == "locked.ckpt":
            raise PermissionError(13, "Permission denied", str(path))
        return digest(path)

    monkeypatch.setattr(published, "sha256", locked)
    assert on_disk() == {row: place / "mine.ckpt"}
    assert caplog.messages == [f"{place / 'locked.ckpt'} cannot be read, and is passed over: Permission denied"]


def test_the_command_lists_them_with_those_on_disk(row, place, capsys):
    (place / "mine.ckpt").write_bytes(CONTENT)
    assert main(["weights"]) == 0
    header, line = capsys.readouterr().out.splitlines()
    assert header.split() == ["net", "options", "origin", "top-1", "licence", "file", "on", "disk"]
    assert line.split() == ["resnet18", "mindcv", "72.95", "%", "Apache-2.0", "resnet18-0a1b2c3d.ckpt", str(place / "mine.ckpt")]
    assert main(["weights", "resnet18", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["sha256"] == row.sha256 and shown["path"] == str(place / "mine.ckpt") and shown["addresses"] == row.addresses
    assert main(["weights", "resnet50"]) == 2 and "nobody publishes" in capsys.readouterr().err
    assert main(["weights", "resnet20"]) == 2 and "is not known" in capsys.readouterr().err


# pretrained=imagenet

@pytest.fixture
def published_net(place, monkeypatch):
    """mindcv's MobileNetV1 0.25 with the weights of the rule, under $MINDCLF_DATA and another name."""
    arrays = arrays_of(SMALL)
    ms.save_checkpoint([{"name": name, "data": Tensor(value)} for name, value in arrays.items()], str(place / "mine.ckpt"))
    digest = hashlib.sha256((place / "mine.ckpt").read_bytes()).hexdigest()
    [row] = [row for row in published_for("mobilenet_v1", {"width_mult": 0.25}) if row.origin == "mindcv"]
    monkeypatch.setattr(published, "TABLE", (replace(row, sha256=digest[:8]), *(other for other in TABLE if other != row)))
    return arrays


def test_a_net_starts_from_its_own_published_weights(published_net, capsys):
    config = merge({"net": "mobilenet_v1", "net_options": {"width_mult": 0.25}, "pretrained": "imagenet"}, {})
    net, config, origin = start_net(config, 3)
    assert origin == "ImageNet weights of mindcv, mobilenet_v1_025-d3377fba.ckpt"
    np.testing.assert_array_equal(net.backbone.features[0][0].weight.asnumpy(), published_net["features.0.weight"])
    net = create_net("mobilenet_v1", 10, pretrained=True, width_mult=0.25)  # as many classes as the file has: with its head
    np.testing.assert_array_equal(net.head.classifier.weight.asnumpy(), published_net["classifier.weight"])
    assert main(["convert", "elsewhere/mine.ckpt"]) == 0 and capsys.readouterr().out == "elsewhere/mine_mindclf.ckpt\n"
    assert main(["convert", "elsewhere/mine.ckpt", "other.ckpt", "--net", "resnet18"]) == 2
    assert "mine.ckpt is mindcv's mobilenet_v1, by its SHA-256: give --net mobilenet_v1" in capsys.readouterr().err


@pytest.mark.parametrize(("net", "options"), [("asymmnet_small", {}), ("mobilenet_v1", {"width_mult": 0.3})])
def test_a_net_without_published_weights_is_refused_before_images_are_read(net, options):
    config = merge({"net": net, "net_options": options, "pretrained": "imagenet"}, {})
    for look in (check_start, find_pretrained):
        with pytest.raises(ValueError, match=f"^nobody publishes ImageNet weights of {net} with net_options=.*`mindclf weights`"):
            look(config)


def test_no_other_net_stands_in(row, place, closed_url, monkeypatch):
    monkeypatch.setattr(published, "ADDRESSES", {"mindcv": (closed_url.replace("http:", "https:") + "/",)})
    with pytest.raises(NotFound, match="^ImageNet weights of resnet18 are not on disk"):
        find_pretrained(merge({"net": "resnet18", "pretrained": "imagenet"}, {}))
