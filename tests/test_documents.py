"""The documents say what the results say, and the same in both languages."""

import importlib.util
import re

import pytest

from tests.support.claims import CLAIMS, ROOT, read, shortened

READMES = ("README.md", "README_CN.md")
ENGLISH_ONLY = {"api", "cli", "config", "reliability", "upstream"}  # pages for developers, or printed from the code
PAGES = sorted(file.relative_to(ROOT).as_posix() for file in (ROOT / "docs").rglob("*.md"))
BILINGUAL = [READMES, *((page, page.replace(".md", ".zh.md")) for page in PAGES
                        if not page.endswith(".zh.md") and page.removeprefix("docs/").removesuffix(".md") not in ENGLISH_ONLY)]
MAX_README = 10_000  # bytes: one screen and a bit


def load_tables():
    spec = importlib.util.spec_from_file_location("tables", ROOT / "benchmarks" / "tables.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("document", load_tables().TABLES)
def test_the_tables_are_those_of_the_results(document):
    text = (ROOT / document).read_text(encoding="utf-8")
    assert load_tables().with_tables(document, text) == text, "run python benchmarks/tables.py"


@pytest.mark.parametrize("readme", READMES)
def test_a_readme_is_short(readme):
    assert (ROOT / readme).stat().st_size <= MAX_README


@pytest.mark.parametrize(("english", "chinese"), BILINGUAL)
def test_both_languages_show_the_same_commands_figures_and_sections(english, chinese):
    assert (ROOT / chinese).is_file(), f"{english} has no Chinese side: write {chinese}, or name it in ENGLISH_ONLY"
    english, chinese = ((ROOT / file).read_text(encoding="utf-8") for file in (english, chinese))
    blocks = re.compile(r"```\w*\n(.*?)```", re.DOTALL)

    def commands(text):
        return [line.split("#")[0].strip() for block in blocks.findall(text) for line in block.splitlines()]

    def figures(text):
        return re.findall(r"\d+\.\d+(?=\s?%)", blocks.sub("", text))

    def sections(text):
        return [len(marks) for marks in re.findall(r"^(#+) ", blocks.sub("", text), re.MULTILINE)]

    assert commands(english) == commands(chinese)
    assert sorted(figures(english)) == sorted(figures(chinese))
    assert sections(english) == sections(chinese)


@pytest.mark.parametrize(("claim", "document"), [
    pytest.param(claim, document, id=f"{document}, {claim.result}") for claim in CLAIMS for document in claim.words])
def test_sentences_tell_the_figures_of_the_results(claim, document):
    sentence = claim.words[document].format(**claim.figures(read(claim.result)))
    text = (ROOT / document).read_text(encoding="utf-8")
    assert without_blanks(sentence) in without_blanks(text), f"{document} should say: {sentence}"


def without_blanks(text):
    """`text` as far as it matters here: "97.7 %" is "97.7%", and a line may break anywhere."""
    return re.sub(r"\s+", "", text)


def test_claims_are_made_in_both_languages():
    pairs = [set(pair) for pair in BILINGUAL]
    for claim in CLAIMS:
        assert set(claim.words) in (*pairs, {"docs/reliability.md"})


def test_the_steps_that_bfloat16_shortens_most_and_least_are_those_that_are_named():
    parts = {net: round(part, 2) for net, part in shortened(read("benchmarks/results/tables/speed_bfloat16.json")).items()}
    least, most = min(parts.values()), max(parts.values())
    assert [net for net, part in parts.items() if part == least] == ["resnet18"]
    assert {net for net, part in parts.items() if part == most} == {"asymmnet_large", "shufflenet_v1"}


@pytest.mark.parametrize("document", [*READMES, "CONTRIBUTING.md", "mindclf/nets/README.md", *PAGES])
def test_paths_and_links_in_the_documents_exist(document):
    text = (ROOT / document).read_text(encoding="utf-8")
    for path in re.findall(r"`((?:mindclf|recipes|tests|benchmarks|checkpoints|docs|notebooks)/[\w./]+)`", text):
        assert (ROOT / path).exists(), path
    for link in re.findall(r"\]\(([^)\s#]+)", text):
        assert "://" in link or (ROOT / document).parent.joinpath(link).exists(), link


def test_the_tests_that_documents_name_exist():
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8"))
    assert len(named) > 30
    for file, test in named:
        assert re.search(rf"^def {test}\(", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE), f"{file}::{test}"


def test_no_document_or_card_names_this_machines_folders():
    for pattern in ("*.md", "docs/**/*.md", "checkpoints/*.json", "benchmarks/**/*.json"):
        for file in ROOT.glob(pattern):
            assert not re.search(r"[\"`' ]/(?:work|root|home|Users)/", file.read_text(encoding="utf-8")), file.name
