"""Cross-validation: mean and spread by NumPy, the interval by its definition, the files, and the section of the page."""

import csv
import json
import re

import numpy as np
import pytest
from PIL import Image

from mindclf.dataset import ImageSet
from mindclf.metrics import wilson_interval
from mindclf.report.cross_validation import LISTED, CrossValidation, sections, write_cross_validation
from mindclf.utils.html import html_text

RNG = np.random.default_rng(0)
CLASSES = ("<b>", "dog, cat", "纸")


@pytest.fixture
def result(tmp_path):
    """60 images in 3 folds; 30 whose label is wrong, told by logits of 6."""
    labels = np.arange(60) % 3
    true = np.where(np.arange(60) < 30, (labels + 1) % 3, labels)
    (tmp_path / "images").mkdir()
    paths = []
    for index in range(60):
        paths.append(str(tmp_path / "images" / f"{index}.png"))
        Image.fromarray(RNG.integers(0, 256, (9, 12, 3), dtype=np.uint8)).save(paths[-1])
    logits = (6.0 * np.eye(3)[true] + RNG.random((60, 3))).astype(np.float32)
    return CrossValidation(ImageSet(tuple(paths), tuple(labels.tolist()), CLASSES), np.arange(60) // 4 % 3, logits)


def test_mean_and_standard_deviation_are_over_the_folds(result):
    labels, correct = np.array(result.images.labels), result.logits.argmax(1) == np.array(result.images.labels)
    top1 = [correct[result.fold == fold].mean() for fold in range(3)]
    summary = result.summary()
    assert summary["mean"]["top1"] == pytest.approx(np.mean(top1), abs=1e-6)
    assert summary["std"]["top1"] == pytest.approx(np.sqrt(np.sum((top1 - np.mean(top1)) ** 2) / 2), abs=1e-6)
    recalls = [[correct[(result.fold == fold) & (labels == label)].mean() for label in range(3)] for fold in range(3)]
    assert summary["mean"]["balanced_accuracy"] == pytest.approx(np.mean(recalls), abs=1e-6)
    assert (summary["folds"], summary["images"]) == (3, 60) and np.std(top1) > 0


def test_the_interval_is_the_published_one():
    """Newcombe, Statistics in Medicine 17, 1998, Table I, method 3: 81 of 263."""
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)


@pytest.mark.parametrize(("correct", "images"), [(30, 60), (0, 20), (20, 20), (997, 1000)])
def test_the_interval_ends_where_the_accuracy_is_1_96_standard_errors_away(correct, images):
    low, high = wilson_interval(correct, images)
    for end in (low, high):
        assert abs(correct / images - end) == pytest.approx(1.959964 * np.sqrt(end * (1 - end) / images), abs=1e-9)
    assert low <= correct / images <= high and low < high


def test_the_files_have_a_row_for_each_image_and_for_each_issue(result, tmp_path):
    write_cross_validation(tmp_path, result)
    with open(tmp_path / "out_of_fold.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows] == list(result.images.paths) and {row["fold"] for row in rows} == {"1", "2", "3"}
    exponentials = np.exp(result.logits.astype(float))
    probabilities = exponentials / exponentials.sum(1, keepdims=True)
    np.testing.assert_allclose([float(row["probability_of_predicted"]) for row in rows], probabilities.max(1), atol=1e-6)
    assert [CLASSES.index(row["label"]) for row in rows] == list(result.images.labels)
    with open(tmp_path / "label_issues.csv", newline="", encoding="utf-8") as file:
        issues = list(csv.DictReader(file))
    assert {row["file"] for row in issues} == set(result.images.paths[:30]) and len(issues) == 30
    margins = [float(row["given_probability"]) - float(row["suggested_probability"]) for row in issues]
    assert margins == sorted(margins)
    assert json.loads((tmp_path / "cross_validation.json").read_text(encoding="utf-8"))["label_issues"] == 30


def test_a_chinese_page_has_titles_and_heads_in_chinese(result, monkeypatch):
    monkeypatch.setenv("MINDCLF_LANG", "zh")
    for title, content in sections(result):
        heads = [html_text(title, words=True), *re.findall(r"<th[^>]*>([^<]+)</th>", content)]
        assert not [head for head in heads if head.isascii() and not head.isdigit() and head not in ("top-1", "F1")]


def test_the_page_has_the_folds_and_the_first_issues_escaped(result):
    (_, folds), (title, issues) = sections(result)
    assert title == "Labels that are probably wrong"
    assert folds.count("<tr>") == 1 + 3 + 2 and "standard deviation" in folds
    assert issues.count("<figure>") == issues.count("<img ") == LISTED and f"{LISTED} of 30" in issues
    assert "<b>dog" not in issues and "&lt;b&gt;" in issues and "纸" in issues
    first = result.issues[0]
    assert issues.index(f"images/{first.index}.png") < issues.index(f"images/{result.issues[1].index}.png")
    assert result.issue_lines(2)[0].startswith(f"images/{first.index}.png: {CLASSES[first.given]} ")
