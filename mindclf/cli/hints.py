"""Hints for a command line that is not understood: typing errors in commands and options, and fields that look like options."""

import difflib

from mindclf.config import ALIASES, FIELDS, OTHER_NAMES
from mindclf.utils.hints import did_you_mean

KNOWN = {**{name: name for name in FIELDS}, **ALIASES, **OTHER_NAMES}  # what people call fields: their names
SIMILAR = 0.7  # of an option, as difflib measures it: they are shorter than fields


def unknown_command(word, commands):
    """The message on a first word that is none of the `commands`."""
    return f"unknown command {word!r}; " + did_you_mean(word, commands, f"the commands are: {', '.join(commands)}")


def unknown_arguments(rest, argv, parser):
    """The message on `rest`, words of `argv` that the `parser` of a command does not take."""
    message = f"unrecognized arguments: {' '.join(rest)}"
    option = next((word for word in rest if word.startswith("--")), "")
    name = option[2:].partition("=")[0].replace("-", "_")
    options = [text for action in parser._actions for text in action.option_strings]
    similar = difflib.get_close_matches(option.partition("=")[0], options, n=1, cutoff=SIMILAR)
    takes_fields = any("field=value" in str(action.metavar) for action in parser._actions)
    field = KNOWN.get(name) or next((KNOWN[close] for close in difflib.get_close_matches(name, KNOWN, n=1) if not similar), None)
    if takes_fields and field:
        return f"{message}; a field is set without dashes: write {field}={_value(option, argv)}"
    return f"{message}; did you mean {similar[0]}?" if similar else message


def _value(option, argv):
    """What `option`, a word of `argv`, is to be set to; VALUE where nothing says it."""
    if "=" in option:
        return option.partition("=")[2]
    following = argv[argv.index(option) + 1:][:1]
    return next((word for word in following if not word.startswith("-")), "VALUE")
