"""Weights of others under the keys of a net of mindclf, whose own net computes something else."""

from dataclasses import dataclass

from mindclf.nets import ImageClassifier
from mindclf.nets.resnet import Bottleneck, ResNetBackbone
from mindclf.nets.squeezenet import SqueezeNetBackbone
from mindclf.utils.files import sha256

BOTTLENECK_CHANNELS = 512 * Bottleneck.expansion  # that a backbone of such blocks gives


@dataclass(frozen=True)
class Namesake:
    """Whose net it is, what differs in it, and its published files: {the first 8 characters of the SHA-256: what it is}."""

    owner: str
    difference: str
    files: dict


SQUEEZENET = Namesake("mindcv", "its pools round down, and version 1.1 pads the first convolution: logits differ by 1 to 3 %",
                      {"eb911778": "mindcv's squeezenet1_0", "e2d78c4a": "mindcv 0.3.0's squeezenet1_0",
                       "da256d3a": "mindcv's squeezenet1_1"})
RESNET = Namesake("MindSpore Hub", "its convolutions and its pool pad as TensorFlow's do, and its epsilon is 1e-4: logits differ "
                  "by 1.5 %", {"41c14798": "MindSpore Hub's resnet50"})


def namesake_of(net):
    """The `Namesake` of a net or of a backbone; None if everybody who publishes such keys computes the same."""
    backbone = net.backbone if isinstance(net, ImageClassifier) else net
    if isinstance(backbone, SqueezeNetBackbone):
        return SQUEEZENET
    if isinstance(backbone, ResNetBackbone) and backbone.out_channels == BOTTLENECK_CHANNELS:
        return RESNET
    return None


def check_origin(path, net, origin=""):
    """Raises ValueError unless the weights in the file at `path`, which has no card, are known to be meant for `net`.

    Most keys tell a net. Where they do not, `origin` has to be "mindclf": one of its nets was trained. Published files of others
    are known by their SHA-256 and refused whatever `origin` says.
    """
    namesake = namesake_of(net)
    if namesake is None:
        return
    file = namesake.files.get(sha256(path)[:8])
    if file:
        raise ValueError(f"{path} is {file}, whose keys are those of mindclf's net, but {namesake.difference}; mindclf convert "
                         f"makes a checkpoint of it that knows this")
    if origin != "mindclf":
        raise ValueError(f"{path} has no card, and {namesake.owner} has a net with the same keys, but {namesake.difference}; its "
                         f"files are for mindclf convert; if mindclf's net was trained, say so with checkpoint_origin=mindclf")
