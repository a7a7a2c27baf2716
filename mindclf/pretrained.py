"""The net that a run starts from: which weights, and what their card says about options and pixel statistics."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from mindspore.nn.utils import no_init_parameters

from mindclf import __version__, nets
from mindclf.checkpoint import GARBAGE_SORTER, has_card, load_checkpoint, named_checkpoint, read_card
from mindclf.config import merge, phases_of, pixel_statistics
from mindclf.convert import convert
from mindclf.dataset.locate import find_imagenet_mobilenet_v2, imagenet_on_disk
from mindclf.device import set_seeds
from mindclf.nets import MobileNetV2Backbone, check_name
from mindclf.published import NotFound, obtain, on_disk, published_for
from mindclf.utils.cache import adding_to, cache_folder
from mindclf.utils.files import sha256

log = logging.getLogger(__name__)


def create_net(name: str, num_classes: int = 1000, pretrained: bool | str | Path = False, **options: Any) -> nets.ImageClassifier:
    """The net called `name` with `num_classes` outputs, as mindclf.nets.create_net makes it, perhaps with pretrained weights.

    `pretrained` is False, True for ImageNet's weights, the name of a file in checkpoints/ without .ckpt, or the path of a
    checkpoint. A head of another number of classes is left at random. `options` that are not given are those of the weights.
    Raises ValueError where there are no such weights, or those of another net.
    """
    if not pretrained:
        return nets.create_net(name, num_classes, **options)
    config = merge({}, {"net": name, "net_options": options, "pretrained": "imagenet" if pretrained is True else str(pretrained)})
    check_start(config)
    path, _, card = _weights_of(config)
    net = nets.create_net(name, num_classes, **{**card.get("net_options", {}), **options})
    load_checkpoint(path, net if len(card.get("classes", ())) == num_classes else net.backbone)
    return net


def check_start(config):
    """Raises ValueError for a net or a checkpoint that is not there: a look before many images are read."""
    check_name(config.net)
    if config.pretrained == "imagenet":
        _published_for(config)
    if config.pretrained not in ("", "imagenet") and not named_checkpoint(config.pretrained).is_file():
        raise ValueError(f"pretrained={config.pretrained}: there is no such checkpoint")


def start_net(config, num_classes, net=None):
    """(net, config, origin): the net with its backbone loaded, the config with what it left open, the weights in words.

    Seeds everything anew right before it draws the net's weights, so that what happened before (a conversion on the first run)
    does not change them. Net options and pixel statistics that the config leaves open are those of the weights' card: a backbone
    that saw pixels from -1 to 1 and TensorFlow's padding in training must see them again. Where the garbage sorter stands in for
    ImageNet's weights, config.pretrained names it: what it has seen counts as seen. A `net` that is given, one that create_net
    made, is taken as it is.
    """
    if net is not None:
        return _given_net(config, num_classes, net)
    path, origin, card = _weights_of(config)
    config = _completed(config, card)
    if path == GARBAGE_SORTER:
        config = merge(config, {"pretrained": GARBAGE_SORTER.stem})
    set_seeds(config.seed)
    net = nets.build_net(config.net, num_classes, config.net_options)
    _check_net(net, config)
    if path:
        load_checkpoint(path, net.backbone, config.checkpoint_origin)
    log.info("net %s, initialised from %s", config.net, origin)
    if not path and phases_of(config)[0].trainable == "head":
        log.warning("the first phase trains a head on a backbone of random weights, which cannot learn much: take trainable=all, "
                    "or name a checkpoint as pretrained")
    return net, config, origin


def config_of_weights(config):
    """`config` with what it left open as the card of its weights has it, as a run has it that starts from them."""
    return _completed(config, _weights_of(config)[2])


def _completed(config, card):
    mean, std = pixel_statistics(config if config.mean else card)
    return merge(config, {"net_options": {**card.get("net_options", {}), **config.net_options}, "mean": mean, "std": std})


def _given_net(config, num_classes, net):
    """(net, config, origin) for a net of the caller's own."""
    if not hasattr(net, "net_name"):
        raise ValueError("the card of a run must name the net, so that Predictor can make it again: put your class into the "
                         "table, mindclf.nets.NETS['my_net'] = MyNet, and make it with create_net('my_net', num_classes)")
    if net.num_classes != num_classes:
        raise ValueError(f"the net has {net.num_classes} outputs, and the data set {num_classes} classes")
    mean, std = pixel_statistics(config)
    config = merge(config, {"net": net.net_name, "net_options": net.net_options, "mean": mean, "std": std})
    set_seeds(config.seed)
    _check_net(net, config)
    log.info("net %s, as it was given", config.net)
    return net, config, "a net of the caller's own"


