"""Checkpoints of a run: MindSpore's ModelCheckpoint with a card, and the best and the last weights."""

from __future__ import annotations

import logging
import platform
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import mindspore as ms
import numpy as np
import PIL
from mindspore.train import CheckpointConfig, ModelCheckpoint

from mindclf import __version__
from mindclf.card import Card, card_path, read_card
from mindclf.checkpoint import save_checkpoint
from mindclf.config import DEFAULTS, SOLVED, merge, phases_of
from mindclf.dataset.folder import check_class_index
from mindclf.dataset.seen import seen_images, with_changes
from mindclf.device import describe_device
from mindclf.distributed import collectives
from mindclf.labels import class_labels
from mindclf.metrics import score_of, standard_error
from mindclf.preprocessing import Preprocessing
from mindclf.train.early_stopping import has_stopped
from mindclf.train.epoch_table import BEST, EpochTable
from mindclf.train.state import state_path
from mindclf.utils.files import command_line, portable, write_json

log = logging.getLogger(__name__)

PLACES = ("dataset_path", "output", "pretrained", "feature_cache", "cache_dir")  # fields that may have the path of something


class CardCheckpoint(ModelCheckpoint):
    """MindSpore's ModelCheckpoint, whose files are whole or not there, and have a card, so that `Predictor` takes them.

    `prefix`, `directory` and `config`, a CheckpointConfig, are MindSpore's: save_checkpoint_steps, keep_checkpoint_max and
    saved_network do what its manual says, and files are called PREFIX-EPOCH_STEP.ckpt. `card` is a dict, as
    `mindclf.checkpoint.make_card` gives it, or a function that gives one when a file is written. Unlike MindSpore's it takes the
    net alone, without the state of the optimizer, writes no PREFIX-graph.meta, and deletes old files after the new one is whole.
    """

    def __init__(self, prefix: str = "CKP", directory: str | Path = ".", config: CheckpointConfig | None = None,
                 card: Mapping | Callable[[], Mapping] | None = None):
        super().__init__(prefix, lambda _: str(directory), config)  # of a text MindSpore would make the folder now
        self.folder, self.card, self.pattern = Path(directory), card, f"{prefix}-*.{self._config.format}"

    def step_end(self, run_context):
        self._save_ckpt(run_context.original_args())

    def _save_ckpt(self, cb_params, force_to_save=False):
        """What MindSpore calls at the end of a step and of the training."""
        if cb_params.cur_step_num == self._last_triggered_step or not self._check_save_ckpt(cb_params, force_to_save):
            return
        step = (cb_params.cur_step_num - 1) % cb_params.batch_num + 1
        file = self.folder / f"{self._prefix}-{cb_params.cur_epoch_num}_{step}.{self._config.format}"
        self.save(file, self._config.saved_network or cb_params.network)
        self._last_triggered_step, self._latest_ckpt_file_name = cb_params.cur_step_num, str(file)
        self.delete_old()

    def save(self, file, net):
        """Writes the weights of `net` and their card."""
        save_checkpoint(net, file, self.card() if callable(self.card) else self.card)

    def delete_old(self):
        """Leaves the keep_checkpoint_max newest files."""
        kept = self._config.keep_checkpoint_max
        files = sorted(self.folder.glob(self.pattern), key=lambda file: file.stat().st_mtime_ns)
        for file in files[:-kept] if kept else ():
            file.unlink()
            card_path(file).unlink(missing_ok=True)


def card_phases(card):
    """The phases of the run of a card, each a full config of its own."""
    return phases_of(merge(card["config"], {}))


