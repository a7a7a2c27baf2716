"""Which file a checkpoint is, and the card that stands in for its own. It needs no MindSpore, as mindclf.checkpoint does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mindclf.card import Card, read_card
from mindclf.utils.shipped import shipped

CHECKPOINTS = shipped("checkpoints")
GARBAGE_SORTER = CHECKPOINTS / "garbage26_mobilenet_v2.ckpt"


@dataclass(frozen=True)
class CheckpointFile:
    """A file with a net and, if it has no card of its own, the `Card` that stands in for it.

    So whoever knows what a file from elsewhere holds, such as a tutorial's, says it once: every function that takes a checkpoint
    takes this in place of a path. `origin` is "mindclf" if the weights are known to be of mindclf's own net; see
    mindclf.nets.namesakes.
    """

    path: Path
    card: Card | None = None
    origin: str = ""

    @classmethod
    def of(cls, checkpoint: str | Path | CheckpointFile) -> CheckpointFile:
        """`checkpoint` itself, or that of a path, or of the name of a file in checkpoints/: see `named_checkpoint`."""
        return checkpoint if isinstance(checkpoint, CheckpointFile) else cls(named_checkpoint(checkpoint))

    def read_card(self) -> Card:
        """The card: the one that stands in, or else the file's own. Raises ValueError as `mindclf.card.read_card` does."""
        return self.card or read_card(self.path)


def named_checkpoint(text: str | Path) -> Path:
    """The path of the checkpoint that `text` names: a file in checkpoints/ without its .ckpt, or itself as a path.

    Raises ValueError for what looks like a name and is none.
    """
    own, path = CHECKPOINTS / f"{text}.ckpt", Path(text)
    if not (own.is_file() or path.suffix or path.exists()):
        names = ", ".join(sorted(file.stem for file in CHECKPOINTS.glob("*.ckpt")))
        raise ValueError(f"there is no checkpoint {text}: give the path of a file, or the name of one that comes with mindclf, "
                         f"{names}")
    return own if own.is_file() else path
