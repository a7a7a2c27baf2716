"""Keeps the best and the last weights of a run, with cards that say how they came about."""

import logging
import platform
import shlex
import shutil
import sys
import time
from pathlib import Path

import mindspore as ms
import numpy as np
import PIL

from mindclf import __version__
from mindclf.checkpoint import CARD_FORMAT, card_path, read_card, save_checkpoint
from mindclf.config import DEFAULTS
from mindclf.device import describe_device
from mindclf.files import sha256, write_json
from mindclf.labels import describe

log = logging.getLogger(__name__)


class Keeper:
    """Writes best.ckpt and last.ckpt into the folder `output`.

    "Best" is the epoch with the best accuracy on the held-out pictures, over all phases; of two equals, the one with the lower
    loss. With none held out it is the last epoch.
    """

    def __init__(self, net, output, card):
        self.net, self.output, self.card = net, output, card
        self.started = time.perf_counter()
        self.best_score = self.epoch = None

    def after_epoch(self, row, report, snapshot):
        """Logs an epoch, gives its `snapshot` a card, and saves the weights if held-out pictures find them the best so far."""
        log.info("phase %d epoch %d  loss %.4f  %s loss %.4f top-1 %.2f%%  rate %.2e  %.0f pictures/s  %.1f s", row["phase"],
                 row["epoch"], row["train_loss"], row["watched"], row["loss"], 100 * row["top1"], row["learning_rate"],
                 row["images_per_second"], row["seconds"])
        self.epoch = {"phase": row["phase"], "epoch": row["epoch"], "metrics": {row["watched"]: report.metrics()}}
        for old in snapshot.parent.glob("*.json"):
            old.unlink()
        snapshot.chmod(0o644)  # MindSpore writes its files read-only
        write_json(card_path(snapshot), {**self._card("newest epoch of a run"), "weights_sha256": sha256(snapshot)})
        score = (report.top1, -report.loss)
        if row["watched"] == "held out" and (self.best_score is None or score > self.best_score):
            self.best_score = score
            self._save("best.ckpt", "best epoch on the held-out pictures")

    def finish(self):
        """Saves the last weights, which make the snapshots in epochs/ superfluous; returns the path of the best."""
        self._save("last.ckpt", "last epoch")
        if self.best_score is None:
            self._save("best.ckpt", "last epoch: no pictures were held out to choose by")
        shutil.rmtree(self.output / "epochs")
        return self.output / "best.ckpt"

    def _save(self, name, choice):
        save_checkpoint(self.net, self.output / name, self._card(choice))

    def _card(self, choice):
        seconds = round(time.perf_counter() - self.started, 1)
        return {"format": CARD_FORMAT, **self.card, **self.epoch, "chosen": choice, "seconds": seconds}


def add_metrics(checkpoint, name, report):
    """Writes the figures of `report` into the card of `checkpoint` under `name`."""
    card = read_card(checkpoint)
    card["metrics"][name] = report.metrics()
    write_json(card_path(checkpoint), card)


def make_card(config, splits, weights_origin, device):
    """What a card says besides the epoch and its figures: everything needed to use the net, and to make it again."""
    known = [describe(name) for name in splits.classes]
    return {
        "net": config.net, "net_options": dict(config.net_options), "classes": list(splits.classes),
        "classes_chinese": [entry.get("chinese", "") for entry in known],
        "categories": [entry.get("category", "") for entry in known],
        "image_height": config.image_height, "image_width": config.image_width,
        "mean": list(config.mean), "std": list(config.std), "crop_share": config.crop_share,
        "raw_size": list(splits.train.raw_size or ()),
        "data": {"origin": splits.origin, "path": splits.path, "train": len(splits.train), "held_out": len(splits.valid),
                 "test": len(splits.test)},
        "start": weights_origin, "command": command_line(), "seed": config.seed,
        "config": {name: value for name, value in config.items() if value != DEFAULTS[name] and name != "class_index"},
        "device": describe_device(device),
        "versions": {"mindclf": __version__, "mindspore": ms.__version__, "numpy": np.__version__, "pillow": PIL.__version__,
                     "python": platform.python_version()},
    }


def command_line():
    """The command that this process runs, as one would type it at the top of a clone."""
    program, *arguments = sys.argv
    program = Path(program)
    shown = ["python", program.as_posix()] if program.suffix == ".py" and not program.is_absolute() else [program.name]
    return shlex.join(shown + arguments)
