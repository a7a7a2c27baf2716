"""mindclf recipes: the recipes that come with mindclf, and a copy of them with the notebooks."""

import ast
from pathlib import Path

from mindclf.cli.text import print_table, quoted, say

HELP = "list the recipes that come with mindclf, or copy them and the notebooks into a folder"
COPIED = {  # what `--to` copies: a name of mindclf.utils.shipped.SHIPPED, and patterns of its files
    "recipes": ("*.py",), "notebooks": ("*.ipynb", "*.py"),
    "results": ("tables/*.json", "runs/*/*", "runs/*/runs/*"), "checkpoints": ("*.json",),  # which the notebooks quote
}


def add_arguments(parser, recipe):
    parser.add_argument("--to", metavar="DIR", help="a new folder for recipes/ and notebooks/, and the results that these quote")


def run(arguments, config, is_recipe):
    from mindclf.utils.files import one_line
    from mindclf.utils.shipped import shipped

    if arguments.to is None:
        print_table([(file.stem, _title(file)) for file in sorted(shipped("recipes").glob("*.py"))])
        return 0
    folder = copy_out(arguments.to)
    say(f"{one_line(folder)}\n"
        f"a recipe    cd {quoted(arguments.to)} && python recipes/garbage_mobilenet_v2.py train\n"
        f"a notebook  pip install nbclient ipykernel notebook, then jupyter notebook in {quoted(arguments.to)}")
    return 0


def copy_out(destination):
    """Copies recipes, notebooks and what they quote into the new folder `destination`, as a clone has them; returns its path.

    Raises ValueError if something is there already. The folder appears whole or not at all.
    """
    import shutil

    from mindclf.utils.files import new_folder, one_line
    from mindclf.utils.shipped import SHIPPED, shipped

    destination = Path(destination)
    if destination.exists() and not (destination.is_dir() and not any(destination.iterdir())):
        raise ValueError(f"{one_line(destination)} exists and is not an empty folder: nothing is overwritten, name another")
    with new_folder(destination.resolve()) as unfinished:
        for name, patterns in COPIED.items():
            source = shipped(name)
            for file in (file for pattern in patterns for file in sorted(source.glob(pattern)) if file.is_file()):
                target = unfinished / SHIPPED[name] / file.relative_to(source)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, target)
    return destination


def _title(file):
    """The first sentence of the docstring of a recipe."""
    return ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))).splitlines()[0]
