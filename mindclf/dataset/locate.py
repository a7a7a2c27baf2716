"""Finders of data sets and of pretrained weights: in data/, $MINDCLF_DATA or the cache, on the network, or made here.

mindclf.dataset.registry names the finders of data sets, and says what they have in common.
"""

import contextlib
import logging
import os
from dataclasses import dataclass
from pathlib import Path

from mindclf.dataset.cifar10_files import MD5, is_folder
from mindclf.dataset.download import ArchiveError, fetch, unpack_tar, unpack_zip
from mindclf.drawings.generate import ORIGIN, draw_garbage26
from mindclf.labels import CALTECH16, FLOWER_PHOTOS, index_en
from mindclf.utils.cache import adding_to, cache_folder
from mindclf.utils.files import open_file, sha256

log = logging.getLogger(__name__)

# Addresses that MindSpore's course notebook on garbage sorting publishes.
COURSE = "https://ascend-professional-construction-dataset.obs.cn-north-4.myhuaweicloud.com:443"
GARBAGE26_URL = f"{COURSE}/MindStudio-pc/data_en.zip"
IMAGENET_URL = f"{COURSE}/ComputerVision/mobilenetV2-200_1067.zip"
CIFAR10_URLS = (  # the first is that of MindSpore's tutorials, the second that of the authors
    "https://mindspore-website.obs.cn-north-4.myhuaweicloud.com/notebook/datasets/cifar-10-binary.tar.gz",
    "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
)
# Of 170,052,171 bytes, as TensorFlow Datasets lists the authors' file (url_checksums/cifar10.txt).
CIFAR10_SHA256 = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
# Nobody publishes a hash of the other two. Readers of the course count 2,593 training and 260 test photos in the first; a copy
# without those that are on both sides has 2,181 and 130.
GARBAGE26_LEAST = {"train": 2000, "test": 130}
IMAGE_BEGINNINGS = (b"\xff\xd8\xff", b"\x89PNG")

GARBAGE26_FOLDERS = ("data_en", "garbage26", "data/data_en", "data/garbage26")
IMAGENET_FILES = ("mobilenetV2-200_1067.ckpt", "weights/mobilenetV2-200_1067.ckpt", "mobilenet_v2_1.0_224_imagenet_tf.npz",
                  "weights/mobilenet_v2_1.0_224_imagenet_tf.npz")
CIFAR10_FOLDERS = ("cifar-10-batches-bin", "data/cifar-10-batches-bin", "cifar10/cifar-10-batches-bin", "cifar10",
                   "cifar-10-batches-bin-jpeg")  # the last is where a copy is unpacked
FLOWERS102_FOLDERS = ("flowers102", "flower_data", "data/flowers102", "data/flower_data")
CALTECH16_FOLDERS = ("caltech16", "data/caltech16")
FLOWER_PHOTOS_FOLDERS = ("flower_photos", "flower_photos_128", "data/flower_photos", "data/flower_photos_128")
CIFAR10_COPIES = ("cifar10_jpeg.npz", "data/cifar10_jpeg.npz")


@dataclass(frozen=True)
class Found:
    """A file or folder, and in a few words where it comes from, for logs and cards."""

    path: Path
    origin: str


def find_garbage26(only_on_disk=False):
    """The folder with train/ and test/ of the garbage set, as `Found`: photos if they can be had, else drawings.

    Drawings are made in the cache when the photos are in neither place and cannot be downloaded.
    """
    folder = _folder_on_disk(GARBAGE26_FOLDERS, "train", "test")
    if folder or only_on_disk:
        return folder and Found(folder, "photos of the garbage sorting tutorial")
    try:
        folder = _download_zip(GARBAGE26_URL, "data_en", _photos_of_garbage)
        return Found(folder, f"photos downloaded from {GARBAGE26_URL}")
    except ConnectionError as error:
        log.warning("%s. Drawing a stand-in set instead: a net trained on drawings does not sort photos. For the real one put "
                    "the photos into data/data_en/, or set MINDCLF_DATA to a folder that has data_en/", error)
    drawn = _downloads() / "garbage26_drawn"
    with _made_once(drawn):
        return Found(draw_garbage26(drawn), ORIGIN)


def find_imagenet_mobilenet_v2(check):
    """The file with ImageNet weights of MobileNetV2 as `Found` (.ckpt or TF-slim .npz), or None if there is none to be had.

    `check` looks at a file that was downloaded: it says in words what confirms it, or raises ValueError.
    """
    found = imagenet_on_disk()
    if found:
        return found
    try:
        folder = _download_zip(IMAGENET_URL, "mobilenetV2-200_1067", lambda folder: check(_checkpoint_in(folder)))
    except ConnectionError as error:
        log.warning("%s", error)
        return None
    return Found(_checkpoint_in(folder), f"ImageNet weights downloaded from {IMAGENET_URL}")


