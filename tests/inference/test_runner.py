"""One net in any of its files gives the same answers, and a file that is not what it should be is refused in one line."""

import json
import re
import shutil
import subprocess
import sys

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor, nn
from PIL import Image

from mindclf import kernels
from mindclf.card import OF_CLASSES
from mindclf.checkpoint import CheckpointFile, card_path, load_net, read_card, save_checkpoint
from mindclf.cli import main
from mindclf.dataset import ImageSet, eval_pipeline, pixel_pipeline, read_folder
from mindclf.dataset.pixels import PixelBatches
from mindclf.explain import explain
from mindclf.inference import cells
from mindclf.inference import runner as running
from mindclf.inference.batches import filled_up
from mindclf.inference.onnx import CARD_KEY
from mindclf.inference.runner import Runner
from mindclf.nets.layers import GlobalAvgPooling
from mindclf.predict import Predictor
from mindclf.utils.files import sha256
from tests.conftest import CLASS_INDEX

FILES = [("mindir", {}), ("onnx", {}), *((kind, options) for kind in ("mindir", "onnx")
                                         for options in ({"with_preprocessing": True}, {"batch_size": 4}))]


@pytest.fixture
def onnx():
    pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    return pytest.importorskip("onnx", reason="needs the extra onnx")


def refusal(checkpoint, **arguments):
    """The line with which a Predictor refuses a file."""
    with pytest.raises(ValueError) as raised:
        Predictor(checkpoint, **arguments)
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize(("file_format", "options"), FILES, ids=str)
def test_predictions_from_the_checkpoint_and_from_exported_files_are_equal(exported, fitted, colour_folder, file_format, options):
    paths = read_folder(colour_folder / "test", CLASS_INDEX).paths
    predictor = Predictor(exported(file_format, **options))
    for images in (paths, paths[:1]):  # 9, which no batch size divides, and one alone
        for expected, found in zip(Predictor(fitted.checkpoint).predict(images), predictor.predict(images), strict=True):
            assert [prediction.name for prediction in found] == [prediction.name for prediction in expected]
            np.testing.assert_allclose([prediction.probability for prediction in found],
                                       [prediction.probability for prediction in expected], atol=1e-4)


@pytest.mark.parametrize("options", [{}, {"with_preprocessing": True}, {"batch_size": 4}], ids=str)
def test_the_command_runs_an_onnx_without_mindspore_to_the_same_numbers(exported, colour_folder, options):
    """The same as ONNX Runtime gives for what MindSpore's pipeline makes of the images, to the last digit."""
    pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    file, images = exported("onnx", **options), read_folder(colour_folder / "test", CLASS_INDEX)
    code = ("import sys; from mindclf.cli import main; assert main(sys.argv[1:]) == 0; "
            "assert 'mindspore' not in sys.modules, 'MindSpore was imported'")
    command = [sys.executable, "-c", code, "predict", str(file), *map(str, images.paths), "--json"]
    result = subprocess.run(command, capture_output=True, encoding="utf-8")
    assert result.returncode == 0, result.stderr
    predictor, size = Predictor(file), options.get("batch_size", 9)
    pipeline = pixel_pipeline if options.get("with_preprocessing") else eval_pipeline
    batches = pipeline(images, predictor.preprocessing, size).create_tuple_iterator(num_epochs=1, output_numpy=True)
    logits = np.concatenate([predictor.runner.run(filled_up(batch, size))[:len(batch)] for batch, _ in batches])
    for line, expected in zip(result.stdout.splitlines(), predictor.calibration.probabilities(logits), strict=True):
        found = {prediction["name"]: prediction["probability"] for prediction in json.loads(line)["predictions"]}
        assert found == dict(zip(predictor.classes, expected.tolist()))


def test_images_of_an_onnx_are_prepared_by_the_pipeline_when_they_become_many(exported, colour_folder, onnx, monkeypatch):
    images, prepared = read_folder(colour_folder / "test", CLASS_INDEX), []
    monkeypatch.setattr(running, "FEW_IMAGES", 20)
    monkeypatch.setattr(running, "PixelBatches",
                        lambda *arguments, **named: prepared.append(1) or PixelBatches(*arguments, **named))
    runner = Runner(exported("onnx"))
    logits, counts = zip(*((runner.logits(images, 4)[0], len(prepared)) for _ in range(3)))  # of 9, 18 and 27 images
    assert counts == (1, 2, 2)
    np.testing.assert_array_equal(logits, np.stack(logits[:1] * 3))


