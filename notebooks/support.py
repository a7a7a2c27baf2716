"""What the notebooks share: where they run, in which mode, the recipe they follow, and what its full run measured."""

import importlib
import io
import json
import os
import re
import statistics
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from mindclf.dataset import ImageSet, train_pipeline
from mindclf.dataset.splits import with_statistics
from mindclf.kernels.variants import BFLOAT16
from mindclf.preprocessing import Preprocessing

TOP = Path(__file__).resolve().parent.parent  # of the clone, or of what `mindclf recipes --to` copied
TABLES, RUNS = (TOP / "benchmarks" / "results" / name for name in ("tables", "runs"))
RESULTS = ("checkpoints/*.json", "benchmarks/results/tables/*.json", "benchmarks/results/runs/*/*.json")
IN_THE_CLONE = "这张表在 mindclf 仓库的 docs/ 里。This table is in docs/ of mindclf's repository."
BEFORE = ("† 在训练的随机选择相互独立之前所得（见 docs/results.zh.md）。"
          "† From before the random choices of training were independent of each other (see docs/results.md).")
COLUMNS = ("| 运行 run | 测试图片 test images | top-1 | 分钟 minutes | 数据 data | 记录 log |", "|---|---|---|---|---|---|")


def begin(quick):
    """Whether to run in quick mode: `quick`, unless the environment says otherwise, with MINDCLF_QUICK=1 or 0.

    A notebook that is opened in notebooks/ goes to the top of the clone, so that data/ and outputs/ are those of the recipes.
    """
    if not (TOP / "recipes").is_dir():
        raise ValueError("there is no recipes/ beside notebooks/: `mindclf recipes --to DIR` copies both")
    if Path.cwd() == TOP / "notebooks":
        os.chdir(TOP)
    word = os.environ.get("MINDCLF_QUICK", str(int(quick)))
    if word not in ("0", "1"):
        raise ValueError(f"MINDCLF_QUICK={word} must be 1 or 0")
    return word == "1"


def recipe(name):
    """The module recipes/<name>.py, with its `config` and, if it has some, `variants`."""
    if str(TOP / "recipes") not in sys.path:
        sys.path.insert(0, str(TOP / "recipes"))  # recipes import each other
    return importlib.import_module(name)


def training_views(image_set, config):
    """The first batch of training as the net sees it, as `ImageSet` of pixels: augmented, the normalisation undone."""
    config = with_statistics(config, image_set)
    images, labels = next(train_pipeline(image_set, config).create_tuple_iterator(num_epochs=1, output_numpy=True))
    return ImageSet(tuple(Preprocessing.from_config(config).unnormalize(images)), tuple(labels.tolist()), image_set.classes)


def show(image, pixels=None):
    """Shows an image, a PIL image or the path of a file, `pixels` wide and as JPEG: as PNG, drawings make a notebook large."""
    from IPython import display

    image = (image if isinstance(image, Image.Image) else Image.open(image)).convert("RGB")
    if pixels:
        image = image.resize((pixels, round(pixels * image.height / image.width)))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=85)
    return display.Image(buffer.getvalue(), format="jpeg")


def copy_weights(source, target):
    """Gives the Cell `target` the weights of the Cell `source`, whatever they are called: both have them in the same order.

    Weights of `source` that are the parts of one of `target`, as those of a grouped convolution, are joined. Raises ValueError
    where the shapes do not fit.
    """
    parts = [weight.value() for weight in source.get_parameters()]
    for weight in target.get_parameters():
        count = 1
        while sum(len(part) for part in parts[:count]) < len(weight) and count < len(parts):
            count += 1
        taken, parts = parts[:count], parts[count:]
        if sum(map(len, taken)) != len(weight) or any(part.shape[1:] != weight.shape[1:] for part in taken):
            raise ValueError(f"{weight.name} is {weight.shape}, and what the other Cell has there "
                             f"{taken[0].shape if taken else 'nothing'}")
        weight.set_data(type(weight.value())(np.concatenate([part.asnumpy() for part in taken])))
    if parts:
        raise ValueError(f"the other Cell has {len(parts)} weights more")


