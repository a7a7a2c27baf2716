"""Event files for TensorBoard, read back with its own reader."""

import sys

import pytest

from mindclf.report.history import HistoryFile
from mindclf.train import fit
from mindclf.train.tensorboard import EventFiles

pytestmark = pytest.mark.usefixtures("uncompiled")

FIGURES = {"loss/training": "train_loss", "loss/test": "loss", "top1/training": "train_top1", "top1/test": "top1",
           "top5/test": "top5", "learning_rate": "learning_rate", "images_per_second": "images_per_second"}


def test_event_files_hold_the_history_over_all_phases(tiny_config):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator", reason="needs TensorBoard")
    run = fit({**tiny_config, "tensorboard": True, "valid_fraction": 0.0, "phases": ({"epochs": 2}, {"epochs": 1})})
    events = accumulator.EventAccumulator(str(run.checkpoint.parent / "tensorboard")).Reload()
    history = HistoryFile(run.checkpoint.parent / "history.csv").rows()
    assert len(history) == 3 and sorted(events.Tags()["tensors"]) == sorted(FIGURES)
    for tag, column in FIGURES.items():
        points = events.Tensors(tag)
        assert [point.step for point in points] == [1, 2, 3]
        assert [point.tensor_proto.float_val[0] for point in points] == pytest.approx([row[column] for row in history], rel=1e-6)


def test_a_run_that_goes_on_adds_the_epochs_that_are_missing_and_none_twice(tmp_path):
    """Killed before a row was added, started without tensorboard=true, or killed before the state was saved."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator", reason="needs TensorBoard")
    history = [{"watched": "test", **dict.fromkeys(FIGURES.values(), float(epoch))} for epoch in range(1, 16)]
    for rows in (history[:1], history[:12], history[:12], history):
        events = EventFiles(tmp_path)
        events.add(rows)
        events.close()
    events = accumulator.EventAccumulator(str(tmp_path), size_guidance={"tensors": 0}).Reload()
    for tag in FIGURES:
        assert [(point.step, point.tensor_proto.float_val[0]) for point in events.Tensors(tag)] == [(n, n) for n in range(1, 16)]


def test_without_tensorboard_the_message_says_how_to_get_it_before_anything_is_done(tiny_config, monkeypatch, tmp_path):
    for module in [name for name in sys.modules if name.partition(".")[0] == "tensorboard"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(ValueError, match=r"tensorboard=true needs TensorBoard: pip install tensorboard"):
        fit({**tiny_config, "tensorboard": True})
    assert not (tmp_path / "run").exists()
