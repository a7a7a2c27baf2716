"""Training state: what the parts of a training keep, and the file that holds it between two steps.

A part is an object with `state_dict()`, a dict of arrays and of values that JSON can hold, and `load_state_dict(state)`, which
takes it back. A training is a dict of parts by name; it is saved and restored in one loop over them.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mindspore import Tensor

from mindclf.checkpoint import fill_net
from mindclf.utils.arrays import write_arrays
from mindclf.utils.files import first_line

STATE_FORMAT = 6


@dataclass(frozen=True)
class TrainingState:
    """A training between two steps: the `position` {"phase", "epochs", "steps"}, and what each of its parts keeps.

    `epochs` are those of the phase that are over; `steps` are those of the next one.
    """

    path: Path
    position: dict
    parts: dict


def state_path(output):
    """The file in the folder `output` of a run that holds its state."""
    return Path(output) / "epochs" / "state.npz"


def save_state(path, position, parts):
    """Writes the file that `load_state` reads, in one step; `parts` are objects with `state_dict`, by name."""
    states = {name: part.state_dict() for name, part in parts.items()}
    arrays = {f"{name}/{key}": value for name, state in states.items() for key, value in state.items()
              if isinstance(value, np.ndarray)}
    others = {name: {key: value for key, value in state.items() if not isinstance(value, np.ndarray)}
              for name, state in states.items()}
    metadata = {"format": STATE_FORMAT, "position": position, "parts": others, "arrays": list(arrays)}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_arrays(path, metadata=np.array(json.dumps(metadata)), **arrays)


def load_state(path):
    """The `TrainingState` in the file at `path`. Raises ValueError that names the file if it is damaged."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        if "metadata" not in arrays:
            raise ValueError("another version of mindclf wrote it")
        metadata = json.loads(str(arrays.pop("metadata")))
        if metadata["format"] != STATE_FORMAT:
            raise ValueError("another version of mindclf wrote it")
        if list(arrays) != metadata["arrays"]:
            raise ValueError("arrays are missing")  # ZIP has checksums of its contents, not of its list of contents
        parts = metadata["parts"]
        for name, value in arrays.items():
            part, _, key = name.partition("/")
            parts[part][key] = value
    except Exception as error:  # zipfile and NumPy raise a dozen kinds, by kind of damage
        raise ValueError(f"{path} is damaged: {first_line(error)}; start the run afresh, without resume") from None
    return TrainingState(path, metadata["position"], parts)


class NetWeights:
    """The parameters of `net`, as a part of a training: trainable ones and the statistics of batch norm."""

    def __init__(self, net):
        self.net = net

    def state_dict(self):
        """All parameters, arrays by name."""
        return {parameter.name: parameter.asnumpy() for parameter in self.net.get_parameters()}

    def load_state_dict(self, state):
        """Sets what `state_dict` gave."""
        fill_net(self.net, state, "the state of the run")


class OptimizerState:
    """What an optimizer keeps besides the weights and its learning rates: momenta and the number of steps."""

    def __init__(self, optimizer):
        self.optimizer = optimizer

    def state_dict(self):
        """Arrays by name. The learning rates are the schedule's: a run that goes on may get more epochs."""
        weights = {id(parameter) for parameter in self.optimizer.parameters}
        return {parameter.name: parameter.asnumpy() for parameter in self.optimizer.get_parameters()
                if id(parameter) not in weights and not parameter.name.startswith("learning_rate")}

    def load_state_dict(self, state):
        """Sets what `state_dict` gave. Of a state with "global_step" alone, momenta stay as they are.

        Raises ValueError for the state of another optimizer, as of an older mindclf's AdamW.
        """
        own = self.state_dict()
        begun = {**own, **state} if set(state) == {"global_step"} else state
        if {name: value.shape for name, value in own.items()} != {name: value.shape for name, value in begun.items()}:
            [name, *_] = sorted(own.keys() ^ begun.keys()) or ["other shapes"]
            raise ValueError(f"the run kept the state of another optimizer than {type(self.optimizer).__name__} ({name}): "
                             f"another version of mindclf wrote it; start the run afresh, without resume")
        for parameter in self.optimizer.get_parameters():
            if parameter.name in own:
                parameter.set_data(Tensor(begun[parameter.name], parameter.dtype))
