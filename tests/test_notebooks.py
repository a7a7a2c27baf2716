"""The notebooks: executed as committed, in two languages, without a trace of the machine; and one of them is run anew."""

import ast
import importlib
import importlib.util
import json
import re
from pathlib import Path

import pytest

from notebooks import support as shared_by_notebooks
from tests.support.imports import imports_of_ours

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
SYSTEMS = {"caltech16_compare", "cifar10_mobilenet_v1", "cifar10_shufflenet_v1", "flowers102_two_phase", "garbage_mobilenet_v2"}
NAMES = SYSTEMS | {"own_photos", "traps"}
MOST_BYTES = 700_000


def read(name):
    return json.loads((NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8"))


def cells(name, kind):
    return [cell for cell in read(name)["cells"] if cell["cell_type"] == kind]


def texts(outputs):
    """All that is text in the outputs of a cell."""
    for output in outputs:
        parts = [output.get("text", []), *(value for kind, value in output.get("data", {}).items() if kind.startswith("text/"))]
        yield from ("".join(part) for part in parts)


def sources(name):
    return ["".join(cell["source"]) for cell in cells(name, "code")]


def printed(name, word):
    """What the cells whose source has `word` print, as one text."""
    return "\n".join(text for cell in cells(name, "code") if word in "".join(cell["source"]) for text in texts(cell["outputs"]))


def cells_from(name, heading):
    """The cells of all kinds from the one on that has `heading`, a regular expression."""
    whole = read(name)["cells"]
    return whole[next(index for index, cell in enumerate(whole) if re.search(heading, "".join(cell["source"]))):]


def definitions(name, kind):
    return [node for source in sources(name) for node in ast.walk(ast.parse(source)) if isinstance(node, kind)]


def test_there_is_one_for_each_system_one_on_traps_and_one_on_photos():
    assert {path.stem for path in NOTEBOOKS.glob("*.ipynb")} == NAMES


@pytest.mark.parametrize("name", sorted(NAMES))
def test_it_was_executed_in_order_without_errors(name):
    code = cells(name, "code")
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell["outputs"]]
    assert not [output for output in outputs if output["output_type"] == "error" or output.get("name") == "stderr"]
    assert sum(any(kind.startswith("image/") for kind in output.get("data", {})) for output in outputs) >= 4


@pytest.mark.parametrize("name", sorted(NAMES))
def test_it_says_nothing_of_the_machine_or_the_time(name):
    path = NOTEBOOKS / f"{name}.ipynb"
    assert path.stat().st_size <= MOST_BYTES
    notebook = read(name)
    assert set(notebook["metadata"]) == {"kernelspec", "language_info"}
    assert notebook["metadata"]["language_info"] == {"name": "python"}
    for cell in notebook["cells"]:
        assert cell["metadata"] == {}
        for text in ["".join(cell["source"]), *texts(cell.get("outputs", []))]:
            assert not re.search(r"(?<![\w.])/(?:tmp|work|home|root|Users|mnt)/|\.\./shared|0x[0-9a-f]{8}", text), text


@pytest.mark.parametrize("name", sorted(NAMES))
def test_it_explains_itself_in_chinese_and_english(name):
    for cell in cells(name, "markdown"):
        text = "".join(cell["source"])
        assert re.search(r"[a-z]{3}", text), text
        headings = [line for line in text.splitlines() if line.startswith("#")]
        body = re.sub(r"^#.*$", "", text, flags=re.MULTILINE).strip()
        if body:
            assert re.search(r"[\u4e00-\u9fff]", body) and re.search(r"[a-z]{3} [a-z]{2}", body), body
        assert headings or body


@pytest.mark.parametrize("name", sorted(NAMES))
def test_its_first_line_is_the_flag_and_it_defines_nothing_reusable(name):
    first, second, *_ = sources(name)
    assert first.startswith("QUICK = True") and "QUICK = begin(QUICK)" in second
    allowed = {"traps": 2, "own_photos": 0}  # demonstrations
    assert len(definitions(name, ast.FunctionDef)) <= allowed.get(name, 5)  # two of the Cell, the rest its loop and its checks


@pytest.mark.parametrize("name", sorted(NAMES))
def test_what_it_imports_of_ours_is_there(name):
    count, missing = imports_of_ours("\n".join(sources(name)), {"support": shared_by_notebooks})
    assert count and not missing


@pytest.mark.parametrize("name", sorted(SYSTEMS))
def test_it_writes_one_cell_and_compares_it_with_ours(name):
    [shown] = definitions(name, ast.ClassDef)
    assert [ast.unparse(base) for base in shown.bases] == ["nn.Cell"]
    assert [part.name for part in shown.body if isinstance(part, ast.FunctionDef)] == ["__init__", "construct"]
    [cell] = [source for source in sources(name) if f"class {shown.name}(" in source]
    assert "copy_weights(theirs, ours)" in cell and "assert_allclose(found, expected" in cell
    assert len(re.findall(r"largest difference \de[+-]\d\d", printed(name, f"class {shown.name}("))) == 2


@pytest.mark.parametrize("name", sorted(SYSTEMS))
def test_model_train_and_a_loop_of_ones_own_have_the_same_losses(name):
    [model] = [source for source in sources(name) if "Model(net, loss_function, optimizer" in source]
    for word in ("nn.CrossEntropyLoss", "_lr(", "model.train(", "ModelCheckpoint(", "LossMonitor("):
        assert word in model
    scaled = "FixedLossScaleManager(LOSS_SCALE" in model
    assert scaled == ("loss_scale=LOSS_SCALE" in model)
    [loop] = [source for source in sources(name) if "ms.value_and_grad(" in source]
    assert "optimizer(gradients)" in loop and "assert_allclose(own_losses, losses" in loop
    monitored = [float(loss) for loss in re.findall(r"step: \d+, loss is ([\d.]+)", printed(name, "model.train("))]
    theirs, ours = ([float(loss) for loss in re.findall(r"\d\.\d{4}", line)]
                    for line in printed(name, "ms.value_and_grad(").splitlines())
    assert len(monitored) == len(theirs) == len(ours) >= 6
    assert theirs == pytest.approx(monitored, abs=1e-4) and ours == pytest.approx(theirs, rel=0.01)


@pytest.mark.parametrize("name", sorted(SYSTEMS | {"own_photos"}))
def test_its_quick_run_shows_the_log_of_training(name):
    log = printed(name, {"caltech16_compare": "compare(", "own_photos": "train_folder("}.get(name, "fit(config)"))
    assert re.search(r"\d+ training, \d+ validation and \d+ test images of \d+ classes: drawings made by mindclf, no photos", log)
    if name != "own_photos":  # whose head is solved: it has no epochs
        assert len(re.findall(r"^ +\d+ +\d+  +\d\.\d{4} +[\d.]+% .*\de[-+]\d\d +\d+ +[\d.]+(?: \*)?$", log, re.MULTILINE)) >= 1


@pytest.mark.parametrize("name", sorted(SYSTEMS))
def test_it_shows_mistakes_beside_what_is_right(name):
    last = cells_from(name, "## .* / The mistakes beside what is right")
    computed = [cell for cell in last if cell["id"].startswith("mistakes") and cell["cell_type"] == "code"]
    assert len(computed) >= 4 and all(any(texts(cell["outputs"])) for cell in computed)


@pytest.mark.parametrize("name", sorted(SYSTEMS | {"own_photos"}))
def test_it_ends_with_exercises_that_check_an_answer_and_do_not_tell_it(name):
    last = cells_from(name, r"## \d+ 练习 / Exercises")
    exercises = [cell for cell in last if cell["cell_type"] == "code"]
    assert 3 <= len(exercises) <= 5
    for cell in exercises:
        assert re.search(r"^answer = None", "".join(cell["source"]), re.MULTILINE)
        assert list(texts(cell["outputs"])) == ["还没有回答。Not answered yet.\n"]
    numbers = re.findall(r"^\*\*(\d)\.\*\*", "\n".join("".join(cell["source"]) for cell in last), re.MULTILINE)
    assert len(numbers) in (2 * len(exercises), 2 * len(exercises) + 2)  # in two languages; the last may be a command


@pytest.mark.parametrize("name", sorted(SYSTEMS | {"traps"}))
def test_the_figures_it_quotes_are_those_of_the_results(name, monkeypatch):
    """Markdown that code made of results says today what it said when it ran."""
    quoted = 0
    for cell in cells(name, "code"):
        source = "".join(cell["source"])
        if source.startswith("Markdown("):
            [output] = cell["outputs"]
            expected = eval(source.removeprefix("Markdown"), {**vars(shared_by_notebooks)})
            assert "".join(output["data"]["text/markdown"]) == expected, "run make notebooks"
            quoted += 1
    assert quoted >= 1


def shown(cells):
    """What each code cell shows as text, without numbers, for processors compute a little differently."""
    return [[re.sub(r"\d+", "#", "".join(output.get("text", "") or data.get("text/markdown", "") or data.get("text/plain", "")))
             for output in cell["outputs"] for data in [output.get("data", {})]] for cell in cells if cell["cell_type"] == "code"]


def test_one_runs_from_end_to_end_and_says_what_it_said(tmp_path):
    """The shortest; CI runs another, that trains (see .ci/run), and `make notebooks` all."""
    for module in ("nbclient", "ipykernel"):
        pytest.importorskip(module, reason=f"needs {module}: pip install '.[notebooks]'")
    spec = importlib.util.spec_from_file_location("run_notebooks", NOTEBOOKS / "run.py")
    run = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(run)
    executed = run.execute(NOTEBOOKS / "traps.ipynb", tmp_path)
    assert shown(executed.cells) == shown(read("traps")["cells"])
    assert (tmp_path / "outputs" / "notebooks" / "traps").is_dir()
    assert executed.metadata == run.METADATA
