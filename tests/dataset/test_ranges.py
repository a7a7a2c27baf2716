"""Images of more than 8 bits: one rule for all of a net's images says what is white, or the file is refused by name."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mindclf.checkpoint import save_checkpoint
from mindclf.cli import main
from mindclf.config import DEFAULTS, merge
from mindclf.dataset import Reading, create_dataset, decode_image, read_folder, scan_folder, train_pipeline
from mindclf.dataset.images import encoded_image, whole_image
from mindclf.dataset.ranges import Range, problem_of, white_of
from mindclf.dataset.split_folder import split_folder
from mindclf.dataset.splits import labelled_for, read_splits
from mindclf.dataset.statistics import folder_statistics
from mindclf.nets import create_net
from mindclf.preprocessing import Preprocessing
from mindclf.train.checkpointing import run_card
from tests.conftest import TINY_NET
from tests.support.pipelines import evaluated

CLASSES = {"dark": 0, "light": 1}
DEPTHS = {  # how 8-bit grey is stored: (file's suffix, what white is, the values)
    "8 bits": (".png", None, lambda grey: grey),
    "8 bits in 16": (".png", 255, lambda grey: grey.astype(np.uint16)),
    "10 bits in 16": (".png", 1023, lambda grey: grey.astype(np.uint16) * 4 + 1),
    "12 bits in 16": (".png", 4095, lambda grey: grey.astype(np.uint16) * 16 + 7),
    "14 bits in a TIFF": (".tif", 16383, lambda grey: grey.astype(np.uint16) * 64 + 63),
    "16 bits": (".png", 65535, lambda grey: grey.astype(np.uint16) * 257),
    "32-bit integers": (".tif", 255, lambda grey: grey.astype(np.int32)),
    "12 bits in 32": (".tif", 4095, lambda grey: grey.astype(np.int32) * 16),
    "floats to 1": (".tif", 1, lambda grey: (grey / 255).astype(np.float32)),
    "floats to 255": (".tif", 255, lambda grey: grey.astype(np.float32)),
    "floats to 65,535": (".tif", 65535, lambda grey: grey.astype(np.float32) * 257),
    "PFM": (".pfm", 1, lambda grey: (grey / 255).astype(np.float32)),
}


def grey(number, label):
    """Noise with a gradient, 40 x 50 pixels; class 1 has white in it."""
    noise = np.random.default_rng(number).integers(0, 120, (40, 50))
    return (noise + label * np.linspace(0, 255 - 119, 50)).astype(np.uint8).clip(0, 255)


def write(folder, depth, numbers=range(6)):
    """Class folders with images of these `numbers`, stored as `depth` says."""
    suffix, _, values = DEPTHS[depth]
    for name, label in CLASSES.items():
        (folder / name).mkdir(parents=True)
        for number in numbers:
            pixels = grey(10 * label + number, label)
            pixels[0, 0] = 255
            Image.fromarray(values(pixels)).save(folder / name / f"{number}{suffix}")
    return folder


def write_divided(folder, depth):
    """The same divided into train/ and test/: which side an image is on depends on its bytes, and so on its depth."""
    write(folder / "train", depth, range(5))
    write(folder / "test", depth, [5])
    return folder


def config(folder, **fields):
    return merge({}, dict(dataset_path=str(folder), class_index=CLASSES, image_height=32, image_width=32, batch_size=4,
                          valid_fraction=0.0, **fields))


def batches(dataset):
    return np.concatenate([images for images, _ in dataset.create_tuple_iterator(num_epochs=1, output_numpy=True)])


@pytest.fixture(scope="module")
def eight_bits(tmp_path_factory):
    return write(tmp_path_factory.mktemp("depths") / "8 bits", "8 bits")


@pytest.mark.parametrize("depth", DEPTHS)
def test_training_and_evaluation_see_the_same_whatever_the_depth(tmp_path, depth):
    """And prediction sees it by the card alone."""
    of_8, of_these = (read_splits(config(write_divided(tmp_path / name, stored)))
                      for name, stored in (("of 8", "8 bits"), ("of these", depth)))
    assert len(of_these.train) == len(of_8.train) == 10
    assert of_these.train.reading.white == of_these.test.reading.white == DEPTHS[depth][1]
    assert np.array_equal(*(batches(train_pipeline(splits.train, config("x"))) for splits in (of_8, of_these)))
    assert np.array_equal(*(batches(evaluated(splits.test, config("x"))) for splits in (of_8, of_these)))
    card = run_card(config("x"), of_these, "", "CPU", {})
    assert card.get("white") == DEPTHS[depth][1]
    reading = Preprocessing.from_card(card).reading
    for seen, path in zip(of_8.test.paths, of_these.test.paths):
        assert np.array_equal(np.asarray(decode_image(path, reading)), np.asarray(decode_image(seen)))
        assert np.array_equal(whole_image(path, reading=reading), encoded_image(np.asarray(decode_image(seen))))


def test_evaluation_elsewhere_takes_what_the_card_says(tmp_path, eight_bits):
    folder = write(tmp_path / "images", "12 bits in 16")
    card = {"classes": list(CLASSES), "white": 4095}
    images = labelled_for(card, folder, "all", config(folder))
    assert images.reading.white == 4095 and len(images) == 12
    with pytest.raises(ValueError, match=r"values from \d+ to 4,087, which do not tell what is white: save it with 8 bits, or"):
        labelled_for({"classes": list(CLASSES)}, folder, "all", config(folder))
    told = labelled_for({"classes": list(CLASSES)}, folder, "all", config(folder, white=4095.0))
    assert told.reading.white == 4095


def test_create_dataset_finds_what_is_white_in_training_and_wants_to_be_told_in_testing(tmp_path, caplog):
    for split in ("train", "test"):
        write(tmp_path / split, "12 bits in 16")
    with caplog.at_level("INFO"):
        create_dataset(tmp_path, config("x"))
    assert "white=4095 in images of more than 8 bits" in caplog.text
    with pytest.raises(ValueError, match="do not tell what is white"):
        create_dataset(tmp_path, config("x"), training=False)
    assert len(batches(create_dataset(tmp_path, config("x", white=4095.0), training=False))) == 12


@pytest.mark.parametrize(("largest", "is_float", "white"), [
    (0, False, 255), (1, False, 255), (255, False, 255), (256, False, 1023), (1023, False, 1023), (4000, False, 4095),
    (4096, False, 16383), (16384, False, 65535), (65535, False, 65535),
    (0.2, True, 1), (1.0, True, 1), (1.09, True, 1), (1.2, True, 255), (300.0, True, 1023)])
def test_white_is_the_least_that_no_value_exceeds(largest, is_float, white):
    ranges = [Range(0, largest / 2, is_float), Range(0, largest, is_float)]
    assert white_of(ranges) == white_of([*ranges, Range(-1, 70_000, is_float)]) == white
    assert white_of([Range(0, 70_000, is_float)]) is white_of([]) is None


@pytest.mark.parametrize(("values", "white", "problem"), [
    (np.array([[0, -1]], np.int32), None, "has values from -1 to 0, and 0 is black"),
    (np.array([[0.5, np.nan]], np.float32), None, "has values from nan to nan, and 0 is black"),
    (np.array([[0.5, np.inf]], np.float32), 1, "has values from 0.5 to inf, and 0 is black"),
    (np.array([[0, 2]], np.float32), None, "has values from 0 to 2, which do not tell what is white"),
    (np.array([[0, 4000]], np.uint16), None, "has values from 0 to 4,000, which do not tell what is white"),
    (np.array([[0, 2**20]], np.int32), None, "which do not tell what is white"),
    (np.array([[0, 4096]], np.uint16), 4095, "has values from 0 to 4,096, more than white=4,095 of the images"),
    (np.array([[0, 200]], np.uint16), 65535, "has values from 0 to 200, all of them black where white=65,535"),
    (np.array([[0, 0.9]], np.float32), 65535, "has values from 0 to 0.9, all of them black where white=65,535"),
])
def test_what_does_not_fit_is_refused_by_name(tmp_path, values, white, problem):
    path = tmp_path / "image.tif"
    Image.fromarray(np.tile(values, (3, 2))).save(path)
    for read in (whole_image, decode_image):
        with pytest.raises(ValueError) as raised:
            read(path, reading=Reading(white=white))
        assert str(raised.value).startswith(f"{path} ") and problem in str(raised.value) and "\n" not in str(raised.value)


def test_an_image_that_does_not_fit_the_others_is_a_problem_with_its_name(tmp_path):
    folder = write(tmp_path / "images", "16 bits")
    Image.fromarray(grey(1, 1).astype(np.uint16) // 2).save(folder / "dark" / "8 in 16.png")
    Image.fromarray(grey(1, 1).astype(np.float32) / 255).save(folder / "dark" / "float.tif")
    Image.fromarray(grey(1, 1).astype(np.uint16) * 16).save(folder / "dark" / "12 in 16.png")
    scan = scan_folder(folder, CLASSES, find_white=True)
    assert scan.images.reading.white == 65535
    assert [problem.split(" has values")[0] for problem in sorted(scan.problems)] == [
        f"{folder}/dark/8 in 16.png", f"{folder}/dark/float.tif"]
    assert scan.remarks == ("1 image without a value of a quarter of white=65,535: perhaps with fewer bits than the images "
                            f"trained on: {folder}/dark/12 in 16.png",)


SPOILED = {  # a depth, and what is put into each image, or into one: a hot pixel, one without data, an overshoot
    "hot pixels": ("12 bits in 16", lambda values: np.put(values, 205, 65535), True),
    "one hot pixel": ("12 bits in 16", lambda values: np.put(values, 205, 65535), False),
    "no data in a float": ("floats to 1", lambda values: np.put(values, 205, 3e38), True),
    "hot pixels of 32 bits": ("12 bits in 32", lambda values: np.put(values, 205, 2**30), True),
    "overshoot": ("floats to 1", lambda values: np.put(values, np.arange(205, 260), 1.08), True),
    "one overshoot": ("floats to 1", lambda values: np.put(values, np.arange(205, 260), 1.08), False),
}


@pytest.mark.parametrize("case", SPOILED)
def test_single_pixels_and_overshoots_do_not_decide_what_is_white(tmp_path, case):
    """They become white, the others are as without them, and a line says so."""
    depth, spoil, in_all = SPOILED[case]
    folder = write(tmp_path / "images", depth)
    files = sorted(folder.rglob("*.*"))
    for file in files if in_all else files[:1]:
        values = np.array(Image.open(file))
        spoil(values)
        Image.fromarray(values).save(file)
    scan = scan_folder(folder, CLASSES, find_white=True)
    assert scan.images.reading.white == DEPTHS[depth][1] and not scan.problems
    [remark] = scan.remarks
    assert remark.startswith(f"{f'{len(files)} images' if in_all else '1 image'} with a few values above white=")
    for path, label in zip(scan.images.paths, scan.images.labels):
        expected = grey(10 * label + int(Path(path).stem), label)
        expected[0, 0] = 255
        if in_all or path == str(files[0]):
            spoiled = np.zeros(expected.shape)
            spoil(spoiled)
            expected[spoiled > 0] = 255
        assert np.array_equal(np.asarray(decode_image(path, scan.images.reading))[..., 0], expected)


@pytest.mark.parametrize(("values", "white", "is_refused"), [
    (np.array([0, 1], np.uint16), 255, True), (np.array([0, 1], np.float32), 255, True),
    (np.array([0, 20], np.uint16), 4095, True), (np.array([0, 0.004], np.float32), 1, True),
    (np.array([0, 40], np.uint16), 4095, False),
    (np.array([2000, 2004], np.uint16), 4095, False), (np.array([7, 7], np.uint16), 255, False)])
def test_an_image_with_contrast_that_would_have_none_in_8_bits_is_refused(tmp_path, values, white, is_refused):
    """Masks of 0 and 1 for one; what has no contrast of its own is used."""
    Image.fromarray(np.tile(values, (40, 20))).save(tmp_path / "a.tif")
    if is_refused:
        with pytest.raises(ValueError, match=f"a.tif has values from 0 to .* where white={white:,g}"):
            decode_image(tmp_path / "a.tif", Reading(white=white))
    else:
        decode_image(tmp_path / "a.tif", Reading(white=white))


@pytest.mark.parametrize("bits", [10, 12, 16])
def test_colours_of_16_bits_are_used_or_refused_for_pillow_drops_the_lower_ones(tmp_path, bits):
    from tests.support.corpus import png

    row = (np.array([60_000, 10_000, 20_000] * 4) >> (16 - bits)).astype(">u2").tobytes()
    path = tmp_path / "colours.png"
    path.write_bytes(png(4, 3, 16, 2, row))
    if bits == 16:
        assert np.array_equal(np.asarray(decode_image(path))[0, 0], [234, 39, 78])
        return
    with pytest.raises(ValueError, match="colours.png has 16 bits a colour and uses the lower ones alone"):
        decode_image(path)


def test_8_bits_stay_as_they_are_whatever_is_white(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    for image in (pixels, pixels[..., 0]):
        Image.fromarray(image).save(tmp_path / "a.png")
        for white in (None, 1, 4095):
            seen = np.asarray(decode_image(tmp_path / "a.png", Reading(white=white)))
            assert np.array_equal(seen, image if image.ndim == 3 else np.dstack([image] * 3))


def test_a_white_of_ones_own_holds_for_all(tmp_path):
    folder = write(tmp_path / "images", "12 bits in 16")
    images = read_folder(folder, CLASSES, reading=Reading.of(config("x", white=8191.0)), find_white=True)
    assert images.reading.white == 8191
    Image.fromarray(np.array([[0, 4096, 8191]], np.uint16)).save(tmp_path / "a.png")
    assert np.asarray(decode_image(tmp_path / "a.png", images.reading))[0, :, 0].tolist() == [0, 128, 255]


def test_statistics_tell_of_depth_and_of_images_without_contrast(tmp_path, eight_bits):
    folder = write(tmp_path / "images", "12 bits in 16")
    Image.new("RGB", (30, 30), "navy").save(folder / "dark" / "navy.png")
    Image.fromarray(np.full((30, 30), 2000, np.uint16)).save(folder / "dark" / "flat.png")
    red = np.zeros((30, 30, 3), np.uint8)
    red[..., 0] = np.random.default_rng(0).integers(0, 256, (30, 30))
    Image.fromarray(red).save(folder / "light" / "red.png")
    found = folder_statistics(folder)
    assert (found.deep, found.white, found.one_colour, found.constant_channel) == (13, 4095, 2, 1)
    flat, constant = found.remarks["all"]
    assert flat == f"2 images of one colour, without anything to see: {folder}/dark/flat.png; {folder}/dark/navy.png"
    assert constant == f"1 image with a channel of colour that has one value throughout: {folder}/light/red.png"
    assert folder_statistics(eight_bits).white is None


def test_training_warns_of_images_without_contrast(tmp_path, caplog):
    folder = write(tmp_path / "images", "8 bits")
    Image.new("RGB", (30, 30), "navy").save(folder / "dark" / "navy.png")
    with caplog.at_level("WARNING"):
        read_folder(folder, CLASSES)
    assert caplog.messages == [f"1 image of one colour, without anything to see: {folder}/dark/navy.png"]


def test_the_most_pixels_of_the_config_hold_wherever_images_are_read(eight_bits):
    few = config(eight_bits, max_pixels=1999)
    for read in (lambda: read_splits(few), lambda: labelled_for({"classes": list(CLASSES)}, eight_bits, "all", few),
                 lambda: folder_statistics(eight_bits, Reading.of(few)), lambda: split_folder(eight_bits, eight_bits.parent / "x",
                                                                                              reading=Reading.of(few))):
        with pytest.raises(ValueError, match="has more than 1,999 pixels, which is not read: for a photo of your own raise the"):
            read()
    splits = read_splits(config(eight_bits, max_pixels=2000))
    assert len(splits.train) + len(splits.test) == 12


def test_the_most_pixels_can_be_given_to_commands_without_fields(eight_bits, capsys):
    assert main(["stats", str(eight_bits), "--max-pixels", "1999"]) == 2
    assert "has more than 1,999 pixels" in capsys.readouterr().err
    assert main(["stats", str(eight_bits), "--max-pixels", "2000"]) == 0
    assert main(["stats", str(eight_bits), "--max-pixels", "0"]) == 2
    assert "max_pixels=0 must lie between 1 and" in capsys.readouterr().err


def test_white_can_be_given_to_commands_without_fields(tmp_path, capsys):
    net = save_checkpoint(create_net("mobilenet_v2", 2, **TINY_NET), tmp_path / "net.ckpt", {
        "net": "mobilenet_v2", "net_options": TINY_NET, "classes": list(CLASSES), "image_height": 32, "image_width": 32,
        "mean": [0] * 3, "std": [1] * 3})
    folder = write(tmp_path / "images", "12 bits in 16")
    image, to = str(folder / "light" / "0.png"), str(tmp_path / "explained.png")
    for command in (["predict", str(net), image], ["explain", str(net), image, "--to", to]):
        assert main(command) == 2
        told = capsys.readouterr().err
        assert "do not tell what is white" in told and told.endswith("with the field white, or --white\n")
        assert main([*command, "--white", "4095"]) == 0
    assert main(["stats", str(folder), "--white", "8191"]) == 0
    assert "in which 8,191 is white" in capsys.readouterr().out
    assert main(["split", str(folder), str(tmp_path / "refused"), "--white", "1023"]) == 2
    assert "more than white=1,023" in capsys.readouterr().err
    assert main(["split", str(folder), str(tmp_path / "divided"), "--white", "4095"]) == 0


@pytest.mark.parametrize("asked", [None, Reading(white=4095)])
def test_the_page_is_told_what_is_white(monkeypatch, asked):
    given = []
    monkeypatch.setattr("mindclf.demo.serve", lambda checkpoint, examples, port, reading, *others, **more: given.append(reading))
    assert main(["demo", *(["--white", "4095"] if asked else [])]) == 0
    assert given == [asked or Reading()]


def test_problems_are_told_before_anything_is_known_of_white():
    assert problem_of(Range(0, 1, True)) == problem_of(Range(0, 40_000, False)) == ""
    assert DEFAULTS.white == 0
