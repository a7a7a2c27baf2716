"""The command line as a user meets it: in processes of its own, with its exit status and what it prints."""

import io
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from mindclf.card import OF_CLASSES, card_path, read_card
from mindclf.cli import main
from mindclf.cli.explain import stem
from mindclf.cli.text import print_json
from mindclf.config import merge
from mindclf.dataset.splits import read_splits
from mindclf.labels import CIFAR10_CHINESE
from mindclf.predict import Predictor
from mindclf.utils.signals import Stopped
from tests.conftest import SALTS, at_position, make_config
from tests.support.messages import english_of
from tests.support.web_server import running_server

pytestmark = pytest.mark.usefixtures("uncompiled", "brief")

ROOT = Path(__file__).resolve().parents[1]


def run(*arguments, cwd=ROOT, recipe=False, **kwargs):
    """`mindclf ARGUMENTS`, or the garbage recipe's; offline, without data that the machine may have."""
    program = [str(ROOT / "recipes" / "garbage_mobilenet_v2.py")] if recipe else ["-m", "mindclf"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MINDCLF_DATA": "", "PYTHONIOENCODING": "utf-8"}
    return subprocess.run([sys.executable, *program, *map(str, arguments)], capture_output=True, cwd=cwd, env=environment,
                          timeout=300, encoding="utf-8", **kwargs)


def fails(result):
    """The one line of a command that failed with status 2."""
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    lines = [line for line in result.stderr.splitlines() if line.startswith("mindclf: ")]
    assert len(lines) == 1, result.stderr
    return lines[0].removeprefix("mindclf: ")


@pytest.fixture(scope="module")
def photo(colour_folder):
    return next((colour_folder / "test" / "red").iterdir())


def test_predict_prints_a_table(photo, fitted):
    result = run("predict", photo, "--checkpoint", fitted.checkpoint, "--top-k", 2)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == str(photo) and len(lines) == 3 and lines[1].endswith("%")


def test_predict_prints_json_lines_for_folders_and_standard_input(photo, colour_folder, fitted):
    arguments = ("predict", "--json", "--checkpoint", fitted.checkpoint, colour_folder / "test", "-")
    with open(photo, "rb") as stdin:
        result = run(*arguments, stdin=stdin)
    assert result.returncode == 0, result.stderr
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(rows) == 10 and rows[-1]["image"] == "-"
    same = next(row for row in rows if row["image"] == str(photo))
    assert same["predictions"] == rows[-1]["predictions"]


@pytest.mark.parametrize("encoding", ["utf-8", "UTF8", "ascii", "gbk", "latin-1", "cp1252"])
def test_json_says_the_same_in_every_encoding_of_the_output(monkeypatch, encoding):
    """Also the name of a file that is no UTF-8, here byte 0xff; a terminal would show question marks for what it lacks."""
    value = {"name": "玻璃瓶 Äpfel \U0001f600", "file": "\udcff.jpg", "none": None}
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding=encoding, errors="replace"))
    print_json(value)
    assert json.loads(written.getvalue().decode(encoding)) == value
    assert ("玻" in written.getvalue().decode(encoding)) == (encoding in ("utf-8", "UTF8"))


def test_predict_says_which_image_is_bad_and_does_the_others(photo, fitted, tmp_path):
    (tmp_path / "bad.jpg").write_bytes(b"")
    result = run("predict", tmp_path / "bad.jpg", photo, "--checkpoint", fitted.checkpoint)
    assert "bad.jpg is not an image" in fails(result)
    assert str(photo) in result.stdout


