"""Checks the built documentation site: python docs/check_site.py build/docs

Every link within the site must lead to a page or file that is there, and to an anchor that this page has; nothing may be loaded
from elsewhere; every page must be reached by the navigation; and the search index must have words of each language.
"""

import json
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}
OUTSIDE = ("http", "https")


class Page(HTMLParser):
    """`links`, `loaded` and `anchors` of a page, and `navigation`, the links inside <nav>."""

    def __init__(self, text):
        super().__init__()
        self.links, self.loaded, self.navigation, self.anchors, self._depth = [], [], [], set(), 0
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self._depth += tag == "nav"
        self.anchors |= {attributes[name] for name in ("id", "name") if attributes.get(name)}
        if tag == "a" and attributes.get("href"):
            (self.navigation if self._depth else self.links).append(attributes["href"])
        if tag == "link" and attributes.get("rel") in ("canonical", "alternate"):
            return
        if attributes.get(LOADED.get(tag)):
            self.loaded.append(attributes[LOADED[tag]])

    def handle_endtag(self, tag):
        self._depth -= tag == "nav"


def problems(site):
    """Yields what is wrong with the site in the folder `site`, a line each."""
    pages = {file.resolve(): Page(file.read_text(encoding="utf-8")) for file in sorted(site.rglob("*.html"))}
    reached = set()
    for file, page in pages.items():
        name = file.relative_to(site.resolve())
        for link in page.links + page.navigation + page.loaded:
            yield from (f"{name}: {said}" for said in _wrong_link(link, file, pages))
        for address in page.loaded:
            if urlsplit(address).scheme in OUTSIDE or address.startswith("//"):
                yield f"{name}: loads {address} from elsewhere"
        reached |= {_target(link, file) for link in page.navigation}
    for file in pages.keys() - reached:
        if file.name not in ("404.html", "index.html"):
            yield f"{file.relative_to(site.resolve())} is not in the navigation"
    yield from _wrong_search(site)


def _target(link, file):
    parts = urlsplit(link)
    return (file.parent / unquote(parts.path)).resolve() if parts.path else file


def _wrong_link(link, file, pages):
    parts = urlsplit(link)
    if parts.scheme in (*OUTSIDE, "mailto", "javascript", "data") or file.name == "404.html":  # whose links begin with /
        return
    target = _target(link, file)
    if not target.exists():
        yield f"the link {link} leads nowhere"
    elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
        yield f"the link {link} names an anchor that is not there"


def _wrong_search(site):
    file = site / "search" / "search_index.json"
    if not file.is_file() or not file.with_suffix(".js").is_file():
        yield "there is no search index"
        return
    index = json.loads(file.read_text(encoding="utf-8"))
    text = " ".join(entry["text"] for entry in index["docs"])
    for word in ("validation", "验证"):
        if word not in text:
            yield f"the search index has no {word!r}"


def main(site):
    """Prints the problems, and returns an exit status."""
    found = list(problems(Path(site)))
    for line in found:
        print(line, file=sys.stderr)
    pages = len(list(Path(site).rglob("*.html")))
    print(f"{site}: {pages} pages, {len(found)} problems")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
