"""Calibration and the answer "not sure": figures against counting and NumPy, then runs, and what reads their cards."""

import importlib
import json
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from mindclf import cli
from mindclf.calibration import Calibration, calibrated, described, error_bound, fit_temperature, selective_metrics, threshold_for
from mindclf.card import Card, card_path, next_card_path, read_card
from mindclf.checkpoint import CheckpointFile, load_net, save_checkpoint
from mindclf.config import merge
from mindclf.dataset import eval_pipeline
from mindclf.dataset.splits import read_splits
from mindclf.evaluation import evaluate_on
from mindclf.inference.logits import predict_logits
from mindclf.metrics import auroc, calibration_error, error_over_coverage, softmax
from mindclf.predict import Predictor
from mindclf.train import fit
from mindclf.train.features import stored_features
from mindclf.train.softmax_regression import solve
from tests.conftest import ONLY_HEAD, make_config

pytestmark = pytest.mark.usefixtures("uncompiled")
RNG = np.random.default_rng(3)


def drawn(temperature, count=6_000):
    """(logits, labels) where the labels are drawn with the probabilities of logits / temperature."""
    logits = 3 * RNG.standard_normal((count, 5))
    every = softmax(logits / temperature).cumsum(1)
    return logits, (RNG.random((count, 1)) > every).sum(1).clip(0, 4)


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_the_temperature_is_the_one_that_labels_were_drawn_with(temperature):
    logits, labels = drawn(temperature)
    found = fit_temperature(logits, labels)
    assert found == pytest.approx(temperature, rel=0.06)
    losses = [-np.log(softmax(logits / t)[np.arange(len(labels)), labels]).mean() for t in (0.999 * found, found, 1.001 * found)]
    assert losses[1] == min(losses)


def test_images_that_are_all_correct_leave_the_temperature_alone():
    assert fit_temperature(np.eye(4) * 2, np.arange(4)) == 1.0


def test_the_calibration_error_is_that_of_counting():
    """Of bins of a tenth: 0.65 and 0.69 in one, half correct; 0.95 correct; 0.6 belongs to the bin that ends there, wrong."""
    probabilities = np.array([[0.65, 0.35], [0.69, 0.31], [0.05, 0.95], [0.6, 0.4]])
    found = calibration_error(probabilities, np.array([0, 1, 1, 1]), bins=10)
    assert found == pytest.approx((abs(1 - 0.65 - 0.69) + 0.05 + 0.6) / 4)


def test_error_over_coverage_is_that_of_counting_and_takes_equals_together():
    coverage, errors, _ = error_over_coverage(np.array([0.5, 0.9, 0.7, 0.7]), np.array([False, True, True, False]))
    assert coverage.tolist() == [0.25, 0.75, 1.0] and errors.tolist() == pytest.approx([0, 1 / 3, 1 / 2])


def test_auroc_is_the_fraction_of_pairs_in_order():
    known, unknown = RNG.integers(0, 6, 40) / 5, RNG.integers(0, 5, 30) / 5
    pairs = [(first > second) + (first == second) / 2 for first in known for second in unknown]
    assert auroc(known, unknown) == pytest.approx(np.mean(pairs))


def test_the_threshold_covers_most_of_those_that_keep_to_the_error():
    confidence = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4])
    correct = np.array([True, True, False, True, True, False])
    assert threshold_for(confidence, correct, 0.2) == pytest.approx(0.45)   # 1 of the first 5 is wrong
    assert threshold_for(confidence, correct, 0.1) == pytest.approx(0.75)
    assert threshold_for(confidence, correct, 0.5, most=1.0) == 0.4
    assert threshold_for(confidence, ~correct, 0.2) is None
    equals = np.array([0.9, 0.9, 0.8])
    assert threshold_for(equals, np.array([True, False, True]), 0.4, most=1.0) == 0.8  # they stand or fall together


