"""Published weights: the table of ImageNet weights that others give away, and how the file of one is found or downloaded."""

from __future__ import annotations

import importlib.util
import logging
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from mindclf.dataset.download import Unreachable, fetch_https
from mindclf.dataset.locate import files_on_disk
from mindclf.utils.cache import adding_to, cache_folder
from mindclf.utils.files import sha256

log = logging.getLogger(__name__)

MIRROR = "MINDCLF_WEIGHTS_URL"  # an address, https://.../, below which the files lie too; it is tried first
ADDRESSES = {  # where the files of an origin lie, the next where one fails
    "mindcv": ("https://download.mindspore.cn/toolkits/mindcv/", "https://download-mindspore.osinfra.cn/toolkits/mindcv/"),
    "hub": ("https://download.mindspore.cn/models/r1.10/",),
    "torchvision": ("https://download.pytorch.org/models/",),
}
MAX_BYTES = 2**30  # of a file that may be one of these: the largest have 0.6 GiB
SHOWN = 2  # of the reasons why nothing could be downloaded
LICENCES = {"mindcv": "Apache-2.0", "hub": "Apache-2.0", "torchvision": "BSD-3-Clause"}
SHAPING = {"width_mult": 1.0, "model_size": "1.0x", "group": 3}  # net options that weights are made for, and their defaults
RESHAPING = ("inverted_residual_setting", "round_nearest", "input_channel", "last_channel", "hidden_channels")  # fit none


@dataclass(frozen=True)
class Published:
    """Weights for 1000 classes of ImageNet: of which net, from whom, and what tells their file from others."""

    net: str
    origin: str         # one of ADDRESSES
    path: str           # below its addresses
    top1: float         # percent of the validation images, as published
    sha256: str = ""    # of the file, as far as it is published: all of it, or the 8 digits that its name ends with
    net_options: Mapping = field(default_factory=dict, hash=False)

    @property
    def file(self) -> str:
        """The name of the file."""
        return self.path.rpartition("/")[2]

    @property
    def needs_pytorch(self) -> bool:
        """Whether PyTorch is needed to read the file."""
        return self.file.endswith(".pth")

    @property
    def addresses(self) -> list[str]:
        """Where it can be downloaded, the first that should be tried first."""
        mirror = _mirror()
        own = [f"{mirror}/{self.path}"] if mirror else []
        return own + [base + self.path for base in ADDRESSES[self.origin]]

    @property
    def licence(self) -> str:
        """The licence of the project that publishes it."""
        return LICENCES[self.origin]

    @property
    def preprocessing(self) -> str:
        """What evaluation does to an image, in words; the card of the converted weights has the numbers."""
        crop, side = (299, 341) if self.net == "inception_v3" else (224, 256)
        scale = "-1 to 1" if (self.net, self.origin) == ("inception_v3", "torchvision") else "ImageNet's mean and std"
        return f"shorter side {side}, crop {crop}, {scale}"

    def is_of(self, digest: str) -> bool:
        """Whether a file with that SHA-256 is this one."""
        return digest.startswith(self.sha256)


def _mindcv(net, path, top1, **options):
    return Published(net, "mindcv", f"{path}.ckpt", top1, path.removesuffix("-910v2").rpartition("-")[2], options)


def _hub(net, name, top1, digest, **options):
    return Published(net, "hub", f"{name}.ckpt", top1, digest, options)


def _torchvision(net, name, top1):
    return Published(net, "torchvision", f"{name}.pth", top1, name.rpartition("-")[2])


