"""report.html: whole, self-contained, with every text escaped, and with the worst mistakes first."""

import base64
import io
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mindclf.card import Card
from mindclf.config import merge
from mindclf.dataset import ImageSet
from mindclf.labels import class_labels
from mindclf.metrics import compute_metrics, wilson_interval
from mindclf.nets import create_net
from mindclf.report import html as paging
from mindclf.report.classes import confusions_table
from mindclf.report.history import HISTORY_FIELDS
from mindclf.report.html import MISTAKES, THUMBNAIL, Measured, confident_mistakes
from mindclf.report.write import write_report
from tests.conftest import TINY_NET
from tests.support.messages import english_of

CLASSES = ("<b>", "Battery", "dog & cat")
HOSTILE = '"><script src="https://example.com/x.js"></script>'
SPARSE = {"net": "mobilenet_v2", "net_options": TINY_NET, "classes": list(CLASSES), "image_height": 32, "image_width": 32,
          "mean": [0, 0, 0], "std": [255, 255, 255]}  # what a card needs
CARD = {**SPARSE, "classes_chinese": ["", "电池", ""], "categories_chinese": ["", "", ""], "seed": 0, "command": HOSTILE,
        "versions": {"mindclf": "0.1.0", "mindspore": "2.10.0"},
        "data": {"origin": "your folder", "train": 1234, "held_out": 5, "test": 20}, "seconds": 61.4, "start": "fresh weights",
        "device": {"target": "CPU", "processor": "a processor", "cores": 2},
        "speed": [{"phase": 1, "images_per_second": 1234.5, "data_share": 0.0213},
                  {"phase": 2, "images_per_second": 50, "data_share": 0}]}
VOID = {"meta", "img", "br"}