def test_one_image_in_twenty_is_not_sure_where_all_are_correct():
    """So that something else, of which a net is less sure than of most, is not taken for a class."""
    confidence = np.linspace(0.6, 0.99, 40)
    assert threshold_for(confidence, np.full(40, True), 0.02) == pytest.approx((confidence[1] + confidence[2]) / 2)


def test_the_bound_of_the_error_is_that_of_clopper_and_pearson():
    """No error in n: 1 - 0.05 ** (1 / n). 10 of 100: 16.37 %, of the tables for a one-sided 95 %."""
    assert error_bound(0, 59) == pytest.approx(1 - 0.05 ** (1 / 59)) and error_bound(3, 3) == 1
    assert error_bound(10, 100) == pytest.approx(0.16372, abs=1e-4)


def test_a_card_keeps_what_was_found_and_on_how_many():
    logits, labels = drawn(2.0, 3000)
    record = calibrated(logits, labels, 0.05, "3,000 validation images")
    found = Calibration.of(json.loads(json.dumps(record)))
    probabilities = found.probabilities(logits)
    np.testing.assert_allclose(probabilities, softmax(logits / record["temperature"]))
    sure = found.is_sure(probabilities.max(1))
    assert record["coverage"] == pytest.approx(sure.mean(), abs=1e-6)
    error = (logits.argmax(1) != labels)[sure].mean()
    assert record["error"] == pytest.approx(error, abs=1e-6) and 0.03 < error <= 0.05 < record["error_bound"]
    assert record["ece_after"] < 0.3 * record["ece_before"] and record["loss_after"] < record["loss_before"]
    assert described(record).startswith(f"below {record['threshold']:.1%}: {record['coverage']:.1%} of 3,000 validation images")


def test_few_images_and_hopeless_ones_have_no_threshold():
    few = calibrated(np.eye(5), np.arange(5), 0.02, "5 validation images")
    assert few == {"images": 5, "missing": "5 validation images are fewer than 20", "threshold": None}
    wrong = calibrated(np.tile([1.0, 2.0], (30, 1)), np.zeros(30, int), 0.02, "30 images")
    assert wrong["threshold"] is None and described(wrong) == "never: no threshold has 2.0% of errors or fewer on 30 images"


def test_selective_metrics_are_those_of_counting():
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]])
    found = selective_metrics(probabilities, np.array([0, 0, 0, 0]), Calibration(1, 0.65), np.array([0.5, 0.95]))
    assert found["accuracy_at_coverage"][0] == [1.0, 0.75] and found["accuracy_at_coverage"][-1] == [0.5, 1.0]
    assert (found["coverage"], found["accuracy"]) == (0.75, pytest.approx(2 / 3, abs=1e-6))
    assert found["aurc"] == pytest.approx((0 + 0 + 1 / 3 + 1 / 4) / 4, abs=1e-6)
    assert found["unknown"] == {"images": 2, "taken_for_a_class": 1, "auroc": 0.5}


@pytest.mark.parametrize(("record", "message"), [
    ({"temperature": 0}, "'calibration.temperature' must lie between"), ({"temperature": "hot"}, "'calibration.temperature'"),
    ({"threshold": 1.5}, "'calibration.threshold' must lie between 0 and 1"), ({"threshold": float("nan")}, "'calibration.th"),
    ({"coverage": "all"}, "'calibration.coverage'"), ({"of": "two\nlines"}, "'calibration.of' must be a text of one line")])
def test_a_card_with_an_impossible_calibration_is_refused(record, message):
    fields = {"net": "resnet18", "net_options": {}, "classes": ["a"], "image_height": 32, "image_width": 32, "mean": [0, 0, 0],
              "std": [1, 1, 1], "calibration": record}
    with pytest.raises(ValueError, match=message):
        Card(fields)


