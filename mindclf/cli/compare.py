"""compare, of a recipe with variants: its variants side by side, with several seeds each."""

import re

from mindclf.cli.arguments import add_device, add_fields
from mindclf.cli.text import USER_ERROR, complain, print_table, say
from mindclf.config import ALIASES, own_names

HELP = "train the variants of this recipe with several seeds each, and compare them"


def add_arguments(parser, recipe):
    parser.set_defaults(variants=recipe.variants)
    add_fields(parser)
    parser.add_argument("--only", action="append", choices=recipe.variants, metavar="VARIANT",
                        help=f"this one of {', '.join(recipe.variants)}; may be repeated")
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="train with the seeds 1 to N (3)")
    add_device(parser)


def run(arguments, config, is_recipe):
    from mindclf.compare import compare, compared_folder

    if not 1 <= arguments.seeds <= 1000:
        raise ValueError(f"--seeds {arguments.seeds} must lie between 1 and 1000")
    chosen = arguments.only or arguments.variants
    variants = {name: own_names(fields) for name, fields in arguments.variants.items() if name in chosen}
    for given in (re.match(r"\w*", text)[0] for text in arguments.fields):
        name = ALIASES.get(given, given)
        users = [variant for variant, fields in variants.items() if name in fields]
        if users or name in ("seed", "resume"):
            raise ValueError(f"{name} is what {', '.join(users) or 'compare'} sets itself: leave it out, or change the recipe")
    rows = compare(config, variants, range(1, arguments.seeds + 1))
    if any(row["seeds"] for row in rows):
        _print_comparison(rows, compared_folder(config))
    failed = [f"{row['variant']}: {message}" for row in rows for message in row["failed"]]
    for message in failed:
        complain(message)
    return USER_ERROR if failed else 0


def _print_comparison(rows, folder):
    print()
    print_table([("variant", "parameters", "MACs", "top-1, mean", "least", "greatest", "seeds", "seconds"),
                  *((row["variant"], f"{row['parameters']:,}", f"{row['macs'] / 1e6:,.1f} M", f"{row['mean_top1']:.2%}",
                     f"{min(row['top1']):.2%}", f"{max(row['top1']):.2%}", str(len(row["seeds"])), f"{row['mean_seconds']:,.0f}")
                    for row in rows if row["seeds"])], right=range(1, 8), has_head=True)
    say(f"\ntable and curves: {folder}/compare.json, compare.png")