def check(answer, expected):
    """Says whether `answer`, numbers in any shape, is what an exercise expects; None is no answer yet.

    Whole numbers must be the same, others to a thousandth.

    Raises AssertionError for another answer, without telling the right one.
    """
    if answer is None:
        print("还没有回答。Not answered yet.")
        return
    if np.shape(answer) != np.shape(expected):
        raise AssertionError(f"形状应为 the shape should be {np.shape(expected)}, 而不是 not {np.shape(answer)}")
    tolerance = 0 if np.asarray(expected).dtype.kind == "i" else 1e-3
    if not np.allclose(answer, expected, rtol=tolerance, atol=tolerance / 1000):
        raise AssertionError("还不对，再想想。Not right yet: think again.")
    print("对。Right.")


def table_of_page(page, name):
    """The table between the lines <!-- table NAME --> and <!-- end --> of a page of docs/, Chinese and English: Markdown."""
    if not (TOP / "docs").is_dir():
        return IN_THE_CLONE
    tables = []
    for document in (f"docs/{page}.zh.md", f"docs/{page}.md"):
        found = re.search(rf"<!-- table {name} -->\n(.*?)<!-- end -->", (TOP / document).read_text(encoding="utf-8"), re.DOTALL)
        if not found:
            raise ValueError(f"{document} has no table {name}")
        tables.append(found[1])
    return "\n".join(tables)


def command_of(card):
    """What one types for the run of `card` again."""
    kernels = card.get("device", {}).get("kernels")
    switch = f"MINDCLF_KERNELS={kernels} " if kernels in BFLOAT16 else ""  # others are chosen by themselves
    return switch + card["command"]


def mark(card, run):
    """" †" for a run that was made before the random choices of training were independent of each other, else "".

    Since then a card has digests of the images that were seen; before, runs that were made anew for this say so in their names.
    """
    return "" if "seen_images" in card or run.endswith("_independent") else " †"


def mark_of_row(row, folder):
    """The mark of a row of the comparison in `folder`: that of the cards of its runs."""
    cards = (folder / "runs" / f"{row['variant']}-seed{seed}.json" for seed in row["seeds"])
    return max((mark(json.loads(card.read_text(encoding="utf-8")), folder.name) for card in cards), default="")


def measured(*recipes):
    """What is committed of full runs of `recipes`, a line for each, or that there is none: Markdown."""
    lines = []
    for name in recipes:
        command = f"recipes/{name}.py"
        rows = [row for pattern in RESULTS for file in sorted(TOP.glob(pattern)) for row in _rows(file, command)]
        lines += rows or [f"| `{command}` | | **尚未测量 not measured yet** | | | |"]
    notes = ["", BEFORE] if any("†" in line for line in lines) else []
    return "\n".join([*COLUMNS, *lines, *notes])


def _rows(file, command):
    """The lines that a result has for a recipe, whatever its kind."""
    content = json.loads(file.read_text(encoding="utf-8"))
    if isinstance(content, dict):
        yield from _rows_of(content, file, file.parent.name, command)


def _rows_of(content, file, name, command):
    """The lines of a card, a comparison of variants, or the runs of several seeds."""
    if command not in (content.get("recipe"), *content.get("command", "").split()):
        return
    log = file.relative_to(TOP).as_posix()
    data = content.get("data", {})
    if "metrics" in content:
        test = content["metrics"]["test"]
        yield _row(f"`{command_of(content)}`", test["images"], [test["top1"]], [content["seconds"]],
                   data["origin"], log, mark(content, name))
    elif "rows" in content:
        for row in content["rows"]:
            yield _row(row["variant"], data.get("test", 0), row["top1"], row["seconds_without_pauses"], data.get("origin", ""),
                       log, mark_of_row(row, file.parent))
    elif "runs" in content and "test_images" in content:  # not those of benchmarks/workers.py, which change the recipe
        yield _row(f"`python {content['recipe']} train`", content["test_images"], [run["top1"] for run in content["runs"]],
                   [run["seconds"] for run in content["runs"]], data, log)


def _row(run, images, top1, seconds, data, log, marked=""):
    if not top1:
        return f"| {run} | {images:,} | **失败 failed** | | {data} | `{log}` |"
    seeds = f"，{len(top1)} 个种子的平均 mean of {len(top1)} seeds" if len(top1) > 1 else ""
    return (f"| {run}{seeds} | {images:,} | {statistics.mean(top1):.2%}{marked} | {statistics.mean(seconds) / 60:.1f} | {data} "
            f"| `{log}` |")
