"""The documentation site, as far as it needs none of its tools: `make docs` builds it and looks at it."""

import ast
import doctest
import importlib.util
import re
import sys
from collections import Counter
from pathlib import Path

import pytest

pytestmark = pytest.mark.usefixtures("uncompiled")

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
COPIED = {"nets.md", "kernels.md"}  # into the site, from elsewhere in the repository: see docs/build_site.py
NAVIGATION = re.findall(r"^ +- .+: ([\w/]+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:")[2],
                        re.MULTILINE)


def load(name):
    """The script docs/<name>.py as a module."""
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_page_is_in_the_navigation_once_and_every_entry_is_a_page():
    pages = {file.relative_to(DOCS).as_posix() for file in DOCS.rglob("*.md") if not file.name.endswith(".zh.md")}
    assert [page for page, count in Counter(NAVIGATION).items() if count > 1] == []
    assert sorted(pages - set(NAVIGATION)) == [], "pages that the nav of mkdocs.yml lacks"
    assert sorted(set(NAVIGATION) - pages - COPIED) == [], "entries of the nav in mkdocs.yml that are no pages"


def test_every_title_of_the_navigation_has_its_chinese():
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    titles = set(re.findall(r"^ +- ([^:]+):", text.partition("\nnav:")[2], re.MULTILINE))
    chinese = re.search(r"nav_translations:\n((?: {12}.+\n)+)", text)[1]
    translated = set(re.findall(r"^ {12}([^:]+): .*", chinese, re.MULTILINE))
    assert titles and titles <= translated  # which has those of pages to come too


def test_what_make_docs_installs_is_the_extra_of_setup():
    needed = (DOCS / "requirements.txt").read_text(encoding="utf-8").split()
    extra = re.search(r'"docs": \[(.*?)\],', (ROOT / "setup.py").read_text(encoding="utf-8"), re.DOTALL)[1]
    assert needed == re.findall(r'"(.+?)"', extra)


def texts_of(file):
    """The texts in a Python file, with "..." for what is put in."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.JoinedStr):
            yield "".join(part.value if isinstance(part, ast.Constant) else "..." for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield re.sub(r"%(?:\.\d)?[sdfg]", "...", node.value)


@pytest.fixture(scope="module")
def texts():
    """All texts of mindclf, and those of the Makefile, lines of one text each."""
    of_code = (text for file in sorted((ROOT / "mindclf").rglob("*.py")) for text in texts_of(file))
    return "\n".join([*(" ".join(text.split()) for text in of_code), (ROOT / "Makefile").read_text(encoding="utf-8")])


MESSAGES = re.findall(r"^### `(.+)`$", (DOCS / "troubleshooting.md").read_text(encoding="utf-8"), re.MULTILINE)


def test_the_messages_that_people_meet_are_twenty_and_more_in_both_languages():
    assert len(MESSAGES) >= 20
    chinese = (DOCS / "troubleshooting.zh.md").read_text(encoding="utf-8")
    assert re.findall(r"^### `(.+)`$", chinese, re.MULTILINE) == MESSAGES


@pytest.mark.parametrize("message", MESSAGES)
def test_a_message_of_the_page_on_troubles_is_in_the_code(message, texts):
    """Its parts, between what is put in, of three words or more; what is put in may be a text of its own."""
    parts = [part.strip(" :;,()") for part in message.split("...")]
    telling = [part for part in parts if len(part.split()) > 2] or [max(parts, key=len)]
    for part in telling:
        assert part in texts, f"no message of mindclf says: {part}"


@pytest.mark.parametrize("page", ["api.md", "cards.md", "cards.zh.md"])
def test_the_examples_of_a_page_are_true(page, monkeypatch):
    monkeypatch.chdir(ROOT)
    text = (DOCS / page).read_text(encoding="utf-8")
    test = doctest.DocTestParser().get_doctest(text, {}, page, page, 0)
    assert len(test.examples) > 3
    failed, _ = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=sys.stdout.write)
    assert not failed


LINK = '<nav><a href="index.html">1</a><a href="b.html">2</a></nav>'


@pytest.fixture
def site(tmp_path):
    """A site of two pages without a fault."""
    (tmp_path / "search").mkdir()
    (tmp_path / "search" / "search_index.json").write_text('{"docs": [{"text": "validation 验证"}]}', encoding="utf-8")
    (tmp_path / "search" / "search_index.js").touch()
    (tmp_path / "index.html").write_text(f'{LINK}<a href="b.html#part">b</a><img src="i.png"><h1 id="top">', encoding="utf-8")
    (tmp_path / "b.html").write_text(f'{LINK}<h2 id="part">', encoding="utf-8")
    (tmp_path / "i.png").touch()
    return tmp_path


def test_a_site_without_faults_passes(site):
    assert list(load("check_site").problems(site)) == []


@pytest.mark.parametrize(("page", "fault"), [
    ('<a href="c.html">', "b.html: the link c.html leads nowhere"),
    ('<a href="index.html#down">', "b.html: the link index.html#down names an anchor that is not there"),
    ('<a href="#down">', "b.html: the link #down names an anchor that is not there"),
    ('<img src="j.png">', "b.html: the link j.png leads nowhere"),
    ('<script src="https://example.com/x.js">', "b.html: loads https://example.com/x.js from elsewhere"),
    ('<link rel="stylesheet" href="https://example.com/x.css">', "b.html: loads https://example.com/x.css from elsewhere"),
])
def test_a_fault_of_a_page_is_found(site, page, fault):
    (site / "b.html").write_text(f'{LINK}<h2 id="part">{page}', encoding="utf-8")
    assert list(load("check_site").problems(site)) == [fault]


def test_a_page_outside_the_navigation_and_a_search_without_chinese_are_found(site):
    (site / "c.html").write_text(LINK, encoding="utf-8")
    (site / "search" / "search_index.json").write_text('{"docs": [{"text": "validation"}]}', encoding="utf-8")
    assert list(load("check_site").problems(site)) == ["c.html is not in the navigation", "the search index has no '验证'"]


def test_links_to_files_of_the_repository_lead_to_their_copies(monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS))
    build = load("build_site")
    text = "[a](../benchmarks/results/tables/x.json) [b](../mindclf/nets/README.md#x) [c](other.md) [d](https://e.f/../g)"
    assert build.with_links_within(text, Path("p.md")) == (
        "[a](logs/tables/x.json) [b](nets.md#x) [c](other.md) [d](https://e.f/../g)")
    assert build.with_links_within("[a](../../checkpoints/x.json) [b](../p.md)", Path("how_to/p.zh.md")) == (
        "[a](../logs/checkpoints/x.json) [b](../p.md)")
