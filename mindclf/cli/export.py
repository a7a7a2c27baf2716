"""mindclf export: a checkpoint as a file for other runtimes."""

from mindclf.cli.arguments import add_checkpoint, add_device, set_checkpoint
from mindclf.cli.checkpoint import checkpoint_of

HELP = "write a checkpoint for other runtimes, and check that it computes the same"


def add_arguments(parser, recipe):
    parser.add_argument("words", nargs="*", metavar="CHECKPOINT", help="the checkpoint; the same as --checkpoint")
    add_checkpoint(parser, recipe, exported=False)
    parser.add_argument("--format", default="mindir", help="mindir (default), onnx, safetensors, or mindcv: a .ckpt for its nets")
    parser.add_argument("--to", metavar="FILE", help="default: beside the checkpoint")
    parser.add_argument("--with-preprocessing", action="store_true",
                        help="have the file take uint8 pixels (N, height, width, 3) in RGB and normalise them itself")
    batch = parser.add_mutually_exclusive_group()
    batch.add_argument("--dynamic-batch", action="store_true", help="any number of images at a time, which is the default")
    batch.add_argument("--batch-size", type=int, metavar="N", help="or N images at a time, for devices that want to know")
    add_device(parser, default="CPU")


def sort_words(arguments, parser, is_recipe):
    set_checkpoint(arguments, parser, arguments.words)


def run(arguments, config, is_recipe):
    from mindclf.device import use_device
    from mindclf.export import export

    use_device(config.device_target)
    checkpoint = checkpoint_of(arguments, config, is_recipe)
    print(export(checkpoint, arguments.format, arguments.to, arguments.with_preprocessing, arguments.batch_size))
    return 0
