"""mindclf doctor: what mindclf runs on here."""

from mindclf.cli.text import print_json, print_table

HELP = "say what mindclf runs on here: versions, device, kernels, memory, data"


def add_arguments(parser, recipe):
    parser.add_argument("--json", action="store_true", help="one JSON object")


def run(arguments, config, is_recipe):
    from mindclf.doctor import describe, examine

    facts = examine()
    if arguments.json:
        print_json(facts)
    else:
        print_table(describe(facts), has_titles=True)
    return 0
