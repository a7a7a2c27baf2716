"""mindclf similar: the images that resemble others most."""

from pathlib import Path

from mindclf.cli.arguments import (
    LEADING,
    add_allow_private,
    add_checkpoint,
    add_device,
    add_image_options,
    images_after_checkpoint,
)
from mindclf.cli.checkpoint import checkpoint_of
from mindclf.cli.text import USER_ERROR, print_json, print_table

HELP = "find the images of a folder that resemble a query most, by the features of a net"


def add_arguments(parser, recipe):
    parser.usage = "%(prog)s [options] [CHECKPOINT] QUERY ... FOLDER_OR_NPZ"
    parser.epilog = f"{LEADING} Every other word is a query, and the last one the collection."
    parser.add_argument("words", nargs="+", metavar="QUERY", help="files, folders, URLs, or - for standard input; then the "
                        "folder to look in, or the .npz that mindclf features wrote, which saves computing it again")
    add_checkpoint(parser, recipe, exported=False)
    parser.add_argument("--top-k", type=int, default=5, metavar="K", help="images to show for each query (5)")
    parser.add_argument("--json", action="store_true", help="one JSON object a query and line")
    add_device(parser)
    add_allow_private(parser)
    add_image_options(parser)


def sort_words(arguments, parser, is_recipe):
    *arguments.queries, arguments.collection = images_after_checkpoint(arguments, parser)
    if not arguments.queries:
        parser.error("similar takes a query, and then a folder or an .npz file to look in")


def run(arguments, config, is_recipe):
    from mindclf.device import use_device
    from mindclf.embedding import open_collection
    from mindclf.inference.sources import gather
    from mindclf.preprocessing import Reading
    from mindclf.utils.files import one_line

    if arguments.top_k < 1:
        raise ValueError(f"--top-k {arguments.top_k} must be at least 1")
    use_device(config.device_target)
    is_folder = Path(arguments.collection).is_dir()
    checkpoint = checkpoint_of(arguments, config, is_recipe) if arguments.checkpoint or is_folder else None
    embedder, found = open_collection(arguments.collection, checkpoint, Reading.of(config))
    names, rows = embedder.embed(gather(arguments.queries, arguments.allow_private, embedder.reading))
    for name, row in zip(names, rows):
        neighbours = found.nearest(row, arguments.top_k)
        if arguments.json:
            print_json({"image": name, "similar": [
                {"image": near.path, "similarity": near.similarity, "class": near.class_name} for near in neighbours]})
            continue
        print(one_line(name))
        print_table([(f"  {near.similarity:.3f}", one_line(near.path), near.class_name) for near in neighbours])
    return USER_ERROR if embedder.left_out else 0
