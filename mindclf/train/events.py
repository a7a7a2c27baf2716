"""The history of a run as event files, which TensorBoard shows while it trains."""


class EventFiles:
    """Writes the figures of epochs to an event file in `folder`. Raises ValueError if TensorBoard is not installed."""

    def __init__(self, folder):
        self.writer = _writer_class()(str(folder))

    def add(self, history):
        """Adds the newest of the rows of `history` (see `History`); its step is the number of epochs so far, over all phases."""
        row = history[-1]
        watched = row["watched"].replace(" ", "_")
        points = {"loss/training": row["train_loss"], f"loss/{watched}": row["loss"],
                  "top1/training": row["train_top1"], f"top1/{watched}": row["top1"], f"top5/{watched}": row["top5"],
                  "learning_rate": row["learning_rate"], "images_per_second": row["images_per_second"]}
        for tag, value in points.items():
            self.writer.add_scalar(tag, value, len(history))
        self.writer.flush()

    def close(self):
        """Closes the file."""
        self.writer.close()


def check_tensorboard():
    """Raises ValueError if TensorBoard is not installed."""
    _writer_class()


def _writer_class():
    try:
        from tensorboard.summary import Writer
    except ImportError:
        raise ValueError("tensorboard=true needs TensorBoard: pip install tensorboard") from None
    return Writer
