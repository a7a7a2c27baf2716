"""What the plots show: read off the figures that would be saved."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from mindclf.dataset import ImageSet
from mindclf.explain import Explanation
from mindclf.inference.predictions import Prediction
from mindclf.report import plots
from mindclf.report.fonts import warn_of_boxes

CLASSES = ("cat", "dog")


@pytest.fixture
def saved(monkeypatch):
    """The figures that were saved, drawn."""
    figures = []
    save = Figure.savefig

    def keep(self, path, **options):
        save(self, path, **options)
        figures.append(self)

    monkeypatch.setattr(Figure, "savefig", keep)
    return figures


def images(count):
    """Arrays, each of one grey, in turn a cat and a dog."""
    return ImageSet(tuple(np.full((32, 32, 3), index, np.uint8) for index in range(count)), (0, 1) * (count // 2), CLASSES)


def test_class_names_are_shown_as_they_are_and_missing_letters_are_said_once(saved, tmp_path, caplog, recwarn):
    warn_of_boxes.cache_clear()
    for _ in range(2):
        plots.class_accuracy([0.5, 1.0], ("$5 and $10", "\u1bc0"), tmp_path / "classes.png")  # Batak, which few fonts have
    assert [label.get_text() for label in saved[0].axes[0].get_yticklabels()] == ["$5 and $10", "\u1bc0"]
    assert not saved[0].axes[0].get_yticklabels()[0].get_parse_math()
    assert caplog.text.count("no font here has all letters of the class names") == len(caplog.records) == 1
    assert not [warning for warning in recwarn if "Glyph" in str(warning.message)]


def test_plots_are_in_chinese_with_the_letters_of_the_shipped_font(saved, tmp_path, monkeypatch, recwarn):
    """Names of classes stay: one may be called as a title is."""
    monkeypatch.setenv("MINDCLF_LANG", "zh")
    names = ("train_loss", "loss", "train_top1", "top1", "top5", "learning_rate")
    plots.training_curves([{"phase": 1, "watched": "held out", **dict.fromkeys(names, 0.5)}] * 2, tmp_path / "curves.png")
    plots.coverage_curve(np.array([[0.9, 0.1], [0.6, 0.4]]), [0, 1], tmp_path / "coverage.png", 0.7)
    plots.class_accuracy([0.5, 1.0], ("epoch", "loss"), tmp_path / "classes.png")
    plots.prediction_grid(images(2), np.array([[0.9, 0.1], [0.8, 0.2]]), tmp_path / "grid.png", 1, 2)
    plots.image_grid(replace(images(2), classes=("epoch", "loss")), tmp_path / "images.png", 1, 2)
    shown = [[text for axis in figure.axes for text in (axis.get_title(), axis.get_xlabel(), axis.get_ylabel())]
             for figure in saved]
    assert shown[4][::3] == ["epoch", "loss"]
    assert shown[0] == ["损失", "轮", "交叉熵", "准确率", "轮", "%", "每轮结束时的学习率", "轮", ""]
    assert [text.get_text() for text in saved[1].axes[1].get_legend().get_texts()] == ["正确 (1)", "错误 (1)", "阈值：70.0%"]
    assert [label.get_text() for label in saved[2].axes[0].get_yticklabels()] == ["epoch", "loss"]
    assert shown[3][::3] == ["cat 90%", "cat 80%\n（实际是 dog）"]
    assert not [warning for warning in recwarn if "Glyph" in str(warning.message)]


def test_curves_show_each_figure_of_the_history_under_its_name(saved, tmp_path):
    names = ("train_loss", "loss", "train_top1", "top1", "top5", "learning_rate")
    history = [{"phase": phase, "watched": "held out", **{name: number + 0.1 * epoch for number, name in enumerate(names)}}
               for epoch, phase in enumerate([1, 1, 2, 2, 2])]
    plots.training_curves(history, tmp_path / "curves.png")
    shown = {}
    for axis in saved[0].axes:
        *lines, boundary = axis.lines
        assert list(boundary.get_xdata()) == [2.5, 2.5]
        for line in lines:
            assert line.get_xdata().tolist() == [1, 2, 3, 4, 5]
            shown[axis.get_title(), line.get_label() if axis.get_legend() else ""] = line.get_ydata().tolist()
    column = {name: [row[name] for row in history] for name in names}
    assert shown == {
        ("Loss", "training batches, as augmented"): column["train_loss"], ("Loss", "validation"): column["loss"],
        ("Accuracy", "training, top-1"): [100 * value for value in column["train_top1"]],
        ("Accuracy", "validation, top-1"): [100 * value for value in column["top1"]],
        ("Accuracy", "validation, top-5"): [100 * value for value in column["top5"]],
        ("Learning rate at the end of the epoch", ""): column["learning_rate"]}


def test_rows_of_the_confusion_matrix_are_true_classes_and_mistakes_are_red(saved, tmp_path):
    plots.confusion_matrix(np.array([[3, 2], [0, 7]]), CLASSES, tmp_path / "confusion.png")  # two cats are taken for dogs
    [axis] = saved[0].axes
    assert {(text.get_position(), text.get_text(), text.get_color()) for text in axis.texts} == {
        ((0, 0), "3", "black"), ((1, 0), "2", "red"), ((1, 1), "7", "white")}
    assert axis.images[0].get_array().tolist() == [[3, 2], [0, 7]]
    assert (axis.get_xlabel(), axis.get_ylabel(), axis.get_title()) == ("predicted", "true", "10 of 12 images right")
    assert [label.get_text() for label in axis.get_yticklabels()] == list(CLASSES)


def test_a_grid_of_images_has_their_classes_as_titles(saved, tmp_path):
    plots.image_grid(images(10), tmp_path / "grid.png", rows=1, columns=4)
    shown = [(axis.images[0].get_array()[0, 0, 0], axis.title.get_text()) for axis in saved[0].axes]
    assert shown == [(0, "cat"), (3, "dog"), (6, "cat"), (9, "dog")]


@pytest.mark.parametrize(("rows", "columns"), [(8, 8), (2, 8), (4, 6)])
def test_a_grid_has_the_rows_and_columns_asked_for(saved, tmp_path, rows, columns):
    plots.prediction_grid(images(100), np.zeros((100, 2)), tmp_path / "grid.png", rows, columns)
    [figure] = saved
    shown = [axis.images[0].get_array()[0, 0, 0] for axis in figure.axes]
    assert len(shown) == rows * columns and shown == sorted(set(shown)) and (shown[0], shown[-1]) == (0, 99)
    lefts = {round(axis.get_position().x0, 3) for axis in figure.axes}
    assert len(lefts) == columns


def test_titles_are_green_if_right_and_red_with_the_truth_if_wrong(saved, tmp_path):
    plots.prediction_grid(images(4), np.array([[0.8, 0.2], [0.3, 0.7], [0.1, 0.9], [0.6, 0.4]]), tmp_path / "grid.png", 2, 2)
    titles = [(axis.title.get_text(), axis.title.get_color()) for axis in saved[0].axes]
    assert titles == [("cat 80%", "green"), ("dog 70%", "green"), ("dog 90%\n(is cat)", "red"), ("cat 60%\n(is dog)", "red")]


def test_titles_do_not_run_into_each_other(saved, tmp_path):
    names = ("Disposable Chopsticks", "Tablet capsules")
    few = ImageSet(images(8).paths, (1,) * 8, names)
    plots.prediction_grid(few, np.tile([1.0, 0.0], (8, 1)), tmp_path / "grid.png", 2, 4)
    boxes = [axis.title.get_window_extent() for axis in saved[0].axes]
    for left, right in zip(boxes[:3], boxes[1:4]):
        assert left.x1 < right.x0
    assert boxes[0].x0 >= 0


def test_fewer_images_than_the_grid_has_places(saved, tmp_path):
    plots.prediction_grid(images(4), np.zeros((4, 2)), tmp_path / "grid.png", 8, 3)
    assert len([axis for axis in saved[0].axes if axis.images]) == 4 and len(saved[0].axes) == 6


@pytest.mark.parametrize("count", [2, 10, 26])
def test_a_bar_for_each_class(saved, tmp_path, count):
    per_class = np.linspace(0, 1, count)
    plots.class_accuracy(per_class, tuple(f"class {number}" for number in range(count)), tmp_path / "classes.png")
    axis = saved[0].axes[0]
    assert [bar.get_width() for bar in axis.patches] == pytest.approx(100 * per_class)
    assert [text.get_text() for text in axis.texts] == [f"{100 * value:.1f}" for value in per_class]
    assert "their mean, 50.0 %" in axis.get_title()
    with Image.open(tmp_path / "classes.png") as image:
        assert image.width == 700


def test_a_class_without_images_is_said_to_have_none(saved, tmp_path):
    plots.class_accuracy([np.nan, 0.5], CLASSES, tmp_path / "classes.png")
    axis = saved[0].axes[0]
    assert [text.get_text() for text in axis.texts] == ["no images", "50.0"]
    assert "their mean, 50.0 %" in axis.get_title()


def test_an_explanation_has_the_chinese_name(saved, tmp_path):
    explained = Explanation(Image.new("RGB", (60, 40), "red"), Prediction("Battery", 0.971, "电池"), [],
                            np.eye(2, dtype=np.float32), (0, 0, 1, 1))
    plots.explanation(explained, tmp_path / "explained.png")
    [figure] = saved
    assert figure.get_suptitle() == "Battery 电池 97.1%"
    image, overlay = (axis.images[0].get_array() for axis in figure.axes)
    np.testing.assert_array_equal(image, np.asarray(explained.image))
    np.testing.assert_array_equal(overlay, np.asarray(explained.overlay))


@pytest.mark.parametrize("size", [(200, 3000), (3000, 200)])
@pytest.mark.parametrize("name", ["Can", "Disposable Chopsticks of a Brand with a Long Name"])
def test_titles_of_an_explanation_fit_beside_each_other(saved, tmp_path, size, name):
    explained = Explanation(Image.new("RGB", size), Prediction(name, 0.5), [], np.zeros((2, 2), np.float32), (0, 0, 1, 1))
    plots.explanation(explained, tmp_path / "explained.png")
    [figure] = saved
    [title] = figure.texts
    left, right = (axis.title.get_window_extent() for axis in figure.axes)
    for box in (title.get_window_extent(), left, right):
        assert box.x0 >= 0 and box.x1 <= figure.bbox.x1
    assert left.x1 < right.x0


def test_a_class_whose_name_has_dollars_is_written_as_it_is(saved, tmp_path):
    explained = Explanation(Image.new("RGB", (200, 3000)), Prediction("a$_$b", 0.5), [], np.zeros((2, 2), np.float32),
                            (0, 0, 1, 1))
    plots.explanation(explained, tmp_path / "explained.png")
    assert saved[0].get_suptitle() == "a$_$b 50.0%" and saved[0].axes[0].images[0].get_array().shape[0] == 1024


@pytest.mark.parametrize("parameters", [(2_244_368, 2_300_000), (474_528, 139_646_800), (1_000_000, 1_000_000)])
def test_the_axes_of_a_comparison_have_plain_numbers(saved, tmp_path, parameters):
    rows = [{"variant": name, "parameters": count, "macs": 40 * count, "mean_seconds": count / 1e5, "top1": [0.5, 0.7],
             "mean_top1": 0.6} for name, count in zip(("one", "two"), parameters)]
    histories = {name: [[{"top1": 0.5, "watched": "held out"}]] * 2 for name in ("one", "two")}
    plots.comparison(rows, histories, tmp_path / "compare.png")
    for axis in saved[0].axes[1:]:
        low, high = axis.get_xlim()
        labels = [label.get_text() for label in axis.get_xticklabels() if low <= label.get_position()[0] <= high]
        assert 2 <= len(labels) <= 12 and all(float(label) > 0 for label in labels), labels
        assert not [label.get_text() for label in axis.get_xticklabels(minor=True)]
