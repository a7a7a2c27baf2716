"""What several test files need: the device, small nets, small folders of images, and ../shared where it is present."""

import functools
import gc
import hashlib
import importlib
import io
import itertools
import os
import socket
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
from PIL import Image

from mindclf.dataset.content import position
from tests.support.web_server import running_server

os.environ["MINDCLF_LANG"] = "en"  # messages, also of processes that tests start: whatever the locale of this machine
SHARED = Path(__file__).resolve().parents[2] / "shared"
COLOURS = {"red": (200, 40, 40), "green": (40, 180, 60), "blue": (50, 60, 200)}
SALTS = ("validation 1", "validation 3", "test")  # see mindclf.dataset.content
CLASS_INDEX = {"red": 2, "green": 0, "blue": 1}  # not the alphabetical order, so that a mix-up shows
SLOW = {
    "convert/test_convert.py",
    "convert/test_pytorch.py",
    "convert/test_zoos.py",
    "dataset/test_augmentation.py",
    "dataset/test_cifar10.py",
    "dataset/test_seen.py",
    "dataset/test_split_folder.py",
    "dataset/test_splits.py",
    "distributed/test_workers.py",
    "drawings/test_generate.py",
    "inference/test_runner.py",
    "kernels/test_compilers.py",
    "kernels/test_layers.py",
    "nets/test_classic_nets.py",
    "nets/test_contract.py",
    "nets/test_fold.py",
    "nets/test_mobilenet_v2.py",
    "nets/test_other_nets.py",
    "nets/test_published_counts.py",
    "report/test_html.py",
    "report/test_plots.py",
    "report/test_widths.py",
    "test_bad_images.py",
    "test_calibration.py",
    "test_card.py",
    "test_checkpoint.py",
    "test_cli.py",
    "test_compare.py",
    "test_demo.py",
    "test_demo_page.py",
    "test_embedding.py",
    "test_every_system.py",
    "test_explain.py",
    "test_export.py",
    "test_export_zoo.py",
    "test_notebooks.py",
    "test_predict.py",
    "test_public.py",
    "test_quantize.py",
    "test_readme.py",
    "test_site.py",
    "test_summary.py",
    "test_switches.py",
    "test_threads.py",
    "test_tutorial.py",
    "train/test_accumulation.py",
    "train/test_batches.py",
    "train/test_class_weights.py",
    "train/test_distillation.py",
    "train/test_early_stopping.py",
    "train/test_ema.py",
    "train/test_extend.py",
    "train/test_fit.py",
    "train/test_folds.py",
    "train/test_given.py",
    "train/test_groups.py",
    "train/test_limits.py",
    "train/test_lr_finder.py",
    "train/test_model.py",
    "train/test_output.py",
    "train/test_resume.py",
    "train/test_solved_head.py",
    "utils/test_claim.py",
}


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.relative_to(Path(__file__).parent).as_posix() in SLOW:
            item.add_marker("slow")


@pytest.fixture(scope="session", autouse=True)
def device():
    """Graph mode on the CPU, as every command of mindclf sets it."""
    from mindclf.device import use_device

    gc.freeze()  # MindSpore collects at each graph that it compiles: what was imported need not be looked through again
    return use_device("CPU")


@pytest.fixture(scope="module")
def uncompiled():
    """Nets run operator by operator, for a graph takes longer to compile than a tiny training: for tests of what is around it.

    What is compiled is tested in tests/train/test_resume.py and test_model.py, with workers, with several threads, and wherever
    a test starts a process.
    """
    from mindclf.device import pynative, use_device

    def stand_in(target="auto"):
        device = use_device(target)
        ms.set_context(mode=ms.PYNATIVE_MODE)
        return device

    with pytest.MonkeyPatch.context() as patch, pynative():
        for module in ("device", "evaluation", "compare", "train.fit", "train.lr_finder"):
            patch.setattr(importlib.import_module(f"mindclf.{module}"), "use_device", stand_in)
        yield


@pytest.fixture
def brief(request, monkeypatch):
    """No plots and pages of runs, which take as long as all the training of a tiny net, but where a test is marked `report`."""
    if "report" not in request.keywords:
        monkeypatch.setattr(importlib.import_module("mindclf.train.fit"), "write_report", lambda *arguments: None)


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """A cache of the tests' own, for the processes that they start too: nobody's real one is read or written."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MINDCLF_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def seeded():
    """Fixed seeds for what MindSpore draws."""
    from mindclf.device import set_seeds

    set_seeds(7)


@pytest.fixture
def as_worker(monkeypatch):
    """Makes this process believe that it is a worker, for what needs no others."""
    from mindclf.distributed import collectives

    def become(rank, size):
        monkeypatch.setattr(collectives, "_rank", rank)
        monkeypatch.setattr(collectives, "_size", size)

    return become


@pytest.fixture
def server(monkeypatch):
    """A web server on this machine, see `Server`."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with running_server() as running:
        yield running


