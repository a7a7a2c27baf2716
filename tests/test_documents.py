"""The documents say what the results say, and the two READMEs the same."""

import importlib.util
import re

import pytest

from tests.support.claims import CLAIMS, ROOT, read, shortened

READMES = ("README.md", "README_CN.md")


def load_tables():
    spec = importlib.util.spec_from_file_location("tables", ROOT / "benchmarks" / "tables.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


NETS_README = "mindclf/nets/README.md"


@pytest.mark.parametrize("document", [*READMES, NETS_README])
def test_the_tables_are_those_of_the_results(document):
    text = (ROOT / document).read_text(encoding="utf-8")
    assert load_tables().with_tables(document, text) == text, "run python benchmarks/tables.py"


def test_wilsons_interval():
    # 81 of 263: 0.2553 to 0.3662 (Newcombe, Statistics in Medicine 17, 1998, Table I, method 3)
    assert load_tables().wilson(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)


def test_both_readmes_show_the_same_commands_and_figures():
    english, chinese = ((ROOT / readme).read_text(encoding="utf-8") for readme in READMES)

    def commands(text):
        blocks = re.findall(r"```\w*\n(.*?)```", text, re.DOTALL)
        return [line.split("#")[0].strip() for block in blocks for line in block.splitlines()]

    assert commands(english) == commands(chinese)
    assert re.findall(r"\d+\.\d%", english) == re.findall(r"\d+\.\d%", chinese)


@pytest.mark.parametrize(("claim", "document"), [
    pytest.param(claim, document, id=f"{document}, {claim.result}") for claim in CLAIMS for document in claim.words])
def test_sentences_tell_the_figures_of_the_results(claim, document):
    sentence = claim.words[document].format(**claim.figures(read(claim.result)))
    text = (ROOT / document).read_text(encoding="utf-8")
    assert without_blanks(sentence) in without_blanks(text), f"{document} should say: {sentence}"


def without_blanks(text):
    """`text` as far as it matters here: "97.7 %" is "97.7%", and a line may break anywhere."""
    return re.sub(r"\s+", "", text)


def test_both_readmes_tell_the_same_of_results():
    for claim in CLAIMS:
        assert set(claim.words) in (set(READMES), {"docs/reliability.md"})


def test_the_steps_that_bfloat16_shortens_most_and_least_are_those_that_are_named():
    parts = {net: round(part, 2) for net, part in shortened(read("benchmarks/results/tables/speed_bfloat16.json")).items()}
    least, most = min(parts.values()), max(parts.values())
    assert [net for net, part in parts.items() if part == least] == ["resnet18"]
    assert {net for net, part in parts.items() if part == most} == {"asymmnet_large", "shufflenet_v1"}


@pytest.mark.parametrize("document", [*READMES, "CONTRIBUTING.md", NETS_README, "docs/reliability.md", "docs/launch.md",
                                      "docs/serving.md", "docs/config.md", "docs/coming_from_mindcv.md"])
def test_paths_in_the_documents_exist(document):
    text = (ROOT / document).read_text(encoding="utf-8")
    paths = re.findall(r"`((?:mindclf|recipes|tests|benchmarks|checkpoints|docs|notebooks)/[\w./]+)`", text)
    assert paths
    for path in paths:
        assert (ROOT / path).exists(), path


def test_the_tests_that_documents_name_exist():
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8"))
    assert len(named) > 30
    for file, test in named:
        assert re.search(rf"^def {test}\(", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE), f"{file}::{test}"


def test_no_document_or_card_names_this_machines_folders():
    for pattern in ("*.md", "docs/*.md", "checkpoints/*.json", "benchmarks/**/*.json"):
        for file in ROOT.glob(pattern):
            assert not re.search(r"[\"`' ]/(?:work|root|home|Users)/", file.read_text(encoding="utf-8")), file.name
