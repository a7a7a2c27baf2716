"""Builds the documentation site into build/docs, and checks it: `make docs`, or python docs/build_site.py with the extra `docs`.

The pages are those of docs/ and, from elsewhere in the repository, the READMEs of nets and kernels and the logs of the results.
Pages link to these by their path in the repository, as in ../benchmarks/results/tables/speed.json, which works on the site of a
repository too. They are copied to build/docs_source, where such links become links within the site.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import check_site
import look_at_site

ROOT = Path(__file__).resolve().parent.parent
SOURCE, SITE = ROOT / "build" / "docs_source", ROOT / "build" / "docs"
PAGES = {"mindclf/nets/README.md": "nets.md", "mindclf/kernels/README.md": "kernels.md"}
LOGS = {"benchmarks/results/tables": "logs/tables", "benchmarks/results/runs": "logs/runs", "checkpoints": "logs/checkpoints"}
LINK = re.compile(r"(?<=\]\()((?:\.\./)+)([\w./-]+)")


def main():
    collect()
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run([sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict"], cwd=ROOT, env=environment)
    return built.returncode or check_site.main(SITE) or look_at_site.main(SITE)


def collect():
    """Makes build/docs_source anew."""
    shutil.rmtree(SOURCE, ignore_errors=True)
    shutil.copytree(ROOT / "docs", SOURCE, ignore=shutil.ignore_patterns("*.py", "*.txt", "__pycache__"))
    for file, page in PAGES.items():
        shutil.copyfile(ROOT / file, SOURCE / page)
    for folder, place in LOGS.items():
        for file in (ROOT / folder).rglob("*"):
            if file.suffix in (".json", ".csv", ".png"):
                (SOURCE / place / file.relative_to(ROOT / folder)).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, SOURCE / place / file.relative_to(ROOT / folder))
    for page in SOURCE.rglob("*.md"):
        text = page.read_text(encoding="utf-8")
        page.write_text(with_links_within(text, page.relative_to(SOURCE)), encoding="utf-8")


def with_links_within(text, page):
    """The Markdown of a `page`, a path below docs/, with links to files of the repository that lead to where these are copied."""
    def link(match):
        path = os.path.normpath(os.path.join("docs", page.parent, match[1], match[2]))
        place = PAGES.get(path) or next((path.replace(folder, place, 1) for folder, place in LOGS.items()
                                         if path.startswith(f"{folder}/")), None)
        return os.path.relpath(place, page.parent) if place else match[0]

    return LINK.sub(link, text)


if __name__ == "__main__":
    sys.exit(main())