class CheckpointManager:
    """Keeps best.ckpt and last.ckpt in the folder `output`. Of several workers the main process writes; the others know as much.

    "Best" is the epoch with the best validation metric `monitor` (see `score_of`), over all phases; of two equals, the one with
    the lower loss. If `choose_epoch` is "latest", best.ckpt has the latest epoch whose top-1 is within one standard error of the
    best, as Breiman et al. (1984) choose a tree. Without validation images it has the last epoch. `newest` is the path of the
    newest weights of this run on disk, or None. `check` is called before anything is written: it raises if the folder is no
    longer that of this run.
    """

    def __init__(self, net, output, card, check=lambda: None, monitor=DEFAULTS.monitor, choose_epoch=DEFAULTS.choose_epoch):
        self.net, self.output, self.card, self.check, self.monitor = net, output, card, check, monitor
        self.takes_latest = choose_epoch == "latest"
        self.started = time.perf_counter()
        self.best_score = self.best_epoch = self.epoch = self.newest = None
        self.table = EpochTable(monitor)

    def after_epoch(self, row, metrics):
        """Notes whether the validation `metrics` of an epoch, the row of the history, are the best so far, and logs it."""
        self._compare(row, metrics)
        self.table.add(row, metrics, is_best=self.best_score is not None and self.best_epoch == self.epoch)

    def after_solving(self, row, metrics, fields, others):
        """Notes a head that was solved, as `after_epoch`: `fields` of its card, and further metrics, `others`, by their name."""
        self._compare(row, metrics, fields, others)

    def _compare(self, row, metrics, fields=MappingProxyType({}), others=MappingProxyType({})):
        self.epoch = {"phase": row["phase"], "epoch": row["epoch"], "metrics": {row["watched"]: metrics, **others}, **fields}
        score = score_of(metrics, self.monitor)  # as rounded as on the card, which a run that is extended begins with
        if row["watched"] != "held out":
            return
        if self.best_score is None or score > self.best_score:
            self.best_score, self.best_epoch = score, self.epoch
        elif self.takes_latest and score[0] >= self.best_score[0] - standard_error(self.best_score[0], metrics["images"]):
            self.best_epoch = self.epoch

    def note_stop(self, phase, epoch, planned_epochs, best_epoch):
        """Notes in the card that the phase of this number stops early, after this epoch."""
        self.card["stopped_early"] = [*self.card.get("stopped_early", ()), {
            "phase": phase, "epoch": epoch, "planned_epochs": planned_epochs, "best_epoch": best_epoch}]

    def stopped(self, phase):
        """Whether the phase of this number has stopped early."""
        return has_stopped(self.card, phase)

    def save_best(self):
        """Saves the weights as best.ckpt if the newest epoch, which they are of, is the best."""
        if self.best_score is not None and self.best_epoch == self.epoch:
            by = "" if self.monitor == DEFAULTS.monitor else f", by {self.monitor}"
            self._save("best.ckpt", "latest epoch within one standard error of the best on the validation images"
                       if self.takes_latest else f"best epoch on the validation images{by}")

    def note_changes(self, splits):
        """Adds to the cards, of best.ckpt too, what the images of `splits` have become during the run, if they changed."""
        if not collectives.is_main_process():
            return
        before, best = self.card.get("seen_images", {}), self.output / "best.ckpt"
        seen = with_changes(before, splits)
        if seen != before:
            self.card["seen_images"] = seen
            self.check()
            if best.is_file():
                write_json(card_path(best), {**read_card(best), "seen_images": seen})

    def finish(self, keep_epochs=False):
        """Saves the last weights; returns the path of the best. What is in epochs/ goes, or with `keep_epochs` its state."""
        self._save("last.ckpt", "last epoch")
        if self.best_score is not None and self.table.phase:
            self._say_what_is_best()
        if self.best_score is None:
            phases = [self.card["config"], *self.card["config"].get("phases", ())]
            followed = any(phase.get("schedule") == "plateau" for phase in phases)
            self._save("best.ckpt", "last epoch: there were no validation images to choose by"
                       + ("; the learning rate followed the test images" if followed else ""))
        if collectives.is_main_process():
            self._tell_best_of_stops()
            if keep_epochs:
                state_path(self.output).unlink()
            else:
                shutil.rmtree(self.output / "epochs")
        return self.output / "best.ckpt"

    def _say_what_is_best(self):
        phase = self.best_epoch["phase"]
        if card_phases(self.card)[int(phase) - 1].optimizer in SOLVED:
            log.info("best.ckpt is the head of phase %d: no epoch after it was as good on the validation images", phase)
            return
        log.info("%s marks an epoch within one standard error of the best: best.ckpt has epoch %d of phase %d, the latest"
                 if self.takes_latest else "%s marks the best epoch so far: best.ckpt has epoch %d of phase %d",
                 BEST, self.best_epoch["epoch"], phase)

    def card_of(self, choice, **fields):
        """The card of the newest weights; `choice` says, in words, why they are kept, unless they were solved."""
        return {**self.card, "chosen": choice, **(self.epoch or {"metrics": {}}), **fields, "seconds": self._seconds()}

    def state_dict(self):
        """What is known of the run so far."""
        return {"card": self.card, "seconds": self._seconds(), "epoch": self.epoch, "best_score": self.best_score,
                "best_epoch": self.best_epoch, "newest": self.newest and self.newest.relative_to(self.output).as_posix()}

    def load_state_dict(self, state):
        """Takes what `state_dict` gave."""
        self.card = {**state["card"], "resumed": state["card"].get("resumed", 0) + 1}
        self.started = time.perf_counter() - state["seconds"]
        self.epoch, self.best_score, self.best_epoch = state["epoch"], state["best_score"], state["best_epoch"]
        self.newest = state["newest"] and self.output / state["newest"]

    def _tell_best_of_stops(self):
        """Writes into the card of best.ckpt, which is of an earlier epoch, which phases have stopped early since."""
        best = self.output / "best.ckpt"
        card, stops = read_card(best), self.card.get("stopped_early", [])
        if card.get("stopped_early", []) != stops:
            self.check()
            write_json(card_path(best), {**card, "stopped_early": stops})

    def _save(self, name, choice):
        if collectives.is_main_process():
            self.check()
            save_checkpoint(self.net, self.output / name, self.card_of(choice))

    def _seconds(self):
        return round(time.perf_counter() - self.started, 1)


