"""Help on the fields of a config, from their declarations: for `train --help`, and in words for docs/config.md."""

import shutil

from mindclf.config import GROUPS
from mindclf.utils.language import translate, wrap

COLUMN = 28  # of the help text of a field
ABOUT = {  # a group of fields
    "Data": "which images, how they are divided and read, and how those of training are changed at random",
    "Net": "which net, and the weights that it begins with",
    "Training": "which layers learn, for how long, at which learning rate, and against what loss",
    "Run": "where it runs and writes, and what is done besides",
}


def help_text(introduction, recipe):
    """What follows the options in `train --help`: `introduction`, and a line or two for each field.

    `recipe` has the fields that a recipe sets itself, {} without one.
    """
    width = max(60, shutil.get_terminal_size().columns - 2)
    lines = [*wrap(translate(introduction), width), ""] if introduction else []
    of_recipe = f"; this recipe sets {', '.join(recipe)}" if recipe else ""
    lines += wrap(translate(f"Fields, with their defaults{of_recipe}:"), width)
    for group, fields in GROUPS.items():
        lines += ["", *wrap(translate(f"{group}: {ABOUT[group]}"), width)]
        for name, field in fields.items():
            shown = f"  {name}={typed(field.default)}"
            remarks = translate("; ".join([*values(field), *other_remarks(field)]))
            text = translate(field.help) + (f" ({remarks})" if remarks else "")
            lines += [shown] * (len(shown) > COLUMN - 2)
            lines += wrap(text, width, subsequent_indent=" " * COLUMN,
                          initial_indent=(shown if len(shown) <= COLUMN - 2 else "").ljust(COLUMN))
    return "\n".join(lines)


def values(field):
    """Which values the field may have, in words: a list of none or one."""
    if field.choices:
        return ["one of " + ", ".join(choice or "empty" for choice in field.allowed)]
    if isinstance(field.default, bool):
        return ["true or false"]
    if not field.range:
        return []
    span = " to ".join(f"{number:,}" if isinstance(number, int) else f"{number:,g}" for number in field.range)
    return [f"{field.length} numbers, {span}" if field.length else f"{span} {translate(field.unit, words=True)}".strip()]


def other_remarks(field):
    """To which values of another field it is of use, whether phases may set it, and its alias, in words."""
    remarks = []
    if field.meant_for:
        switch, meant = field.meant_for
        remarks.append(f"for {switch}={' or '.join(meant)}")
    if field.per_phase:
        remarks.append("per phase")
    if field.alias:
        remarks.append(f"alias {field.alias}")
    return remarks


def typed(value):
    """`value` as a command line has it."""
    return value if isinstance(value, str) else repr(value)
