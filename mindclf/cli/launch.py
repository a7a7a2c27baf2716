"""mindclf launch: a training by several workers on this machine."""

import argparse

HELP = "train with several workers on this machine, which share the batches"


def add_arguments(parser, recipe):
    parser.usage = "%(prog)s --workers N {RECIPE train|train FOLDER} [field=value ...]"
    parser.add_argument("--workers", type=int, required=True, metavar="N", help="how many; each has batches of batch_size")
    parser.add_argument("training", nargs=argparse.REMAINDER, metavar="RECIPE train ...",
                        help="what to run: recipe.py train field=value ..., or train FOLDER field=value ...")


def run(arguments, config, is_recipe):
    from mindclf.distributed.launch import launch

    return launch(arguments.workers, arguments.training)
