"""Looks at the built site in Chromium, at the width of a laptop and of a phone: python docs/look_at_site.py build/docs [FOLDER]

The files are opened without a server and without network. Nothing may be cut off at the right, nothing may be asked for
elsewhere, and the search must find English and Chinese words. It leaves screenshots in FOLDER, if one is named.
"""

import json
import shutil
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT))

from tests.support.browser import Browser  # noqa: E402  it steers the browser for the tests of the demo page too

CHROMIUM = shutil.which("chromium")
WIDTHS = (1280, 390)
# What reaches past the window, but for what scrolls inside an element of its own; the texts of what it finds.
CUT_OFF = """[...document.querySelectorAll("article *")].filter(element => {
    const edge = element.getBoundingClientRect()
    if (edge.right <= innerWidth + 1 || !edge.width) return false
    for (let outer = element.parentElement; outer; outer = outer.parentElement)
        if (["auto", "scroll"].includes(getComputedStyle(outer).overflowX)) return false
    return true
}).slice(0, 3).map(element => element.tagName + ": " + element.innerText.slice(0, 60))"""
TOO_WIDE = """[...document.querySelectorAll(".md-typeset__scrollwrap")].filter(table => table.scrollWidth > table.clientWidth)
    .map(table => "a table is too wide: " + table.innerText.slice(0, 60))"""
SEARCHES = (("index.html", "validation"), ("zh/index.html", "验证集"), ("zh/index.html", "学习率"))
FOUND = """[...document.querySelectorAll(".md-search-result__item")].length"""


def main(site, screenshots=None):
    """Prints what is wrong, and returns an exit status."""
    if CHROMIUM is None:
        print(f"{site}: not looked at in a browser, for there is no Chromium here (Debian: apt-get install chromium)")
        return 0
    site = Path(site).resolve()
    with tempfile.TemporaryDirectory() as folder:
        browser = Browser(CHROMIUM, Path(folder))
        try:
            found = [*_widths(browser, site, screenshots and Path(screenshots)), *_searches(browser, site)]
            found += [f"asks for {address}" for address in sorted(set(browser.requests)) if address.startswith("http")]
        finally:
            browser.close()
    for line in found:
        print(line, file=sys.stderr)
    print(f"{site.name}: looked at in Chromium at {' and '.join(map(str, WIDTHS))} pixels, {len(found)} problems")
    return 1 if found else 0


def _widths(browser, site, screenshots):
    """Yields what reaches past the window, for each page and width."""
    for page in sorted(site.rglob("*.html")):
        name = page.relative_to(site).as_posix()
        if name == "404.html":  # whose links begin with /, for a server
            continue
        for width in WIDTHS:
            browser.resize(width, 900, mobile=width < 500)
            _open(browser, page)
            wide = browser.script("document.documentElement.scrollWidth")
            cut_off = browser.script(CUT_OFF) + (browser.script(TOO_WIDE) if width == max(WIDTHS) else [])
            if wide > width or cut_off:
                yield f"{name} at {width} pixels: {wide} wide; {'; '.join(cut_off)}"
            if screenshots:
                screenshots.mkdir(parents=True, exist_ok=True)
                browser.screenshot(screenshots / f"{name.replace('/', '_').removesuffix('.html')}_{width}.png")


def _searches(browser, site):
    """Yields the words that the search does not find."""
    browser.resize(WIDTHS[0], 900)
    for page, word in SEARCHES:
        _open(browser, site / page)
        browser.script("document.querySelector('[data-md-toggle=search]').click()")
        browser.script(f"""(input => {{ input.focus(); input.value = {json.dumps(word)};
                           input.dispatchEvent(new Event("keyup", {{bubbles: true}}));
                           input.dispatchEvent(new Event("input", {{bubbles: true}})) }})(
                           document.querySelector(".md-search__input"))""")
        try:
            browser.wait_for(f"{FOUND} > 0", seconds=20)
        except AssertionError:
            yield f"{page}: the search finds nothing for {word!r}"


def _open(browser, page):
    browser.open("about:blank")
    browser.open(page.as_uri())
    browser.wait_for("document.readyState === 'complete' && document.querySelector('article')")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
