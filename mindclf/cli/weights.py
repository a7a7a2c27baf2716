"""mindclf weights: the published ImageNet weights, and which of them are on disk."""

from mindclf.cli.arguments import one_path
from mindclf.cli.text import print_json, print_table

HELP = "list the ImageNet weights that others publish, for pretrained=imagenet, and which of them are on disk"


def add_arguments(parser, recipe):
    parser.add_argument("words", nargs="*", metavar="NET", help="only those of this net; without it all")
    parser.add_argument("--json", action="store_true", help="one JSON object for each, with address, SHA-256 and preprocessing")


def sort_words(arguments, parser, is_recipe):
    arguments.net = one_path(arguments.words, parser, "weights takes one net")


def run(arguments, config, is_recipe):
    from mindclf.nets import check_name
    from mindclf.published import TABLE, on_disk

    if arguments.net:
        check_name(arguments.net)
    rows = [row for row in TABLE if arguments.net in (None, row.net)]
    if not rows:
        raise ValueError(f"nobody publishes ImageNet weights of {arguments.net}")
    found = on_disk()
    if arguments.json:
        for row in rows:
            print_json({"net": row.net, "net_options": row.net_options, "origin": row.origin, "top1": row.top1, "file": row.file,
                        "sha256": row.sha256, "licence": row.licence, "preprocessing": row.preprocessing,
                        "addresses": row.addresses, "path": str(found[row]) if row in found else None})
        return 0
    print_table([("net", "options", "origin", "top-1", "licence", "file", "on disk"), *(
        (row.net, " ".join(f"{name}={value}" for name, value in row.net_options.items()), row.origin, f"{row.top1:.2f} %",
         row.licence, row.file, str(found.get(row, "-"))) for row in rows)], right=(3,), has_head=True)
    return 0
