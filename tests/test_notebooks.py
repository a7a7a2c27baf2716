"""The notebooks: executed as committed, in two languages, without a trace of the machine; and one of them is run anew."""

import ast
import importlib.util
import json
import re
from pathlib import Path

import pytest

from notebooks import support as shared_by_notebooks

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
NAMES = {"caltech16_compare", "cifar10_mobilenet_v1", "cifar10_shufflenet_v1", "flowers102_two_phase", "garbage_mobilenet_v2",
         "traps"}
MOST_BYTES = 650_000


def read(name):
    return json.loads((NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8"))


def cells(name, kind):
    return [cell for cell in read(name)["cells"] if cell["cell_type"] == kind]


def texts(outputs):
    """All that is text in the outputs of a cell."""
    for output in outputs:
        parts = [output.get("text", []), *(value for kind, value in output.get("data", {}).items() if kind.startswith("text/"))]
        yield from ("".join(part) for part in parts)


def test_there_is_one_for_each_system_and_one_on_traps():
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
    sources = ["".join(cell["source"]) for cell in cells(name, "code")]
    assert sources[0].startswith("QUICK = True") and "QUICK = begin(QUICK)" in sources[1]
    defined = [node for source in sources for node in ast.walk(ast.parse(source))
               if isinstance(node, (ast.FunctionDef, ast.ClassDef))]
    assert len(defined) <= (2 if name == "traps" else 0)  # its demonstrations


@pytest.mark.parametrize("name", sorted(NAMES))
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


def test_one_runs_from_end_to_end(tmp_path):
    for module in ("nbclient", "ipykernel"):
        pytest.importorskip(module, reason=f"needs {module}: pip install '.[notebooks]'")
    spec = importlib.util.spec_from_file_location("run_notebooks", NOTEBOOKS / "run.py")
    run = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(run)
    executed = run.execute(NOTEBOOKS / "garbage_mobilenet_v2.ipynb", tmp_path)
    assert [cell.execution_count for cell in executed.cells if cell.cell_type == "code"]
    said = "\n".join(text for cell in executed.cells if cell.cell_type == "code" for text in texts(cell.outputs))
    assert "drawings made by mindclf, no photos" in said and str(tmp_path) not in said
    assert int(re.search(r"(\d+) 张测试图片", said)[1]) == 78
    assert float(re.search(r"top-1 ([\d.]+)%, top-5", said)[1]) > 20  # chance is 4
    assert (tmp_path / "outputs" / "notebooks" / "garbage_mobilenet_v2" / "run" / "best.ckpt").is_file()
    assert executed.metadata == run.METADATA
