"""EpochTable: the log of a training, a line an epoch under one header for each phase. It fits 80 columns."""

import logging

from mindclf.report.history import shown_name

log = logging.getLogger(__name__)

SHORT = {"validation": "val"}  # what the columns of metrics on these images are called
SHOWN = {"balanced_accuracy": "balanced", "macro_f1": "macro F1"}  # metrics that take the place of top-1 where they are monitored
LARGE = 10_000  # a loss from which on four decimals would not fit
BEST = "*"


class EpochTable:
    """Logs epochs: numbers with blanks between them, and at the end of the line of an epoch that is the best so far a `*`.

    `monitor` is the field of the config. The records have the row of the history as their `row`.
    """

    def __init__(self, monitor: str):
        self.metric = monitor if monitor in SHOWN else "top1"
        self.phase = None  # of the epoch that was shown last

    def add(self, row: dict, metrics: dict, is_best: bool) -> None:
        """Logs an epoch: its `row` of the history, and `metrics` on the monitored images by name."""
        if row["phase"] != self.phase:
            self.phase = row["phase"]
            log.info(self._header(row["watched"]), extra={"style": "header"})
        log.info(self._line(row, metrics[self.metric], is_best), extra={"style": "best" if is_best else "epoch", "row": row})

    def _header(self, watched):
        name = shown_name(watched)
        return (f"{'phase':>5} {'epoch':>5}  {'train loss':>10} {'top-1':>7}  {SHORT.get(name, name):>4} loss "
                f"{SHOWN.get(self.metric, 'top-1'):>8}  {'lr':>7} {'images/s':>8} {'seconds':>7}")

    def _line(self, row, value, is_best):
        return (f"{row['phase']:5.0f} {row['epoch']:5.0f}  {_loss(row['train_loss']):>10} {row['train_top1']:7.2%}  "
                f"{_loss(row['loss']):>9} {value:8.2%}  {row['learning_rate']:7.1e} {row['images_per_second']:8.0f} "
                f"{row['seconds']:7.1f}{f' {BEST}' if is_best else ''}")


def _loss(value):
    return f"{value:.4f}" if value < LARGE else f"{value:.2e}"