def imagenet_on_disk():
    """The file with ImageNet weights of MobileNetV2 in data/, $MINDCLF_DATA or the cache, as `Found`; or None."""
    files = (root / name for root in _roots() for name in IMAGENET_FILES)
    return next((Found(file, "ImageNet weights") for file in files if file.is_file()), None)


def find_cifar10(only_on_disk=False):
    """The folder with the binary files of CIFAR-10, as `Found`; with `only_on_disk` perhaps the file of a JPEG copy.

    Files on disk come first, then a copy whose images are JPEGs, which is unpacked once into the cache,
    then the network. Raises ValueError that says what to do if there is none: nothing stands in for these images.
    """
    place = _cifar10_on_disk()
    if only_on_disk:
        return place and Found(place, "CIFAR-10, not checked")
    from mindclf.dataset import cifar10  # which imports MindSpore

    if place is None:
        folder, url = _download_cifar10()
        return Found(folder, cifar10.origin_of(folder) + (f" downloaded from {url}" if url else ""))
    if place.is_file():
        folder = _downloads() / CIFAR10_FOLDERS[-1]
        with _made_once(folder):
            if not folder.exists():
                log.info("unpacking %s, once", place)
                cifar10.unpack_copy(place, folder)
        place = folder
    return Found(place, cifar10.origin_of(place))


def _cifar10_on_disk():
    """The folder with files of CIFAR-10, or else the JPEG copy, in data/, $MINDCLF_DATA or the cache; or None."""
    roots = _roots()
    folders = (root / name for name in CIFAR10_FOLDERS for root in roots)  # the copy's folder last
    folder = next((folder for folder in folders if is_folder(folder)), None)
    return folder or next((root / name for root in roots for name in CIFAR10_COPIES if (root / name).is_file()), None)


def find_flowers102(only_on_disk=False):
    """The folder with train/, valid/ and test/ of Oxford's 102 flowers, as `Found`.

    Raises ValueError that says what to do if it is not on disk: no address is known that has the images divided so.
    """
    folder = _folder_on_disk(FLOWERS102_FOLDERS, "train", "valid", "test")
    if folder or only_on_disk:
        return folder and Found(folder, "photos of Oxford's 102 flowers")
    raise ValueError("the 102 flowers are neither in data/ nor in $MINDCLF_DATA, and mindclf cannot download them: put the "
                     "folder flowers102 with train/, valid/ and test/, each with class folders '1' to '102', into data/, or "
                     "set MINDCLF_DATA to the folder that has it")


def find_caltech16(only_on_disk=False):
    """The folder with the class folders of 16 Caltech-101 classes, as `Found`.

    Raises ValueError that says what to do if it is not on disk: no address is known that has these classes alone.
    """
    folder = _folder_on_disk(CALTECH16_FOLDERS)
    if folder or only_on_disk:
        return folder and Found(folder, "photos of 16 Caltech-101 classes")
    raise ValueError(f"the 16 Caltech classes are neither in data/ nor in $MINDCLF_DATA, and mindclf cannot download them: "
                     f"copy {', '.join(CALTECH16)} of Caltech-101 into data/caltech16/, or set MINDCLF_DATA "
                     f"to the folder that has caltech16/")


def find_flower_photos(only_on_disk=False):
    """The folder with the class folders of photos of five flowers, as `Found`. Raises ValueError if it is not on disk."""
    folder = _folder_on_disk(FLOWER_PHOTOS_FOLDERS, *FLOWER_PHOTOS)
    if folder or only_on_disk:
        return folder and Found(folder, "photos of five flowers" + (", at 128 pixels" if folder.name.endswith("_128") else ""))
    plural = _folder_on_disk(FLOWER_PHOTOS_FOLDERS, "daisy", "dandelion", "roses", "sunflowers", "tulips")
    if plural:
        raise ValueError(f"{plural} has roses, sunflowers and tulips, as TensorFlow's archive calls them: rename these "
                         f"folders rose, sunflower and tulip")
    raise ValueError(f"the flower photos are neither in data/ nor in $MINDCLF_DATA, and mindclf cannot download them: put "
                     f"the folder flower_photos with {', '.join(FLOWER_PHOTOS)} into data/, or set MINDCLF_DATA to the "
                     f"folder that has it")


def files_on_disk(suffixes, more=()):
    """The files in `more` folders, data/, $MINDCLF_DATA and the cache, at any depth, whose names end in one of `suffixes`.

    Links to folders are followed, each folder once. Files with a card beside them are mindclf's own checkpoints, and left out.
    """
    seen = set()
    for root in (*more, *_roots()):
        for folder, inside, names in os.walk(root, followlinks=True):
            place = os.path.realpath(folder)
            inside[:] = [] if place in seen else sorted(inside)
            for name in [] if place in seen else sorted(names):
                if name.endswith(suffixes) and f"{name}.json" not in names:
                    yield Path(folder) / name
            seen.add(place)


def _folder_on_disk(names, *inside):
    """The first of the folders `names` in data/ or in $MINDCLF_DATA that has the folders `inside`, or None."""
    folders = (root / name for root in _roots() for name in names)
    return next((folder for folder in folders if all((folder / part).is_dir() for part in ("", *inside))), None)


