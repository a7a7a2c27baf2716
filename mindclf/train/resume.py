"""What a run leaves after each epoch, or when it is interrupted, so that it can go on from there as if nothing had happened."""

import json
import logging
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from easydict import EasyDict
from mindspore import Tensor

from mindclf.card import read_card, settle
from mindclf.checkpoint import read_weights
from mindclf.config import DEFAULTS, phases_of
from mindclf.train.callbacks import read_history
from mindclf.train.output import HISTORY
from mindclf.train.schedules import Plateau
from mindclf.utils.files import TEMPORARY, first_line, replacing

log = logging.getLogger(__name__)

# Of the config, what may differ when a run goes on: no weight depends on it.
FREE_FIELDS = ("resume", "device_target", "output", "dataset_path", "feature_cache", "cache_dir", "grid_rows", "grid_columns",
               "tensorboard")
STATE_FORMAT = 4
EPOCH_FIELDS = ("phase", "epoch", "metrics")  # what a card says of the epoch that its weights are of


@dataclass(frozen=True)
class RunState:
    """A run between two steps: `facts` are what JSON can hold, `arrays` are by name, such as "net/head.weight"."""

    path: Path
    facts: dict
    arrays: dict

    def group(self, name):
        """The arrays whose names begin with `name` and a slash, by the rest of their names."""
        return {key.partition("/")[2]: value for key, value in self.arrays.items() if key.startswith(f"{name}/")}


def state_path(output):
    """The file in the folder `output` of a run that holds its state."""
    return Path(output) / "epochs" / "state.npz"


def save_state(path, facts, **groups):
    """Writes the file that `load_state` reads, in one step; `groups` are arrays by name, of the net, the optimizer ..."""
    arrays = {f"{group}/{name}": value for group, values in groups.items() for name, value in values.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_arrays(path, facts=np.array(json.dumps({**facts, "format": STATE_FORMAT, "arrays": list(arrays)})), **arrays)


def write_arrays(path, **arrays):
    """Writes the file that np.savez would, in one step. On a full disk np.savez itself prints a traceback besides its error."""
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, value in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, value, allow_pickle=False)


def load_state(path):
    """The `RunState` in the file at `path`. Raises ValueError that names the file if it is damaged."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        facts = json.loads(str(arrays.pop("facts")))
        if facts.pop("format") != STATE_FORMAT:
            raise ValueError("another version of mindclf wrote it")
        if list(arrays) != facts.pop("arrays"):
            raise ValueError("arrays are missing")  # ZIP has checksums of its contents, not of its list of contents
    except Exception as error:  # zipfile and NumPy raise a dozen kinds, by kind of damage
        raise ValueError(f"{path} is damaged: {first_line(error)}; start the run afresh, without resume") from None
    return RunState(path, facts, arrays)


def optimizer_state(optimizer):
    """What an optimizer keeps besides the weights: momenta, rates, the number of steps; arrays by name."""
    weights = {id(parameter) for parameter in optimizer.parameters}
    return {p.name: p.asnumpy() for p in optimizer.get_parameters() if id(p) not in weights}


def restore_optimizer(optimizer, values):
    """Sets what `optimizer_state` gave. Raises ValueError for the state of another optimizer, as of an older mindclf's AdamW."""
    own = optimizer_state(optimizer)
    if {name: value.shape for name, value in own.items()} != {name: value.shape for name, value in values.items()}:
        [name, *_] = sorted(own.keys() ^ values.keys()) or ["other shapes"]
        raise ValueError(f"the run kept the state of another optimizer than {type(optimizer).__name__} ({name}): another version "
                         f"of mindclf wrote it; start the run afresh, without resume")
    for parameter in optimizer.get_parameters():
        if parameter.name in own:
            parameter.set_data(Tensor(values[parameter.name], parameter.dtype))


def kept_values(optimizer, state):
    """What `restore_optimizer` takes of a RunState. The learning rates are those of `optimizer`: a run may get more epochs.

    A run that was finished kept no momenta: they begin anew, after as many steps as it had.
    """
    own = optimizer_state(optimizer)
    begun = {**own, "global_step": np.full_like(own["global_step"], state.facts["figures"]["step"])}
    return {**(state.group("optimizer") or begun), "learning_rate": own["learning_rate"]}


def earlier_run(output, card, may_extend=True):
    """What the run in the folder `output` left: a `RunState`, "finished", or None if it kept nothing or is not there.

    Removes what a run that was killed left half written.

    `card` is that of the run that wants to go on (see `make_card`). It may have other epochs, if it `may_extend`: in a phase that
    is not over, and in the last one of a finished run, of which that makes a RunState. The card of the state then says so in
    "extended". Raises ValueError that names the first field in which the configs differ otherwise, or the file that is damaged.
    """
    path, last = state_path(output), Path(output) / "last.ckpt"
    for checkpoint in (last, last.with_name("best.ckpt")):
        settle(checkpoint)
    if not path.is_file() and not last.is_file():
        return None
    refusal = f"the run in {output} cannot go on"
    state = load_state(path) if path.is_file() else None
    earlier = state.facts["card"] if state else read_card(last)
    missing = [name for name in ("config", "versions", "device", "data") if name not in earlier]
    if missing:
        raise ValueError(f"{refusal}: {last} is of no run, its card lacks {', '.join(missing)}")
    position = state.facts["position"] if state else {"phase": earlier["phase"], "epochs": earlier["epoch"], "steps": 0}
    _check_same(card, earlier, refusal, output)
    then, now = (_phases(run) for run in (earlier, card))
    _check_epochs(then, now, position, refusal, may_extend)
    litter = list(Path(output).glob(f"{TEMPORARY}*"))  # what a run that is killed leaves of a file
    for folder in litter + [path.parent] * (state is None):
        shutil.rmtree(folder, ignore_errors=True)
    planned, epochs = ([phase.epochs for phase in phases] for phases in (then, now))
    if planned == epochs:
        return state or "finished"
    log.info("the run in %s had epochs=%s and now has %s: from epoch %d of phase %d on its learning rates are those of the new "
             "number%s", output, *(", ".join(map(str, numbers)) for numbers in (planned, epochs)), position["epochs"] + 1,
             position["phase"], "" if state else ", and momenta begin anew")
    state = state or _after_the_end(last, earlier, now[-1])
    state.facts["card"] = {**earlier, "config": card["config"], "extended": [*earlier.get("extended", ()), {
        "phase": position["phase"], "epoch": position["epochs"], "planned_epochs": planned, "command": card["command"]}]}
    return state


