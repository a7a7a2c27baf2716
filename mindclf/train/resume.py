"""Resume: what an earlier run left in a folder, and whether the same command may go on with it."""

import json
import logging
import shutil
from pathlib import Path

import numpy as np

from mindclf.card import read_card, settle
from mindclf.checkpoint import read_weights
from mindclf.config import DEFAULTS, SOLVED, own_names
from mindclf.metrics import score_of
from mindclf.report.history import HISTORY, HistoryFile
from mindclf.train.checkpointing import card_phases
from mindclf.train.early_stopping import NOTHING_SEEN, has_stopped, let_go_on
from mindclf.train.schedules import plateau_of
from mindclf.train.state import TrainingState, load_state, state_path
from mindclf.utils.files import TEMPORARY

log = logging.getLogger(__name__)

# Of the config, what may differ when a run goes on: no weight depends on it.
FREE_FIELDS = ("resume", "device_target", "output", "dataset_path", "feature_cache", "cache_dir", "grid_rows", "grid_columns",
               "tensorboard", "save_checkpoint_steps", "keep_checkpoint_max", "folds")
LENGTH_FIELDS = ("epochs", "early_stopping_patience", "min_delta")  # how long a phase takes: may differ where it is not over
DERIVED_FIELDS = ("batch_size", "image_height", "image_width")  # may follow from the images: where nobody set them
EPOCH_FIELDS = ("phase", "epoch", "metrics")  # what a card says of the epoch that its weights are of


def earlier_run(output, card, may_extend=True):
    """What the run in the folder `output` left: a `TrainingState`, "finished", or None if it kept nothing or is not there.

    Removes what a run that was killed left half written.

    `card` is that of the run that is to go on (see `run_card`). It may have other epochs, if it `may_extend`: in a phase that
    is not over, and in the last one of a finished run, of which that makes a TrainingState. The card of the state then says so in
    "extended". A phase that has stopped early goes on with other epochs, or if what stops it is another. Raises
    ValueError that names the first field in which the configs differ otherwise, or the file that is damaged.
    """
    path, last = state_path(output), Path(output) / "last.ckpt"
    for checkpoint in (last, last.with_name("best.ckpt")):
        settle(checkpoint)
    if not path.is_file() and not last.is_file():
        return None
    refusal = f"the run in {output} cannot go on"
    state = load_state(path) if path.is_file() else None
    earlier = state.parts["checkpoints"]["card"] if state else read_card(last)
    missing = [name for name in ("config", "versions", "device", "data") if name not in earlier]
    if missing:
        raise ValueError(f"{refusal}: {last} is of no run, its card lacks {', '.join(missing)}")
    earlier = {**earlier, "config": own_names(earlier["config"])}  # an older mindclf called some of them otherwise
    position = state.position if state else {"phase": earlier["phase"], "epochs": earlier["epoch"], "steps": 0}
    _check_same(card, earlier, refusal, output)
    then, now = (card_phases(run) for run in (earlier, card))
    _check_epochs(then, now, position, refusal, may_extend)
    unfinished = list(Path(output).glob(f"{TEMPORARY}*"))  # what a run that is killed leaves of a file
    if state is None and earlier["config"].get("keep_checkpoint_max", 1) == 1:
        unfinished.append(path.parent)
    for folder in unfinished:
        shutil.rmtree(folder, ignore_errors=True)
    planned, epochs = ([phase.epochs for phase in phases] for phases in (then, now))
    nothing_is_left = state is None and epochs[-1] == position["epochs"]
    if nothing_is_left or _lengths(then) == _lengths(now):
        return state or "finished"
    _say_what_goes_on(output, planned, epochs, position, begins_anew=state is None)
    state = state or _after_the_end(last, earlier, now[-1])
    state.parts["checkpoints"]["card"] = {**earlier, "config": card["config"], "extended": [*earlier.get("extended", ()), {
        "phase": position["phase"], "epoch": position["epochs"], "planned_epochs": planned, "command": card["command"]}]}
    if has_stopped(earlier, position["phase"]):
        let_go_on(state, position["phase"])
    return state


def _say_what_goes_on(output, planned, epochs, position, begins_anew):
    """Logs that a run has other epochs now, or that one that stopped early goes on; `begins_anew` is that of its momenta."""
    anew = ", and momenta begin anew" if begins_anew else ""
    if planned != epochs:
        log.info("the run in %s had epochs=%s and now has %s: from epoch %d of phase %d on its learning rates are those of the "
                 "new number%s", output, *(", ".join(map(str, numbers)) for numbers in (planned, epochs)),
                 position["epochs"] + 1, position["phase"], anew)
    elif begins_anew:
        log.info("the run in %s stopped early after epoch %d of phase %d, and now goes on%s", output, position["epochs"],
                 position["phase"], anew)


def _lengths(phases):
    """The LENGTH_FIELDS of each phase."""
    return [[phase[name] for name in LENGTH_FIELDS] for phase in phases]


