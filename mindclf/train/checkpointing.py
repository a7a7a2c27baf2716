"""Keeps the best and the last weights of a run, with cards that say how they came about."""

import logging
import platform
import shutil
import time
from dataclasses import replace

import mindspore as ms
import numpy as np
import PIL

from mindclf import __version__
from mindclf.card import Card, card_path, read_card
from mindclf.checkpoint import save_checkpoint
from mindclf.config import DEFAULTS
from mindclf.dataset.folder import check_class_index
from mindclf.dataset.seen import seen_images
from mindclf.device import describe_device
from mindclf.distributed import collectives
from mindclf.labels import class_labels
from mindclf.preprocessing import Preprocessing
from mindclf.train.resume import state_path
from mindclf.utils.files import command_line, write_json

log = logging.getLogger(__name__)


class Keeper:
    """Writes best.ckpt and last.ckpt into the folder `output`; of several workers the first one's does, the others only know.

    "Best" is the epoch with the best accuracy on the held-out images, over all phases; of two equals, the one with the lower
    loss. With none held out it is the last epoch.
    """

    def __init__(self, net, output, card):
        self.net, self.output, self.card = net, output, card
        self.started = time.perf_counter()
        self.best_score = self.best_epoch = self.epoch = None

    @property
    def snapshot(self):
        """The file in epochs/ with the weights of the newest finished epoch; None if there is no such epoch."""
        return self.epoch and self.output / "epochs" / f"phase{self.epoch['phase']}-{self.epoch['epoch']}.ckpt"

    @property
    def newest(self):
        """The file with the newest weights of this run that are saved; None if no epoch is finished."""
        if not self.epoch:
            return None
        return self.snapshot if self.snapshot.exists() else self.output / "last.ckpt"  # of a finished run that goes on

    def after_epoch(self, row, report):
        """Logs an epoch, saves its weights in epochs/, and notes whether held-out images find them the best so far."""
        log.info("phase %d epoch %d  loss %.4f top-1 %.2f%%  %s loss %.4f top-1 %.2f%%  rate %.2e  %.0f images/s  %.1f s",
                 row["phase"], row["epoch"], row["train_loss"], 100 * row["train_top1"], row["watched"], row["loss"],
                 100 * row["top1"], row["learning_rate"], row["images_per_second"], row["seconds"])
        self.epoch = {"phase": row["phase"], "epoch": row["epoch"], "metrics": {row["watched"]: report.scalars()}}
        self._save(self.snapshot, "newest epoch of a run")
        score = [report.top1, -report.loss]
        if row["watched"] == "held out" and (self.best_score is None or score > self.best_score):
            self.best_score, self.best_epoch = score, self.epoch

    def save_best(self):
        """Saves the weights if the newest epoch, which they are of, is the best; then earlier epochs go."""
        if self.best_score is not None and self.best_epoch == self.epoch:
            self._save(self.output / "best.ckpt", "best epoch on the held-out images")
        if not collectives.is_main_process():
            return
        for old in set(self.snapshot.parent.iterdir()) - {self.snapshot, card_path(self.snapshot), state_path(self.output)}:
            shutil.rmtree(old) if old.is_dir() else old.unlink()

    def finish(self):
        """Saves the last weights, which make what is in epochs/ superfluous; returns the path of the best."""
        self._save(self.output / "last.ckpt", "last epoch")
        if self.best_score is None:
            phases = [self.card["config"], *self.card["config"].get("phases", ())]
            followed = any(phase.get("schedule") == "plateau" for phase in phases)
            self._save(self.output / "best.ckpt", "last epoch: no images were held out to choose by"
                       + ("; the learning rate followed the test images" if followed else ""))
        if collectives.is_main_process():
            shutil.rmtree(self.output / "epochs")
        return self.output / "best.ckpt"

    def state(self):
        """What `restore` takes, as JSON can hold it."""
        return {"card": self.card, "seconds": self._seconds(), "epoch": self.epoch, "best_score": self.best_score,
                "best_epoch": self.best_epoch}

    def restore(self, state):
        """Goes on from what `state` gave."""
        self.card = {**state["card"], "resumed": state["card"].get("resumed", 0) + 1}
        self.started = time.perf_counter() - state["seconds"]
        self.epoch, self.best_score, self.best_epoch = state["epoch"], state["best_score"], state["best_epoch"]

    def _save(self, path, choice):
        if collectives.is_main_process():
            save_checkpoint(self.net, path, self._card(choice))

    def _card(self, choice):
        return {**self.card, **self.epoch, "chosen": choice, "seconds": self._seconds()}

    def _seconds(self):
        return round(time.perf_counter() - self.started, 1)


def complete_card(checkpoint, report, history):
    """The card of `checkpoint` with what is known when all is done, written: the test images' figures, how fast it trained.

    "speed" has for each phase of `history` images a second over all its epochs, without evaluation, and the share of that time
    for which training waited for its data.
    """
    card = read_card(checkpoint)
    card["metrics"]["test"] = report.scalars()
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


def make_card(config, splits, weights_origin, device, parent):
    """What a card says besides the epoch and its figures: everything needed to use the net, and to make it again.

    `parent` is the card of the checkpoint that the net starts from, {} where there is none: what that has seen counts as seen.
    """
    labels = class_labels(splits.classes, config.dataset)
    preprocessing = replace(Preprocessing.from_config(config, splits.train.raw_size), reading=splits.train.reading)
    seen = seen_images(splits, parent, config.pretrained)
    return {
        **Card.describing(config.net, config.net_options, labels, preprocessing, check_class_index(config.class_index)),
        "data": {"origin": splits.origin, "path": splits.path, "train": len(splits.train), "held_out": len(splits.valid),
                 "test": len(splits.test), "digest": splits.digest()},
        "start": weights_origin, "command": command_line(), "workers": collectives.size(), "seed": config.seed,
        "config": {name: value for name, value in config.items()
                   if value != DEFAULTS[name] and name not in ("class_index", "resume")},
        "device": describe_device(device),
        "versions": {"mindclf": __version__, "mindspore": ms.__version__, "numpy": np.__version__, "pillow": PIL.__version__,
                     "python": platform.python_version()},
        **({"seen_images": seen} if seen else {}),
    }