def _check_same(card, earlier, refusal, output):
    """Raises ValueError, or warns, where the run of `card` is another than that of the card `earlier`; epochs may differ."""
    for name in DEFAULTS:
        now, then = (json.dumps(run["config"].get(name, DEFAULTS[name])) for run in (card, earlier))
        if now != then and name not in (*FREE_FIELDS, "epochs", "phases"):
            raise ValueError(f"{refusal}: it had {name}={then}, and now it is {now}: set it so, or take another output")
    now, then = (json.dumps([{name: value for name, value in phase.items() if name != "epochs"}
                             for phase in run["config"].get("phases", ())]) for run in (card, earlier))
    if now != then:
        raise ValueError(f"{refusal}: it had phases={then}, and now they are {now}: set them so, or take another output")
    if card["workers"] != earlier.get("workers", 1):
        raise ValueError(f"{refusal}: it had workers: {earlier.get('workers', 1)}, and now there are {card['workers']}: take as "
                         f"many, or another output")
    if card["classes"] != earlier["classes"]:
        raise ValueError(f"{refusal}: it had another class_index: set it so, or take another output")
    for name in ("versions", "device"):
        if card[name] != earlier[name]:
            log.warning("the run in %s began with other %s: it goes on, but perhaps not to the last bit", output,
                        {"versions": "versions of software", "device": "hardware or settings"}[name])
    for part in ("train", "held_out", "test"):
        if card["data"][part] != earlier["data"].get(part):
            raise ValueError(f"{refusal}: it had {earlier['data'][part]} {part} images, and now there are "
                             f"{card['data'][part]}: restore them, or take another output")
    if card["data"]["digest"] != earlier["data"].get("digest"):
        is_old = "seen_images" not in earlier and not card["raw_size"]
        hint = ", or an older mindclf began it, which knew them by their names" if is_old else ""
        raise ValueError(f"{refusal}: it had other images or labels{hint}: restore them, or take another output")


def _check_epochs(then, now, position, refusal, may_extend):
    """Raises ValueError if the epochs of the phases `now` are not those of `then`, and cannot take their place at `position`."""
    for number, (before, after) in enumerate(zip(then, now), start=1):
        name = f"phases.{number - 1}.epochs" if len(then) > 1 else "epochs"
        is_fixed = number < position["phase"] or not may_extend
        if before.epochs != after.epochs and is_fixed:
            raise ValueError(f"{refusal}: it had {name}={before.epochs}, and now it is {after.epochs}: set it so, or take "
                             "another output")
        begun = position["epochs"] + bool(position["steps"]) if number == position["phase"] else 0
        if after.epochs < begun:
            raise ValueError(f"{refusal}: it has begun epoch {begun} of phase {number}, and now {name}={after.epochs}: set "
                             f"{begun} or more, or take another output")


def _phases(card):
    return phases_of(EasyDict({**DEFAULTS, **card["config"]}))


def _after_the_end(last, card, phase):
    """The RunState of a finished run, from its checkpoint `last` with its `card` and what lies beside it; `phase` is the last."""
    best = read_card(last.with_name("best.ckpt"))
    watched = best["metrics"].get("held out")
    file = last.with_name(HISTORY)
    if not file.is_file():
        raise ValueError(f"{file} is missing, and a run does not go on without its history: restore it, or take another output")
    rows = [row for row in read_history(file) if row["phase"] == card["phase"]]
    plateau = Plateau(phase.lr_max, phase.plateau_figure, phase.plateau_factor, phase.plateau_patience, phase.lr_end)
    for row in rows:
        if row["epoch"] > phase.warmup_epochs:
            plateau.next_rate(row[phase.plateau_figure])
    steps, weights = int(rows[-1]["steps"]), read_weights(last)
    return RunState(last, {
        "card": card, "seconds": card["seconds"], "epoch": {name: card[name] for name in EPOCH_FIELDS},
        "best_score": [watched["top1"], -watched["loss"]] if watched else None,
        "best_epoch": {**{name: best[name] for name in EPOCH_FIELDS}, "metrics": {"held out": watched}} if watched else None,
        "position": {"phase": card["phase"], "epochs": card["epoch"], "steps": 0},
        "figures": {"step": steps, "losses": [], "right_answers": 0}, "clock": {"seconds": 0.0, "waited": 0.0},
        "averaged_step": steps, "plateau": plateau.state(), "history": file.read_bytes().decode("utf-8"),
    }, {f"{group}/{name}": value for group in ("net", "average") for name, value in weights.items()})