# Of the weights for one net, the first are those that pretrained=imagenet takes.
TABLE = (
    _mindcv("mobilenet_v1", "mobilenet/mobilenetv1/mobilenet_v1_100-91c7b206", 72.95),
    _mindcv("mobilenet_v1", "mobilenet/mobilenetv1/mobilenet_v1_075-5bed0c73", 70.44, width_mult=0.75),
    _mindcv("mobilenet_v1", "mobilenet/mobilenetv1/mobilenet_v1_050-23e9ddbe", 65.94, width_mult=0.5),
    _mindcv("mobilenet_v1", "mobilenet/mobilenetv1/mobilenet_v1_025-d3377fba", 53.87, width_mult=0.25),
    _hub("mobilenet_v1", "mobilenetv1_ascend_v1100_imagenet2012_official_cv_top1acc71.96_top5acc90.44", 71.96,
         "b0c379792495cce4c253e7e042f3ce80eddd353de61082bf35c1ac14012f5cde"),
    _mindcv("mobilenet_v2", "mobilenet/mobilenetv2/mobilenet_v2_100-d5532038", 72.27),
    _mindcv("mobilenet_v2", "mobilenet/mobilenetv2/mobilenet_v2_140-98776171", 75.56, width_mult=1.4),
    _mindcv("mobilenet_v2", "mobilenet/mobilenetv2/mobilenet_v2_075-bd7bd4c4", 69.98, width_mult=0.75),
    _hub("mobilenet_v2", "mobilenetv2_ascend_v1100_imagenet2012_official_cv_top1acc71.88", 71.88,
         "f1796a887a3e8699f048c78b58a477cbee1464509af66aed65a09536cfbd4f48"),
    _torchvision("mobilenet_v2", "mobilenet_v2-b0353104", 71.88),
    _mindcv("shufflenet_v1", "shufflenet/shufflenetv1/shufflenet_v1_g3_10-245f0ccf", 67.77),
    _mindcv("shufflenet_v1", "shufflenet/shufflenetv1/shufflenet_v1_g3_05-42cfe109", 57.05, model_size="0.5x"),
    _hub("shufflenet_v1", "shufflenetv1_ascend_v1100_imagenet2012_official_cv_top1acc73.83_top5acc91.54", 73.83,
         "9e484f77bf133ba65ecc6ac28c04d76e45fc822fdf4fb1636fd83dd30de0e462", model_size="2.0x"),
    _mindcv("resnet18", "resnet/resnet18-1e65cd21", 70.21),
    _hub("resnet18", "resnet18_ascend_v1100_imagenet2012_official_cv_top1acc70.47_top5acc89.61", 70.47,
         "22a181090f89f52442a43fc0a59b0d6029257c129f2722d11a25c9023ba95942"),
    _torchvision("resnet18", "resnet18-f37072fd", 69.76),
    _mindcv("resnet34", "resnet/resnet34-f297d27e", 74.15),
    _hub("resnet34", "resnet34_ascend_v1100_imagenet2012_official_cv_top1acc73.61_top5acc91.74", 73.61,
         "c17234dbfa8d3d41e816ab3caf306fb18728b445e39805e599e6e648e9805090"),
    _torchvision("resnet34", "resnet34-b627a593", 73.31),
    _mindcv("resnet50", "resnet/resnet50-e0733ab8", 76.69),
    _hub("resnet50", "resnet50_ascend_v1100_imagenet2012_official_cv_top1acc76.97_top5acc93.44", 76.97,
         "41c1479844f6f848d4caf902cf940ebe4727df559495ed45885892fc55a2738f"),
    _torchvision("resnet50", "resnet50-0676ba61", 76.13),
    _mindcv("resnet101", "resnet/resnet101-689c5e77", 78.24),
    _mindcv("resnet152", "resnet/resnet152-beb689d8", 78.72),
    _mindcv("vgg11", "vgg/vgg11-ef31d161", 71.86),
    _mindcv("vgg13", "vgg/vgg13-da805e6e", 72.87),
    _mindcv("vgg16", "vgg/vgg16-95697531", 74.61),
    _hub("vgg16", "vgg16_ascend_v1100_imagenet2012_official_cv_top1acc73.49_top5acc91.56", 73.49,
         "a400e47c89ce77ade7e45b7eb7c84dc04378152ed92a549e8b5f6e046ef36829"),
    _mindcv("vgg19", "vgg/vgg19-bedee7b6", 75.21),
    _hub("vgg19", "vgg19_ascend_v1100_imagenet2012_research_cv_top1acc74.22_top5acc91.99", 74.22,
         "eba330c2cfa6ea158716ec7be81075538280a4f006c5afe0ee7053a3d65de998"),
    _torchvision("vgg11_bn", "vgg11_bn-6002323d", 70.37),
    _torchvision("vgg13_bn", "vgg13_bn-abd245e5", 71.59),
    _hub("vgg16_bn", "vgg16_bn_ascend_v1100_imagenet2012_official_cv_top1acc74.33_top5acc92.1", 74.33,
         "e12b2eb08c1c32001a6f5873fa80b6430919949c5a8d4515469ea351eb416afa"),
    _torchvision("vgg16_bn", "vgg16_bn-6c64b313", 73.36),
    _torchvision("vgg19_bn", "vgg19_bn-c79401a0", 74.22),
    _torchvision("alexnet", "alexnet-owt-7be5be79", 56.52),
    _mindcv("squeezenet1_0", "squeezenet/squeezenet1_0-eb911778", 59.01),
    _hub("squeezenet1_0", "squeezenet_ascend_v1100_imagenet2012_official_cv_top1acc59.31", 59.31,
         "603fcc9613865871692ded0bb137044e7d71622846f7f147d78f7da91b9a689e"),
    _torchvision("squeezenet1_0", "squeezenet1_0-b66bff10", 58.09),
    _mindcv("squeezenet1_1", "squeezenet/squeezenet1_1-da256d3a", 58.44),
    _torchvision("squeezenet1_1", "squeezenet1_1-b8a52dc0", 58.18),
    _mindcv("densenet121", "densenet/densenet121-bf4ab27f-910v2", 75.67),
    _torchvision("densenet121", "densenet121-a639ec97", 74.43),
    _torchvision("densenet161", "densenet161-8d451a50", 77.14),
    _torchvision("densenet169", "densenet169-b2777c0a", 75.60),
    _torchvision("densenet201", "densenet201-c1103571", 76.90),
    _mindcv("inception_v3", "inception_v3/inception_v3-38f67890", 79.11),
    _hub("inception_v3", "inceptionv3_ascend_v1100_imagenet2012_official_cv_top1acc78.69_top5acc94.3", 78.69,
         "c3b6bd7fb0394255d8d96fde238face46e79b6a3a130c9a71135a1d8552536b4"),
    _torchvision("inception_v3", "inception_v3_google-0cc3c7bd", 77.29),
)


