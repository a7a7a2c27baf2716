"""The commands that write weights for somebody else, or take them over: export, quantize, convert."""

from pathlib import Path

from mindclf.cli.text import print_table
from mindclf.labels import class_labels, class_names


def checkpoint_of(arguments, config, is_recipe):
    """The `CheckpointFile` that a command works on. A recipe says what a tutorial's file holds, which has no card."""
    from mindclf.card import Card, has_card
    from mindclf.checkpoint import GARBAGE_SORTER, CheckpointFile, named_checkpoint
    from mindclf.config import RAW_SIZE
    from mindclf.dataset.folder import check_class_index
    from mindclf.inference.runner import EXPORTED
    from mindclf.preprocessing import Preprocessing

    default = Path(config.output) / "best.ckpt" if is_recipe else GARBAGE_SORTER
    path = named_checkpoint(arguments.checkpoint) if arguments.checkpoint else default
    if is_recipe and not arguments.checkpoint and not path.exists():
        raise ValueError(f"{path} does not exist: train first, or name a checkpoint with --checkpoint")
    if not is_recipe or has_card(path) or path.suffix in EXPORTED:  # an .onnx has its card inside
        return CheckpointFile(path)
    if config.dataset == "cifar10" and not config.mean and path.is_file():
        raise ValueError(f"{path} has no card, and the recipe leaves open which pixel statistics it was trained with: set mean "
                         f"and std in the recipe's config")
    folders = check_class_index(config.class_index)
    labels = class_labels(class_names(config.dataset, folders), config.dataset)
    preprocessing = Preprocessing.from_config(config, RAW_SIZE.get(config.dataset))
    return CheckpointFile(path, Card.describing(config.net, config.net_options, labels, preprocessing, folders),
                          config.checkpoint_origin)


def export(arguments, config, is_recipe):
    from mindclf.device import use_device
    from mindclf.export import export

    use_device("CPU")
    checkpoint = checkpoint_of(arguments, config, is_recipe)
    print(export(checkpoint, arguments.format, arguments.to, arguments.with_preprocessing, arguments.batch_size))
    return 0


def quantize(arguments, config, is_recipe):
    from mindclf.device import use_device
    from mindclf.quantize import quantize

    use_device("CPU")
    given = {"calibration_images": arguments.calibration_images, "allowed_loss": arguments.allow_loss}
    made = quantize(arguments.model, config, arguments.to,
                    **{name: value for name, value in given.items() if value is not None})
    print(f"{made.before.images} test images: {made.origin}")
    print_table([("", "before", "after"), ("top-1", f"{made.before.top1:.2%}", f"{made.after.top1:.2%}"),
                  ("loss", f"{made.before.loss:.4f}", f"{made.after.loss:.4f}"),
                  ("MiB", f"{made.bytes_before / 2**20:.2f}", f"{made.bytes_after / 2**20:.2f}")], right=(1, 2))
    print(made.path)
    return 0


def convert(arguments, config, is_recipe):
    from mindclf.convert import convert

    given = {text.partition("=")[0].partition(".")[0] for text in arguments.fields}
    print(convert(arguments.source, arguments.destination, arguments.net, **{name: config[name] for name in given}))
    return 0