@pytest.fixture(scope="module")
def solved(uncompiled, colour_folder, tmp_path_factory):
    """(config, checkpoint) of a head that was solved, its weight decay chosen in folds of 30 images."""
    fields = make_config(colour_folder, tmp_path_factory.mktemp("solved"))
    config = {**{name: value for name, value in fields.items() if name not in ("batch_size", "epochs", "lr_max")}, **ONLY_HEAD,
              "optimizer": "lbfgs"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(importlib.import_module("mindclf.train.fit"), "write_report", lambda *arguments: None)
        return config, fit(config).checkpoint


def test_a_solved_head_is_calibrated_by_images_that_no_layer_was_solved_on(solved):
    card = read_card(solved[1])
    record = card["calibration"]
    assert record["of"] == "out-of-fold predictions of 30 images" and record["target_error"] == 0.02
    assert record["loss_before"] == pytest.approx(card["metrics"]["out of fold"]["loss"], abs=1e-5)
    assert record["loss_after"] <= record["loss_before"] and 0 < record["coverage"] <= 1


def test_a_weight_decay_that_is_given_leaves_the_validation_images(solved, tmp_path, brief):
    """Logits of the head that was solved without them: of the other 9 training images."""
    config = {**solved[0], "tune_weight_decay": "no", "weight_decay": 0.2, "valid_fraction": 0.7,
              "output": str(tmp_path / "run")}
    checkpoint = fit(config).checkpoint
    net, card = load_net(checkpoint)
    full = merge(config, {"mean": card["mean"], "std": card["std"]})
    splits = read_splits(full)
    (features, labels), (others, truth) = (stored_features(net, images, full) for images in (splits.train, splits.valid))
    expected = calibrated(solve(features, labels, 3, 0.2).layer.logits(others), truth, 0.02, "21 validation images")
    assert card["calibration"]["of"] == "21 validation images"
    assert card["calibration"]["temperature"] == pytest.approx(expected["temperature"], rel=1e-3)


def test_gradient_descent_is_calibrated_by_its_validation_images(tiny_config, brief):
    config = {**tiny_config, "valid_fraction": 0.7, "target_error": 0.5}
    fitted = fit(config)
    net, card = load_net(fitted.checkpoint)
    valid = read_splits(merge(config)).valid
    logits, labels = predict_logits(net, eval_pipeline(valid, card.preprocessing, 4))
    expected = calibrated(logits, labels, 0.5, "21 validation images")
    assert fitted.calibration == card["calibration"] and card["calibration"]["of"] == expected["of"]
    for name in ("images", "temperature", "threshold", "coverage", "error", "ece_after", "loss_after"):
        assert card["calibration"][name] == pytest.approx(expected[name], rel=1e-3, abs=1e-4), name
    assert fit({**config, "resume": True}).calibration == fitted.calibration


def test_without_validation_images_folds_calibrate_also_those_that_a_finished_run_is_given(tiny_config, brief):
    """By each image's logits of the net that has not seen it: the temperature by search over many."""
    config = {**tiny_config, "valid_fraction": 0.0, "epochs": 1, "target_error": 0.5}
    assert fit(config).calibration["missing"] == "there are no validation images"
    fitted = fit({**config, "folds": 2, "resume": True})
    logits, labels = fitted.folds.logits, np.array(fitted.folds.images.labels)
    assert fitted.calibration == read_card(fitted.checkpoint)["calibration"]
    assert fitted.calibration["of"] == "out-of-fold predictions of 30 images"
    temperatures = np.geomspace(0.05, 20, 4000)
    losses = [-np.log(softmax(logits / temperature)[np.arange(30), labels]).mean() for temperature in temperatures]
    assert fitted.calibration["temperature"] == pytest.approx(temperatures[np.argmin(losses)], rel=3e-3)
    assert fit({**config, "folds": 2, "resume": True}).calibration == fitted.calibration


def test_validation_images_that_the_weights_had_seen_before_do_not_count(tiny_config, tmp_path, brief):
    """The second run starts from weights that were trained on all images of train/."""
    first = fit({**tiny_config, "valid_fraction": 0.0, "epochs": 1})
    assert first.calibration == {"images": 0, "missing": "there are no validation images", "threshold": None}
    second = fit({**tiny_config, "valid_fraction": 0.7, "epochs": 1, "pretrained": str(first.checkpoint),
                  "output": str(tmp_path / "second")})
    assert second.calibration["missing"] == "all 21 validation images were trained on"


def test_every_answer_follows_the_card(solved, colour_folder, tmp_path, capsys, monkeypatch):
    """Below the threshold of the card: in Python, in the terminal, as JSON, on the page, and in eval."""
    from mindclf.demo.answers import Sorter, answer

    net, card = load_net(solved[1])
    image = str(colour_folder / "test" / "red" / "0.png")
    logits = Predictor(solved[1]).logits([image])
    confidence = float(softmax(logits / 2.5).max())
    marked = tmp_path / "marked.ckpt"
    for threshold, sure in ((confidence + 1e-4, False), (confidence - 1e-4, True)):
        save_checkpoint(net, marked, {**card, "calibration": {"temperature": 2.5, "threshold": threshold}})
        predictor = Predictor(marked)
        found = predictor.predict(image)
        assert found[0].probability == pytest.approx(confidence, rel=1e-4) and found.is_sure == sure
        assert found.answer == (found[0].name if sure else "not sure")
        assert ("not sure" in found._repr_html_()) != sure
        assert cli.main(["predict", "--checkpoint", str(marked), "--json", image]) == 0
        line = json.loads(capsys.readouterr().out)
        assert (line["answer"], line["sure"], line["threshold"]) == (found.answer, sure, threshold)
        assert cli.main(["predict", "--checkpoint", str(marked), image]) == 0
        assert capsys.readouterr().out.splitlines()[0] == image + ("" if sure else f": not sure, below {threshold:.1%}")
        assert ("Not sure" in answer(Sorter.of(marked), image)) != sure
    assert Predictor(marked, threshold=1).predict(image).answer == "not sure"
    assert Predictor(marked, threshold=0).predict(image).threshold is None
    with pytest.raises(ValueError, match="^threshold=2 must lie between 0, for no answer that is not sure, and 1"):
        Predictor(marked, threshold=2)


def test_eval_tells_of_coverage_and_of_unknown_images(solved, colour_folder, tmp_path, capsys, caplog):
    """Images of no class: here those of one class again, and a text that is left out."""
    net, card = load_net(solved[1])
    marked = tmp_path / "marked.ckpt"
    save_checkpoint(net, marked, {**card, "calibration": {"temperature": 1.5, "threshold": 0.4}})
    unknown = tmp_path / "unknown"
    unknown.mkdir()
    for index in range(3):
        (unknown / f"{index}.png").write_bytes((colour_folder / "test" / "blue" / f"{index}.png").read_bytes())
    (unknown / "note.png").write_text("no image")
    config = merge({"dataset_path": str(colour_folder)}, {"class_index": solved[0]["class_index"]})
    found = evaluate_on(CheckpointFile.of(marked), config, unknown=unknown)
    probabilities = softmax(found.logits / 1.5)
    blue = np.array(found.images.labels) == 1
    np.testing.assert_allclose(np.sort(found.unknown), np.sort(probabilities[blue].max(1)), rtol=1e-4)
    figures = found.selective
    assert figures["unknown"]["taken_for_a_class"] == (found.unknown >= 0.4).sum() and figures["unknown"]["images"] == 3
    words = [str(marked), f"dataset_path={colour_folder}", "--unknown", str(unknown)]
    assert cli.main(["eval", *words, "--json"]) == 0
    printed = capsys.readouterr().out
    shown = json.loads(printed)["selective"]
    assert shown["unknown"]["taken_for_a_class"] == figures["unknown"]["taken_for_a_class"] and "note.png" in caplog.text
    assert [shown[name] for name in ("threshold", "coverage")] == [0.4, figures["coverage"]]
    assert cli.main(["eval", *words]) == 0
    text = capsys.readouterr().out
    taken = figures["unknown"]["taken_for_a_class"]
    assert f"unknown: {taken} of 3 images in {unknown} are taken for a class, AUROC" in text
    assert f"sure (probability 40.0% or more) of {figures['coverage']:.1%}" in text
    os.rename(unknown, tmp_path / "un\n\x1bknown")
    assert cli.main(["eval", *words[:-1], str(tmp_path / "un\n\x1bknown")]) == 0
    assert r"/un\n\x1bknown are taken for a class" in capsys.readouterr().out
    assert cli.main(["eval", str(marked), f"dataset_path={colour_folder}", "--unknown", str(tmp_path / "none")]) == 2


def test_unknown_images_are_read_as_the_fields_say(solved, colour_folder, tmp_path, caplog):
    """Grey ones of 12 bits whose white is 4,080 = 16 x 255 are those of 8 bits, and max_pixels leaves out what is larger."""
    fields = {"dataset_path": str(colour_folder), "class_index": solved[0]["class_index"]}
    grey = RNG.integers(20, 256, (40, 40)).astype(np.uint16)
    for name, pixels in (("8", grey.astype(np.uint8)), ("12", 16 * grey)):
        (tmp_path / name).mkdir()
        Image.fromarray(pixels).save(tmp_path / name / "grey.png")
    found = [evaluate_on(CheckpointFile.of(solved[1]), merge(fields, {"white": 4080}), unknown=tmp_path / name).unknown
             for name in ("8", "12")]
    np.testing.assert_array_equal(*found)
    Image.new("RGB", (50, 40)).save(tmp_path / "8" / "large.png")
    [unknown] = evaluate_on(CheckpointFile.of(solved[1]), merge(fields, {"max_pixels": 1600}), unknown=tmp_path / "8").unknown
    assert unknown == found[0] and "large.png" in caplog.text


def test_a_checkpoint_is_calibrated_by_images_that_it_was_not_trained_on(tiny_config, tmp_path, brief, capsys):
    """By its own validation images as training did; by others; never by those that it was trained on or tested with."""
    config = {**tiny_config, "valid_fraction": 0.7, "epochs": 1, "target_error": 0.4}
    checkpoint = fit(config).checkpoint
    card = read_card(checkpoint)
    found = card.pop("calibration")
    card_path(checkpoint).write_text(json.dumps(card))
    data = tiny_config["dataset_path"]
    assert cli.main(["calibrate", str(checkpoint), data, "target_error=0.4"]) == 0
    assert read_card(checkpoint)["calibration"]["temperature"] == pytest.approx(found["temperature"], rel=1e-3)
    assert read_card(checkpoint)["calibration"]["of"] == "21 validation images"
    assert capsys.readouterr().out.startswith("temperature ")
    card_path(checkpoint).rename(next_card_path(checkpoint))  # as of a save that was cut short
    card_path(checkpoint).write_text(json.dumps({**card, "weights_sha256": "0" * 64}))
    assert cli.main(["calibrate", str(checkpoint), data, "target_error=0.3"]) == 0
    assert read_card(checkpoint)["calibration"]["target_error"] == 0.3 and not next_card_path(checkpoint).exists()
    mixed = tmp_path / "mixed"
    shutil.copytree(f"{data}/train", mixed)
    assert cli.main(["calibrate", str(checkpoint), str(mixed), "target_error=0.4"]) == 0
    assert read_card(checkpoint)["calibration"]["of"] == "21 images that training had not seen"  # 9 were trained on
    shutil.copytree(f"{data}/test", tmp_path / "tested")
    assert cli.main(["calibrate", str(checkpoint), str(tmp_path / "tested")]) == 2
    assert "trained on, or tested with, all 9 images" in capsys.readouterr().err