@pytest.mark.skipif(not kernels.in_use(), reason=f"the kernels are not in use: {kernels.status()[2]}")
def test_a_net_is_compiled_after_a_number_of_runs_and_no_bit_changes(fitted, monkeypatch):
    monkeypatch.setattr(cells, "UNCOMPILED_RUNS", 2)
    runner = Runner(fitted.checkpoint)
    batch = np.random.default_rng(0).standard_normal((3, 3, 32, 32), np.float32)
    logits, graphs = zip(*((runner.run(batch), len(runner.net.compile_cache)) for _ in range(4)))
    assert graphs == (0, 0, 1, 1)
    for other in logits[1:]:
        np.testing.assert_array_equal(other, logits[0])


def test_an_onnx_needs_no_card_beside_it(exported, tmp_path, colour_folder):
    file = exported("onnx")
    alone = shutil.copy(file, tmp_path)
    paths = read_folder(colour_folder / "test", CLASS_INDEX).paths
    predictor = Predictor(alone)
    assert predictor.predict(paths) == Predictor(file).predict(paths)
    card = read_card(file)
    del card["weights_sha256"]
    assert predictor.card == card


def test_a_runtime_that_does_not_run_the_file_is_refused(exported, fitted):
    assert "ONNX Runtime does not run" in refusal(fitted.checkpoint, runtime="onnxruntime")
    assert f"mindclf export {fitted.checkpoint} --format onnx" in refusal(fitted.checkpoint, runtime="onnxruntime")
    assert refusal(fitted.checkpoint, runtime="torch") == ("runtime='torch' is not known; expected one of auto, mindspore, "
                                                           "onnxruntime")
    assert "MindSpore does not run" in refusal(exported("onnx"), runtime="mindspore")


def test_a_mindir_needs_its_card(exported, tmp_path):
    alone = tmp_path / "net.mindir"
    shutil.copy(exported("mindir"), alone)
    assert refusal(alone) == f"{alone} has no card: net.mindir.json is missing beside it"


@pytest.mark.parametrize("count", [2, 4])
def test_a_mindir_gives_a_logit_for_each_class_of_its_card(exported, tmp_path, colour_folder, count):
    path = tmp_path / "net.mindir"
    shutil.copy(exported("mindir"), path)
    card = read_card(exported("mindir"))
    of_classes = {field: [*card[field], "more"][:count] for field in OF_CLASSES if field in card}
    card_path(path).write_text(json.dumps({**card, **of_classes}))
    with pytest.raises(ValueError, match=f"net.mindir does not fit its card: it gives 3 logits, the card has {count} classes"):
        Predictor(path).predict(str(colour_folder / "test" / "red" / "0.png"))


@pytest.mark.parametrize("file_format", ["mindir", "onnx"])
def test_a_changed_file_is_refused(exported, tmp_path, file_format):
    file = exported(file_format)
    changed = tmp_path / file.name
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    changed.write_bytes(data)
    shutil.copy(card_path(file), tmp_path)
    assert "is damaged, or not the file that" in refusal(changed)


def test_what_is_no_onnx_is_refused(onnx, tmp_path):
    (tmp_path / "net.onnx").write_bytes(b"text")
    assert refusal(tmp_path / "net.onnx").startswith(f"{tmp_path / 'net.onnx'} cannot be read as an ONNX file: ")
    assert refusal(tmp_path / "missing.onnx") == f"{tmp_path / 'missing.onnx'} does not exist"


@pytest.fixture
def foreign(onnx, tmp_path):
    """An .onnx of somebody else: images (batch, 3, 32, 32) -> the mean of each channel, for 3 classes."""
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node("GlobalAveragePool", ["images"], ["means"]), helper.make_node("Flatten", ["means"], ["logits"])],
        "means",
        [helper.make_tensor_value_info("images", kind, ["batch", 3, 32, 32])],
        [helper.make_tensor_value_info("logits", kind, ["batch", 3])])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, str(tmp_path / "foreign.onnx"))
    return tmp_path / "foreign.onnx"