class NotFound(ValueError):
    """None of the files that would do is on disk, or can be downloaded."""


def published_for(net: str, net_options: Mapping | None = None) -> list[Published]:
    """The published weights of a net with these options, the best known first. Options that change no weight do not matter."""
    options = dict(net_options or {})
    if any(options.get(name) is not None for name in RESHAPING):
        return []
    return [row for row in TABLE if row.net == net
            and all(row.net_options.get(name, default) == options.get(name, default) for name, default in SHAPING.items())]


def published_as(path: str | Path) -> Published | None:
    """The published weights that the file at `path` is, by its SHA-256; None if it is none of them, or no file."""
    path = Path(path)
    try:
        if not (path.is_file() and path.suffix in (".ckpt", ".pth") and path.stat().st_size <= MAX_BYTES):
            return None
        return _known(path, *_identity(path))
    except OSError as error:  # of somebody else, in a folder that several use
        log.warning("%s cannot be read, and is passed over: %s", path, error.strerror or error)
        return None


def on_disk() -> dict[Published, Path]:
    """The published weights that are in the cache, in data/ or in $MINDCLF_DATA, under whatever name, and their files."""
    found: dict[Published, Path] = {}
    for path in files_on_disk((".ckpt", ".pth"), (downloads(),)):
        row = published_as(path)
        if row:
            found.setdefault(row, path)
    return found


