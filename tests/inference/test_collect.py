"""Many images into a CSV and into class folders: nothing is lost, overwritten or done twice, wherever a command is stopped."""

import csv
import os
import re
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from mindclf import predict as predict_module
from mindclf.calibration import Calibration
from mindclf.cli import main
from mindclf.dataset.images import decode_image
from mindclf.inference import sorted_folder, sources
from mindclf.inference.collect import collect
from mindclf.inference.predictions import Prediction, Predictions
from mindclf.inference.sorted_folder import SortedFolder, put
from mindclf.labels import NOT_SURE
from mindclf.preprocessing import Preprocessing, Reading
from mindclf.utils.files import sha256
from mindclf.utils.progress import progress_bar
from tests.support.terminal import TextTerminal

CLASSES = ("red", "green", "blue")


class ByColour:
    """A net that says which of red, green and blue an image has most of; `seen` has what it looked at."""

    def __init__(self, path, classes=CLASSES, stop_after=None, threshold=None):
        self.calibration = Calibration(threshold=threshold)
        self.classes, self.stop_after, self.seen = classes, stop_after, []
        self.runner = SimpleNamespace(path=path, mirror=False)
        self.preprocessing = Preprocessing((32, 32))
        self.net = self

    def predict_iter(self, given, top_k):
        for chunk in sources.read_ahead(given):
            for name, image in chunk:
                if len(self.seen) == self.stop_after:
                    raise KeyboardInterrupt
                self.seen.append(name)
                yield name, image if isinstance(image, ValueError) else self._answer(name, image, top_k)

    def _answer(self, name, image, top_k):
        parts = np.asarray(decode_image(image)).mean((0, 1)) / 255
        order = np.argsort(-parts)[:top_k]
        return Predictions([Prediction(self.classes[i], float(parts[i])) for i in order], name,
                           threshold=self.calibration.threshold)


@pytest.fixture
def net(tmp_path):
    path = tmp_path / "net.ckpt"
    path.write_bytes(b"weights")
    return path


@pytest.fixture
def photos(tmp_path):
    """Nine images, three of each colour, of which three have the name that another one has, and what cannot be used."""
    folder = tmp_path / "photos"
    for number, name in enumerate(CLASSES):
        for index in range(3):
            place = folder / ("more" if index == 2 else ".") / f"IMG_{index % 2}{name if index == 1 else ''}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.zeros((4, 5, 3), np.uint8)
            pixels[..., number] = 200 + 10 * index
            if place.exists():
                place = place.with_name(f"IMG_{index % 2}_{name}.png")
            Image.fromarray(pixels).save(place)
    (folder / "notes.txt").write_text("text", encoding="utf-8")
    return folder


def most_of(path):
    """The colour of which the image has most, by Pillow."""
    return CLASSES[int(np.asarray(Image.open(path).convert("RGB")).sum((0, 1)).argmax())]


