"""Writes docs/config.md, the page of all fields and data sets, from their declarations: python docs/write_config.py"""

import os
from pathlib import Path

from mindclf.cli.fields import ABOUT, other_remarks, typed, values
from mindclf.config import GROUPS
from mindclf.dataset.registry import DATA_SETS

PAGE = """# Fields of a config

This page is printed from the declarations in `mindclf/config.py` and `mindclf/dataset/registry.py`, by
`python docs/write_config.py`. `mindclf train --help` shows the same fields.

A field is set in a recipe (`config = dict(epochs=20)`), on the command line (`mindclf train my_photos epochs=20`), or in Python
(`merge({}, {"epochs": 20})` of `mindclf.config`, with a dict, an EasyDict or a list of `"field=value"` texts). On the command
line a value is a Python literal, or a text without quotes. `net_options.width_mult=0.5` sets one entry of a field that is a dict.

A training may have several phases: `phases` is a list with a dict of fields for each. Fields that are marked *per phase* may
stand there; a phase takes all others from the config. `phases.1.epochs=4` sets a field of the second phase. A field that is set
for the whole config later, as on the command line, is replaced in the phases too.

Some fields have a second name, an *alias*. Both names work everywhere, also inside phases and in the configs that cards keep, and
the log says once which one is the field's. Both names of one field at a time are an error.
"""


def page():
    """The text of docs/config.md."""
    parts = [PAGE]
    for group, fields in GROUPS.items():
        rows = [(f"`{name}`", f"`{typed(field.default)}`" if typed(field.default) else "empty", "; ".join(values(field)),
                 "; ".join([field.help, *other_remarks(field)])) for name, field in fields.items()]
        about = f"{ABOUT[group][0].upper()}{ABOUT[group][1:]}."
        parts.append(f"## {group}\n\n{about}\n\n{_table(('field', 'default', 'values', 'what it is'), rows)}")
    rows = [(f"`{name}`", str(len(row.class_index)), row.division, row.download or "there is no download", row.note)
            for name, row in DATA_SETS.items()]
    titles = ("dataset", "classes", "how it is divided", "where it is not on disk", "what it is")
    parts.append(f"## Data sets\n\nmindclf looks for them in `data/`, in the folder that the variable `MINDCLF_DATA` names, and "
                 f"in its cache.\n\n{_table(titles, rows)}")
    return "\n".join(parts)


def _table(titles, rows):
    lines = [titles, ["---"] * len(titles), *rows]
    return "".join(f"| {' | '.join(line)} |\n".replace("<", "&lt;") for line in lines)


if __name__ == "__main__":
    os.environ["MINDCLF_LANG"] = "en"  # the page is in English, whatever the locale here
    Path(__file__).with_name("config.md").write_text(page(), encoding="utf-8")