def obtain(rows: Iterable[Published]) -> tuple[Published, Path]:
    """(the weights, their file): the first of `rows` that is on disk, or else the first that can be downloaded into the cache.

    Raises NotFound with one line that names the address, the file and the folders.
    """
    rows = list(rows)
    first, problems, found = rows[0], [], on_disk()
    unread = [row for row in rows if row.needs_pytorch] if importlib.util.find_spec("torch") is None else []
    rows = [row for row in rows if row not in unread]
    for row in rows:
        if row in found:
            return row, found[row]
    silent: set[str] = set()
    for row in rows:
        path = _download(row, problems, silent)
        if path:
            return row, path
    unread_file = next((found[row] for row in unread if row in found), None)
    if unread_file:
        raise NotFound(f"{unread_file} has ImageNet weights of {first.net}, and is read with PyTorch: pip install torch")
    reasons, more = problems[:SHOWN], len(problems) - SHOWN
    if more > 0:
        reasons.append(f"{more} more address{'es' if more > 1 else ''} failed")
    if unread:
        reasons.append(f"{'some' if rows else 'its'} files are read with PyTorch: pip install torch")
    raise NotFound(f"ImageNet weights of {first.net} are not on disk, and cannot be downloaded: get {ADDRESSES[first.origin][0]}"
                   f"{first.path} and put {first.file} into data/, {downloads()}, or a folder that MINDCLF_DATA names "
                   f"({'; '.join(reasons)})")


def downloads() -> Path:
    """The folder in the cache that has what was downloaded."""
    return cache_folder() / "weights" / "published"


def _download(row, problems, silent):
    """The file of `row`, downloaded and checked; None if that fails, with the reasons added to `problems`.

    Hosts in `silent` are not asked; those that do not answer are added to it.
    """
    path = downloads() / row.file
    with adding_to(path.parent):
        if path.exists() and row.is_of(sha256(path)):
            return path
        for number, address in enumerate(row.addresses):
            if urlsplit(address).netloc in silent:
                continue
            unchecked = path.with_name(f"{path.name}.{number}")  # of its own: what one began the other must not go on with
            try:
                log.info("downloading %s", address)
                fetch_https(address, unchecked)
            except ConnectionError as error:
                log.info("%s", error)
                problems.append(str(error))
                silent |= {urlsplit(address).netloc} if isinstance(error, Unreachable) else set()
                continue
            digest = sha256(unchecked)
            if row.is_of(digest):
                unchecked.replace(path)
                log.info("%s has the SHA-256 that %s publishes", address, row.origin)
                return path
            unchecked.unlink()
            problems.append(f"{address} is another file, and was deleted: its SHA-256 is {digest}, not {row.sha256}...")
            log.warning("%s", problems[-1])
    return None


def _mirror():
    """The address in the variable MIRROR, without a slash at its end; "" if it is not set."""
    mirror = os.environ.get(MIRROR, "")
    try:
        parts = urlsplit(mirror)
        is_https = parts.scheme == "https" and parts.hostname and parts.port != 0
    except ValueError:  # brackets that do not close, a port that is no number
        is_https = False
    if mirror and not is_https:
        raise ValueError(f"{MIRROR}={mirror} is no https address: correct it, or unset it")
    return mirror.rstrip("/")


def _identity(path):
    status = path.stat()
    return status.st_size, status.st_mtime_ns


@cache
def _known(path, size, modified):
    """As `published_as`, found out once as long as the file stays as it is. Warns of one that has the name of another."""
    digest = sha256(path)
    known = next((row for row in TABLE if row.is_of(digest)), None)
    named = next((row for row in TABLE if row.file == path.name), None)
    if named and not known:
        log.warning("%s has the name of %s's weights of %s, but is damaged or another file: its SHA-256 is %s, not %s...", path,
                    named.origin, named.net, digest, named.sha256)
    return known
