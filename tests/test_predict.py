"""Prediction sees each image as evaluation does, whatever kind of file or object it comes as."""

import io
import json
import os
import shutil
import threading

import numpy as np
import pytest
from PIL import Image

from mindclf.card import card_path
from mindclf.checkpoint import load_net, save_checkpoint
from mindclf.dataset import eval_pipeline, read_folder, whole_image
from mindclf.dataset.cifar10 import read_cifar10
from mindclf.demo.answers import Sorter, answer
from mindclf.explain import explain
from mindclf.inference import runner, sources
from mindclf.inference.logits import predict_logits
from mindclf.inference.sources import gather
from mindclf.labels import CIFAR10
from mindclf.nets import create_net
from mindclf.predict import Predictor
from mindclf.utils import http
from tests.conftest import CLASS_INDEX, TINY_NET


@pytest.fixture(scope="module")
def predictor(fitted):
    return Predictor(fitted.checkpoint)


def test_prediction_and_evaluation_preprocess_identically(predictor, fitted, colour_folder):
    """Image by image: the logits of evaluation, in batches, are those of prediction, one at a time."""
    net, card = load_net(fitted.checkpoint)
    images = read_folder(colour_folder / "test", CLASS_INDEX)
    evaluated, _ = predict_logits(net, eval_pipeline(images, card.preprocessing, 4))
    for path, logits in zip(images.paths, evaluated):
        np.testing.assert_allclose(predictor.logits([path])[0], logits, atol=1e-5)