class Reader(HTMLParser):
    """Checks that tags close in their order, and collects tags with attributes, rows of cells, and captions."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.rows, self.captions = [], [], [], []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
        elif tag == "figcaption":
            self.captions.append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" in self.open:
            return
        self.text += data
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data
        elif "figcaption" in self.open:
            self.captions[-1] += data

    def images(self):
        """The images within figures, decoded."""
        sources = [attributes["src"] for tag, attributes in self.tags if tag == "img"]
        jpegs = [source for source in sources if source.startswith("data:image/jpeg;base64,")]
        return [Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))) for source in jpegs]


def measured(folder, margins, card=CARD, history=()):
    """A tiny net's results on an image for each of `margins`, of the classes in turn.

    So much is the logit of the true class above another's, if it is positive; else so much is another's above the true one.
    """
    rng = np.random.default_rng(0)
    labels = np.arange(len(margins)) % 3
    for index in range(len(margins)):
        Image.fromarray(rng.integers(0, 256, (400, 600, 3)).astype(np.uint8)).save(folder / f'<i>{index}"&.png')
    images = ImageSet(tuple(str(folder / f'<i>{index}"&.png') for index in range(len(margins))), tuple(labels.tolist()), CLASSES)
    logits = np.zeros((len(margins), 3), np.float32)
    logits[np.arange(len(margins)), np.where(np.array(margins) > 0, labels, (labels + 1) % 3)] = np.abs(margins)
    net = create_net("mobilenet_v2", 3, **TINY_NET)
    return Measured(Path("outputs/<u>/best.ckpt"), net, Card(card), "drawings & photos", images, logits,
                    compute_metrics(logits, labels, 3), list(history))


def read(folder, results):
    write_report(folder / "report", results, merge({}, {}))
    return Reader((folder / "report" / "report.html").read_text(encoding="utf-8"))


MARGINS = [2, -1.5, -0.5, 3, -4, -2.5, -1, 1, -3.5, -2, -4.5, 0.5, -0.75, -3, -1.25, 4, -5, -2.25, -0.25]  # 14 mistakes, mixed


@pytest.fixture(scope="module")
def read_page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    return read(folder, measured(folder, MARGINS))


def test_nothing_is_loaded_from_outside_and_the_page_forbids_it(read_page):
    assert not {"script", "link", "iframe", "object", "base", "form"} & {tag for tag, _ in read_page.tags}
    sources = [attributes[name] for _, attributes in read_page.tags for name in ("src", "href", "srcset", "action", "data")
               if name in attributes]
    assert sources and all(source.startswith("data:image/") for source in sources)
    assert "url(" not in paging.STYLE and "@import" not in paging.STYLE
    policies = [attributes["content"] for _, attributes in read_page.tags if "http-equiv" in attributes]
    assert policies == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]


def test_texts_from_outside_are_text(read_page):
    for text in ("<b>", "dog & cat", HOSTILE, "drawings & photos", "outputs/<u>/best.ckpt"):
        assert text in read_page.text, text
    assert not {"i", "u"} & {tag for tag, _ in read_page.tags}  # of the names of files and of the checkpoint
    alternatives = [attributes["alt"] for tag, attributes in read_page.tags if tag == "img"]
    assert "heatmap of <b>" in alternatives and '<i>16"&.png' in alternatives


def test_a_chinese_page_has_no_english_left(tmp_path, monkeypatch):
    monkeypatch.setenv("MINDCLF_LANG", "zh")
    calibration = {"threshold": 0.9, "temperature": 1.5, "of": "40 validation images", "ece_before": 0.05, "ece_after": 0.01}
    card = {**CARD, "command": "mindclf train", "calibration": calibration}
    history = [dict.fromkeys(HISTORY_FIELDS, 1) | {"watched": "held out"}]
    page = read(tmp_path, replace(measured(tmp_path, MARGINS[:6], card, history), origin="your folder"))
    assert ("html", {"lang": "zh-CN"}) in page.tags
    kept = {"top-1", "top-5", "F1", "", *CLASSES}
    titles = [cell for row in page.rows for cell in (row[:1] if len(row) == 2 else row) if not any(map(str.isdigit, cell))]
    assert not [title for title in titles if title.isascii() and title not in kept]
    assert english_of(page.text.partition("<u>")[2].replace("a processor", "")) == []
    assert all(not attributes["alt"].isascii() or attributes["alt"].startswith("<i>") for tag, attributes in page.tags
               if tag == "img")


def test_the_most_confident_mistakes_come_first(read_page):
    wrong = sorted((margin, index) for index, margin in enumerate(MARGINS) if margin < 0)
    assert len(read_page.captions) == MISTAKES < len(wrong)
    for caption, (margin, index) in zip(read_page.captions, wrong):
        confidence = np.exp(-margin) / (np.exp(-margin) + 2)  # the other two logits are 0
        true, predicted = CLASSES[index % 3], CLASSES[(index + 1) % 3]
        words = caption.replace("Battery 电池", "Battery").split("\n")
        assert words[0].startswith(f"{predicted} {confidence:.1%}")
        assert words[1].startswith(f"is {true}, {(1 - confidence) / 2:.1%}") and words[2] == f'<i>{index}"&.png'
    assert f"{MISTAKES} of {len(wrong)}" in read_page.text


def test_confidence_orders_mistakes_and_correct_predictions_are_none():
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.3, 0.7]])
    assert confident_mistakes(probabilities, [1, 1, 0, 1]).tolist() == [0, 2, 1]
    assert confident_mistakes(probabilities, [0, 0, 1, 1]).tolist() == []


def test_each_mistake_is_a_thumbnail_with_another_under_its_heatmap(read_page):
    images = read_page.images()
    assert len(images) == 2 * MISTAKES
    for image, overlay in zip(images[::2], images[1::2]):
        assert image.size == overlay.size == (THUMBNAIL, THUMBNAIL * 400 // 600)
        difference = np.abs(np.asarray(image).astype(int) - np.asarray(overlay))
        assert difference[:, :20].mean() > 30  # the net saw a square in the middle: what lies beside it is dark


def test_a_class_has_its_counts_and_what_it_is_mostly_predicted_as(read_page):
    """Recall is of its images, precision of its predictions, which are the correct ones and the mistakes of the class before."""
    rows = {row[0]: row for row in read_page.rows if row[0] in CLASSES and len(row) == 9}
    right = [sum(margin > 0 for margin in MARGINS[label::3]) for label in range(3)]
    wrong = [sum(margin < 0 for margin in MARGINS[label::3]) for label in range(3)]
    f1 = {}
    for label, name in enumerate(CLASSES):
        images, predictions = right[label] + wrong[label], right[label] + wrong[label - 1]
        f1[name] = 2 * right[label] / (images + predictions)
        assert [cell.strip() for cell in rows[name]] == [
            name, "电池" if label == 1 else "", str(images), str(right[label]), f"{right[label] / images:.1%}",
            "{:.0%} to {:.0%}".format(*wilson_interval(right[label], images)), f"{right[label] / predictions:.1%}",
            f"{f1[name]:.1%}", f"{CLASSES[(label + 1) % 3]} ({wrong[label]})"]
    assert list(rows) == sorted(CLASSES, key=f1.get)  # the worst first


def test_the_most_frequent_confusions_come_first():
    confusion = np.array([[5, 2, 0], [0, 9, 7], [1, 0, 0]])
    rows = Reader(f"{confusions_table(confusion, class_labels(CLASSES))}").rows
    assert rows == [["true", "predicted", "times", "of its images"], ["Battery", "dog & cat", "7", "43.8%"],
                    ["<b>", "Battery", "2", "28.6%"], ["dog & cat", "<b>", "1", "100.0%"]]
    assert confusions_table(np.diag([3, 0, 4]), class_labels(CLASSES)) == ""


def test_the_figures_and_the_card_are_told(read_page):
    facts = {row[0]: row[1] for row in read_page.rows if len(row) == 2}
    assert facts["net"].startswith("mobilenet_v2 (last_channel=32, ")
    assert facts["trained on"] == "your folder: 1,234 training and 5 validation images"
    assert (facts["seed"], facts["command"], facts["trained for"]) == ("0", HOSTILE, "61 s")
    assert facts["speed"] == ("phase 1: 1,234.5 images/s, 2.1% of the time waiting for them; "
                              "phase 2: 50 images/s, 0.0% of the time waiting for them")
    assert facts["versions"] == "mindclf 0.1.0, mindspore 2.10.0" and facts["device"] == "CPU, a processor, 2 cores"
    low, high = (0.118, 0.488)  # of 5 in 19, after Wilson 1927
    assert f"{5 / 19:.1%}top-195 % interval {low:.1%} to {high:.1%}" in read_page.text and "19test images" in read_page.text
    recalls = [np.mean([margin > 0 for margin in MARGINS[label::3]]) for label in range(3)]
    assert f"{np.mean(recalls):.1%}balanced accuracy" in read_page.text


def test_a_card_that_tells_little_makes_a_page_without_mistakes_or_training(tmp_path):
    found = read(tmp_path, measured(tmp_path, [1, 2, 3, 4], card=SPARSE))
    assert "There are none: every prediction is correct." in found.text
    assert found.images() == [] and "Training" not in found.text
    assert [row[0] for row in found.rows if len(row) == 2] == ["net", "parameters", "input"]


def test_training_is_shown_where_its_history_is_known(tmp_path):
    rows = [{**dict.fromkeys(HISTORY_FIELDS, 0.5), "phase": 1.0, "watched": "held out"} for _ in range(2)]
    found = read(tmp_path, measured(tmp_path, [1, 2, 3, -4], history=rows))
    assert "Training" in found.text and (tmp_path / "report" / "curves.png").is_file()
    assert "All 1" in found.text and len(found.images()) == 2


def test_an_exported_files_mistakes_are_shown_without_heatmaps(tmp_path):
    found = read(tmp_path, replace(measured(tmp_path, [1, -2, 3, -4]), net=None))
    assert [image.size for image in found.images()] == [(THUMBNAIL, THUMBNAIL * 400 // 600)] * 2
    assert "All 2. Their heatmaps by Grad-CAM are in the report of the checkpoint only" in found.text
    assert "Exported file" in found.text and "parameters" not in [row[0] for row in found.rows]


def test_a_class_without_images_is_said_to_have_none(tmp_path):
    found = read(tmp_path, measured(tmp_path, [1, 2]))
    [row] = [row for row in found.rows if row[0] == "dog & cat"]
    assert row[-7:] == ["0", "0", "no images", "", "", "", ""] and found.rows.index(row) == max(
        number for number, other in enumerate(found.rows) if other[0] in CLASSES)


def test_the_page_stays_small(tmp_path):
    read(tmp_path, measured(tmp_path, MARGINS))
    assert (tmp_path / "report" / "report.html").stat().st_size < 1_500_000  # of noise, which no JPEG makes small
