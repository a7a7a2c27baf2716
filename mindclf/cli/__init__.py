"""The command line: `mindclf`, and each recipe with its own config. MindSpore is imported only by the commands that need it."""

import logging
import os
import sys

from mindclf.cli import compare, train
from mindclf.cli.parser import Recipe, make_parser, parse
from mindclf.cli.text import USER_ERROR, complain
from mindclf.cli.welcome import welcome
from mindclf.config import merge
from mindclf.own_images import own_images
from mindclf.utils.language import check_language
from mindclf.utils.logs import LogHandler


def main(argv=None, config=None, variants=None, **fields):
    """Runs one command and returns its exit status: 0, or 2 after one line on standard error about what the user can fix.

    Without any words, `mindclf` says what one can do.
    A training that SIGINT or SIGTERM stopped returns 130 or 143, after a line that says how to resume it.

    `config`, a dict or an EasyDict, and the keyword arguments `fields` are a recipe's: what its commands start from. Without
    any they start from mindclf.config.DEFAULTS. A recipe with `variants`, {name: the fields in which it differs}, has the command
    `compare` besides.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # not in a notebook
            stream.reconfigure(errors="replace")  # a terminal that cannot show Chinese gets question marks, not a traceback
    try:
        check_language()
    except ValueError as error:
        complain(str(error))
        return USER_ERROR
    recipe = Recipe({**(config or {}), **fields}, variants or {}) if config is not None or fields else None
    if recipe is None and not (sys.argv[1:] if argv is None else argv):
        welcome()
        return 0
    arguments = parse(make_parser(recipe), argv, recipe is not None)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[LogHandler(sys.stderr)])
    if arguments.command in (train, compare):
        logging.getLogger("mindclf").setLevel(logging.INFO)
    from mindclf.utils.cache import use_cache
    from mindclf.utils.files import first_line

    try:
        asked_for = _asked_for(arguments)
        config = merge(own_images(arguments.own_folder, asked_for, getattr(arguments, "best", False)) if arguments.own_folder
                       else recipe.config if recipe else {}, asked_for)
        use_cache(config.cache_dir)
        return arguments.command.run(arguments, config, recipe is not None)
    except BrokenPipeError:  # whoever reads our output has seen enough, as in `mindclf predict photos/ | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, OSError) as error:
        complain(first_line(error))  # MindSpore's own go on for twenty
        return USER_ERROR
    except KeyboardInterrupt as stop:
        complain(str(stop) or "stopped")
        return getattr(stop, "status", 130)  # 128 + the number of SIGINT


def _asked_for(arguments):
    """The "field=value" texts of the command line, those of options such as --device too."""
    fields = {text.partition("=")[0] for text in arguments.fields}
    for name in (text.partition("=")[0] for text in arguments.options):
        if name in fields:
            raise ValueError(f"{name} is given as a field and as an option: give one")
    return [*arguments.fields, *arguments.options]
