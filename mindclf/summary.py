"""What a net is made of: its layers, their output shapes, weights and work, found by running the net on one image."""

import inspect
from dataclasses import asdict, dataclass
from math import prod

import mindspore as ms
from mindspore import nn
from mindspore.common.initializer import initializer
from mindspore.nn.utils import no_init_parameters

from mindclf.device import pynative
from mindclf.nets import NETS, build_net

STATISTICS = ("moving_mean", "moving_variance")  # what batch norm averages; no gradient reaches them
FLOAT32_MIB = 4 / 2**20


@dataclass(frozen=True)
class Layer:
    """One call of a layer, for one image. A layer that is called again has its weights in the first call's row only."""

    name: str        # where it is in the net, as in the keys of a checkpoint: "features.0.features.0"
    kind: str        # its class
    shape: tuple     # of its output: (channels, height, width) or (features,); None if inference does not run it
    trainable: int   # numbers in its weights
    statistics: int  # numbers in its moving averages
    macs: int        # multiply-accumulates, of convolutions and dense layers only; adding the bias is none

    @property
    def activations(self):
        """Numbers in its output."""
        return prod(self.shape) if self.shape else 0


@dataclass(frozen=True)
class Summary:
    """The layers in the order in which they ran, then those that did not run; totals; and the memory that follows from them."""

    layers: tuple

    @property
    def trainable(self):
        return sum(layer.trainable for layer in self.layers)

    @property
    def statistics(self):
        return sum(layer.statistics for layer in self.layers)

    @property
    def macs(self):
        return sum(layer.macs for layer in self.layers)

    @property
    def activations(self):
        return sum(layer.activations for layer in self.layers)

    @property
    def weights_mib(self):
        """Of all weights and statistics in float32."""
        return (self.trainable + self.statistics) * FLOAT32_MIB

    @property
    def activations_mib(self):
        """Of the outputs of all layers in float32, for one image. Sums and products between layers are not among them."""
        return self.activations * FLOAT32_MIB

    def training_mib(self, batch_size):
        """For training with momentum: the weights, a gradient and a momentum for each, and the outputs of all layers.

        Room to work in comes on top; a device that drops outputs early, or keeps two in one place, needs less.
        """
        return self.weights_mib + 2 * self.trainable * FLOAT32_MIB + batch_size * self.activations_mib

    def as_dict(self, batch_size):
        """Everything, as JSON can hold it."""
        return {
            "layers": [asdict(layer) for layer in self.layers],
            "totals": {name: getattr(self, name) for name in ("trainable", "statistics", "macs", "activations")},
            "memory": {"weights_mib": round(self.weights_mib, 3), "activations_mib": round(self.activations_mib, 3),
                       "training_mib": round(self.training_mib(batch_size), 3), "batch_size": batch_size},
        }


def summarise(net, height, width):
    """The `Summary` of `net` for images of height x width pixels. Leaves the net in inference mode.

    Runs the net on one black image, outside graph mode, where cells can be watched. A layer is a cell that calls no other and
    owns the weights of those within it; so a grouped convolution of joined weights is one. Cells between layers are layers
    only if they have weights of their own. What hands on its input as it came, such as dropout, is left out.
    """
    paths = dict(_watched(net))
    layers, starts, seen = [], [], set()  # starts: how many layers there were when each cell that is running began

    def take(cell, parameters, shape, macs):
        fresh = [parameter for parameter in parameters if id(parameter) not in seen]
        seen.update(map(id, fresh))
        layers.append(Layer(paths[cell], type(cell).__name__, shape, *count_parameters(fresh), macs))

    def enter(cell, inputs):
        starts.append(len(layers))

    def leave(cell, inputs, output):
        calls_others = starts.pop() < len(layers)
        parameters = list(cell.get_parameters(expand=not calls_others))
        if any(output is given for given in inputs) or (calls_others and not parameters):
            return
        take(cell, parameters, output.shape[1:], 0 if calls_others else _macs(cell, output.size))

    hooks = [hook for cell in paths
             for hook in (cell.register_forward_pre_hook(enter), cell.register_forward_hook(leave))]
    try:
        with pynative():
            net.set_train(False)(ms.ops.zeros((1, 3, height, width), ms.float32)).asnumpy()  # waits for it
    finally:
        for hook in hooks:
            hook.remove()
    for cell in paths:
        unused = [parameter for parameter in cell.get_parameters(expand=False) if id(parameter) not in seen]
        if unused:
            take(cell, unused, None, 0)
    summary = Summary(tuple(layers))
    assert (summary.trainable, summary.statistics) == count_parameters(net.get_parameters())
    return summary


def empty_net(name, num_classes, /, **options):
    """The net that `create_net` builds, with zeros for weights: drawing the 144 million of a VGG takes seconds."""
    with no_init_parameters():
        net = build_net(name, num_classes, options)
    for parameter in net.get_parameters():
        if parameter.has_init:
            parameter.set_data(initializer("zeros", parameter.shape, parameter.dtype))
    net.init_parameters_data()  # else those in cells that are not called, only read, would stay without data
    return net


def count_parameters(parameters):
    """(trainable, statistics): how many numbers there are in `parameters`, frozen or not."""
    counts = [0, 0]
    for parameter in parameters:
        counts[parameter.name.rpartition(".")[2] in STATISTICS] += prod(parameter.shape)
    return tuple(counts)


def paper(name):
    """The paper of the net called `name`: the first sentence of the file that its class or function is in."""
    build = NETS[name]
    return inspect.getdoc(inspect.getmodule(getattr(build, "func", build))).partition(". ")[0]  # func: of a partial


def _watched(cell, path=""):
    """(cell, path) of `cell` and of the cells within it; but the activation within a batch norm is a part of that layer."""
    yield cell, path
    own = list(cell.get_parameters(expand=False))
    if own and len(own) == len(list(cell.get_parameters())):
        return
    for name, child in cell.name_cells().items():
        name = name if cell._auto_prefix else ""  # such as the backbone and the head of an ImageClassifier
        yield from _watched(child, ".".join(filter(None, (path, name))))


def _macs(cell, output_size):
    """What `cell` needs for an output of `output_size` numbers: for each, the part of the weights that makes one channel."""
    weights = [part.weight for _, part in cell.cells_and_names() if isinstance(part, (nn.Conv2d, nn.Dense))]
    if not weights:
        return 0
    return output_size * sum(prod(weight.shape) for weight in weights) // sum(len(weight) for weight in weights)
