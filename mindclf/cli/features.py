"""mindclf features: the features of a folder of images, in a file."""

from pathlib import Path

from mindclf.cli.arguments import LEADING, add_checkpoint, add_device, add_image_options, only_one_after_checkpoint
from mindclf.cli.checkpoint import checkpoint_of
from mindclf.cli.text import USER_ERROR, say

HELP = "write the features of a folder of images, what a net's backbone makes of them, to an .npz file"


def add_arguments(parser, recipe):
    parser.usage = "%(prog)s [options] [CHECKPOINT] FOLDER --to FILE.npz"
    parser.epilog = f"{LEADING} Every other word is the folder."
    parser.add_argument("words", nargs="+", metavar="FOLDER", help="images, in class folders or not")
    add_checkpoint(parser, recipe, exported=False)
    parser.add_argument("--to", required=True, metavar="FILE.npz",
                        help="what to write: features (images, channels), paths, labels, classes, checkpoint")
    add_device(parser)
    add_image_options(parser)


def sort_words(arguments, parser, is_recipe):
    arguments.folder = only_one_after_checkpoint(arguments, parser, "folder")


def run(arguments, config, is_recipe):
    from mindclf.device import use_device
    from mindclf.embedding import Embedder
    from mindclf.preprocessing import Reading
    from mindclf.utils.claim import claimed
    from mindclf.utils.files import one_line

    use_device(config.device_target)
    if Path(arguments.to).suffix != ".npz":  # before minutes of computing
        raise ValueError(f"{one_line(arguments.to)}: the name of a file of features ends in .npz")
    embedder = Embedder(checkpoint_of(arguments, config, is_recipe), Reading.of(config))
    found = embedder.embed_folder(arguments.folder)
    with claimed(Path(arguments.to), is_file=True):
        written = found.save(arguments.to)
    say(f"{one_line(written)}: {found.features.shape[1]} features of each of {len(found.paths)} images in "
        f"{len(found.classes)} folders")
    return USER_ERROR if embedder.left_out else 0