def complete_card(checkpoint, metrics, history, calibration=MappingProxyType({}), **others):
    """The card of `checkpoint` with what is known when all is done, written: the `metrics` on the test images, and the speed.
    `others` are further fields.

    And `calibration`, where it has none yet.

    "speed" has for each phase of `history` images a second over all its epochs, without evaluation, and the fraction of that
    time for which training waited for its data.
    """
    card = read_card(checkpoint)
    card["metrics"]["test"] = metrics
    if calibration and "missing" in card.get("calibration", {"missing": ""}):
        card["calibration"] = dict(calibration)
    card.update(others)
    card["speed"] = []
    for phase in sorted({row["phase"] for row in history}):
        rows = [row for row in history if row["phase"] == phase]
        seconds = sum(row["seconds"] for row in rows)
        card["speed"].append({
            "phase": int(phase),
            "images_per_second": round(sum(row["images_per_second"] * row["seconds"] for row in rows) / seconds, 1),
            "data_share": round(sum(row["data_seconds"] for row in rows) / seconds, 4)})
    write_json(card_path(checkpoint), card)
    return card


def run_card(config, splits, weights_origin, device, parent, teacher=None):
    """What a card says besides the epoch and its metrics: everything needed to use the net, and to make it again.

    `parent` is the card of the checkpoint that the net is initialised from, {} where there is none: what that has seen counts as
    seen. `teacher` is a Teacher, where the net has one.
    """
    labels = class_labels(splits.classes, config.dataset)
    preprocessing = replace(Preprocessing.from_config(config, splits.train.raw_size), reading=splits.train.reading)
    seen = seen_images(splits, parent, config.pretrained)
    return {
        **Card.describing(config.net, config.net_options, labels, preprocessing, check_class_index(config.class_index)),
        "data": {"origin": splits.origin, "path": splits.path, "train": len(splits.train), "held_out": len(splits.valid),
                 "test": len(splits.test), "digest": splits.digest()},
        "start": portable(weights_origin), "command": command_line(), "workers": collectives.size(), "seed": config.seed,
        "config": {name: portable(value) if name in PLACES else value for name, value in config.items()
                   if value != DEFAULTS[name] and name not in ("class_index", "resume")},
        "device": describe_device(device),
        "versions": {"mindclf": __version__, "mindspore": ms.__version__, "numpy": np.__version__, "pillow": PIL.__version__,
                     "python": platform.python_version()},
        **({"teacher": teacher.card_fields()} if teacher else {}),
        **({"seen_images": seen} if seen else {}),
    }
