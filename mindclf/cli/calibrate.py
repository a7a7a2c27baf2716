"""mindclf calibrate: a checkpoint's temperature, and its threshold for "not sure"."""

from mindclf.cli.arguments import add_device, add_fields, fields_and_paths
from mindclf.cli.text import say

HELP = "choose a checkpoint's threshold for \"not sure\" by images that it was not trained on, and write it into its card"


def add_arguments(parser, recipe):
    parser.usage = "%(prog)s [options] CHECKPOINT [FOLDER] [field=value ...]"
    parser.epilog = ("FOLDER has the data of the training, of which the validation images are taken, or other images in the same "
                     "class folders. A training calibrates by itself: this is for older checkpoints, and for another "
                     "target_error=0.01.")
    add_fields(parser)
    add_device(parser)


def sort_words(arguments, parser, is_recipe):
    arguments.fields, paths = fields_and_paths(arguments.words)
    if not 1 <= len(paths) <= 2:
        parser.error("calibrate takes a checkpoint and a folder of images")
    arguments.checkpoint, *folders = paths
    arguments.fields += [f"dataset_path={folder}" for folder in folders]


def run(arguments, config, is_recipe):
    from mindclf.calibration import described
    from mindclf.device import use_device
    from mindclf.recalibration import recalibrate

    use_device(config.device_target)
    record = recalibrate(arguments.checkpoint, config)
    say(f"temperature {record['temperature']:.3f}, calibration error {record['ece_before']:.1%} before, "
        f"{record['ece_after']:.1%} after\nnot sure {described(record)}")
    return 0
