"""The net that a run starts from: which weights, and what their card says about options and pixel statistics."""

import logging
from pathlib import Path

from mindspore.nn.utils import no_init_parameters

from mindclf import __version__
from mindclf.checkpoint import GARBAGE_SORTER, has_card, load_checkpoint, named_checkpoint, read_card
from mindclf.config import merge, phases_of, pixel_statistics
from mindclf.convert import convert_tf_mobilenet_v2
from mindclf.dataset.locate import IMAGENET_FILES, find_imagenet_mobilenet_v2
from mindclf.device import set_seeds
from mindclf.nets import MobileNetV2Backbone, check_name, create_net
from mindclf.utils.cache import adding_to, cache_folder
from mindclf.utils.files import sha256

log = logging.getLogger(__name__)


def check_start(config):
    """Raises ValueError for a net or a checkpoint that is not there: a look before many images are read."""
    check_name(config.net)
    if config.pretrained not in ("", "imagenet") and not named_checkpoint(config.pretrained).is_file():
        raise ValueError(f"pretrained={config.pretrained}: there is no such checkpoint")


def start_net(config, num_classes):
    """(net, config, origin): the net with its backbone loaded, the config with what it left open, the weights in words.

    Seeds everything anew right before it draws the net's weights, so that what happened before (a conversion on the first run)
    does not change them. Net options and pixel statistics that the config leaves open are those of the weights' card: a backbone
    that saw pixels from -1 to 1 and TensorFlow's padding in training must see them again.
    """
    path, origin = find_pretrained(config)
    card = read_card(path) if path and has_card(path) else {}
    if card.get("net", config.net) != config.net:
        raise ValueError(f"pretrained={path} holds a {card['net']}, but net={config.net}")
    mean, std = pixel_statistics(config if config.mean else card)
    config = merge(config, {"net_options": {**card.get("net_options", {}), **config.net_options}, "mean": mean, "std": std})
    set_seeds(config.seed)
    net = create_net(config.net, num_classes, **config.net_options)
    smallest, given = net.min_training_size, (config.image_height, config.image_width)
    share = min(phase.size_share for phase in phases_of(config))
    if round(min(given) * share) < smallest:
        at_share = f" at size_share={share}" if share != 1 else ""
        raise ValueError(f"image_height={given[0]} and image_width={given[1]}{at_share} are too small for training {config.net} "
                         f"with net_options={dict(config.net_options)}: it takes {smallest} pixels and up")
    if path:
        load_checkpoint(path, net.backbone, config.checkpoint_origin)
    log.info("net %s, starting from %s", config.net, origin)
    if not path and phases_of(config)[0].layers == "head":
        log.warning("the first phase trains a head on a backbone of random weights, which cannot learn much: take layers=all, or "
                    "name a checkpoint as pretrained")
    return net, config, origin


def parent_card(config):
    """The card of the checkpoint that config.pretrained names; {} for fresh weights, ImageNet's, and a file without a card."""
    if config.pretrained in ("", "imagenet"):
        return {}
    path = named_checkpoint(config.pretrained)
    return read_card(path) if has_card(path) else {}


def find_pretrained(config):
    """(path, origin in words) of the weights that config.pretrained names; path is None for fresh weights.

    Where ImageNet's cannot be had, the backbone of the garbage sorter stands in for photos of garbage and for one's own.
    """
    if not config.pretrained:
        return None, "fresh weights"
    if config.pretrained != "imagenet":
        return named_checkpoint(config.pretrained), config.pretrained
    if config.net != "mobilenet_v2":
        raise ValueError(f"pretrained=imagenet is there for net=mobilenet_v2 only, not for {config.net}: give the path of a "
                         f"checkpoint, or an empty pretrained= for fresh weights")
    found = find_imagenet_mobilenet_v2(check=_fits_mobilenet_v2)
    if found is None and config.dataset not in ("", "garbage26"):
        raise ValueError(f"no ImageNet weights can be downloaded: put {' or '.join(IMAGENET_FILES[::2])} into data/, set "
                         f"MINDCLF_DATA to a folder that has it, or take fresh weights with an empty pretrained=")
    if found is None:
        log.warning("no ImageNet weights to be had: starting from the backbone of mindclf's own garbage sorter, which has seen "
                    "the training photos of the garbage set")
        return GARBAGE_SORTER, "the backbone of mindclf's own garbage sorter"
    if found.path.suffix == ".npz":
        return converted(found.path), f"{found.origin} (TF-slim)"
    return found.path, found.origin


def _fits_mobilenet_v2(path):
    """What confirms that the file at `path` has MobileNetV2's weights, in words. Raises ValueError for others."""
    with no_init_parameters():
        backbone = MobileNetV2Backbone()
    load_checkpoint(path, backbone)
    return f"all {len(list(backbone.get_parameters()))} weights of MobileNetV2's backbone"


def converted(source):
    """The checkpoint that the TF-slim weights in `source` are converted to, in the cache, or earlier in data/; made once."""
    digest = sha256(source)
    path = cache_folder() / "weights" / f"{source.stem}-{__version__}-{digest[:12]}.ckpt"
    found = next((file for file in (path, Path("data") / f"{source.stem}.ckpt") if _is_of(file, digest)), None)
    if found:
        return found
    with adding_to(path.parent):
        return path if _is_of(path, digest) else convert_tf_mobilenet_v2(source, path)


def _is_of(path, digest):
    """Whether the checkpoint at `path` is there, whole, and converted from the file with that SHA-256."""
    try:
        return path.is_file() and read_card(path).get("data", {}).get("sha256") == digest
    except ValueError:
        return False