def put_metadata(file, properties):
    import onnx

    model = onnx.load(str(file))
    onnx.helper.set_model_props(model, properties)
    onnx.save(model, str(file))


def put_card(file, fields):
    """Puts a card of these fields, fit for use or not, into the file."""
    put_metadata(file, {CARD_KEY: json.dumps(fields)})


@pytest.mark.parametrize("takes_pixels", [False, True])
def test_of_two_looks_the_second_is_from_left_to_right(onnx, colour_folder, tmp_path, takes_pixels):
    """A net that gives the sums of the left half, of the upper half and of all: flipping gives left and right the same sum."""
    helper, types = onnx.helper, onnx.TensorProto
    shape, kind = ((32, 32, 3), types.UINT8) if takes_pixels else ((3, 32, 32), types.FLOAT)
    halves = np.zeros((3, *shape), np.float32)
    left, upper, everything = halves if takes_pixels else halves.transpose(0, 2, 3, 1)
    left[:, :16], upper[:16], everything[:] = 1, 1, 1
    graph = helper.make_graph(
        [helper.make_node("Cast", ["images"], ["values"], to=types.FLOAT), helper.make_node("Flatten", ["values"], ["flat"]),
         helper.make_node("Gemm", ["flat", "halves"], ["logits"], transB=1)],
        "halves", [helper.make_tensor_value_info("images", kind, ["batch", *shape])],
        [helper.make_tensor_value_info("logits", types.FLOAT, ["batch", 3])],
        [onnx.numpy_helper.from_array(halves.reshape(3, -1), "halves")])
    file = tmp_path / "halves.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), str(file))
    card_path(file).write_text(json.dumps({
        "format": 1, "net": "halves", "net_options": {}, "classes": ["left", "upper", "all"], "image_height": 32,
        "image_width": 32, "mean": [0, 0, 0], "std": [1, 1, 1], "weights_sha256": sha256(file)}))
    images = read_folder(colour_folder / "test", CLASS_INDEX)
    plain, both = (Runner(file, mirror=mirror).logits(images, 4)[0].T for mirror in (False, True))
    np.testing.assert_allclose(both, [plain[2] / 2, plain[1], plain[2]], rtol=1e-5, atol=1e-2)
    assert abs(plain[0] - plain[2] / 2).min() > 1


def test_an_onnx_without_a_card_is_refused(foreign):
    assert refusal(foreign) == (f"{foreign} has no card, neither inside nor as foreign.onnx.json beside it: give an .onnx that "
                                f"mindclf export wrote")


@pytest.mark.parametrize(("change", "message"), [
    ({}, None),
    ({"image_height": 64}, "it takes tensor(float) ['batch', 3, 32, 32], the card says images of 64 x 32 pixels"),
    ({field: list("abcd") for field in OF_CLASSES}, "it gives 3 logits, the card has 4 classes"),
    ({"mean": "grey"}, "field 'mean' must be of type list, received 'grey'"),
    ({"format": 2}, "has format 2, this mindclf reads up to 1: update mindclf"),
])
def test_a_card_inside_must_be_one_and_fit_the_net(foreign, fitted, change, message):
    put_card(foreign, {**read_card(fitted.checkpoint), **change})
    if message is None:
        assert Predictor(foreign).classes == ("green", "blue", "red")
    else:
        assert message in refusal(foreign)


@pytest.mark.parametrize(("text", "message"), [
    ("{", "foreign.onnx is not a card: "), ("[]", "expected a JSON object, received list")])
def test_metadata_that_are_no_card_are_refused(foreign, text, message):
    put_metadata(foreign, {CARD_KEY: text})
    assert message in refusal(foreign)


def test_a_card_beside_an_onnx_must_be_its_own(foreign, fitted):
    card_path(foreign).write_text(json.dumps(read_card(fitted.checkpoint)))
    assert "its SHA-256 differs from the card's" in refusal(foreign)