@pytest.fixture
def closed_url(monkeypatch):
    """The URL of a port where nothing listens."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.socket() as probe:  # bound without listening: refuses connections, and nobody else gets the port
        probe.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{probe.getsockname()[1]}"


@pytest.fixture
def shared():
    """The folder ../shared; skips the test where it is not there."""
    if not SHARED.is_dir():
        pytest.skip("needs ../shared (real photos and ImageNet weights), which is not beside this clone")
    return SHARED


def at_position(image, tenth, salts):
    """The bytes of `image`, a PNG, with bytes at their end that no decoder reads, by which its position is in that tenth.

    So exactly n of ten images with the tenths 0 to 9 are chosen where n / 10 of them are: see mindclf.dataset.content.
    """
    for number in itertools.count():
        content = image + number.to_bytes(4, "big")
        digest = hashlib.sha256(content).hexdigest()
        if all(int(10 * position(digest, salt)) == tenth for salt in salts):
            return content


@pytest.fixture(scope="session")
def colour_folder(tmp_path_factory):
    """A folder with train/ (10 images a class) and test/ (3 a class) of noisy red, green and blue, 40 x 40 pixels.

    Of each class in train/ the n first are for validation where valid_fraction is n / 10, with the seeds 1 and 3, and the two
    first are for testing where train/ is taken for an undivided folder.
    """
    root = tmp_path_factory.mktemp("colours")
    rng = np.random.default_rng(0)
    for split, count in (("train", 10), ("test", 3)):
        for name, colour in COLOURS.items():
            folder = root / split / name
            folder.mkdir(parents=True)
            for index in range(count):
                pixels = np.clip(rng.normal(colour, 25, (40, 40, 3)), 0, 255).astype(np.uint8)
                png = io.BytesIO()
                Image.fromarray(pixels).save(png, "PNG")
                (folder / f"{index}.png").write_bytes(at_position(png.getvalue(), index, SALTS))
    return root


@pytest.fixture(scope="session")
def cifar10_folder(tmp_path_factory):
    """The six files of CIFAR-10, full size, for MindSpore reads no others: noise with labels.

    The first pixel of an image says which record it is: (file, place // 256, place % 256); its label is (file + place) % 10.
    """
    from mindclf.dataset.cifar10 import MD5

    folder = tmp_path_factory.mktemp("cifar")
    noise = np.random.default_rng(0).integers(0, 256, (100, 3073), dtype=np.uint8)
    place = np.arange(10_000)
    for number, name in enumerate(MD5):
        records = np.tile(noise, (100, 1))
        records[:, 1], records[:, 1 + 1024], records[:, 1 + 2048] = number, place // 256, place % 256
        records[:, 0] = (number + place) % 10
        records.tofile(folder / name)
    return folder


# One small block instead of seventeen: most of a test's time is that of compiling the net's graph.
TINY_NET = {"last_channel": 32, "inverted_residual_setting": [[1, 8, 1, 2]]}

# Fields of a training whose graphs compile sooner still, for tests of what is around it.
ONLY_HEAD = {"trainable": "head", "cached_views": 1}


def make_config(folder, output):
    """A config that trains a tiny net on the images in `folder` in seconds."""
    return dict(dataset_path=str(folder), class_index=CLASS_INDEX, image_height=32, image_width=32, batch_size=6,
                eval_batch_size=4, net_options=TINY_NET, epochs=2, lr_max=0.05, valid_fraction=0.2, output=str(output / "run"),
                feature_cache=str(output / "features"), device_target="CPU")


@pytest.fixture
def few_of_cifar10(cifar10_folder, tmp_path, monkeypatch):
    """A config that trains a tiny net on CIFAR-10 as it is in `cifar10_folder`, of which only 60 and 40 images are read."""
    from mindclf.dataset import cifar10
    from mindclf.dataset.cifar10 import read_cifar10

    counts = {"train": 60, "test": 40}
    monkeypatch.setattr(cifar10, "read_cifar10", lambda folder, usage: read_cifar10(folder, usage).take(range(counts[usage])))
    config = make_config(cifar10_folder, tmp_path)
    return {**config, "dataset": "cifar10", "class_index": {}, "augment": "padded_crop", "crop_pct": 1.0, "epochs": 1}


@pytest.fixture
def tiny_config(colour_folder, tmp_path):
    return make_config(colour_folder, tmp_path)


@pytest.fixture(scope="session")
def fitted(colour_folder, tmp_path_factory):
    """What fit makes of `tiny_config` in 6 epochs; read it, do not change it."""
    from mindclf.train import fit

    return fit({**make_config(colour_folder, tmp_path_factory.mktemp("fitted")), "epochs": 6, "seed": 3})


@pytest.fixture(scope="session")
def exported(fitted, tmp_path_factory):
    """A function from a format, and options of export, to the file that it makes of `fitted`, once; do not change it."""
    from mindclf.export import export

    folder = tmp_path_factory.mktemp("exported")

    @functools.cache
    def make(file_format, **options):
        if file_format == "onnx":
            for package in ("onnx", "onnxruntime"):
                pytest.importorskip(package, reason="needs the extra onnx")
        name = "-".join(["net", *(f"{option}{value}" for option, value in options.items())])
        return export(fitted.checkpoint, file_format, folder / f"{name}.{file_format}", **options)

    return make