def _check_net(net, config):
    """Raises ValueError for images that are too small for training `net`, and for a drop path where it has no residual blocks."""
    nets.check_drop_path(net, max(phase.drop_path_rate for phase in phases_of(config)))
    smallest, given = net.min_training_size, (config.image_height, config.image_width)
    scale = min(phase.train_scale for phase in phases_of(config))
    if round(min(given) * scale) < smallest:
        at_scale = f" at train_scale={scale}" if scale != 1 else ""
        raise ValueError(f"image_height={given[0]} and image_width={given[1]}{at_scale} are too small for training {config.net} "
                         f"with net_options={dict(config.net_options)}: it takes {smallest} pixels and up")


def _weights_of(config):
    """(path, origin in words, card) of the weights that config.pretrained names; (None, origin, {}) for random ones."""
    path, origin = find_pretrained(config)
    card = read_card(path) if path and has_card(path) else {}
    if card.get("net", config.net) != config.net:
        raise ValueError(f"pretrained={path} holds a {card['net']}, but net={config.net}")
    return path, origin, card


def parent_card(config):
    """The card of the checkpoint that config.pretrained names; {} for fresh weights, ImageNet's, and a file without a card."""
    if config.pretrained in ("", "imagenet"):
        return {}
    path = named_checkpoint(config.pretrained)
    return read_card(path) if has_card(path) else {}


def find_pretrained(config):
    """(path, origin in words) of the weights that config.pretrained names; path is None for fresh weights.

    ImageNet's are those of this very net, as published (see mindclf.published). Where MobileNetV2's cannot be had, the backbone
    of the garbage sorter, which is one too, stands in for photos of garbage and for one's own, with a warning.
    """
    if not config.pretrained:
        return None, "fresh weights"
    if config.pretrained != "imagenet":
        return named_checkpoint(config.pretrained), config.pretrained
    rows = _published_for(config)
    if config.net == "mobilenet_v2" and not rows[0].net_options:  # of width 1, for which the course has weights
        found = imagenet_on_disk() or (None if not on_disk().keys().isdisjoint(rows) else
                                       find_imagenet_mobilenet_v2(check=_fits_mobilenet_v2))
        if found:
            is_tf_slim = found.path.suffix == ".npz"
            return converted(found.path) if is_tf_slim else found.path, found.origin + (" (TF-slim)" if is_tf_slim else "")
    try:
        row, path = obtain(rows)
    except NotFound:
        if config.net != "mobilenet_v2" or rows[0].net_options or config.dataset not in ("", "garbage26"):
            raise
        log.warning("no ImageNet weights to be had: starting from the backbone of mindclf's own garbage sorter, which has seen "
                    "the training photos of the garbage set")
        return GARBAGE_SORTER, "the backbone of mindclf's own garbage sorter"
    return converted(path), f"ImageNet weights of {row.origin}, {row.file}"


def _published_for(config):
    """The published weights of the config's net. Raises ValueError if there are none."""
    rows = published_for(config.net, config.net_options)
    if not rows:
        raise ValueError(f"nobody publishes ImageNet weights of {config.net} with net_options={dict(config.net_options)}: "
                         f"`mindclf weights` lists those that there are; give the path of a checkpoint, or an empty pretrained= "
                         f"for fresh weights")
    return rows


def _fits_mobilenet_v2(path):
    """What confirms that the file at `path` has MobileNetV2's weights, in words. Raises ValueError for others."""
    with no_init_parameters():
        backbone = MobileNetV2Backbone()
    load_checkpoint(path, backbone)
    return f"all {len(list(backbone.get_parameters()))} weights of MobileNetV2's backbone"


def converted(source):
    """The checkpoint that the published weights in `source` are converted to, in the cache, or earlier in data/; made once."""
    digest = sha256(source)
    path = cache_folder() / "weights" / f"{source.stem}-{__version__}-{digest[:12]}.ckpt"
    found = next((file for file in (path, Path("data") / f"{source.stem}.ckpt") if _is_of(file, digest)), None)
    if found:
        return found
    with adding_to(path.parent):
        return path if _is_of(path, digest) else convert(source, path)


def _is_of(path, digest):
    """Whether the checkpoint at `path` is there, whole, and converted from the file with that SHA-256."""
    try:
        return path.is_file() and read_card(path).get("data", {}).get("sha256") == digest
    except ValueError:
        return False