def _check_same(card, earlier, refusal, output):
    """Raises ValueError, or warns, where the run of `card` is another than that of the card `earlier`, but for LENGTH_FIELDS.

    The DERIVED_FIELDS come last: other images, or another number of workers, are the reason why they differ.
    """
    _check_fields([name for name in DEFAULTS if name not in (*FREE_FIELDS, *LENGTH_FIELDS, "phases", *DERIVED_FIELDS)], card,
                  earlier, refusal)
    _check_phases((*LENGTH_FIELDS, *DERIVED_FIELDS), card, earlier, refusal)
    if card["workers"] != earlier.get("workers", 1):
        raise ValueError(f"{refusal}: it had workers: {earlier.get('workers', 1)}, and now there are {card['workers']}: take as "
                         f"many, or another output")
    if card["classes"] != earlier["classes"]:
        raise ValueError(f"{refusal}: it had another class_index: set it so, or take another output")
    for name in ("versions", "device"):
        if card[name] != earlier[name]:
            log.warning("the run in %s began with other %s: it goes on, but perhaps not to the last bit", output,
                        {"versions": "versions of software", "device": "hardware or settings"}[name])
    if card.get("teacher") != earlier.get("teacher"):
        raise ValueError(f"{refusal}: its teacher was another file: restore that, or take another output")
    for part in ("train", "held_out", "test"):
        if card["data"][part] != earlier["data"].get(part):
            raise ValueError(f"{refusal}: it had {earlier['data'][part]} {part} images, and now there are "
                             f"{card['data'][part]}: restore them, or take another output")
    if card["data"]["digest"] != earlier["data"].get("digest"):
        is_old = "seen_images" not in earlier and not card["raw_size"]
        hint = ", or an older mindclf began it, which knew them by their names" if is_old else ""
        raise ValueError(f"{refusal}: it had other images or labels{hint}: restore them, or take another output")
    _check_fields(DERIVED_FIELDS, card, earlier, refusal)
    _check_phases(LENGTH_FIELDS, card, earlier, refusal)


def _check_phases(but_for, card, earlier, refusal):
    """Raises ValueError if the phases of two cards differ in other fields than those named in `but_for`."""
    now, then = (json.dumps([{name: value for name, value in phase.items() if name not in but_for}
                             for phase in run["config"].get("phases", ())]) for run in (card, earlier))
    if now != then:
        raise ValueError(f"{refusal}: it had phases={then}, and now they are {now}: set them so, or take another output")


def _check_fields(names, card, earlier, refusal):
    """Raises ValueError if the configs of two cards differ in one of the fields `names`."""
    for name in names:
        now, then = (json.dumps(run["config"].get(name, DEFAULTS[name])) for run in (card, earlier))
        if now != then:
            raise ValueError(f"{refusal}: it had {name}={then}, and now it is {now}: set it so, or take another output")


def _check_epochs(then, now, position, refusal, may_extend):
    """Raises ValueError if the LENGTH_FIELDS of the phases `now` are not those of `then`, and cannot take their place.

    A phase that is over at `position` keeps them, and so do all without `may_extend`; a later one may not have fewer epochs than
    it has begun.
    """
    for number, (before, after) in enumerate(zip(then, now), start=1):
        if after.optimizer in SOLVED:  # its epochs are iterations, of which the config does not tell
            continue
        place = f"phases.{number - 1}." if len(then) > 1 else ""
        changed = [name for name in LENGTH_FIELDS if before[name] != after[name]]
        if changed and (number < position["phase"] or not may_extend):
            [name, *_] = changed
            raise ValueError(f"{refusal}: it had {place}{name}={before[name]}, and now it is {after[name]}: set it so, or take "
                             f"another output")
        begun = position["epochs"] + bool(position["steps"]) if number == position["phase"] else 0
        if after.epochs < begun:
            raise ValueError(f"{refusal}: it has begun epoch {begun} of phase {number}, and now {place}epochs={after.epochs}: "
                             f"set {begun} or more, or take another output")


def _best_score(config, valid, history):
    """The best score of a finished run, whose best.ckpt has the metrics `valid`."""
    if config.get("choose_epoch", DEFAULTS.choose_epoch) == "latest":
        return max(score_of(row, DEFAULTS.monitor) for row in history.rows() if row["watched"] == "held out")
    return score_of(valid, config.get("monitor", DEFAULTS.monitor))


def _after_the_end(last, card, phase):
    """The TrainingState of a finished run: of its checkpoint `last`, the `card`, and what lies beside it; `phase` is the last."""
    best = read_card(last.with_name("best.ckpt"))
    valid = best["metrics"].get("held out")
    file = last.with_name(HISTORY)
    if not file.is_file():
        raise ValueError(f"{file} is missing, and a run does not go on without its history: restore it, or take another output")
    history, plateau = HistoryFile(file), plateau_of(phase)
    rows = [row for row in history.rows() if row["phase"] == card["phase"]]
    for row in rows:
        if row["epoch"] > phase.warmup_epochs:
            plateau.step(row[plateau.monitor])
    steps, weights = int(rows[-1]["steps"]), read_weights(last)
    position = {"phase": card["phase"], "epochs": card["epoch"], "steps": 0}
    return TrainingState(last, position, {
        "net": weights, "history": history.state_dict(),
        "checkpoints": {
            "card": card, "seconds": card["seconds"], "epoch": {name: card[name] for name in EPOCH_FIELDS}, "newest": last.name,
            "best_score": _best_score(card["config"], valid, history) if valid else None,
            "best_epoch": {**{name: best[name] for name in EPOCH_FIELDS}, "metrics": {"held out": valid}} if valid else None},
        "optimizer": {"global_step": np.array([steps], np.int32)}, "schedule": plateau.state_dict(),
        "metrics": {"step": steps, "losses": [], "correct_predictions": 0}, "clock": {"seconds": 0.0, "waited": 0.0},
        "early_stopping": NOTHING_SEEN, "ema": {**weights, "step": steps, "averaged_step": steps},
    })
