"""mindclf quantize: an .onnx with 8-bit integers."""

from mindclf.cli.arguments import add_fields
from mindclf.cli.text import print_table, say

HELP = "write an .onnx with 8-bit integers, and measure what that costs in accuracy"


def add_arguments(parser, recipe):
    parser.add_argument("model", metavar="MODEL.onnx", help="what mindclf export --format onnx wrote")
    add_fields(parser, "which data to calibrate and measure with: dataset=NAME or dataset_path=FOLDER")
    parser.add_argument("--to", metavar="FILE", help="default: beside MODEL.onnx, as MODEL_int8.onnx")
    parser.add_argument("--calibration-images", "--calibration-pictures", type=int, metavar="N",
                        help="training images that show the ranges of activations (128)")
    parser.add_argument("--allow-loss", type=float, metavar="FRACTION",
                        help="largest loss of top-1, as a fraction (0.01); with a larger one nothing is written")


def run(arguments, config, is_recipe):
    from mindclf.device import use_device
    from mindclf.quantize import quantize

    use_device("CPU")
    given = {"calibration_images": arguments.calibration_images, "allowed_loss": arguments.allow_loss}
    made = quantize(arguments.model, config, arguments.to,
                    **{name: value for name, value in given.items() if value is not None})
    say(f"{made.before.images} test images: {made.origin}")
    print_table([("", "before", "after"), ("top-1", f"{made.before.top1:.2%}", f"{made.after.top1:.2%}"),
                  ("loss", f"{made.before.loss:.4f}", f"{made.after.loss:.4f}"),
                  ("MiB", f"{made.bytes_before / 2**20:.2f}", f"{made.bytes_after / 2**20:.2f}")], right=(1, 2), has_head=True,
                has_titles=True)
    print(made.path)
    return 0
