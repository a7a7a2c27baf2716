"""mindclf nets: the nets, with their trainable parameters."""

from mindclf.cli.text import print_table

HELP = "list the nets, with their trainable parameters for 1000 classes"


def add_arguments(parser, recipe):
    pass


def run(arguments, config, is_recipe):
    from mindspore.nn.utils import no_init_parameters

    from mindclf.nets import NETS, create_net
    from mindclf.summary import count_parameters, paper

    rows = []
    for name in NETS:
        with no_init_parameters():
            trainable, _ = count_parameters(create_net(name, 1000).get_parameters())
        rows.append((name, f"{trainable:,}", paper(name)))
    print_table(rows, right=(1,))
    return 0
