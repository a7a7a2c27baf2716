"""Every image of the corpus, through the command line: used, or refused by its name; nothing else happens."""

import ctypes
import json
import os
import shutil

import numpy as np
import pytest
from mindspore.dataset import vision
from PIL import Image

from mindclf.dataset.images import whole_image
from mindclf.utils.files import one_line
from tests.conftest import COLOURS
from tests.support.corpus import CORPUS, NO_IMAGE, red
from tests.test_cli import run

pytestmark = pytest.mark.usefixtures("uncompiled")

PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 24, 1, 2
HALVES = {"train": CORPUS[::2], "test": CORPUS[1::2]}  # of each a message names 10 at most


def obey_permissions():
    """Before a command starts: root too may read only what it is allowed to."""
    if os.geteuid() == 0:
        libc = ctypes.CDLL(None, use_errno=True)
        for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
            if libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0):
                raise OSError(ctypes.get_errno(), "cannot give up a capability of root")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory, colour_folder):
    """A folder with train/ and test/ of red and green images; a half of the corpus is among the red ones of each."""
    root = tmp_path_factory.mktemp("corpus")
    for split, entries in HALVES.items():
        for colour in ("red", "green"):
            shutil.copytree(colour_folder / split / colour, root / split / colour)
        for entry in entries:
            entry.make(root / split / "red" / entry.name)
    shutil.copy(root / "train" / "red" / "0.png", root / "test" / "red" / "no extension")  # what a link there leads to
    return root


def test_prediction_uses_or_names_every_image(corpus, fitted, tmp_path):
    result = run("predict", "--json", "--checkpoint", fitted.checkpoint, *(corpus / split / "red" for split in HALVES),
                 cwd=tmp_path, preexec_fn=obey_permissions)
    assert result.returncode == 2
    labels = {row["image"]: row["predictions"][0]["name"] for row in map(json.loads, result.stdout.splitlines())}
    errors = result.stderr.splitlines()
    for split, entries in HALVES.items():
        for entry in entries:
            path = str(corpus / split / "red" / entry.name)
            about = [line for line in errors if line.startswith(f"mindclf: {one_line(path)} {entry.refused}")]
            assert (len(about), path in labels) == ((1, False) if entry.refused else (0, True)), entry.name
            assert entry.refused or not entry.is_red or labels[path] == "red", entry.name
    assert len(errors) == sum(bool(entry.refused) for entry in CORPUS)
    assert list(tmp_path.iterdir()) == []


def test_training_uses_or_names_and_counts_every_image(corpus, tmp_path):
    result = run("train", f"dataset_path={corpus}", "class_index={'red': 0, 'green': 1}", "on_bad_image=skip", "epochs=1",
                 "image_height=32", "image_width=32", "batch_size=6", "valid_fraction=0", "net_options.last_channel=32",
                 "net_options.inverted_residual_setting=[[1, 8, 1, 2]]", f"output={tmp_path / 'run'}", cwd=tmp_path,
                 preexec_fn=obey_permissions)
    assert result.returncode == 0, result.stderr
    assert "Traceback" not in result.stderr
    card = json.loads((tmp_path / "run" / "best.ckpt.json").read_text(encoding="utf-8"))
    report = json.loads((tmp_path / "run" / "report.json").read_text(encoding="utf-8"))
    for split, entries in HALVES.items():
        refused = [entry for entry in entries if entry.refused]
        [line] = [line for line in result.stderr.splitlines() if f"problems in {corpus / split}: " in line]
        assert line.startswith(f"skipped {len(refused)} problems in ")
        for entry in refused:
            assert f"{one_line(corpus / split / 'red' / entry.name)} {entry.refused}" in line
        present = len(list((corpus / split).rglob("*.*"))) + len(list((corpus / split).rglob("no extension")))
        assert card["data"][split] == present - len(refused)
    rows = [sum(row) for row in report["confusion"]]  # images of each class, as labelled
    assert rows == [card["data"]["test"] - 3, 3]
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_training_stops_with_the_names_in_one_line_unless_told_to_skip(corpus, tmp_path):
    result = run("train", corpus, cwd=tmp_path, preexec_fn=obey_permissions)
    assert result.returncode == 2
    lines = [line for line in result.stderr.splitlines() if line.startswith("mindclf: ")]
    refused = [entry for entry in HALVES["train"] if entry.refused]
    assert len(lines) == 1 and lines[0].startswith(f"mindclf: {len(refused)} problems in {corpus / 'train'}: ")
    assert all(one_line(entry.name) in lines[0] for entry in refused)
    assert list(tmp_path.iterdir()) == []


def test_the_images_of_the_corpus_are_what_their_names_say(corpus):
    assert sum(entry.refused.startswith(NO_IMAGE) for entry in CORPUS) in (3, 4)
    paths = {entry.name: corpus / split / "red" / entry.name for split, entries in HALVES.items() for entry in entries}
    for name, kind, mode in (("animated.gif", "GIF", "RGB"), ("image.webp", "WEBP", "RGB"), ("press.jpg", "JPEG", "CMYK"),
                             ("16 bits of grey.png", "PNG", "I;16"), ("a PNG.jpg", "PNG", "RGB"), ("a JPEG.png", "JPEG", "RGB")):
        with Image.open(paths[name]) as image:
            assert (image.format, image.mode) == (kind, mode) or (kind, image.mode) == ("GIF", "P")
    assert paths["16 bits a colour.png"].read_bytes()[24:26] == bytes([16, 2])  # bits of a value, and RGB
    assert set(COLOURS) > {"red", "green"}


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_with_wrong_bits_is_refused_or_decodes(mode, progressive, tmp_path):
    """What Pillow lets pass MindSpore decodes too: one that it refused would end a whole pipeline without a name."""
    red(mode).save(tmp_path / "good.jpg", "JPEG", progressive=progressive)
    good = (tmp_path / "good.jpg").read_bytes()
    rng = np.random.default_rng(0)
    decoded = 0
    for bit in rng.integers(0, 8 * len(good), 200).tolist():
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        try:
            encoded = whole_image(bytes(bad), name="bad.jpg")
        except ValueError as error:
            assert str(error).startswith("bad.jpg ") and "\n" not in str(error)
            continue
        decoded += 1
        assert vision.Decode()(encoded).ndim == 3
    assert 20 < decoded < 200
