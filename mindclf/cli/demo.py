"""mindclf demo: a page in the browser to try a checkpoint."""

from mindclf.cli.arguments import add_checkpoint, add_device, add_image_options, add_threshold, set_checkpoint
from mindclf.cli.checkpoint import checkpoint_of

HELP = "show a page in your browser to try a checkpoint with images; only this machine sees it"


def add_arguments(parser, recipe):
    parser.add_argument("words", nargs="*", metavar="CHECKPOINT", help="the checkpoint; the same as --checkpoint")
    add_checkpoint(parser, recipe, exported=False)
    parser.add_argument("--examples", metavar="FOLDER",
                        help="images to offer (default: drawings, where the classes are garbage)")
    parser.add_argument("--port", type=int, default=7860, metavar="N", help="where the page is (7860); 0 for any free one")
    parser.add_argument("--no-browser", action="store_true", help="only print the address, and leave the browser alone")
    add_device(parser)
    add_threshold(parser)
    add_image_options(parser)


def sort_words(arguments, parser, is_recipe):
    set_checkpoint(arguments, parser, arguments.words)


def run(arguments, config, is_recipe):
    from mindclf.demo import serve
    from mindclf.device import use_device
    from mindclf.preprocessing import Reading

    use_device(config.device_target)
    serve(checkpoint_of(arguments, config, is_recipe), arguments.examples, arguments.port, Reading.of(config),
          arguments.threshold, in_browser=not arguments.no_browser)
    return 0
