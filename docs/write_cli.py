"""Writes docs/cli.md, the page of all commands, from their parsers: python docs/write_cli.py"""

import argparse
import os
import re
from pathlib import Path

from mindclf.cli.parser import COMMANDS, OF_RECIPES, Recipe, make_parser

PAGE = """# Command line

This page is printed from the parsers in `mindclf/cli/`, by `python docs/write_cli.py`. `mindclf COMMAND --help` shows the same.

- `field=value` sets a [field of the config](config.md), as in `mindclf train my_photos epochs=20`.
- A recipe is a command too: `python recipes/garbage_mobilenet_v2.py train epochs=20`. It knows {of_recipes}, and starts from
  its own config.
- The exit status is 0; 1 for a fault of mindclf; 2 after one line about what you can fix; 130 and 143 for a training that Ctrl-C
  or SIGTERM stopped.
- Results go to standard output, messages to standard error.
"""


def page():
    """The text of docs/cli.md."""
    parsers = {**_parsers(make_parser(Recipe({}, {"variant": {}}))), **_parsers(make_parser(None))}
    parts = [PAGE.format(of_recipes=", ".join(f"`{name}`" for name in (*OF_RECIPES, "compare")))]
    parts += [_section(name, parsers[name]) for name in COMMANDS]
    return "\n".join(parts)


def _parsers(parser):
    """{name of a command: its parser}."""
    [commands] = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return commands.choices


def _section(name, parser):
    usage = parser.usage or " ".join(["%(prog)s", "[options]", *(_shown(action) for action in parser._get_positional_actions())])
    prog = f"python recipes/RECIPE.py {name}" if name == "compare" else f"mindclf {name}"
    rows = [f"| {', '.join(f'`{word}`' for word in _words(action))} | {_help(action)} |"
            for action in parser._actions if action.help != argparse.SUPPRESS and action.dest != "help"]
    first = COMMANDS[name].HELP
    epilog = "" if name == "train" or not parser.epilog else f"\n{_cell(parser.epilog)}\n"
    return (f"## {name}\n\n{first[0].upper()}{first[1:]}.\n\n```\n{usage % {'prog': prog}}\n```\n\n"
            f"| argument | what it is |\n|---|---|\n" + "\n".join(rows) + f"\n{epilog}")


def _shown(action):
    word = action.metavar or action.dest
    return {"*": f"[{word} ...]", "+": f"{word} ...", "?": f"[{word}]"}.get(action.nargs, word)


def _words(action):
    if not action.option_strings:
        return [action.metavar or action.dest]
    takes = action.nargs != 0
    value = action.metavar or (f"{{{','.join(map(str, action.choices))}}}" if action.choices else action.dest.upper())
    return [f"{option} {value}" if takes else option for option in action.option_strings]


def _help(action):
    text = (action.help or "") % {"default": action.default, "prog": "mindclf"}
    return _cell(text)


def _cell(text):
    return re.sub(r"\s+", " ", text).replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    os.environ["MINDCLF_LANG"] = "en"  # the page is in English, whatever the locale here
    Path(__file__).with_name("cli.md").write_text(page(), encoding="utf-8")
