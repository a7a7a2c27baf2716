"""Parser of the command line: the commands, each of which adds its own arguments.

A command is a module with HELP, add_arguments(parser, recipe) and run(arguments, config, is_recipe), which returns the exit
status. One whose words are not all fields has sort_words(arguments, parser, is_recipe) too.
"""

import sys
from typing import NamedTuple

from mindclf import __version__
from mindclf.cli import (
    calibrate,
    compare,
    convert,
    demo,
    doctor,
    evaluate,
    explain,
    export,
    features,
    find_lr,
    launch,
    nets,
    predict,
    quantize,
    recipes,
    show,
    similar,
    split,
    stats,
    summary,
    train,
    weights,
)
from mindclf.cli.help import HelpFormatter, Parser, PlainHelpFormatter
from mindclf.cli.hints import unknown_arguments, unknown_command

COMMANDS = {
    "train": train, "show": show, "find-lr": find_lr, "launch": launch, "compare": compare, "eval": evaluate,
    "calibrate": calibrate, "predict": predict, "explain": explain, "demo": demo, "features": features, "similar": similar,
    "export": export, "quantize": quantize, "convert": convert, "split": split, "stats": stats, "doctor": doctor, "nets": nets,
    "weights": weights, "summary": summary, "recipes": recipes,
}
OF_RECIPES = ("train", "show", "find-lr", "eval", "predict", "explain", "demo", "export")  # and compare, if they have variants


class Recipe(NamedTuple):
    """What a recipe starts from: the fields that it sets, and {name: the fields in which a variant differs}."""

    config: dict
    variants: dict


def make_parser(recipe):
    """The parser of `mindclf`, or that of a `Recipe`."""
    parser = Parser(
        prog=None if recipe else "mindclf", formatter_class=HelpFormatter,
        description=None if recipe else "Image classification on MindSpore: train, evaluate, predict, explain, export.",
        epilog="field=value sets a field of the config, as in epochs=2: `train --help` and docs/config.md list them.")
    parser.add_argument("--version", action="version", version=f"mindclf {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        if name in OF_RECIPES or (bool(recipe and recipe.variants) if name == "compare" else not recipe):
            sub = commands.add_parser(name, help=command.HELP, description=command.HELP,
                                      formatter_class=PlainHelpFormatter if name == "train" else HelpFormatter)
            sub.set_defaults(name=name, command=command, parser=sub, options=[], fields=[], own_folder=None)
            command.add_arguments(sub, recipe)
    return parser


def parse(parser, argv, is_recipe):
    """The arguments, with words also after an option: argparse itself takes those before the first option only."""
    argv = sys.argv[1:] if argv is None else argv
    if empty := [before for before, word in zip(["", *argv], argv) if not word]:
        parser.error(f"the word after {empty[0] or parser.prog} is empty, as that of a variable which is not set: give its "
                     f"value, or leave it out")
    commands = parser.commands()
    if argv and not argv[0].startswith("-") and argv[0] not in commands:
        parser.error(unknown_command(argv[0], commands))
    arguments, rest = parser.parse_known_args(argv)
    if rest and (not hasattr(arguments, "words") or any(word.startswith("-") and word != "-" for word in rest)):
        parser.error(unknown_arguments(rest, argv, arguments.parser))
    if hasattr(arguments, "words"):
        arguments.words += rest
        if hasattr(arguments.command, "sort_words"):
            arguments.command.sort_words(arguments, parser, is_recipe)
        else:
            arguments.fields = arguments.words
    return arguments
