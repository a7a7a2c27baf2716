"""mindclf split: a folder of class folders, divided into train/ and test/."""

from pathlib import Path

from mindclf.cli.arguments import add_image_options
from mindclf.cli.text import print_counts, print_table, quoted, this_command
from mindclf.utils.language import translate

HELP = "divide a folder of class folders into train/ and test/, by a rule that can be repeated"


def add_arguments(parser, recipe):
    parser.add_argument("source", metavar="SRC", help="folder with <class>/<image>; it is only read")
    parser.add_argument("destination", metavar="DST", help="new folder for train/<class>/, test/<class>/ and split.json, which "
                        "says what went where; images become hard links where the disk has them")
    parser.add_argument("--every", type=int, metavar="N", help="every Nth image of a class, by name, goes to test/; without it "
                        "and --fraction about a fifth does, by content, as in training")
    parser.add_argument("--fraction", type=float, metavar="FRACTION", help="or this fraction of each class, drawn at random")
    parser.add_argument("--seed", type=int, metavar="N", help="what --fraction draws by (1)")
    parser.add_argument("--on-bad-image", default="stop", metavar="WORD",
                        help="stop (default) with the names of unusable files, or skip and count them")
    add_image_options(parser)


def run(arguments, config, is_recipe):
    from mindclf.dataset.split_folder import MANIFEST, split_folder
    from mindclf.preprocessing import Reading

    made = split_folder(arguments.source, arguments.destination, arguments.every, arguments.fraction, arguments.seed,
                        arguments.on_bad_image, Reading.of(config))
    count, classes = len(made.train) + len(made.test), made.train.classes
    print_counts(classes, {"train": [made.train.labels.count(label) for label in range(len(classes))],
                           "test": [made.test.labels.count(label) for label in range(len(classes))]})
    copies = sum(len(group) - 1 for group in made.duplicates)
    links = {count: "hard links: an image that is changed in one place changes in both", 0: "copies"}
    print()
    print_table([
        ("images", links.get(made.linked, f"{made.linked:,} hard links, {count - made.linked:,} copies")),
        ("duplicates", f"{copies:,}, each on the same side as the image that it repeats" if copies else
         translate("none", words=True)),
        ("manifest", (Path(arguments.destination) / MANIFEST).as_posix()),
        ("train on it", f"{this_command()} train {quoted(arguments.destination)}")], has_titles=True)
    return 0
