"""The checkpoint that a command takes, and its card."""

from pathlib import Path

from mindclf.dataset.registry import class_names
from mindclf.labels import class_labels


def checkpoint_of(arguments, config, is_recipe):
    """The `CheckpointFile` that a command works on. A recipe says what a tutorial's file holds, which has no card."""
    from mindclf.card import Card, has_card
    from mindclf.checkpoint_file import GARBAGE_SORTER, CheckpointFile, named_checkpoint
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