def test_with_test_time_augmentation_logits_are_the_means_of_an_image_and_its_flip(exported, fitted, colour_folder, tmp_path):
    """Whatever the file takes: normalised images or pixels, any number of them or four."""
    images = [np.asarray(Image.open(path).convert("RGB")) for path in sorted((colour_folder / "test").glob("*/*"))]
    images[0] = np.concatenate([images[0][:, :9] // 2, images[0][:, 9:]], axis=1)  # of which left and right differ
    plain = Predictor(fitted.checkpoint)
    passes = [plain.logits(side) for side in (images, [image[:, ::-1].copy() for image in images])]
    assert np.abs(passes[0][0] - passes[1][0]).max() > 1e-3
    for file in (fitted.checkpoint, exported("mindir", with_preprocessing=True), exported("mindir", batch_size=4)):
        np.testing.assert_allclose(Predictor(file, mirror=True).logits(images), (passes[0] + passes[1]) / 2, atol=1e-4)


def test_an_image_is_the_same_as_path_bytes_image_and_array(predictor, colour_folder):
    path = next((colour_folder / "test" / "red").iterdir())
    image = Image.open(path)
    ways = predictor.predict([str(path), path, path.read_bytes(), image, np.asarray(image)])
    assert len(ways) == 5 and all(found == ways[0] for found in ways)


def test_predictions_are_sorted_by_probability(predictor, colour_folder):
    found = predictor.predict(next((colour_folder / "test" / "blue").iterdir()), top_k=3)
    probabilities = [prediction.probability for prediction in found]
    assert probabilities == sorted(probabilities, reverse=True) and sum(probabilities) == pytest.approx(1)
    assert {prediction.name for prediction in found} == set(CLASS_INDEX)


@pytest.mark.parametrize(("mode", "file_format"), [("RGBA", "PNG"), ("CMYK", "JPEG"), ("L", "PNG"), ("P", "GIF"), ("RGB", "WEBP"),
                                                   ("RGB", "TIFF"), ("1", "PNG"), ("LA", "PNG")])
def test_any_mode_that_pillow_opens_is_taken(predictor, mode, file_format):
    buffer = io.BytesIO()
    Image.new("RGB", (50, 60), (200, 40, 40)).convert(mode).save(buffer, file_format)
    assert 0 < predictor.predict(buffer.getvalue())[0].probability <= 1


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_three_classes_are_told_or_all_where_there_are_fewer(tmp_path, count):
    classes = [f"class {index}" for index in range(count)]
    net = create_net("mobilenet_v2", count, **TINY_NET)
    path = save_checkpoint(net, tmp_path / "few.ckpt", {"net": "mobilenet_v2", "net_options": TINY_NET, "classes": classes,
                                                        "image_height": 32, "image_width": 32, "mean": [0] * 3, "std": [1] * 3})
    found = Predictor(path).predict(Image.new("RGB", (40, 40)))
    assert len(found) == min(count, 3) == len({prediction.name for prediction in found})


def test_an_image_of_12_bits_is_predicted_as_the_card_says_and_one_of_many_pixels_as_the_caller(tmp_path, caplog):
    """The command line reads the same way: files through `gather`. One of 9 bits is answered, with a remark, wherever it is."""
    net = create_net("mobilenet_v2", 2, **TINY_NET)
    path = save_checkpoint(net, tmp_path / "deep.ckpt", {
        "net": "mobilenet_v2", "net_options": TINY_NET, "classes": ["a", "b"], "white": 4095, "image_height": 32,
        "image_width": 32, "mean": [0] * 3, "std": [1] * 3})
    grey = np.random.default_rng(0).integers(0, 256, (40, 50)).astype(np.uint8)
    for name, pixels in (("8.png", grey), ("12.png", grey.astype(np.uint16) * 16 + 9), ("13.png", grey.astype(np.uint16) * 32)):
        Image.fromarray(pixels).save(tmp_path / name)
    predictor = Predictor(path)
    of_8, of_12 = predictor.predict([tmp_path / "8.png", tmp_path / "12.png"])
    assert of_8 == of_12
    files = [str(tmp_path / "12.png"), str(tmp_path / "13.png")]
    found = dict(predictor.predict_iter(gather(files, reading=predictor.preprocessing.reading)))
    assert found[str(tmp_path / "12.png")] == predictor.predict([tmp_path / "8.png"])[0]
    assert "more than white=4,095" in str(found[str(tmp_path / "13.png")])
    assert not caplog.messages
    Image.fromarray(grey.astype(np.uint16) * 2).save(tmp_path / "9.png")
    said = "without a value of a quarter of white=4,095: perhaps with fewer bits than the images trained on"
    for look in (lambda file: predictor.predict(file), lambda file: predictor.predict(Image.open(file)),
                 lambda file: list(predictor.predict_iter(gather([file], reading=predictor.preprocessing.reading))),
                 lambda file: explain(path, file)):
        look(str(tmp_path / "9.png"))
        assert [message.partition(" is an image ")[2] for message in caplog.messages] == [said]
        caplog.clear()
    assert said in answer(Sorter.of(path), tmp_path / "9.png")
    with pytest.raises(ValueError, match="8.png has more than 1,999 pixels, which is not read"):
        Predictor(path, max_pixels=1999).predict([tmp_path / "8.png"])
    assert len(Predictor(path, max_pixels=2000).predict([tmp_path / "8.png"])) == 1


@pytest.mark.parametrize("white", ["4095", -1, True, float("nan")])
def test_a_card_whose_white_is_no_value_is_refused(tmp_path, white):
    net = create_net("mobilenet_v2", 2, **TINY_NET)
    card = {"net": "mobilenet_v2", "net_options": TINY_NET, "classes": ["a", "b"], "image_height": 32, "image_width": 32,
            "mean": [0] * 3, "std": [1] * 3}
    with pytest.raises(ValueError, match="bad.ckpt.json: .*white"):
        save_checkpoint(net, tmp_path / "bad.ckpt", {**card, "white": white})
    assert list(tmp_path.iterdir()) == []
    path = save_checkpoint(net, tmp_path / "bad.ckpt", card)
    card_path(path).write_text(json.dumps({**json.loads(card_path(path).read_text()), "white": white}))
    with pytest.raises(ValueError, match="bad.ckpt.json: .*white"):
        Predictor(path)


def test_what_is_asked_wrongly_is_said(predictor, tmp_path):
    with pytest.raises(ValueError, match="top_k=4 must lie between 1 and the number of classes, 3"):
        predictor.predict([], top_k=4)
    with pytest.raises(ValueError, match="photo.jpg cannot be read: No such file"):
        predictor.predict("photo.jpg")
    (tmp_path / "note.jpg").write_text("not an image")
    with pytest.raises(ValueError, match="note.jpg is not an image"):
        predictor.predict([tmp_path / "note.jpg"])
    assert predictor.predict([]) == []


def test_one_image_gives_one_answer_and_a_list_a_list(predictor, colour_folder, server, monkeypatch):
    monkeypatch.setattr(http, "is_public", lambda address: True)
    path = next((colour_folder / "test" / "green").iterdir())
    server.files["/green.png"] = path.read_bytes()
    image, url = Image.open(path), f"{server.url}/green.png"
    expected = predictor.predict([path])
    assert type(expected) is list and len(expected) == 1
    for one in (path, str(path), path.read_bytes(), image, np.asarray(image), np.fromfile(path, np.uint8), url):
        found = predictor.predict(one)
        assert found == expected[0] and found.thumbnail().size == image.size
        assert found.name == (str(one) if isinstance(one, (str, type(path))) else "")
    two = predictor.predict([path, path])
    assert predictor.predict(iter([path, url])) == predictor.predict(np.stack([np.asarray(image)] * 2)) == two


def test_a_folder_gives_an_answer_for_each_image_below_it(predictor, colour_folder, tmp_path, caplog):
    folder = shutil.copytree(colour_folder / "test", tmp_path / "photos")
    (folder / "blue" / "note.txt").write_text("not an image")
    found = predictor.predict(folder)
    files = sorted(folder.rglob("*.png"))
    assert [each.name for each in found] == list(map(str, files)) and found == predictor.predict(files)
    assert "left out: " in caplog.text and "note.txt is not an image" in caplog.text and len(caplog.records) == 1
    for empty in (folder / "empty", folder / "texts"):
        empty.mkdir()
        (folder / "texts" / "a.txt").write_text("text") if empty.name == "texts" else None
        with pytest.raises(ValueError, match=f"{empty.name} has no image that can be used"):
            predictor.predict(str(empty))


def test_a_private_address_is_not_asked(predictor, server):
    with pytest.raises(ValueError, match="is no public address"):
        predictor.predict(f"{server.url}/green.png")
    assert server.requests == []


def test_a_checkpoint_that_comes_along_is_known_by_its_name(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert Predictor("cifar10_mobilenet_v1").classes == CIFAR10
    with pytest.raises(ValueError, match="there is no checkpoint cifar: give the path of a file, or the name of one .* cifar10_"):
        Predictor("cifar")


def numbered(count, bad=()):
    """(name, read) of `count` grey images, each of a shade of its own; those of the numbers in `bad` cannot be read."""
    def read(number):
        if number in bad:
            raise ValueError(f"image {number} is bad")
        return whole_image(np.full((40, 40, 3), 5 * number, np.uint8))

    return [(str(number), lambda number=number: read(number)) for number in range(count)]


@pytest.mark.parametrize("chunk", [1, 4, 64])
def test_each_image_gets_its_own_answer_in_its_turn(predictor, monkeypatch, chunk):
    monkeypatch.setattr(sources, "CHUNK", chunk)
    answers = list(predictor.predict_iter(numbered(11, bad=(0, 5, 10))))
    assert [name for name, _ in answers] == [str(number) for number in range(11)]
    for number, (_, found) in enumerate(answers):
        if number in (0, 5, 10):
            assert str(found) == f"image {number} is bad"
        else:
            alone = predictor.predict(np.full((40, 40, 3), 5 * number, np.uint8))
            assert [prediction.name for prediction in found] == [prediction.name for prediction in alone]
            assert found[0].probability == pytest.approx(alone[0].probability, abs=1e-5)


def test_images_are_read_while_the_net_looks_at_those_before(predictor, monkeypatch):
    """The net waits for an image of the next chunk: without threads it would wait in vain."""
    monkeypatch.setattr(sources, "CHUNK", 2)
    third_is_read = threading.Event()

    def look(images):
        assert third_is_read.wait(timeout=20)
        return np.zeros((len(images), 3))

    def read_third():
        third_is_read.set()
        return numbered(1)[0][1]()

    monkeypatch.setattr(predictor, "logits", look)
    monkeypatch.setattr(os, "cpu_count", lambda: 1)  # else the third is read ahead with the first two
    assert len(list(predictor.predict_iter([*numbered(2), ("2", read_third)]))) == 3


def test_only_the_next_chunk_is_read_ahead(predictor, monkeypatch):
    """However many images there are: memory holds two chunks, and what each core is reading."""
    monkeypatch.setattr(sources, "CHUNK", 2)
    read = []
    noted = [(name, lambda name=name, read_it=read_it: (read.append(name), read_it())[1]) for name, read_it in numbered(40)]
    answers = predictor.predict_iter(noted)
    for _ in range(3):
        next(answers)
    assert len(read) <= 3 * 2 + os.cpu_count()
    answers.close()


def test_the_garbage_sorter_comes_along_and_knows_chinese():
    from mindclf.labels import class_cn, class_en

    found = Predictor().predict(Image.new("RGB", (300, 200), "white"), top_k=26)
    assert {prediction.name: prediction.chinese for prediction in found} == dict(zip(class_en, class_cn))
    assert {prediction.category: prediction.category_chinese for prediction in found} == {
        "residual": "干垃圾", "recyclable": "可回收物", "food": "湿垃圾", "hazardous": "有害垃圾"}


def test_the_garbage_sorter_sorts_the_tutorials_photos(shared):
    """The figure of its card, from the photos."""
    predictor = Predictor()
    images = read_folder(shared / "data" / "garbage26" / "test", {name: i for i, name in enumerate(predictor.classes)})
    top1 = (predictor.logits(images.paths).argmax(1) == np.array(images.labels)).mean()
    assert top1 == pytest.approx(predictor.card["metrics"]["test"]["top1"], abs=1.5 / 130)  # one photo, on another processor


@pytest.fixture(scope="module", params=[32, 64], ids=["at 32 pixels", "resized to 64"])
def cifar_predictor(request, tmp_path_factory):
    """Fresh weights whose card says that they were trained on images of 32 x 32 pixels."""
    card = {"net": "mobilenet_v2", "net_options": TINY_NET, "classes": list(CIFAR10), "image_height": request.param,
            "image_width": request.param, "mean": [125.0, 123.0, 114.0], "std": [63.0, 62.0, 67.0], "crop_share": 1.0,
            "raw_size": [32, 32]}
    path = tmp_path_factory.mktemp("cifar") / "net.ckpt"
    return Predictor(save_checkpoint(create_net("mobilenet_v2", 10, **TINY_NET), path, card))


def images_of(dataset):
    return np.concatenate([images for images, _ in dataset.create_tuple_iterator(num_epochs=1, output_numpy=True)])


@pytest.fixture
def seen(cifar_predictor, monkeypatch):
    """A function from images to what the net of `cifar_predictor` would see of them, normalised (n, 3, height, width)."""
    monkeypatch.setattr(runner, "run_batches", lambda run, dataset, fill: (images_of(dataset), None))
    return cifar_predictor.logits


def encoded(pixels, kind):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def test_a_file_with_an_image_of_cifar10_is_seen_as_evaluation_sees_it(seen, cifar_predictor, cifar10_folder, tmp_path):
    images = read_cifar10(cifar10_folder, "test").take(range(3))
    expected = images_of(eval_pipeline(images, cifar_predictor.preprocessing, 4))
    files = [tmp_path / f"{index}.png" for index in range(3)]
    for file, pixels in zip(files, images.paths):
        file.write_bytes(encoded(pixels, "PNG"))
    np.testing.assert_array_equal(seen(files), expected)
    if cifar_predictor.card["image_height"] == 32:
        pixels = np.stack(images.paths).transpose(0, 3, 1, 2)
        normalised = (pixels - np.reshape([125, 123, 114], (3, 1, 1))) / np.reshape([63, 62, 67], (3, 1, 1))
        np.testing.assert_allclose(expected, normalised, atol=1e-5)


def test_of_a_large_photo_the_middle_is_averaged(seen):
    """Each pixel that the net sees counts all of the photo's below it: fine noise is grey then, not other noise."""
    grey = np.full((32, 32, 3), 127, np.uint8)
    noise = np.random.default_rng(0).integers(0, 255, (640, 960, 3)).astype(np.uint8)
    photo, plain = seen([encoded(noise, "PNG"), grey])
    assert np.abs(photo - plain).max() < 0.3 < np.abs(seen([noise[::20, 160:800:20].copy()]) - plain).max()
    noise[:, :160], noise[:, 800:] = 0, 255  # beside the middle
    np.testing.assert_allclose(seen([encoded(noise, "PNG")])[0][..., 4:-4], photo[..., 4:-4], atol=1e-6)


def test_a_jpeg_from_a_url_and_from_disk_are_the_same(cifar_predictor, tmp_path, server):
    photo = encoded(np.random.default_rng(0).integers(0, 256, (90, 120, 3)).astype(np.uint8), "JPEG")
    (tmp_path / "photo.jpg").write_bytes(photo)
    server.files["/photo.jpg"] = photo
    named = [str(tmp_path / "photo.jpg"), f"{server.url}/photo.jpg"]
    local, remote = cifar_predictor.predict([read() for _, read in gather(named, allow_private=True)], top_k=10)
    assert local == remote and {prediction.name for prediction in local} == set(CIFAR10)
