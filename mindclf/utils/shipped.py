"""What comes with mindclf besides its code: checkpoints, recipes, notebooks and the results that they quote."""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
# Name: where it lies in a clone. An installed mindclf has it inside the package, under the name: setup.py puts it there.
SHIPPED = {"checkpoints": "checkpoints", "recipes": "recipes", "notebooks": "notebooks", "results": "benchmarks/results"}


def shipped(name, package=PACKAGE):
    """The folder of what is called `name` in SHIPPED: inside the installed `package`, or else in the clone around it.

    The package itself where there is neither.
    """
    places = (package / name, package.parent / SHIPPED[name])
    return next((folder for folder in places if folder.is_dir()), package)