def test_predict_works_straight_after_installation(photo, tmp_path):
    result = run("predict", photo, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert any(word in result.stdout for word in ("干垃圾", "可回收物", "湿垃圾", "有害垃圾"))
    assert list(tmp_path.iterdir()) == []


def test_explain_writes_the_heatmap_beside_the_image_and_never_over_a_file(photo, fitted, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    command = ["explain", str(photo), "--checkpoint", str(fitted.checkpoint)]
    assert main(command) == 0
    written = tmp_path / f"{photo.stem}_explained.png"
    assert capsys.readouterr().out == f"{written.name}\n"
    with Image.open(written) as image:
        assert image.width > 1.5 * image.height
    before = written.read_bytes()
    assert main(command) == 2
    assert f"{written.name} exists and is not overwritten: name another with --to" in capsys.readouterr().err
    assert main([*command, "--class", "blue", "--to", "new/heat.png"]) == 0
    assert capsys.readouterr().out == "new/heat.png\n"
    assert Path("new/heat.png").read_bytes() != before and written.read_bytes() == before


def test_explain_reads_standard_input(photo, fitted, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(photo.read_bytes())))
    assert main(["explain", "-", "--checkpoint", str(fitted.checkpoint)]) == 0
    assert capsys.readouterr().out == "image_explained.png\n"
    assert [file.name for file in tmp_path.iterdir()] == ["image_explained.png"]


@pytest.mark.parametrize(("image", "name"), [
    ("photos/can.of.tin.jpg", "can.of.tin"), ("-", "image"), ("https://example.com/a/can.jpg?size=2#x", "can"),
    ("https://example.com/%E7%93%B6%E5%AD%90.png", "瓶子"), ("https://example.com/", "image")])
def test_an_explanation_is_named_after_its_image(image, name):
    assert stem(image) == name


def test_eval_measures_a_checkpoint(fitted, colour_folder, tmp_path):
    result = run("eval", "--checkpoint", fitted.checkpoint, "--json", "--report", tmp_path / "report",
                 f"dataset_path={colour_folder}")
    assert result.returncode == 0, result.stderr
    measured = json.loads(result.stdout)
    assert (measured["top1"], measured["images"]) == (round(fitted.report.top1, 6), 9)
    assert {file.name for file in (tmp_path / "report").iterdir()} == {"report.html", "report.json", "classes.png", "curves.png",
                                                                       "confusion.png", "coverage.png", "map.png",
                                                                       "predictions.png"}


def test_eval_and_predict_augment_at_test_time_if_asked(fitted, colour_folder, tmp_path, capsys):
    assert main(["eval", "--mirror", "--checkpoint", str(fitted.checkpoint), f"dataset_path={colour_folder}"]) == 0
    assert capsys.readouterr().out.startswith(f"9 test images: your folder, with test-time augmentation (horizontal flip) "
                                                  f"({colour_folder.as_posix()})\n")
    image = np.zeros((40, 40, 3), np.uint8)
    image[:, :9, 0], image[:, 9:, 2] = 250, 90
    Image.fromarray(image).save(tmp_path / "sides.png")
    probabilities = []
    for options, mirror in (([], False), (["--mirror"], True)):
        assert main(["predict", "--json", *options, "--checkpoint", str(fitted.checkpoint), str(tmp_path / "sides.png")]) == 0
        shown = json.loads(capsys.readouterr().out)["predictions"][0]["probability"]
        [top, *_] = Predictor(fitted.checkpoint, mirror=mirror).predict(tmp_path / "sides.png")
        probabilities.append(top.probability)
        assert shown == pytest.approx(top.probability, abs=1e-6)
    assert abs(probabilities[0] - probabilities[1]) > 1e-4


def test_a_checkpoint_is_exported_quantized_measured_and_used(fitted, colour_folder, tmp_path, capsys):
    """In this process, which has MindSpore loaded; each command takes what the one before it wrote."""
    for package in ("onnx", "onnxruntime"):
        pytest.importorskip(package, reason="needs the extra onnx")
    file, small, data = tmp_path / "net.onnx", tmp_path / "net_int8.onnx", f"dataset_path={colour_folder}"
    assert main(["export", "--format", "onnx", str(fitted.checkpoint), "--to", str(file), "--with-preprocessing",
                 "--dynamic-batch"]) == 0
    assert capsys.readouterr().out == f"{file}\n"
    assert read_card(file)["exported"]["with_preprocessing"]
    assert main(["quantize", str(file), data, "--calibration-pictures", "8", "--allow-loss", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "9 test images: your folder" and lines[1].split() == ["before", "after"] and lines[-1] == str(small)
    quantized = read_card(small)["quantized"]
    assert lines[2].split() == ["top-1", f"{quantized['top1_before']:.2%}", f"{quantized['top1_after']:.2%}"]
    assert quantized["calibration_pictures"] == 8
    for model, top1 in ((file, quantized["top1_before"]), (small, quantized["top1_after"])):
        assert main(["eval", "--json", "--checkpoint", str(model), data]) == 0
        assert json.loads(capsys.readouterr().out)["top1"] == top1
    assert main(["eval", "--checkpoint", str(file), data, "--report", str(tmp_path / "report")]) == 0
    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert "Exported file" in page and "Grad-CAM (arXiv" not in page
    photo = next((colour_folder / "test" / "red").iterdir())
    assert main(["explain", "--checkpoint", str(file), str(photo), "--to", str(tmp_path / "heat.png")]) == 2
    assert capsys.readouterr().err == (f"mindclf: {file} has no gradients, which Grad-CAM needs: give the checkpoint that it was "
                                       f"exported from\n")
    shown = []
    for checkpoint in (fitted.checkpoint, file):
        assert main(["predict", "--checkpoint", str(checkpoint), str(photo)]) == 0
        shown.append([line.split()[0] for line in capsys.readouterr().out.splitlines()])
    assert shown[0] == shown[1]
    assert main(["predict", "--checkpoint", str(file), "--device", "GPU", str(photo)]) == 2  # there is none, or it is not used


@pytest.mark.parametrize("arguments", [["a.ckpt", "b.ckpt"], ["a.ckpt", "--checkpoint", "b.ckpt"]])
def test_export_takes_one_checkpoint(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["export", *arguments])
    assert stopped.value.code == 2 and "export takes one checkpoint, not a.ckpt, b.ckpt" in capsys.readouterr().err


def test_one_batch_size_and_any_exclude_each_other(capsys):
    with pytest.raises(SystemExit):
        main(["export", "--dynamic-batch", "--batch-size", "4"])
    assert "not allowed with argument" in capsys.readouterr().err


def test_a_folder_is_split_and_what_is_printed_trains_on_it(colour_folder, tmp_path):
    source = shutil.copytree(colour_folder / "train", tmp_path / "my images")
    shutil.copy(source / "red" / "0.png", source / "red" / "copy.png")
    shutil.copy(source / "red" / "0.png", source / "blue" / "it's red.png")
    result = run("split", source, tmp_path / "new set", "--fraction", "0.3", "--seed", "4")
    assert result.returncode == 0, result.stderr
    assert result.stderr == "the same image is in more than one class, 1 time: blue/it's red.png = red/0.png = red/copy.png\n"
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["class", "train", "test"] and lines[4].split()[:2] == ["3", "classes"]
    assert sum(map(int, lines[4].split()[2:])) == 32
    assert "duplicates   2, each on the same side as the image that it repeats" in lines
    manifest = json.loads((tmp_path / "new set" / "split.json").read_text(encoding="utf-8"))
    assert manifest["command"] == f"python -m mindclf split '{source}' '{tmp_path / 'new set'}' --fraction 0.3 --seed 4"
    words = shlex.split(lines[-1].removeprefix("train on it"))
    assert words[1:] == ["-m", "mindclf", "train", str(tmp_path / "new set")]
    result = run(*words[3:], "image_height=32", "image_width=32", "epochs=1", "batch_size=6", "net_options.last_channel=32",
                 f"output={tmp_path / 'run'}", "net_options.inverted_residual_setting=[[1, 8, 1, 2]]", "pretrained=",
                 "trainable=all", "cached_views=0")
    assert result.returncode == 0, result.stderr
    assert read_card(tmp_path / "run" / "best.ckpt")["classes"] == ["blue", "green", "red"]


def test_stats_name_copies_on_two_sides_and_in_two_classes(colour_folder, tmp_path, capsys):
    folder = shutil.copytree(colour_folder, tmp_path / "images")
    shutil.copy(folder / "train" / "red" / "3.png", folder / "test" / "red" / "again.png")
    shutil.copy(folder / "train" / "red" / "4.png", folder / "train" / "blue" / "4 red.png")
    assert main(["stats", str(folder)]) == 0
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert lines[-3].split() == ["problems", "2"] and lines[-2:] == [
        "the same image is in train and in test, 1 time: train/red/3.png = test/red/again.png",
        "the same image is in more than one class, 1 time: train/blue/4 red.png = train/red/4.png"]
    assert main(["stats", "--json", str(folder)]) == 0
    assert json.loads(capsys.readouterr().out)["copies"] == lines[-2:]


def test_eval_warns_of_test_images_that_were_trained_on_or_are_in_two_classes(fitted, colour_folder, tmp_path, capsys, caplog):
    folder = shutil.copytree(colour_folder, tmp_path / "images")
    trained_on = read_splits(merge({**make_config(colour_folder, tmp_path), "seed": 3}, {})).train.paths[0]
    shutil.copy(trained_on, folder / "test" / "red" / "again.png")
    shutil.copy(folder / "test" / "red" / "1.png", folder / "test" / "blue" / "also.png")
    assert main(["eval", "--checkpoint", str(fitted.checkpoint), f"dataset_path={folder}"]) == 0
    assert capsys.readouterr().out.startswith("11 test images: your folder")
    assert [record.getMessage() for record in caplog.records if record.name.startswith("mindclf")] == [
        "the same image is in more than one class, 1 time: blue/also.png = red/1.png",
        f"the net was trained on 1 of the 11 test images, so accuracy on them looks too good: {folder}/test/red/again.png"]


def test_stats_say_what_is_in_a_folder(colour_folder, tmp_path):
    folder = shutil.copytree(colour_folder, tmp_path / "images")
    (folder / "train" / "red" / "bad.jpg").write_text("text")
    result = run("stats", folder)
    assert result.returncode == 0, result.stderr
    rows = [line.split() for line in result.stdout.splitlines()]
    for row in (["class", "train", "test"], ["red", "10", "3"], ["3", "classes", "30", "9"], ["width", "40", "40", "40"],
                ["formats", "PNG", "39"], ["modes", "RGB", "39"], ["problems", "1"]):
        assert row in rows
    assert f"train: {folder}/train/red/bad.jpg is not an image" in result.stdout
    measured = json.loads(run("stats", folder, "--json").stdout)
    assert measured["counts"]["train"] == {"blue": 10, "green": 10, "red": 10} and len(measured["problems"]["train"]) == 1
    pixels = np.concatenate([np.asarray(Image.open(file)).reshape(-1, 3) for file in (folder / "train").rglob("*.png")])
    np.testing.assert_allclose(measured["mean"], pixels.mean(0))
    np.testing.assert_allclose(measured["std"], pixels.std(0))


def test_a_checkpoint_of_cifar10_is_trained_measured_and_used(few_of_cifar10, tmp_path, capsys, cifar10_folder):
    """In this process, so that few images are read; the net is tiny and its images noise, so only the ways count."""
    assert main(["train"], config=few_of_cifar10) == 0
    printed = capsys.readouterr().out
    assert "of 40 test images (top-5 " in printed and "classes.png" in printed
    checkpoint = str(Path(few_of_cifar10["output"]) / "best.ckpt")
    where = ["--checkpoint", checkpoint, "dataset=cifar10", f"dataset_path={cifar10_folder}"]
    assert main(["eval", "--report", str(tmp_path / "report"), *where, "grid_rows=2", "grid_columns=8"]) == 0
    lines = capsys.readouterr().out.splitlines()
    card = read_card(checkpoint)
    assert lines[0].startswith("40 test images: files laid out as CIFAR-10") and len(lines) == 14
    assert lines[1].startswith(f"top-1 {card['metrics']['test']['top1']:.2%}  top-5 ")
    assert lines[2].startswith("accuracy on ")
    assert lines[3].split() == ["class", "images", "recall", "precision", "F1"]
    assert {line.split()[0] for line in lines[4:]} == set(card["classes"])
    f1 = [int(line.split()[-1].rstrip("%")) for line in lines[4:]]
    assert f1 == sorted(f1)  # the worst first
    with Image.open(tmp_path / "report" / "predictions.png") as grid:
        assert grid.width > 3 * grid.height
    Image.new("RGB", (300, 200), "navy").save(tmp_path / "photo.jpg")
    assert main(["predict", "--checkpoint", checkpoint, str(tmp_path / "photo.jpg")]) == 0
    lines = capsys.readouterr().out.splitlines()[1:]
    assert len(lines) == 3 and all(CIFAR10_CHINESE[line.split()[0]] == line.split()[1] for line in lines)
    bare = shutil.copy(checkpoint, tmp_path / "tutorial.ckpt")  # the recipe says the same as the card
    recipe = {**few_of_cifar10, "mean": card["mean"], "std": card["std"]}
    assert main(["predict", "--checkpoint", str(bare), str(tmp_path / "photo.jpg")], config=recipe) == 0
    assert capsys.readouterr().out.splitlines()[1:] == lines


def test_a_flower_keeps_its_name_from_folder_to_prediction(colour_folder, tmp_path, capsys):
    """Folders '1', '10', '2' in this order, which is not that of numbers: red, green and blue, so that any shift shows."""
    names = {"red": "pink primrose", "green": "globe thistle", "blue": "hard-leaved pocket orchid"}
    flowers = tmp_path / "flowers"
    for split, source in (("train", "train"), ("valid", "test"), ("test", "test")):
        for colour, folder in (("red", "1"), ("green", "10"), ("blue", "2")):
            shutil.copytree(colour_folder / source / colour, flowers / split / folder)
    config = {**make_config(flowers, tmp_path), "dataset": "flowers102", "class_index": ("1", "10", "2"), "epochs": 12,
              "color_adjust": 0.0, "scale": (0.8, 1.0)}
    del config["valid_fraction"]
    assert main(["train"], config=config) == 0
    checkpoint = Path(config["output"]) / "best.ckpt"
    card = read_card(checkpoint)
    assert (card["classes"], card["class_folders"]) == (list(names.values()), ["1", "10", "2"])
    assert [card["data"][split] for split in ("train", "held_out", "test")] == [30, 9, 9]
    assert card["metrics"]["test"]["top1"] == 1

    capsys.readouterr()
    for colour, name in names.items():
        assert main(["predict", "--json", "--checkpoint", str(checkpoint), str(colour_folder / "test" / colour / "0.png")]) == 0
        assert json.loads(capsys.readouterr().out)["predictions"][0]["name"] == name
    for where in (["dataset=flowers102"], []):  # the card alone says which folder is which flower
        report = tmp_path / "report"
        assert main(["eval", "--checkpoint", str(checkpoint), "--report", str(report), f"dataset_path={flowers}", *where]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[1].startswith("top-1 100.00%") and lines[3].split()[:2] == ["class", "images"]
        assert [line.split("  ")[0] for line in lines[4:]] == card["classes"]
        assert json.loads((report / "report.json").read_text())["classes"] == card["classes"]
    card_path(checkpoint).unlink()  # as a tutorial's file; then the recipe says it
    assert main(["eval"], config=config) == 0
    assert "globe thistle                   3    100%       100%  100%" in capsys.readouterr().out


def test_a_tutorials_checkpoint_needs_statistics_that_the_recipe_says(few_of_cifar10, tmp_path, capsys):
    (tmp_path / "tutorial.ckpt").touch()
    arguments = ["predict", "--checkpoint", str(tmp_path / "tutorial.ckpt"), "photo.jpg"]
    assert main(arguments, config=few_of_cifar10) == 2
    assert "tutorial.ckpt has no card, and the recipe leaves open which pixel statistics" in capsys.readouterr().err
    assert main(arguments, config={**few_of_cifar10, "mean": (1, 2, 3), "std": (1, 1, 1)}) == 2
    assert "tutorial.ckpt cannot be read as a checkpoint" in capsys.readouterr().err


def test_a_recipe_uses_a_tutorials_checkpoint_without_a_card(photo, tmp_path):
    """The recipe's config says what the file does not."""
    probe = ("import sys, mindspore as ms; from mindclf.nets import MobileNetV2; "
             "ms.save_checkpoint(MobileNetV2(26), sys.argv[1])")
    subprocess.run([sys.executable, "-c", probe, str(tmp_path / "tutorial.ckpt")], check=True, cwd=ROOT, timeout=120)
    result = run("predict", photo, "--checkpoint", tmp_path / "tutorial.ckpt", recipe=True)
    assert result.returncode == 0, result.stderr
    assert "tutorial.ckpt.json is missing" in fails(run("predict", photo, "--checkpoint", tmp_path / "tutorial.ckpt"))


def test_a_recipe_that_has_not_trained_says_so(photo, tmp_path):
    result = run("predict", photo, cwd=tmp_path, recipe=True)
    assert fails(result) == ("outputs/garbage_mobilenet_v2/best.ckpt does not exist: train first, or name a checkpoint with "
                             "--checkpoint")


def test_a_training_that_a_signal_stopped_has_the_exit_status_of_shells(monkeypatch, capsys):
    def stop(*_):
        raise Stopped("stopped by SIGTERM: go on", signal.SIGTERM)

    monkeypatch.setattr("mindclf.cli.train.run", stop)
    assert main(["train", "dataset=cifar10"]) == 143  # 128 + the number of SIGTERM
    assert capsys.readouterr().err == "mindclf: stopped by SIGTERM: go on\n"


def test_training_from_the_command_line(colour_folder, tmp_path, photo):
    result = run("train", f"dataset_path={colour_folder}", "class_index={'red': 0, 'green': 1, 'blue': 2}", "image_height=32",
                 "image_width=32", "epochs=1", "batch_size=6", "net_options.last_channel=32", f"output={tmp_path / 'run'}",
                 "net_options.inverted_residual_setting=[[1, 8, 1, 2]]")
    assert result.returncode == 0, result.stderr
    assert "accuracy" in result.stdout and "your folder" in result.stdout and "fresh weights" in result.stdout
    assert "oneDNN instruction set" in result.stderr and "phase epoch  train loss " in result.stderr
    assert "\x1b" not in result.stderr and "%|" not in result.stderr, "a bar or colours where there is no terminal"
    metrics = read_card(tmp_path / "run" / "best.ckpt")["metrics"]["test"]
    assert re.search(r"^(worst|balanced) .* \d+% of \d+", result.stdout, re.MULTILINE) or metrics["top1"] == 1
    shown = next(line for line in result.stdout.splitlines() if line.startswith("your photo")).split()
    assert run(*shown[shown.index("predict"):-1], photo).returncode == 0, "the command that is printed does not work"
    command = json.loads((tmp_path / "run" / "best.ckpt.json").read_text())["command"]
    assert "train" in command and "epochs=1" in command


def test_a_training_a_prediction_and_an_evaluation_in_chinese(colour_folder, tmp_path, photo, monkeypatch):
    monkeypatch.setenv("MINDCLF_LANG", "zh")
    data = (f"dataset_path={colour_folder}", "class_index={'red': 0, 'green': 1, 'blue': 2}")
    checkpoint = tmp_path / "run" / "best.ckpt"
    results = [run("train", *data, "image_height=32", "image_width=32", "epochs=2", "batch_size=6", "net_options.last_channel=32",
                   "net_options.inverted_residual_setting=[[1, 8, 1, 2]]", f"output={tmp_path / 'run'}"),
               run("predict", "--checkpoint", checkpoint, "--threshold", 1, photo), run("eval", checkpoint, *data)]
    assert [result.returncode for result in results] == [0, 0, 0], results
    lines = [line for result in results for line in (result.stdout + result.stderr).splitlines()]
    assert [line for line in lines if english_of(line)] == []
    assert any(line.startswith("准确率      ") for line in lines) and any("不确定，低于 100.0%" in line for line in lines)


@pytest.mark.parametrize(("arguments", "message"), [
    (["train", "epoch=2"], "unknown field 'epoch'; did you mean 'epochs'?"),
    (["train", "epochs=two"], "epochs='two' must be of type int"),
    (["train", "epochs"], "folder epochs does not exist"),
    (["train", "dataset_path=nowhere", "class_index={index}"], "folder nowhere does not exist"),
    (["train", "dataset_path={colours}", "class_index={index}", "net_options.width_mult=abc"], "{'width_mult': 'abc'}"),
    (["train", "dataset_path={colours}", "class_index={index}", "output={bad}"], "is not the folder of an earlier run"),
    (["train", "dataset_path={colours}", "net=resnet1001", "class_index={index}"], "net='resnet1001' is not known"),
    (["train", "dataset_path={colours}", "class_index={'red': 0}"], "class folders that are not in class_index: blue, green"),
    (["train", "dataset_path={bad}", "class_index={'cat': 0, 'dog': 1}"],
     "2 problems in {bad}/train: class 'dog' is empty; {bad}/train/cat/broken.jpg is "),
    (["train", "dataset_path={colours}", "class_index={index}", "pretrained=nowhere.ckpt"],
     "pretrained=nowhere.ckpt: there is no such checkpoint"),
    (["train", "dataset_path={colours}", "class_index={index}", "device_target=GPU"], "MindSpore finds no GPU here"),
    (["eval", "--checkpoint", "{checkpoint}", "dataset_path=nowhere"], "folder nowhere does not exist"),
    (["eval", "dataset=cifar10", "dataset_path={cifar}"], "the classes of dataset=cifar10 are airplane, automobile, bird, "),
    (["eval", "dataset=cifar10", "dataset_path=nowhere"], "nowhere/data_batch_1.bin is missing: a folder of CIFAR-10 holds "),
    (["eval", "dataset=cifar10", "dataset_path={photo}"], "{photo} is a file: name the folder with the .bin files of CIFAR-10"),
    (["train", "dataset=cifar10", "grid_rows=0"], "grid_rows=0 must lie between 1 and 40"),
    (["predict", "nowhere.jpg"], "nowhere.jpg cannot be read: No such file or directory"),
    (["predict", "{photo}", "--checkpoint", "{photo}"], "has no card"),
    (["predict", "{photo}", "--checkpoint", "cifar10_mobilenet"],
     "there is no checkpoint cifar10_mobilenet: give the path of a file, or the name of one that comes with mindclf, "
     "cifar10_mobilenet_v1, cifar10_shufflenet_v1, garbage26_mobilenet_v2"),
    (["predict", "{photo}", "--checkpoint", "{wrong}"], "head.1.weight has shape (3, 32), the net wants (4, 32)"),
    (["predict", "{photo}", "--top-k", "27"], "top_k=27 must lie between 1 and the number of classes, 26"),
    (["predict", "--allow-private", "{url}/page"], "/page answers with text/html, not with an image"),
    (["predict", "--allow-private", "{url}/missing"], "/missing cannot be read: Not Found"),
    (["predict", "--allow-private", "http://127.0.0.1:9/x.jpg"], "http://127.0.0.1:9/x.jpg cannot be read: [Errno "),
    (["predict", "{url}/page"], "/page cannot be read: 127.0.0.1 is no public address; --allow-private reads it"),
    (["predict", "file:///etc/passwd"], "file:///etc/passwd cannot be read: 'file' is neither http nor https"),
    (["explain", "{photo}", "--class", "batery"], "class 'batery' is not known; did you mean 'Battery'"),
    (["explain", "{photo}", "--class", "zebra", "--checkpoint", "{checkpoint}"], "the classes are: green, blue, red"),
    (["explain", "{photo}", "--to", "{photo}"], ".png exists and is not overwritten: name another with --to"),
    (["explain", "{photo}", "--to", "heat.jpg"], "heat.jpg: the name of the image that is written ends in .png"),
    (["explain", "{colours}/test"], "{colours}/test has 9 files: explain takes one image"),
    (["explain", "nowhere.jpg"], "nowhere.jpg cannot be read: No such file or directory"),
    (["explain", "{bad}/test/cat/broken.jpg"], "{bad}/test/cat/broken.jpg is "),
    (["explain", "--allow-private", "{url}/page"], "/page answers with text/html, not with an image"),
    (["explain", "{photo}", "--checkpoint", "{photo}"], "has no card"),
    (["explain", "{url}/page"], "/page cannot be read: 127.0.0.1 is no public address; --allow-private reads it"),
    (["export", "--format", "tflite"], "format 'tflite' is not known"),
    (["export", "{checkpoint}", "--format", "air"], "format 'air' can be written on an Ascend only"),
    (["export", "nowhere.ckpt", "--batch-size", "4"], "checkpoint nowhere.ckpt does not exist"),
    (["predict", "{photo}", "--checkpoint", "nowhere.onnx"], "nowhere.onnx does not exist"),
    (["predict", "{photo}", "--checkpoint", "{checkpoint}", "--runtime", "onnxruntime"],
     "ONNX Runtime does not run {checkpoint}: write an .onnx, with mindclf export {checkpoint} --format onnx"),
    (["quantize", "{checkpoint}", "dataset_path={colours}"], "is no .onnx: export the checkpoint first, with mindclf export "),
    (["quantize", "nowhere.onnx", "dataset_path={colours}", "--allow-loss", "7"], "allowed_loss=7.0 must lie between 0 and 1"),
    (["split", "{colours}/train", "{colours}"], "exists and is not an empty folder: nothing is overwritten, name another"),
    (["split", "{colours}/train", "new", "--fraction", "2"], "fraction=2.0 must lie between 0 and 1, as in 0.2 for a fifth"),
    (["split", "{colours}/train", "new", "--every", "11"], "class 'blue' has too few images for both sides: with every=11, "),
    (["split", "{bad}/train", "{bad}-new"], "(mend them, or skip them with --on-bad-image skip)"),
    (["split", "nowhere", "new"], "folder nowhere does not exist"),
    (["stats", "nowhere"], "folder nowhere does not exist"),
    (["stats", "{bad}"], "{bad}/train holds no image that can be used: class 'dog' is empty; {bad}/train/cat/broken.jpg is "),
    (["convert", "nowhere.npz", "{bad}/x.ckpt"], "nowhere.npz cannot be read as an .npz archive"),
])
def test_a_users_mistake_is_one_line_and_status_2(arguments, message, colour_folder, cifar10_folder, fitted, photo, bad_things,
                                                  url, monkeypatch, capsys):
    """In this process: a new one for each would take as long as all other tests of this file."""
    places = {"colours": colour_folder, "cifar": cifar10_folder, "checkpoint": fitted.checkpoint, "photo": photo, "url": url,
              **bad_things, "index": "{'red': 0, 'green': 1, 'blue': 2}"}

    def fill(text):
        for name, value in places.items():
            text = text.replace(f"{{{name}}}", str(value))
        return text

    monkeypatch.chdir(bad_things["bad"])
    monkeypatch.setenv("MINDCLF_DATA", "")
    status = main(list(map(fill, arguments)))
    assert fill(message) in fails(SimpleNamespace(returncode=status, stderr=capsys.readouterr().err))
    assert not (bad_things["bad"] / "outputs").exists()


@pytest.fixture(scope="module")
def bad_things(tmp_path_factory, fitted):
    """A folder with a damaged image and an empty class, and a checkpoint whose card speaks of another class."""
    bad = tmp_path_factory.mktemp("bad")
    for split in ("train", "test"):
        (bad / split / "cat").mkdir(parents=True)
        (bad / split / "dog").mkdir()
        (bad / split / "cat" / "broken.jpg").write_bytes(bytes.fromhex("ffd8ffe000104a46494600010100000100010000"))
    wrong = bad / "wrong.ckpt"
    wrong.write_bytes(fitted.checkpoint.read_bytes())
    card = read_card(fitted.checkpoint)
    card.update({field: [*card[field], "fourth"] for field in OF_CLASSES})
    card_path(wrong).write_text(json.dumps(card))
    return {"bad": bad, "wrong": wrong}


@pytest.fixture(scope="module")
def url():
    """A server on this machine that answers /page with HTML and everything else with 404."""
    with running_server() as server:
        server.files["/page"], server.kinds["/page"] = b"<html></html>", "text/html"
        yield server.url


@pytest.fixture
def my_images(colour_folder, tmp_path):
    """Class folders with names as people have them, undivided, with a grey image, one with transparency and one on its side."""
    folder = tmp_path / "my images"
    for colour, name in (("red", "红 色"), ("green", "items"), ("blue", "Bläu's")):
        shutil.copytree(colour_folder / "train" / colour, folder / name)
    Image.new("L", (40, 30), 90).save(folder / "items" / "grey.png")
    Image.new("RGBA", (40, 30), (0, 255, 0, 90)).save(folder / "items" / "transparent.png")
    on_its_side = Image.Exif()
    on_its_side[274] = 6
    Image.new("RGB", (40, 30), "red").save(folder / "红 色" / "side.jpg", exif=on_its_side)
    for file in (folder / "items" / "grey.png", folder / "items" / "transparent.png", folder / "红 色" / "side.jpg"):
        file.write_bytes(at_position(file.read_bytes(), 5, SALTS))  # to train on: the first two of ten colours are for testing
    return folder


def test_a_folder_of_class_folders_becomes_a_sorter_with_two_commands(my_images, tmp_path, capsys):
    weights = ROOT / "checkpoints" / "garbage26_mobilenet_v2.ckpt"
    small = ("image_height=64", "image_width=64", "epochs=20", "batch_size=8", f"pretrained={weights}")
    result = run("train", my_images, *small, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    output = tmp_path / "outputs" / "my images"
    card = read_card(output / "best.ckpt")
    assert card["classes"] == sorted(["红 色", "items", "Bläu's"])
    assert card["data"]["test"] == 6 and card["metrics"]["test"]["top1"] > 0.5  # of 10, 12 and 11 images
    for name in ("history.csv", "curves.png", "confusion.png", "classes.png", "predictions.png", "report.json", "report.html"):
        assert (output / name).is_file()
    printed = next(line for line in result.stdout.splitlines() if line.startswith("your photo"))
    words = shlex.split(printed.removeprefix("your photo"))
    start = words.index("predict")
    assert words[start - 1] == "mindclf" and words[-1] == "photo.jpg"
    result = run("predict", "--json", *words[start + 1:-1], my_images / "红 色" / "side.jpg", cwd=tmp_path)
    assert json.loads(result.stdout)["predictions"][0]["name"] == "红 色"
    measure = ["eval", "--checkpoint", str(output / "best.ckpt")]
    assert main([*measure, "--json", f"dataset_path={my_images}"]) == 0
    assert json.loads(capsys.readouterr().out)["top1"] == card["metrics"]["test"]["top1"]

    moved = my_images.rename(tmp_path / "moved")
    Image.new("RGB", (40, 30), (240, 20, 20)).save(moved / "红 色" / "0 new.jpg")
    left_out = f"left out: {card['data']['train']} trained on, {card['data']['held_out']} for validation"
    assert main([*measure, f"dataset_path={moved}"]) == 0
    assert capsys.readouterr().out.startswith(
        f"7 images that training has not seen, of your folder ({moved}); {left_out}\n")
    others = tmp_path / "others"
    for number, file in enumerate(sorted(moved.rglob("*.*"))):
        target = others / file.parent.name / f"{number}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.open(file).convert("RGB").transpose(Image.Transpose.FLIP_TOP_BOTTOM).save(target)
    assert main([*measure, f"dataset_path={others}"]) == 0
    assert capsys.readouterr().out.startswith(f"34 images, all of your folder ({others})\n")
    for file in moved.rglob("[01]*.*"):
        file.unlink()
    assert main([*measure, f"dataset_path={moved}"]) == 2
    assert "none is left to measure it with, name others" in capsys.readouterr().err


@pytest.mark.report
def test_a_class_of_ones_own_has_neither_a_bin_nor_a_chinese_name(colour_folder, tmp_path, capsys):
    """Whatever it is called: a Paper is no garbage unless the card says so."""
    folder = tmp_path / "photos"
    for colour, name in {"red": "Battery", "green": "Paper"}.items():
        shutil.copytree(colour_folder / "train" / colour, folder / name)
    fields = ("image_height=32", "image_width=32", "layers=all", "cached_views=0", "pretrained=", "epochs=1", "batch_size=6",
              "net_options.last_channel=32", "net_options.inverted_residual_setting=[[1, 8, 1, 2]]", f"output={tmp_path / 'run'}")
    assert main(["train", str(folder), *fields]) == 0
    checkpoint = tmp_path / "run" / "best.ckpt"
    card = read_card(checkpoint)
    assert (card["classes_chinese"], card["categories"], card["categories_chinese"]) == (["", ""],) * 3
    capsys.readouterr()
    photo = str(folder / "Paper" / "0.png")
    assert main(["predict", "--checkpoint", str(checkpoint), photo]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == photo and sorted(line.split()[0] for line in lines[1:]) == ["Battery", "Paper"]
    assert all(len(line.split()) == 2 and line.isascii() for line in lines[1:])
    assert main(["predict", "--json", "--checkpoint", str(checkpoint), photo]) == 0
    for found in json.loads(capsys.readouterr().out)["predictions"]:
        assert (found["chinese"], found["category"], found["category_chinese"]) == ("", "", "")
    assert "电池" not in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")


def test_classes_whose_names_no_attribute_can_have_train_resume_evaluate_and_predict(colour_folder, tmp_path, capsys):
    folder, names = tmp_path / "photos", {"red": "__background__", "green": "__class__", "blue": "items"}
    for colour, name in names.items():
        shutil.copytree(colour_folder / "train" / colour, folder / name)
    fields = ("image_height=32", "image_width=32", "trainable=all", "cached_views=0", "pretrained=", "epochs=1", "batch_size=6",
              "net_options.last_channel=32", "net_options.inverted_residual_setting=[[1, 8, 1, 2]]", f"output={tmp_path / 'run'}")
    checkpoint = tmp_path / "run" / "best.ckpt"
    for resume in ((), ("resume=true",)):
        assert main(["train", str(folder), *fields, *resume]) == 0
        assert read_card(checkpoint)["class_folders"] == sorted(names.values())
    capsys.readouterr()
    assert main(["eval", "--json", "--checkpoint", str(checkpoint), f"dataset_path={folder}"]) == 0
    assert json.loads(capsys.readouterr().out)["classes"] == sorted(names.values())
    assert main(["predict", "--json", "--top-k", "3", "--checkpoint", str(checkpoint), str(folder / "items" / "0.png")]) == 0
    assert {each["name"] for each in json.loads(capsys.readouterr().out)["predictions"]} == set(names.values())


def refused(*arguments):
    """What `mindclf train ARGUMENTS` complains of, in this process."""
    with pytest.MonkeyPatch.context() as patch:
        said = io.StringIO()
        patch.setattr(sys, "stderr", said)
        assert main(["train", *map(str, arguments)]) == 2
    [line] = [line for line in said.getvalue().splitlines() if line.startswith("mindclf: ")]
    return line.removeprefix("mindclf: ")


@pytest.mark.parametrize(("fields", "recipe", "shrinks"), [
    ([], None, True), (["epochs=2"], None, True), (["batch_size=16"], None, False),
    (["phases=({'batch_size': 8},)"], None, False), ([], {}, False)])
def test_batches_shrink_where_nobody_asked_for_their_size(my_images, monkeypatch, capsys, fields, recipe, shrinks):
    """A person's own command without a batch_size; a recipe says its size itself."""
    asked = []

    def fit(config, shrink_batches, **others):
        asked.append(shrink_batches)
        raise ValueError("that will do")

    monkeypatch.setattr("mindclf.train.fit", fit)
    folder = [f"dataset_path={my_images}"] if recipe is not None else [str(my_images)]
    assert main(["train", *folder, *fields], config=recipe) == 2
    assert asked == [shrinks] and "that will do" in capsys.readouterr().err


def split_refused(source, folder):
    """What `mindclf split` of `source` complains of."""
    with pytest.MonkeyPatch.context() as patch:
        said = io.StringIO()
        patch.setattr(sys, "stderr", said)
        assert main(["split", str(source), str(folder / "split")]) == 2
    return said.getvalue()


def test_a_folder_that_no_sorter_can_come_of_is_refused_with_what_would_do(my_images, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert refused("nowhere") == "folder nowhere does not exist"
    assert refused().startswith("dataset and dataset_path are empty: name a folder of images, as in dataset_path=my")
    assert refused(my_images, "dataset=cifar10") == f"{my_images} and dataset exclude each other: give one"
    assert refused(my_images, f"output={my_images / 'out'}").endswith("run this elsewhere, or set output")
    assert refused(my_images, "pretrained=").startswith("pretrained= is empty, and a head on a backbone of random weights")
    assert refused(tmp_path).startswith(f"{tmp_path} has my images/, with folders in it instead of images: give the one that "
                                        f"has the class folders, such as {my_images}; ")
    shutil.copytree(my_images / "items", tmp_path / "one" / "items")
    assert refused("one") == "one has one class folder, 'items': a net needs two to tell apart"

    shutil.copytree(my_images / "items", my_images / "Items ")
    assert refused(my_images).startswith(f"{my_images} has class folders that look alike, Items\\x20 and items: put their")
    shutil.rmtree(my_images / "Items ")
    (my_images / "items" / "more").mkdir()
    assert f"{my_images / 'items' / 'more'} is a folder inside a class folder" in refused(my_images)
    (my_images / "items" / "more").rmdir()
    (my_images / "nothing").mkdir()
    assert "class 'nothing' is empty" in refused(my_images)
    shutil.copy(my_images / "items" / "grey.png", my_images / "nothing" / "again.png")
    assert "class 'nothing' has too few images for both sides: by content, 1 would go" in split_refused(my_images, tmp_path)
    shutil.rmtree(my_images / "nothing")

    divided = tmp_path / "a=b"
    shutil.copytree(my_images, divided / "train")
    assert refused("a=b") == f"a=b has train/ and neither test/ nor val/: add one, or give {Path('a=b/train')}, to be divided"
    for name in ("train", "test"):
        (tmp_path / "flat" / name).mkdir(parents=True)
        shutil.copy(my_images / "items" / "grey.png", tmp_path / "flat" / name)
    assert refused("flat") == ("flat has test, train, but no class folders in them: sort the images of each into class "
                               "folders, or rename them if these are the classes")