def _roots():
    named = os.environ.get("MINDCLF_DATA")
    if named and not Path(named).is_dir():
        raise ValueError(f"MINDCLF_DATA={named} is not a folder: correct it, or unset it")
    return [Path("data"), *([Path(named)] if named else []), _downloads()]


def _downloads():
    return cache_folder() / "data"


def _made_once(folder):
    """A block that makes `folder` in the cache, unless it is there: of several commands one does, and the others wait."""
    return contextlib.nullcontext() if folder.exists() else adding_to(folder.parent)


def _download_zip(url, name, check):
    """<name> in the cache with the contents of the zip file at `url`, or the folder <name> at its top.

    `check(folder)` says in words what confirms the contents, or raises ValueError; then nothing of a download stays.
    """
    folder = _downloads() / name
    with _made_once(folder):
        if not folder.exists():
            archive = fetch(url, _downloads() / f"{name}.zip")
            try:
                unpack_zip(archive, folder, lambda contents: _confirm(url, archive, _top(contents, name), check))
            except ArchiveError:
                archive.unlink()
                raise
            archive.unlink()
            return _top(folder, name)
    try:
        check(_top(folder, name))
    except ValueError as error:
        raise ValueError(f"{folder} is not what {url} should hold: {error}; delete it to have that downloaded again") from None
    return _top(folder, name)


def _top(folder, name):
    """`folder`, or the folder `name` at its top, which some archives have."""
    return folder / name if (folder / name).is_dir() else folder


def _confirm(url, archive, folder, check):
    """Logs what confirms the contents of a download, unpacked in `folder`. Raises ArchiveError if `check` finds them wrong."""
    digest = sha256(archive)
    try:
        confirmed = check(folder)
    except ValueError as error:
        reason = str(error).replace(f"{folder}{os.sep}", "")
        raise ArchiveError(f"{url} is not what it should be, and was deleted: {reason} (its SHA-256: {digest})") from None
    log.info("%s is confirmed by what it holds: %s; no hash of it is published, its SHA-256 is %s", url, confirmed, digest)


def _photos_of_garbage(folder):
    """What confirms that `folder` has the photos of the garbage set, in words. Raises ValueError if something is missing."""
    counts = {}
    for part, least in GARBAGE26_LEAST.items():
        photos = {name: sum(map(_begins_as_image, (folder / part / name).glob("*"))) for name in index_en}
        empty = [name for name, count in photos.items() if not count]
        if empty:
            raise ValueError(f"{part}/ has no photos of {', '.join(empty[:3])}{' ...' if len(empty) > 3 else ''}")
        counts[part] = sum(photos.values())
        if counts[part] < least:
            raise ValueError(f"{part}/ has {counts[part]:,} photos, and should have {least:,} or more")
    return f"{len(index_en)} classes, {counts['train']:,} training and {counts['test']:,} test photos"


def _begins_as_image(path):
    with open_file(path) as file:
        return file.read(4).startswith(IMAGE_BEGINNINGS)


def _checkpoint_in(folder):
    """The checkpoint somewhere in `folder`. Raises ValueError if there is none."""
    files = sorted(folder.glob("**/*.ckpt"))
    if not files:
        raise ValueError("it has no .ckpt")
    return files[0]


def _download_cifar10():
    """(the folder with the files of CIFAR-10 in the cache, the address that it came from; None if another command had it)."""
    folder = _downloads() / CIFAR10_FOLDERS[0]
    with _made_once(folder):
        return (folder, None) if is_folder(folder) else _fetch_cifar10(folder)


def _fetch_cifar10(folder):
    """As `_download_cifar10`, alone."""
    from mindclf.dataset.cifar10 import FILE_BYTES

    if folder.exists():
        raise ValueError(f"{folder} holds none of {', '.join(MD5)}: put them there, or delete it to have them downloaded")
    problems = []
    for number, url in enumerate(CIFAR10_URLS, 1):
        archive = folder.parent / f"cifar-10-binary-{number}.tar.gz"  # of its own: what one began the other must not go on with
        try:
            fetch(url, archive)
        except ConnectionError as error:
            problems.append(str(error))
            continue
        digest = sha256(archive)
        if digest == CIFAR10_SHA256:
            log.info("%s has the SHA-256 of the authors' file", url)
            unpack_tar(archive, folder, {f"{CIFAR10_FOLDERS[0]}/{name}": FILE_BYTES for name in MD5})
            archive.unlink()
            return folder, url
        archive.unlink()
        problems.append(f"{url} is not CIFAR-10, and was deleted: its SHA-256 is {digest}, not {CIFAR10_SHA256}")
        log.warning("%s", problems[-1])
    raise ValueError(f"CIFAR-10 is neither in data/ nor in $MINDCLF_DATA: put the folder cifar-10-batches-bin with its files "
                     f"into data/, or set MINDCLF_DATA to the folder that has it ({'; '.join(problems)})")
