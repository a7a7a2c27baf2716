"""The history of a run as event files, which TensorBoard shows while it trains."""

from mindclf.utils.extras import require

LAST_POINT = "images_per_second"  # of the points of an epoch: where it is, all are


class EventFiles:
    """Writes the figures of epochs to an event file in `folder`, besides those of earlier phases and of an interrupted run.

    Raises ValueError if TensorBoard is not installed.
    """

    def __init__(self, folder):
        writer, reader = _classes()
        self.steps = set()
        if folder.is_dir():
            events = reader(str(folder), size_guidance={"tensors": 0}).Reload()  # 0 is all
            if LAST_POINT in events.Tags()["tensors"]:
                self.steps = {event.step for event in events.Tensors(LAST_POINT)}
        self.writer = writer(str(folder))

    def add(self, history):
        """Adds those of the rows of `history` (see `History`) that the folder lacks: the newest, and after a kill others.

        The step of a row is the number of epochs so far, over all phases.
        """
        for step, row in enumerate(history, start=1):
            if step not in self.steps:
                self._add_row(row, step)
                self.steps.add(step)
        self.writer.flush()

    def _add_row(self, row, step):
        monitored = row["watched"].replace(" ", "_")
        points = {"loss/training": row["train_loss"], f"loss/{monitored}": row["loss"],
                  "top1/training": row["train_top1"], f"top1/{monitored}": row["top1"], f"top5/{monitored}": row["top5"],
                  "learning_rate": row["learning_rate"], LAST_POINT: row["images_per_second"]}
        for tag, value in points.items():
            self.writer.add_scalar(tag, value, step)

    def close(self):
        """Closes the file."""
        self.writer.close()


def check_tensorboard():
    """Raises ValueError if TensorBoard is not installed."""
    _classes()


def _classes():
    """TensorBoard's writer of event files, and its reader of a folder of them."""
    names = ("tensorboard.summary", "tensorboard.backend.event_processing.event_accumulator")
    writing, reading = (require(name, "tensorboard=true needs TensorBoard", "pip install tensorboard") for name in names)
    return writing.Writer, reading.EventAccumulator