@pytest.fixture
def logarithm(onnx, foreign, fitted):
    """A net that gives the logarithms of the means: NaN for an image darker than the mean of its card, numbers for another."""
    model = onnx.load(str(foreign))
    model.graph.node[1].output[0] = "flat"
    model.graph.node.append(onnx.helper.make_node("Log", ["flat"], ["logits"]))
    onnx.save(model, str(foreign))
    put_card(foreign, read_card(fitted.checkpoint))
    return foreign


@pytest.fixture
def dark_and_bright(tmp_path):
    for name, level in (("dark", 0), ("bright", 255)):
        Image.new("RGB", (40, 40), (level,) * 3).save(tmp_path / f"{name}.png")
    return [str(tmp_path / "dark.png"), str(tmp_path / "bright.png")]


def test_an_image_that_the_net_has_no_numbers_for_is_an_error_of_its_own(logarithm, dark_and_bright, capsys):
    dark, bright = dark_and_bright
    assert main(["predict", *dark_and_bright, "--checkpoint", str(logarithm)]) == 2
    told = capsys.readouterr()
    assert told.err == (f"mindclf: {dark}: the net in {logarithm} gives NaN or infinity for it: its weights are damaged, or "
                        f"values inside it overflow; take another file of the net\n")
    assert bright in told.out and dark not in told.out and "nan" not in told.out.lower()


def test_logits_that_are_no_numbers_are_no_figures(logarithm, dark_and_bright):
    """Wherever they are asked for: in Python, without a name, and for evaluation."""
    dark, bright = dark_and_bright
    predictor = Predictor(logarithm)

    def measure(*images):
        return predictor.runner.logits(ImageSet(images, (0,) * len(images), predictor.classes), 2)

    assert np.isfinite(measure(bright)[0]).all()
    black = np.zeros((40, 40, 3), np.uint8)
    for ask, named in ((lambda: predictor.predict([bright, dark]), dark), (lambda: predictor.predict(black), "the image"),
                       (lambda: measure(bright, dark), dark), (lambda: measure(bright, black), "image 2 of 2")):
        with pytest.raises(ValueError, match=f"^{re.escape(named)}: the net in .* gives NaN or infinity for it"):
            ask()


def test_overflow_inside_a_checkpoint_is_an_error_of_the_image(fitted, tmp_path, dark_and_bright):
    """All weights are numbers, and the logits are not."""
    net, card = load_net(fitted.checkpoint)
    for parameter in net.head.get_parameters():
        parameter.set_data(Tensor(np.full(parameter.shape, 3e38, np.float32)))
    path = save_checkpoint(net, tmp_path / "huge.ckpt", card)
    for ask in (lambda: Predictor(path).predict(dark_and_bright), lambda: explain(path, dark_and_bright[0])):
        with pytest.raises(ValueError, match="gives NaN or infinity for it"):
            ask()


@pytest.mark.parametrize(("name", "value"), [("weight", np.nan), ("moving_variance", -1.0)])
def test_a_mindir_with_weights_that_nothing_can_be_computed_with_is_refused(fitted, tmp_path, name, value):
    with kernels.off():
        net = nn.SequentialCell(nn.Conv2d(3, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), GlobalAvgPooling()).set_train(False)
        [weight] = [parameter for parameter in net.get_parameters() if parameter.name.endswith(f".{name}")]
        weight.set_data(Tensor(np.full(weight.shape, value, np.float32)))
        ms.export(net, Tensor(np.zeros((1, 3, 32, 32), np.float32)), file_name=str(tmp_path / "net"), file_format="MINDIR")
    file = CheckpointFile(tmp_path / "net.mindir", read_card(fitted.checkpoint))
    assert refusal(file).startswith(
        f"{tmp_path / 'net.mindir'} holds weights that nothing can be computed with: {weight.name} has ")


def test_without_onnx_runtime_it_is_asked_for(tmp_path, monkeypatch):
    (tmp_path / "net.onnx").touch()
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert refusal(tmp_path / "net.onnx") == "ONNX files need onnxruntime: pip install onnx onnxruntime"
