"""mindclf summary: the layers of a net."""

from mindclf.cli.text import print_json, print_table, say

HELP = "show a net's layers: output shapes, parameters, multiply-accumulates (MACs), memory"


def add_arguments(parser, recipe):
    parser.add_argument("net", metavar="NET", help="one of those that `mindclf nets` lists")
    parser.add_argument("words", nargs="*", metavar="net_options.x=y", help="sets an option of the net")
    parser.add_argument("--size", type=int, default=224, metavar="PIXELS", help="height and width of an image (224)")
    parser.add_argument("--classes", type=int, default=1000, metavar="N", help="number of classes (1000)")
    parser.add_argument("--batch-size", type=int, default=32, metavar="N", help="images in a training step (32)")
    parser.add_argument("--json", action="store_true", help="one JSON object with layers, totals and memory")


def run(arguments, config, is_recipe):
    for field in arguments.fields:
        if not field.startswith(("net_options.", "net_options=")):
            raise ValueError(f"{field!r}: a summary takes no field but net_options, as in net_options.width_mult=0.5")
    for option, value, largest in (("--size", arguments.size, 4096), ("--classes", arguments.classes, 100_000),
                                   ("--batch-size", arguments.batch_size, 65_536)):
        if not 1 <= value <= largest:
            raise ValueError(f"{option} {value} must lie between 1 and {largest}")

    from mindclf.device import use_device
    from mindclf.summary import empty_net, summarise

    use_device("CPU")
    size, batch_size = arguments.size, arguments.batch_size
    summary = summarise(empty_net(arguments.net, arguments.classes, **config.net_options), size, size)
    if arguments.json:
        print_json({"net": arguments.net, "net_options": config.net_options, "num_classes": arguments.classes,
                    "image_height": size, "image_width": size, **summary.as_dict(batch_size)})
        return 0
    rows = [("layer", "kind", "output", "trainable", "statistics", "MACs")]
    rows += [(layer.name, layer.kind, " x ".join(map(str, layer.shape)) if layer.shape else "not run",
              f"{layer.trainable:,}", f"{layer.statistics:,}", f"{layer.macs:,}") for layer in summary.layers]
    rows.append(("total", "", "", f"{summary.trainable:,}", f"{summary.statistics:,}", f"{summary.macs:,}"))
    print_table(rows, right=(3, 4, 5), has_head=True, has_titles=True)
    say(f"\none image of {size} x {size} pixels, {arguments.classes} classes; everything in float32\n"
        f"MACs         {summary.macs / 1e6:,.1f} million multiply-accumulates, of convolutions and dense layers\n"
        f"weights      {summary.weights_mib:,.1f} MiB with the statistics\n"
        f"activations  {summary.activations_mib:,.1f} MiB: the outputs of all layers above\n"
        f"training     {summary.training_mib(batch_size):,.1f} MiB for the weights, a gradient and a momentum for each, and "
        f"the activations of {batch_size} images; room to work in comes on top")
    return 0
