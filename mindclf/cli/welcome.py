"""`mindclf` alone: the five things that one can do, and the nets and data sets that are there. Fits 80 columns."""

import importlib.util
import json
import os

from mindclf import __version__
from mindclf.cli.text import print_table, say
from mindclf.utils.shipped import shipped

COLUMNS = 80
STEPS = (
    ("mindclf predict photo.jpg", "say what is on a photo"),
    ("mindclf predict photos --sort-into sorted", "copy photos into a folder a class"),
    ("mindclf train my_photos", "teach a net your own classes"),
    ("mindclf demo", "try a net in the browser"),
    ("mindclf export NET --format onnx", "take a net to other programs"),
)
OF_DEMO = " (pip install gradio)"  # said where that is missing


def welcome():
    """Prints it. Nothing is imported that takes seconds."""
    say(f"mindclf {__version__}: image classification on MindSpore\n")
    has_gradio = importlib.util.find_spec("gradio") is not None
    print_table([("  " + command, text + ("" if has_gradio or "demo" not in command else OF_DEMO)) for command, text in STEPS])
    say("\nNets that come with it, as in mindclf predict NET photo.jpg:")
    print_table([("  " + name, *facts) for name, facts in _nets()])
    say("\nData sets on this machine, as in mindclf eval NET dataset=NAME:")
    for line in _data_sets() or ["  none: `mindclf doctor` says where they are looked for"]:
        say(line)
    say("\nmindclf --help lists all commands, mindclf recipes the trainings to repeat;\n"
        "mindclf doctor shows what mindclf runs on here.")


def _nets():
    """[(name, (classes, accuracy))] of the checkpoints, as their cards say; the first is what is taken without a name."""
    found = []
    for file in sorted(shipped("checkpoints").glob("*.ckpt.json"), key=lambda file: ("garbage" not in file.name, file.name)):
        card = json.loads(file.read_text(encoding="utf-8"))
        test = card["metrics"]["test"]
        found.append((file.name.removesuffix(".ckpt.json"), (
            f"{len(card['classes'])} classes", f"{test['top1']:.1%} of {test['images']:,} test images")))
    return found


def _data_sets():
    """A line for each data set that is on disk, or for what keeps it from being looked for."""
    from mindclf.dataset.registry import DATA_SETS

    lines = {}
    for name, row in DATA_SETS.items():
        try:
            found = row.find(only_on_disk=True)
        except ValueError as error:  # such as that MINDCLF_DATA is no folder
            lines[f"  {error}"] = None
            continue
        if found:
            lines[f"  {name:14} {_shortened(found.path, COLUMNS - 18)}"] = None
    return list(lines)


def _shortened(path, length):
    """The path, if need be without its beginning."""
    text = str(path)
    if path.is_absolute() and path.is_relative_to(os.getcwd()):
        text = os.path.relpath(path)
    return text if len(text) <= length else f"...{text[3 - length:]}"