def rows(path):
    with open(path, encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def tree(folder):
    """{path below `folder`: content} of all files."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def images_of(folder):
    return sorted(folder.rglob("*.png"))


def test_every_image_lies_in_the_folder_of_its_class_and_has_its_row(net, photos, tmp_path):
    before = tree(photos)
    collected = collect(ByColour(net), [str(photos)], 3, tmp_path / "all.csv", tmp_path / "sorted")
    assert tree(photos) == before
    for file in images_of(tmp_path / "sorted"):
        assert file.parent.name == most_of(file)
    assert sorted(map(sha256, images_of(tmp_path / "sorted"))) == sorted(map(sha256, images_of(photos)))
    assert dict(collected.classes) == dict.fromkeys(CLASSES, 3)
    [problem] = collected.problems
    assert str(problem).startswith(f"{photos.as_posix()}/notes.txt is not an image but text")
    table, record = rows(tmp_path / "all.csv"), rows(tmp_path / "sorted" / "predictions.csv")
    assert [row["path"] for row in table] == [row["path"] for row in record] == [path.as_posix() for path in images_of(photos)]
    for row, other in zip(table, record):
        parts = np.asarray(Image.open(row["path"]).convert("RGB")).mean((0, 1)) / 255
        assert row["class"] == row["class_1"] == most_of(row["path"]) and row["probability"] == f"{parts.max():.4f}"
        assert [float(row[f"probability_{rank}"]) for rank in (1, 2, 3)] == pytest.approx(sorted(parts)[::-1], abs=1e-4)
        assert sha256(tmp_path / "sorted" / other["file"]) == row["sha256"] == sha256(row["path"])
    assert not list(tmp_path.rglob(".*"))  # no claim and no unfinished file


def test_images_below_the_threshold_have_a_folder_of_their_own(net, photos, tmp_path):
    """The darkest of each colour has a probability of 200 / 255, under 0.8. Another threshold is not gone on with."""
    collected = collect(ByColour(net, threshold=0.8), [str(photos)], 3, tmp_path / "all.csv", tmp_path / "sorted")
    assert collected.classes == {"not sure": 3, "red": 2, "green": 2, "blue": 2}
    assert len(images_of(tmp_path / "sorted" / "not sure")) == 3
    assert {row["class"] for row in rows(tmp_path / "all.csv") if float(row["probability"]) < 0.8} == {"not sure"}
    with pytest.raises(ValueError, match="predictions of another net or other options"):
        collect(ByColour(net), [str(photos)], 3, tmp_path / "all.csv")


@pytest.mark.parametrize("change", [
    {"calibration": Calibration(threshold=0.80001)}, {"calibration": Calibration(threshold=0.8, temperature=1.0000001)},
    {"classes": ("red", "green", "navy")}, {"preprocessing": Preprocessing((32, 32), mean=(1, 2, 3))},
    {"preprocessing": Preprocessing((32, 33))}, {"preprocessing": Preprocessing((32, 32), reading=Reading(white=4095))},
    {"runner": {"mirror": True}}], ids=str)
def test_a_table_is_gone_on_with_by_the_same_net_only(net, photos, tmp_path, change):
    """However little the other one differs; also where its card was edited, which leaves the file of the weights as it was."""
    collect(ByColour(net, threshold=0.8), [str(photos)], 3, tmp_path / "all.csv")
    other = ByColour(net, threshold=0.8)
    for name, value in change.items():
        setattr(other, name, SimpleNamespace(path=net, **value) if name == "runner" else value)
    with pytest.raises(ValueError, match="predictions of another net or other options"):
        collect(other, [str(photos)], 3, tmp_path / "all.csv")
    larger = ByColour(net, threshold=0.8)
    larger.preprocessing = Preprocessing((32, 32), reading=Reading(max_pixels=10**6))  # which changes no answer
    assert collect(larger, [str(photos)], 3, tmp_path / "all.csv").done == 9


def test_a_class_that_a_person_wrote_into_a_table_counts_and_needs_a_folder_to_be_sorted(net, photos, tmp_path):
    collect(ByColour(net), [str(photos)], 3, tmp_path / "all.csv")
    table = (tmp_path / "all.csv").read_text(encoding="utf-8-sig")
    row = next(line for line in table.splitlines() if ",red," in line)
    for name in ("rust", "blue"):
        (tmp_path / f"{name}.csv").write_text(table.replace(row, row.replace(",red,", f",{name},", 1)), encoding="utf-8-sig")
    assert collect(ByColour(net), [str(photos)], 3, tmp_path / "rust.csv").classes["rust"] == 1
    before = tree(tmp_path)
    message = f"rust.csv says rust of {re.escape(row.split(',')[0])}, which is none of the net's classes"
    with pytest.raises(ValueError, match=message):
        collect(ByColour(net), [str(photos)], 3, tmp_path / "rust.csv", tmp_path / "sorted")
    assert tree(tmp_path) == before
    assert collect(ByColour(net), [str(photos)], 3, tmp_path / "blue.csv", tmp_path / "sorted").classes["blue"] == 4
    assert len(images_of(tmp_path / "sorted" / "blue")) == 4


def test_a_last_row_whose_line_an_editor_left_open_stays(net, photos, tmp_path):
    first, *others = images_of(photos)
    table = tmp_path / "all.csv"
    collect(ByColour(net), [str(first)], 3, table)
    whole = table.read_bytes()
    table.write_bytes(whole.removesuffix(b"\n"))
    assert collect(ByColour(net), [str(first)], 3, table).done == 1 and table.read_bytes() == whole
    table.write_bytes(whole.removesuffix(b"\n"))
    collect(ByColour(net), list(map(str, others)), 3, table)
    assert table.read_bytes().startswith(whole) and len(rows(table)) == 9


@pytest.mark.parametrize("length", [0, 2, 20, -1])
def test_a_command_that_was_stopped_within_the_titles_goes_on(net, photos, tmp_path, length):
    table = tmp_path / "all.csv"
    collect(ByColour(net), [str(photos)], 3, table)
    whole = table.read_bytes()
    table.write_bytes(whole[:whole.index(b"\n") + 1][:length])
    collect(ByColour(net), [str(photos)], 3, table)
    assert table.read_bytes() == whole


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes, which this system has not")
def test_a_table_is_not_read_from_a_pipe_which_may_never_end(net, photos, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="pipe cannot be written: it is a pipe or a device, not a file"):
        collect(ByColour(net), [str(photos)], 3, tmp_path / "pipe")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net.ckpt", "photos", "pipe"]


def test_a_file_is_one_image_however_it_is_named(net, photos, tmp_path, monkeypatch):
    """Relative, absolute, or through a link to its folder. And the sorted images and the table below it are none."""
    monkeypatch.chdir(tmp_path)
    try:
        (tmp_path / "link").symlink_to(photos)
    except OSError:
        pytest.skip("needs symbolic links, which this system does not allow")
    first = images_of(photos)[0]
    collected = collect(ByColour(net), [str(first), os.path.relpath(first), f"link/{first.name}"], 3, tmp_path / "one.csv")
    assert collected.classes.total() == 1 and collected.repeated == 0
    for done in (0, 9):
        collected = collect(ByColour(net), ["link"], 3, photos / "all.csv", photos / "sorted")
        assert (collected.classes.total(), collected.done, len(collected.problems)) == (9, done, 1)


def test_what_a_table_has_is_no_repetition_when_it_is_sorted(net, photos, tmp_path):
    collect(ByColour(net), [str(photos)], 3, tmp_path / "all.csv")
    predictor = ByColour(net)
    collected = collect(predictor, [str(photos)], 3, tmp_path / "all.csv", tmp_path / "sorted")
    assert collected.repeated == 0 and len(images_of(tmp_path / "sorted")) == 9
    assert predictor.seen == [str(photos / "notes.txt")]


def test_an_image_that_vanishes_does_not_cost_the_others(net, photos, tmp_path, monkeypatch):
    lost = images_of(photos)[1]

    def place(self, source, *arguments, place=SortedFolder.place):
        if source == str(lost):
            lost.unlink()
        return place(self, source, *arguments)

    monkeypatch.setattr(SortedFolder, "place", place)
    collected = collect(ByColour(net), [str(photos)], 3, folder=tmp_path / "sorted")
    assert collected.classes.total() == len(images_of(tmp_path / "sorted")) == 8
    assert f"{lost} cannot be read: No such file or directory" in map(str, collected.problems) and len(collected.problems) == 2


def test_a_copy_has_the_date_of_its_image(net, photos, tmp_path):
    for path in images_of(photos):
        os.utime(path, (1e9, 1e9))
    collect(ByColour(net), [str(photos)], 3, folder=tmp_path / "sorted")
    assert {path.stat().st_mtime for path in images_of(tmp_path / "sorted")} == {1e9}


def test_a_second_command_looks_at_what_is_new_only(net, photos, tmp_path):
    places = {"csv": tmp_path / "all.csv", "folder": tmp_path / "sorted"}
    collect(ByColour(net), [str(photos)], 3, **places)
    before = tree(tmp_path / "sorted")
    again = ByColour(net)
    collected = collect(again, [str(photos)], 3, **places)
    assert again.seen == [str(photos / "notes.txt")] and collected.done == 9 and tree(tmp_path / "sorted") == before
    assert dict(collected.classes) == dict.fromkeys(CLASSES, 3)
    Image.new("RGB", (4, 4), (1, 2, 250)).save(photos / "new.png")
    third = ByColour(net)
    collect(third, [str(photos)], 3, **places)
    assert third.seen == [str(photos / "new.png"), str(photos / "notes.txt")]
    assert len(rows(tmp_path / "all.csv")) == 10 and (tmp_path / "sorted" / "blue" / "new.png").is_file()


@pytest.mark.parametrize("first", ["csv", "folder"])
def test_what_one_of_both_knows_the_other_gets_without_the_net(net, photos, tmp_path, first):
    places = {"csv": tmp_path / "all.csv", "folder": tmp_path / "sorted"}
    collect(ByColour(net), [str(photos)], 3, **{first: places[first]})
    again = ByColour(net)
    collect(again, [str(photos)], 3, **places)
    assert again.seen == [str(photos / "notes.txt")]
    assert len(rows(tmp_path / "all.csv")) == len(rows(tmp_path / "sorted" / "predictions.csv")) == 9
    assert all(file.parent.name == most_of(file) for file in images_of(tmp_path / "sorted"))
    assert len(images_of(tmp_path / "sorted")) == 9


def test_an_image_that_was_replaced_under_its_name_is_done_again(net, photos, tmp_path):
    collect(ByColour(net), [str(photos)], 3, folder=tmp_path / "sorted")
    replaced = images_of(photos)[0]
    Image.new("RGB", (4, 4), (1, 250, 2)).save(replaced)
    again = ByColour(net)
    collect(again, [str(photos)], 3, folder=tmp_path / "sorted")
    assert str(replaced) in again.seen
    assert sha256(replaced) in map(sha256, (tmp_path / "sorted" / "green").iterdir())


@pytest.mark.parametrize("count", [0, 1, 4, 8])
def test_a_command_that_was_stopped_goes_on_to_the_same_end(net, photos, tmp_path, count):
    collect(ByColour(net), [str(photos)], 3, tmp_path / "a.csv", tmp_path / "a")
    with pytest.raises(KeyboardInterrupt):
        collect(ByColour(net, stop_after=count), [str(photos)], 3, tmp_path / "b.csv", tmp_path / "b")
    if count:  # as a crash leaves it
        with open(tmp_path / "b.csv", "ab") as file:
            file.write(b"photos/IMG_0.png,gr")
    collect(ByColour(net), [str(photos)], 3, tmp_path / "b.csv", tmp_path / "b")
    assert tree(tmp_path / "a") == tree(tmp_path / "b")
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_what_lies_there_is_never_overwritten_and_equal_files_are_known(net, photos, tmp_path):
    first = images_of(photos)[0]
    place = tmp_path / "sorted" / most_of(first)
    place.mkdir(parents=True)
    (place / first.name.lower()).write_bytes(b"mine")  # the same name, where case makes no difference
    shutil.copyfile(first, place / f"{first.stem}-2{first.suffix}")  # the same image, under the next one
    collected = collect(ByColour(net), [str(first)], 3, folder=tmp_path / "sorted")
    assert {path.name for path in place.iterdir()} == {first.name.lower(), f"{first.stem}-2{first.suffix}"}
    assert (place / first.name.lower()).read_bytes() == b"mine"
    assert (collected.sorted_folder.copied, collected.sorted_folder.present) == (0, 1)


def test_equal_images_have_one_copy_and_a_row_each(net, photos, tmp_path):
    first = images_of(photos)[0]
    shutil.copyfile(first, photos / "zzz.png")
    shutil.copyfile(photos / "notes.txt", photos / "notes2.txt")
    predictor = ByColour(net)
    collected = collect(predictor, [str(photos)], 3, folder=tmp_path / "sorted")
    assert str(photos / "zzz.png") not in predictor.seen and collected.repeated == 1
    files = [row["file"] for row in rows(tmp_path / "sorted" / "predictions.csv") if row["sha256"] == sha256(first)]
    assert len(files) == 2 and len(set(files)) == 1 and len(images_of(tmp_path / "sorted")) == 9
    assert [str(problem).partition("notes")[2] for problem in collected.problems] == [
        ".txt is not an image but text: 'text'", "2.txt is the same as another file, which cannot be used"]


def test_a_copy_that_somebody_moved_to_another_class_stays_there(net, photos, tmp_path):
    collect(ByColour(net), [str(photos)], 3, folder=tmp_path / "sorted")
    moved = images_of(tmp_path / "sorted" / "red")[0]
    moved.rename(tmp_path / "sorted" / "blue" / "corrected.png")
    before = tree(tmp_path / "sorted")
    collect(ByColour(net), [str(photos)], 3, folder=tmp_path / "sorted")
    assert tree(tmp_path / "sorted") == before


@pytest.mark.parametrize("has_links", [True, False])
def test_links_are_hard_links_and_copies_where_there_are_none(net, photos, tmp_path, monkeypatch, has_links):
    if not has_links:
        monkeypatch.delattr(os, "link")
    collected = collect(ByColour(net), [str(photos)], 3, folder=tmp_path / "sorted", link=True)
    place = collected.sorted_folder
    assert (place.linked, place.copied) == ((9, 0) if has_links else (0, 9))
    of = {row["path"]: row["file"] for row in rows(tmp_path / "sorted" / "predictions.csv")}
    assert all((tmp_path / "sorted" / file).samefile(path) == has_links for path, file in of.items())


@pytest.mark.parametrize("has_links", [True, False])
def test_a_file_that_appears_meanwhile_stays(tmp_path, monkeypatch, has_links):
    if not has_links:
        monkeypatch.delattr(os, "link")
    for name in ("new", "mine"):
        (tmp_path / name).write_text(name, encoding="utf-8")
    with pytest.raises(FileExistsError):
        put(tmp_path / "new", tmp_path / "mine")
    assert (tmp_path / "mine").read_text(encoding="utf-8") == "mine"
    put(tmp_path / "new", tmp_path / "other")
    assert (tmp_path / "other").read_text(encoding="utf-8") == "new"


def test_folders_have_names_of_their_own_that_every_system_takes(tmp_path):
    classes = ("Cat", "cat", "CON", "a/b", "a:b", "Not sure", "predictions.csv", ".hidden", "dot.", "猫", "a\nb")
    folders = SortedFolder(tmp_path, classes).folders
    assert list(folders.values()) == [NOT_SURE, "Cat", "cat-2", "CON_", "a_b", "a_b-2", "Not sure-2", "predictions.csv-2",
                                      "_hidden", "dot", "猫", "a_nb"]
    assert list(folders) == [NOT_SURE, *classes[:-1], r"a\nb"]  # as tables have them, in one line


def test_what_lies_in_the_folder_for_sorted_images_is_not_sorted_again(net, photos, tmp_path):
    place = photos / "sorted"
    for _ in range(2):
        predictor = ByColour(net)
        collect(predictor, [str(photos)], 3, folder=place)
    assert len(images_of(place)) == 9 and predictor.seen == [str(photos / "notes.txt")]


@pytest.mark.parametrize("case", ["URL", "stdin", "inside", "itself", "another net", "another csv"])
def test_what_cannot_be_is_refused_before_anything_is_written(net, photos, tmp_path, case):
    collect(ByColour(net), [str(photos)], 3, folder=tmp_path / "sorted")
    (tmp_path / "other.csv").write_text("path,label\nphoto.jpg,cat\n", encoding="utf-8")
    before = tree(tmp_path)
    names, message, csv_file = [str(photos)], "", tmp_path / "new.csv"
    if case == "URL":
        names, message = ["https://example.com/a.jpg"], "is neither a file nor a folder: --csv and --sort-into take these only"
    elif case == "stdin":
        names, message = ["-"], "- is neither a file nor a folder"
    elif case in ("inside", "itself"):
        names = [str(tmp_path / "sorted" / ("red" if case == "inside" else "."))]
        message = "lies in .*sorted, where sorted images go: name another folder"
    elif case == "another net":
        net, message = tmp_path / "other.ckpt", "has predictions of another net or other options, net .*: name another folder"
        net.write_bytes(b"other weights")
        before = tree(tmp_path)
    else:
        csv_file, message = tmp_path / "other.csv", "other.csv exists and is not overwritten: its columns are not those"
    with pytest.raises(ValueError, match=message):
        collect(ByColour(net), names, 3, csv_file, tmp_path / "sorted")
    assert tree(tmp_path) == before


def test_the_command_counts_classes_and_lists_what_it_cannot_read_at_the_end(net, photos, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(predict_module, "Predictor", lambda *arguments: ByColour(net))
    command = ["predict", str(photos), "--csv", str(tmp_path / "all.csv"), "--sort-into", str(tmp_path / "sorted")]
    assert main(command) == 2
    said = capsys.readouterr()
    counts = dict(line.split() for line in said.out.splitlines()[1:4])
    assert counts == dict.fromkeys(CLASSES, "3")
    assert "sorted: copied 9" in said.out and "all.csv" in said.out
    assert said.err == f"mindclf: {photos.as_posix()}/notes.txt is not an image but text: 'text'\n"
    (photos / "notes.txt").unlink()
    assert main(command) == 0
    assert "nothing new" in capsys.readouterr().out


def test_the_command_counts_what_is_not_sure_after_the_classes_and_as_none(net, photos, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(predict_module, "Predictor", lambda *arguments: ByColour(net, threshold=0.85))
    main(["predict", str(photos), "--csv", str(tmp_path / "all.csv")])
    *classes, not_sure, total = [line.rsplit(None, 1) for line in capsys.readouterr().out.splitlines()[1:6]]
    assert {name for name, _ in classes} == set(CLASSES) and not_sure[0] == "not sure"
    assert [count for _, count in classes] == ["1", "1", "1"] and not_sure[1] == "6"
    assert total == ["3 classes", "9"]


@pytest.mark.parametrize(("words", "message"), [
    (["--link"], "--link goes with --sort-into DIR"),
    (["--csv", "a.csv", "--json"], "--json goes without --csv and --sort-into")])
def test_options_that_mean_nothing_together_are_refused(capsys, words, message):
    with pytest.raises(SystemExit):
        main(["predict", "photo.jpg", *words])
    assert message in capsys.readouterr().err


def test_a_full_disk_leaves_no_part_of_an_image_and_says_so(net, photos, tmp_path, monkeypatch):
    copy, left = shutil.copyfile, [2]

    def fail(source, target):
        copy(source, target)
        if not left[0]:
            raise OSError(28, "No space left on device", str(target))
        left[0] -= 1

    monkeypatch.setattr(sorted_folder.shutil, "copyfile", fail)
    with pytest.raises(OSError, match="cannot be written: No space left on device: make room"):
        collect(ByColour(net), [str(photos)], 3, folder=tmp_path / "sorted")
    assert len(images_of(tmp_path / "sorted")) == 2 == len(rows(tmp_path / "sorted" / "predictions.csv"))
    monkeypatch.setattr(sorted_folder.shutil, "copyfile", copy)
    collect(ByColour(net), [str(photos)], 3, folder=tmp_path / "sorted")
    assert len(images_of(tmp_path / "sorted")) == 9


def test_a_net_of_fewer_classes_has_fewer_columns(net, tmp_path):
    Image.new("RGB", (4, 4), (250, 2, 2)).save(tmp_path / "a.png")
    collect(ByColour(net), [str(Path(tmp_path, "a.png"))], 1, tmp_path / "one.csv")
    [row] = rows(tmp_path / "one.csv")
    assert list(row) == ["path", "class", "probability", "class_1", "probability_1", "sha256", "net"]


def test_one_bar_counts_the_images_and_none_their_parts(net, photos, tmp_path, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr("tqdm.std.time", lambda: clock[0])
    monkeypatch.setattr("sys.stderr", TextTerminal())

    class InParts(ByColour):
        def predict_iter(self, given, top_k):
            for part in super().predict_iter(given, top_k):
                clock[0] += 1
                with progress_bar(1, title="evaluation") as bar:
                    bar.update()
                yield part

    collect(InParts(net), [photos], 1, csv=tmp_path / "table.csv")
    shown = sys.stderr.getvalue()
    assert "10%|" in shown and "/10 images 00:0" in shown and "evaluation" not in shown
