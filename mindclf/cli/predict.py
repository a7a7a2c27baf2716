"""mindclf predict: what is on images."""


from mindclf.cli.arguments import (
    LEADING,
    add_allow_private,
    add_checkpoint,
    add_device,
    add_image_options,
    add_mirror,
    add_threshold,
    images_after_checkpoint,
)
from mindclf.cli.checkpoint import checkpoint_of
from mindclf.cli.text import USER_ERROR, complain, print_json, print_table, say

HELP = "say what is on images: files, folders, URLs, - for standard input"


def add_arguments(parser, recipe):
    parser.usage = "%(prog)s [options] [CHECKPOINT] IMAGE ..."
    parser.epilog = f"{LEADING} Every other word is an image."
    parser.add_argument("words", nargs="+", metavar="IMAGE", help="a file, a folder, a URL, or - for standard input")
    add_checkpoint(parser, recipe)
    parser.add_argument("--top-k", type=int, metavar="K", help="classes to show for each image (3, or all if there are fewer)")
    add_device(parser)
    parser.add_argument("--runtime", default="auto", metavar="NAME",
                        help="mindspore, or onnxruntime for an .onnx; default: auto, by the file's name")
    add_mirror(parser)
    add_threshold(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object an image and line")
    add_allow_private(parser)
    add_image_options(parser)
    many = parser.add_argument_group("many images")
    many.add_argument("--csv", metavar="FILE", help="write a row an image: path, class, probability, the top classes, SHA-256")
    many.add_argument("--sort-into", metavar="DIR", help="copy each image into the folder of its class in DIR; nothing there is "
                      "overwritten, and the same command again goes on where it was stopped")
    many.add_argument("--link", action="store_true", help="with --sort-into: hard links where the disk has them, not copies")


def sort_words(arguments, parser, is_recipe):
    arguments.images = images_after_checkpoint(arguments, parser)
    if arguments.link and not arguments.sort_into:
        parser.error("--link goes with --sort-into DIR")
    if arguments.json and (arguments.csv or arguments.sort_into):
        parser.error("--json goes without --csv and --sort-into")


def run(arguments, config, is_recipe):
    from mindclf.utils.signals import LeaveAtSignals, StopSignals

    keeps = arguments.csv or arguments.sort_into
    with StopSignals("the same command goes on from here") if keeps else LeaveAtSignals():  # before MindSpore has threads
        return _run(arguments, config, is_recipe)


def _run(arguments, config, is_recipe):
    from mindclf.inference.runner import runtime_of
    from mindclf.inference.sources import gather
    from mindclf.predict import Predictor

    file = checkpoint_of(arguments, config, is_recipe)
    if runtime_of(file.path, arguments.runtime) == "mindspore":
        from mindclf.device import use_device  # which imports MindSpore

        use_device(config.device_target)
    elif config.device_target not in ("auto", "CPU"):
        raise ValueError(f"device_target={config.device_target}: ONNX Runtime computes on the CPU here; take --device CPU")
    predictor = Predictor(file, arguments.runtime, arguments.mirror, config.max_pixels, config.white, arguments.threshold)
    if arguments.csv or arguments.sort_into:
        return _collect(arguments, predictor)
    failed = False
    sources = gather(arguments.images, arguments.allow_private, predictor.preprocessing.reading)
    for name, found in predictor.predict_iter(sources, arguments.top_k):
        if isinstance(found, ValueError):
            failed = True
            complain(str(found))
        else:
            _show(name, found, arguments.json)
    return USER_ERROR if failed else 0


def _collect(arguments, predictor):
    from mindclf.inference.collect import collect
    from mindclf.predict import TOP_K

    top_k = min(TOP_K, len(predictor.classes)) if arguments.top_k is None else arguments.top_k
    collected = collect(predictor, arguments.images, top_k, arguments.csv, arguments.sort_into, arguments.link)
    _summarise(arguments, collected)
    for problem in collected.problems:
        complain(str(problem))
    return USER_ERROR if collected.problems else 0


def _summarise(arguments, collected):
    """Prints how many images are of each class, and where they are now."""
    from mindclf.labels import NOT_SURE
    from mindclf.utils.files import one_line

    counts = sorted(collected.classes.most_common(), key=lambda item: item[0] == NOT_SURE)  # which is no class: the last row
    classes = len(counts) - (NOT_SURE in collected.classes)
    print_table([("class", "images"), *((name, f"{count:,}") for name, count in counts),
                 (f"{classes} classes", f"{collected.classes.total():,}")], right=(1,), has_head=True)
    place = collected.sorted_folder
    rows = []
    if place is not None:
        kinds = ((place.copied, f"copied {place.copied:,}"), (place.linked, f"linked {place.linked:,}"),
                 (place.present, f"there already {place.present:,}"))
        counted = ", ".join(text for count, text in kinds if count) or "nothing new"
        rows.append(("sorted into", f"{one_line(arguments.sort_into)}: {counted}"))
    if arguments.csv:
        rows.append(("table", one_line(arguments.csv)))
    for title, count, remark in (("done before", collected.done, ""), ("not used", len(collected.problems), ": see below"),
                                 ("repeated", collected.repeated, ", each the same file as another, byte for byte")):
        if count:
            rows.append((title, f"{count:,}{remark}"))
    print()
    print_table(rows, has_titles=True)


def _show(name, predictions, as_json):
    from dataclasses import asdict

    from mindclf.utils.files import one_line

    if as_json:
        print_json({"image": name, "answer": predictions.answer, "sure": predictions.is_sure, "threshold": predictions.threshold,
                    "predictions": [asdict(prediction) for prediction in predictions]})
        return
    say(one_line(name) if predictions.is_sure else f"{one_line(name)}: {predictions.answer}, below {predictions.threshold:.1%}")
    print_table([("  " + prediction.name, prediction.chinese,
                  " ".join(filter(None, (prediction.category, prediction.category_chinese))),
                  f"{prediction.probability:.1%}") for prediction in predictions])
