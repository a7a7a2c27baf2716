"""mindclf find-lr: a learning-rate range test, and the lr_max that it suggests."""

from mindclf.cli.arguments import add_device, add_fields, fields_and_paths, one_path
from mindclf.cli.text import print_table
from mindclf.config import DEFAULTS

HELP = "raise the learning rate from step to step, and suggest an lr_max by the loss"


def add_arguments(parser, recipe):
    parser.usage = "%(prog)s [options] " + ("" if recipe else "[FOLDER] ") + "[field=value ...]"
    add_fields(parser)
    parser.add_argument("--to", metavar="FILE", help="write the plot of the loss against the learning rate to this file (.png)")
    parser.add_argument("--steps", type=int, default=100, metavar="N", help="steps of the test (100)")
    add_device(parser)


def sort_words(arguments, parser, is_recipe):
    fields, folders = (arguments.words, []) if is_recipe else fields_and_paths(arguments.words)
    arguments.fields, arguments.own_folder = fields, one_path(folders, parser, "find-lr takes one folder of images")
    if arguments.own_folder and not any(field.startswith("optimizer=") for field in fields):
        arguments.options = [*arguments.options, f"optimizer={DEFAULTS.optimizer}"]  # train FOLDER alone would solve the head


def run(arguments, config, is_recipe):
    from mindclf.report import plots
    from mindclf.train.lr_finder import DIVERGED, FRACTION, HIGHEST, LOWEST, find_lr
    from mindclf.train.own_folder import prepared

    if not 20 <= arguments.steps <= 100_000:
        raise ValueError(f"--steps {arguments.steps} must lie between 20 and 100,000")
    if arguments.own_folder:
        config = prepared(config, arguments.own_folder)
    test = find_lr(config, arguments.steps)
    if arguments.to:
        plots.range_test(test, arguments.to)
    steps, suggestion = len(test.losses), test.suggestion
    end = "" if steps == test.planned_steps else f"; it diverged after {steps}: more than {DIVERGED:g} times the lowest loss"
    print_table([
        ("test", f"{test.planned_steps} steps of {test.images} images, {test.optimizer}, from {LOWEST:g} to {HIGHEST:g}{end}"),
        ("lowest loss", f"{test.smoothed.min():.4f} at a learning rate of {test.rates[test.lowest]:.2g}"),
        ("suggested", f"lr_max={suggestion:.2g}, {FRACTION:g} of that" if suggestion else
         "nothing: no learning rate lowers the loss by much; take more --steps, or a larger batch_size"),
        *([("plot", arguments.to)] if arguments.to else [])], has_titles=True)
    return 0
