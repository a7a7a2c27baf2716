"""ONNX files: the card inside, the preprocessing in front of the net, and what runs them. All of it needs the extra `onnx`."""

from __future__ import annotations

import json
from pathlib import Path

from mindclf.card import REQUIRED, Card, card_path, has_card, read_card
from mindclf.checkpoint_file import CheckpointFile
from mindclf.preprocessing import Preprocessing
from mindclf.utils import extras
from mindclf.utils.cores import usable_cores
from mindclf.utils.files import first_line

CARD_KEY = "mindclf.card"  # of the metadata; "classes" and "preprocessing" are for readers who do not know cards
INSIDE = {**REQUIRED, "format": int}  # and no weights_sha256: no file holds its own digest


def require(module):
    """The module of that name, which the extra `onnx` installs. Raises ValueError if it cannot be had (see `extras.require`)."""
    return extras.require(module, f"ONNX files need {module.partition('.')[0]}", "pip install onnx onnxruntime")


def write_card(file: Path, card: Card) -> None:
    """Puts `card` into the metadata of the ONNX file, and once more its classes and preprocessing (`Preprocessing.describe`)."""
    onnx = require("onnx")
    model = onnx.load(str(file))
    inside = {name: value for name, value in card.items() if name != "weights_sha256"}
    onnx.helper.set_model_props(model, {
        CARD_KEY: json.dumps(inside, ensure_ascii=False),
        "classes": json.dumps(card["classes"], ensure_ascii=False),
        "preprocessing": json.dumps(card.preprocessing.describe()),
    })
    onnx.save(model, str(file))


def open_onnx(file: CheckpointFile) -> tuple:
    """(session, card) of an ONNX file: an InferenceSession of ONNX Runtime, and the card beside or inside the file.

    Raises ValueError of one line if the file is missing, damaged, or without a card, and if the card is not that of the file.
    """
    path, card = file.path, file.card
    if not path.is_file():
        raise ValueError(f"{path} does not exist")
    if card is None and has_card(path):
        card = read_card(path)
    session = open_session(path)
    return session, card or _card_inside(session, path)


def open_session(path):
    """An InferenceSession of ONNX Runtime, on the processor. Raises ValueError of one line if it cannot read the file."""
    onnxruntime = require("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = usable_cores()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # the cores have images to decode meanwhile
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime has an exception for each kind of damage, and no class above them
        raise ValueError(f"{path} cannot be read as an ONNX file: {first_line(error)}") from None


def check_input(session, card: Card, path: Path) -> tuple[str, bool, int | None]:
    """(its name, whether it takes pixels, its batch size or None for any) of the input of a session.

    It takes normalised float32 images (N, 3, height, width), or pixels, uint8 (N, height, width, 3). Raises ValueError if it is
    something else, or if its sizes or its number of classes are not those of the card.
    """
    (height, width), classes = card.preprocessing.size, len(card.classes)
    inputs, outputs = session.get_inputs(), session.get_outputs()
    expected = {"tensor(float)": [3, height, width], "tensor(uint8)": [height, width, 3]}
    if len(inputs) != 1 or list(inputs[0].shape[1:]) != expected.get(inputs[0].type):
        taken = ", ".join(f"{entry.type} {entry.shape}" for entry in inputs)
        raise ValueError(f"{path} does not fit its card: it takes {taken}, the card says images of {height} x {width} pixels")
    [first], last = inputs, outputs[0].shape[-1:]
    if last and isinstance(last[0], int) and last[0] != classes:
        raise ValueError(f"{path} does not fit its card: it gives {last[0]} logits, the card has {classes} classes")
    return first.name, first.type == "tensor(uint8)", first.shape[0] if isinstance(first.shape[0], int) else None


def put_normalisation_in_front(file: Path, preprocessing: Preprocessing) -> None:
    """Has the ONNX file take pixels, uint8 (N, height, width, 3), where it took float32 images (N, 3, height, width).

    It normalises them with the mean and std of `preprocessing`.
    """
    onnx = require("onnx")
    helper, types = onnx.helper, onnx.TensorProto
    model = onnx.load(str(file))
    graph = model.graph
    [images] = graph.input
    count, _, height, width = images.type.tensor_type.shape.dim
    pixels = helper.make_tensor_value_info("pixels", types.UINT8, [
        count.dim_param or count.dim_value or "batch", height.dim_value, width.dim_value, 3])
    nodes = [
        helper.make_node("Cast", ["pixels"], ["normalise.values"], "normalise.cast", to=types.FLOAT),
        helper.make_node("Sub", ["normalise.values", "normalise.mean"], ["normalise.centred"], "normalise.sub"),
        helper.make_node("Div", ["normalise.centred", "normalise.std"], ["normalise.scaled"], "normalise.div"),
        helper.make_node("Transpose", ["normalise.scaled"], [images.name], "normalise.transpose", perm=[0, 3, 1, 2]),
        *graph.node,
    ]
    graph.initializer.extend([helper.make_tensor("normalise.mean", types.FLOAT, [3], list(preprocessing.mean)),
                              helper.make_tensor("normalise.std", types.FLOAT, [3], list(preprocessing.std))])
    del graph.node[:], graph.input[:]
    graph.node.extend(nodes)
    graph.input.append(pixels)
    onnx.save(model, str(file))


def _card_inside(session, path):
    text = session.get_modelmeta().custom_metadata_map.get(CARD_KEY)
    if text is None:
        raise ValueError(f"{path} has no card, neither inside nor as {card_path(path).name} beside it: give an .onnx that "
                         f"mindclf export wrote")
    return Card.parse(text, f"the metadata of {path}", INSIDE)
