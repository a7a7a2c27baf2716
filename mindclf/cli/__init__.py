"""The command line: `mindclf`, and each recipe with its own config. MindSpore is imported only by the commands that need it."""

import logging
import os
import sys

from mindclf.cli import training
from mindclf.cli.parser import make_parser, parse
from mindclf.cli.text import USER_ERROR
from mindclf.config import merge, own_images
from mindclf.utils.cache import use_cache
from mindclf.utils.files import first_line


def main(argv=None, config=None, variants=None):
    """Runs one command and returns its exit status: 0, or 2 after one line on standard error about what the user can mend.

    A training that SIGINT or SIGTERM stopped returns 130 or 143, after a line that says how to go on.

    `config` is a recipe's: what its commands start from. Without one they start from mindclf.config.DEFAULTS. A recipe with
    `variants`, {name: the fields in which it differs}, has the command `compare` besides.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # not in a notebook
            stream.reconfigure(errors="replace")  # a terminal that cannot show Chinese gets question marks, not a traceback
    is_recipe = config is not None
    arguments = parse(make_parser(is_recipe, variants or {}), argv, is_recipe)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    if arguments.command in (training.train, training.compare):
        logging.getLogger("mindclf").setLevel(logging.INFO)
    try:
        own_folder = getattr(arguments, "own_folder", None)
        start = own_images(own_folder) if own_folder else config or {}
        fields = list(getattr(arguments, "fields", []))
        if getattr(arguments, "max_pixels", None) is not None:
            fields.append(f"max_pixels={arguments.max_pixels}")
        config = merge(start, fields)
        use_cache(config.cache_dir)
        return arguments.command(arguments, config, is_recipe)
    except BrokenPipeError:  # whoever reads our output has seen enough, as in `mindclf predict photos/ | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, OSError) as error:
        print(f"mindclf: {first_line(error)}", file=sys.stderr)  # MindSpore's own go on for twenty
        return USER_ERROR
    except KeyboardInterrupt as stop:
        wipe = "\r\x1b[K" if sys.stderr.isatty() else ""  # the line that shows progress
        print(f"{wipe}mindclf: {stop or 'stopped'}", file=sys.stderr)
        return getattr(stop, "status", 130)  # 128 + the number of SIGINT
