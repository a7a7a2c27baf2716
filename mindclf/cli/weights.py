"""The checkpoint that a command takes, and its card."""

from pathlib import Path

from mindclf.dataset.registry import class_names


def checkpoint_and_card(arguments, config, is_recipe):
    """(path, card); card is None where the checkpoint has its own, and made from the recipe for a tutorial's file."""
    from mindclf.checkpoint import has_card
    from mindclf.config import RAW_SIZE, pixel_statistics
    from mindclf.dataset.folder import check_class_index
    from mindclf.inference.runner import EXPORTED
    from mindclf.pretrained import GARBAGE_SORTER, named_checkpoint

    default = Path(config.output) / "best.ckpt" if is_recipe else GARBAGE_SORTER
    path = named_checkpoint(arguments.checkpoint) if arguments.checkpoint else default
    if is_recipe and not arguments.checkpoint and not path.exists():
        raise ValueError(f"{path} does not exist: train first, or name a checkpoint with --checkpoint")
    if not is_recipe or has_card(path) or path.suffix in EXPORTED:  # an .onnx has its card inside
        return path, None
    if config.dataset == "cifar10" and not config.mean and path.is_file():
        raise ValueError(f"{path} has no card, and the recipe leaves open which pixel statistics it was trained with: set mean "
                         f"and std in the recipe's config")
    mean, std = pixel_statistics(config)
    folders = check_class_index(config.class_index)
    return path, {
        "net": config.net, "net_options": config.net_options, "classes": class_names(config.dataset, folders),
        "class_folders": folders, "image_height": config.image_height, "image_width": config.image_width,
        "mean": mean, "std": std, "crop_share": config.crop_share, "raw_size": RAW_SIZE.get(config.dataset, ()),
        "checkpoint_origin": config.checkpoint_origin,
    }
