"""The command line: `mindclf`, and each recipe with its own config. MindSpore is imported only by the commands that need it."""

import argparse
import json
import logging
import os
import re
import shlex
import sys
import unicodedata
from dataclasses import asdict
from pathlib import Path
from urllib.parse import unquote, urlsplit

from mindclf import __version__
from mindclf.config import DEFAULTS, merge, own_pictures
from mindclf.files import first_line, one_line
from mindclf.labels import class_names

USER_ERROR = 2


def main(argv=None, config=None, variants=None):
    """Runs one command and returns its exit status: 0, or 2 after one line on standard error about what the user can mend.

    A training that SIGINT or SIGTERM stopped returns 130 or 143, after a line that says how to go on.

    `config` is a recipe's: what its commands start from. Without one they start from mindclf.config.DEFAULTS. A recipe with
    `variants`, {name: the fields in which it differs}, has the command `compare` besides.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # not in a notebook
            stream.reconfigure(errors="replace")  # a terminal that cannot show Chinese gets question marks, not a traceback
    is_recipe = config is not None
    arguments = _parse(_parser(is_recipe, variants or {}), argv, is_recipe)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    if arguments.command in (_train, _compare):
        logging.getLogger("mindclf").setLevel(logging.INFO)
    try:
        own_folder = getattr(arguments, "own_folder", None)
        start = own_pictures(own_folder) if own_folder else config or {}
        return arguments.command(arguments, merge(start, getattr(arguments, "fields", [])), is_recipe)
    except BrokenPipeError:  # whoever reads our output has seen enough, as in `mindclf predict photos/ | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, OSError) as error:
        print(f"mindclf: {first_line(error)}", file=sys.stderr)  # MindSpore's own go on for twenty
        return USER_ERROR
    except KeyboardInterrupt as stop:
        wipe = "\r\x1b[K" if sys.stderr.isatty() else ""  # the line that shows progress
        print(f"{wipe}mindclf: {stop or 'stopped'}", file=sys.stderr)
        return getattr(stop, "status", 130)  # 128 + the number of SIGINT


def _parser(is_recipe, variants):
    parser = argparse.ArgumentParser(
        description=(None if is_recipe else "Image classification on MindSpore: train, evaluate, predict, explain, export."),
        epilog="field=value sets a field of the config, as in epochs=2. The fields: " + ", ".join(DEFAULTS))
    parser.add_argument("--version", action="version", version=f"mindclf {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    private = "read URLs of this machine and of private networks too"
    which = "the recipe's output/best.ckpt" if is_recipe else "the garbage sorter that comes with mindclf"

    def add(name, command, description, fields=False, checkpoint=False):
        sub = commands.add_parser(name, help=description, description=description)
        sub.set_defaults(command=command)
        if checkpoint:
            exported = "" if command in (_explain, _export) else ", or a file that export wrote (.mindir, .onnx)"
            sub.add_argument("--checkpoint", metavar="FILE", help=f"a checkpoint{exported}; default: {which}")
        if fields:
            sub.add_argument("fields", nargs="*", metavar="field=value", help="sets a field of the config")
        return sub

    sub = add("train", _train, "train a net and report its accuracy on the test pictures", fields=True)
    if not is_recipe:
        sub.usage = "%(prog)s [-h] [FOLDER] [field=value ...]"
        sub.epilog = ("FOLDER has your own pictures: a folder for each class, of which every 5th picture is for testing, or "
                      "train/ and test/ (or val/) with such folders. A head is trained on ImageNet features, unless fields say "
                      "otherwise.")
    if not is_recipe:
        sub = add("launch", _launch, "train with several workers on this machine, which share the batches")
        sub.usage = "%(prog)s [-h] --workers N {RECIPE train | train FOLDER} [field=value ...]"
        sub.add_argument("--workers", type=int, required=True, metavar="N", help="how many; each has batches of batch_size")
        sub.add_argument("training", nargs=argparse.REMAINDER, metavar="RECIPE train ...",
                         help="what to run: recipe.py train field=value ..., or train FOLDER field=value ...")
    if variants:
        sub = add("compare", _compare, f"train {', '.join(variants)} with several seeds each, and compare them", fields=True)
        sub.add_argument("--only", action="append", choices=variants, metavar="VARIANT", help="this one; may be repeated")
        sub.add_argument("--seeds", type=int, default=3, metavar="N", help="train with the seeds 1 to N (3)")
        sub.set_defaults(variants=variants)
    sub = add("eval", _evaluate, "measure a checkpoint on the test pictures", fields=True, checkpoint=True)
    sub.add_argument("--report", metavar="FOLDER",
                     help="write report.html, report.json, classes.png, confusion.png and predictions.png there")
    sub.add_argument("--json", action="store_true", help="print the report as JSON")
    sub = add("predict", _predict, "say what is on pictures: files, folders, URLs, - for standard input", checkpoint=True)
    sub.add_argument("pictures", nargs="+", metavar="PICTURE")
    sub.add_argument("--top-k", type=int, default=3, metavar="K", help="classes to show for each picture (3)")
    sub.add_argument("--device", default="auto", help="auto (default), CPU, GPU or Ascend")
    sub.add_argument("--runtime", default="auto", metavar="NAME",
                     help="mindspore, or onnxruntime for an .onnx; default: auto, by the file's name")
    sub.add_argument("--json", action="store_true", help="one JSON object a picture and line")
    sub.add_argument("--allow-private", action="store_true", help=private)
    sub = add("explain", _explain, "show where on a picture a class is seen, by Grad-CAM: file, URL, - for standard input",
              checkpoint=True)
    sub.add_argument("picture", metavar="PICTURE")
    sub.add_argument("--class", dest="class_name", metavar="NAME", help="the class to look for (default: the likeliest)")
    sub.add_argument("--to", metavar="FILE", help="what to write (default: PICTURE_explained.png in the working folder)")
    sub.add_argument("--allow-private", action="store_true", help=private)
    sub = add("demo", _demo, "show a page in your browser to try a checkpoint with pictures; only this machine sees it")
    sub.add_argument("checkpoint", nargs="?", metavar="CHECKPOINT", help=f"default: {which}")
    sub.add_argument("--examples", metavar="FOLDER", help="pictures to offer (default: drawings, where the classes are garbage)")
    sub.add_argument("--port", type=int, default=7860, metavar="N", help="where the page is (7860); 0 for any free one")
    sub = add("export", _export, "write a checkpoint for other runtimes, and check that it computes the same", checkpoint=True)
    sub.add_argument("fields", nargs="*", metavar="CHECKPOINT", help="the checkpoint; the same as --checkpoint")
    sub.add_argument("--format", default="mindir", help="mindir (default), onnx or safetensors")
    sub.add_argument("--to", metavar="FILE", help="default: beside the checkpoint")
    sub.add_argument("--with-preprocessing", action="store_true",
                     help="have the file take uint8 pixels (N, height, width, 3) in RGB and normalise them itself")
    batch = sub.add_mutually_exclusive_group()
    batch.add_argument("--dynamic-batch", action="store_true", help="any number of pictures at a time, which is the default")
    batch.add_argument("--batch-size", type=int, metavar="N", help="or N pictures at a time, for devices that want to know")
    if not is_recipe:
        sub = add("quantize", _quantize, "write an .onnx with 8-bit integers, and measure what that costs in accuracy")
        sub.add_argument("model", metavar="MODEL.onnx", help="what mindclf export --format onnx wrote")
        sub.add_argument("fields", nargs="*", metavar="field=value",
                         help="which data to calibrate and measure with: dataset=NAME or dataset_path=FOLDER")
        sub.add_argument("--to", metavar="FILE", help="default: beside MODEL.onnx, as MODEL_int8.onnx")
        sub.add_argument("--calibration-pictures", type=int, metavar="N",
                         help="training pictures that show the ranges of activations (128)")
        sub.add_argument("--allow-loss", type=float, metavar="PART",
                         help="most of top-1 that may be lost, as a part of 1 (0.01); otherwise nothing is written")
        sub = add("convert", _convert,
                  "turn weights of PyTorch (.pth, .safetensors), Keras (.h5) or TF-slim (.npz) into a checkpoint")
        sub.add_argument("source", metavar="WEIGHTS")
        sub.add_argument("fields", nargs="*", metavar="CHECKPOINT field=value",
                         help="what to write (default: beside the weights, as .ckpt), and fields of the card that the weights do "
                              "not tell: image_height, image_width, mean, std, net_options.x, class_index")
        sub.add_argument("--net", default="", help="one of those that `mindclf nets` lists; not needed for .npz")
        sub.set_defaults(destination=None)
        sub = add("split", _split, "divide a folder of class folders into train/ and test/, by a rule that can be repeated")
        sub.add_argument("source", metavar="SRC", help="folder with <class>/<picture>; it is only read")
        sub.add_argument("destination", metavar="DST", help="new folder for train/<class>/, test/<class>/ and "
                         "split.json, which says what went where; pictures become hard links where the disk has them")
        sub.add_argument("--every", type=int, metavar="N", help="every Nth picture of a class, by name, goes to test/ (5)")
        sub.add_argument("--fraction", type=float, metavar="PART", help="or this part of each class, drawn")
        sub.add_argument("--seed", type=int, metavar="N", help="what --fraction draws by (1)")
        sub.add_argument("--on-bad-image", default="stop", metavar="WORD",
                         help="stop (default) with the names of unusable files, or skip and count them")
        sub = add("stats", _stats, "say what is in a folder of pictures: classes, sizes, kinds, mean and deviation of the pixels")
        sub.add_argument("folder", metavar="DIR", help="has a folder for each class, or train/ and test/ with such folders")
        sub.add_argument("--json", action="store_true", help="one JSON object")
        sub = add("doctor", _doctor, "say what mindclf runs on here: versions, device, kernels, memory, data")
        sub.add_argument("--json", action="store_true", help="one JSON object")
        add("nets", _nets, "list the nets, with their trainable parameters for 1000 classes")
        sub = add("summary", _summary, "show a net's layers: output shapes, parameters, multiply-accumulates (MACs), memory")
        sub.add_argument("net", metavar="NET", help="one of those that `mindclf nets` lists")
        sub.add_argument("fields", nargs="*", metavar="net_options.x=y", help="sets an option of the net")
        sub.add_argument("--size", type=int, default=224, metavar="PIXELS", help="height and width of a picture (224)")
        sub.add_argument("--classes", type=int, default=1000, metavar="N", help="number of classes (1000)")
        sub.add_argument("--batch-size", type=int, default=32, metavar="N", help="pictures in a training step (32)")
        sub.add_argument("--json", action="store_true", help="one JSON object with layers, totals and memory")
    return parser


def _parse(parser, argv, is_recipe):
    """The arguments, with fields also after an option: argparse itself takes those before the first option only."""
    arguments, rest = parser.parse_known_args(argv)
    if rest and (not hasattr(arguments, "fields") or any(text.startswith("-") for text in rest)):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if rest:
        arguments.fields += rest
    if arguments.command is _convert:
        arguments.destination = _take_path(arguments, parser, "convert writes one checkpoint")
    elif arguments.command is _train and not is_recipe:
        arguments.own_folder = _take_path(arguments, parser, "train takes one folder of pictures")
    elif arguments.command is _export:
        named = [*arguments.fields, *filter(None, [arguments.checkpoint])]
        if len(named) > 1:
            parser.error(f"export takes one checkpoint, not {', '.join(named)}")
        arguments.checkpoint, arguments.fields = named[0] if named else None, []
    return arguments


def _take_path(arguments, parser, rule):
    """The one text among the fields that is no field=value, or None; it is taken out of them."""
    paths = [text for text in arguments.fields if not _is_field(text)]
    if len(paths) > 1:
        parser.error(f"{rule}, not {', '.join(paths)}")
    arguments.fields = [text for text in arguments.fields if text not in paths]
    return paths[0] if paths else None


def _is_field(text):
    """Whether `text` is a field=value, and no path that has such a character."""
    name = re.match(r"([A-Za-z_]\w*)[\w.]*=", text)
    return bool(name) and (name[1] in DEFAULTS or not Path(text).exists())


def _train(arguments, config, is_recipe):
    from mindclf import workers
    from mindclf.train import fit

    if not is_recipe and arguments.own_folder:
        _prepare_own_pictures(arguments, config)
    fitted = fit(config)
    if not workers.is_first():
        return 0
    figures = fitted.report.metrics()
    python = _this_python()
    print(f"\ndata        {fitted.data_origin}\n"
          f"started at  {fitted.weights_origin}\n"
          f"accuracy    {figures['top1']:.2%} of {figures['images']} test pictures (top-5 {figures['top5']:.2%})\n"
          f"time        {fitted.seconds:.0f} s\n"
          f"checkpoint  {fitted.checkpoint}\n"
          f"report      {fitted.checkpoint.parent / 'report.html'}\n"
          f"pictures    {fitted.checkpoint.parent / 'predictions.png'}, classes.png, confusion.png, curves.png\n"
          f"your photo  {python} -m mindclf predict --checkpoint {_quoted(str(fitted.checkpoint))} photo.jpg")
    if "no photos" in fitted.data_origin:
        print(f"            this net has seen drawings only; for photos use the one that comes with mindclf:\n"
              f"            {python} -m mindclf predict photo.jpg")
    return 0


def _launch(arguments, config, is_recipe):
    from mindclf.launch import launch

    return launch(arguments.workers, arguments.training)


def _prepare_own_pictures(arguments, config):
    """Numbers the classes of the folder on the command line by name, after a look at what people get wrong there."""
    from mindclf.dataset.folder import VALID_FOLDERS, index_of_folders, split_folders

    folder = Path(arguments.own_folder)
    for name in ("dataset", "dataset_path"):
        if any(text.startswith(f"{name}=") for text in arguments.fields):
            raise ValueError(f"{folder} and {name} exclude each other: give one")
    divided = split_folders(folder)
    classes = list(index_of_folders(divided.get("train", folder)))
    if len(classes) < 2:
        raise ValueError(f"{folder} has one class folder, {classes[0]!r}: a net needs two to tell apart")
    if set(classes) <= {"train", "test", *VALID_FOLDERS}:
        raise ValueError(f"{folder} has {', '.join(classes)}, but no class folders in them")
    for name in ("output", "feature_cache"):
        if config[name] and not divided and Path(config[name]).resolve().is_relative_to(folder.resolve()):
            raise ValueError(f"{name}={config[name]} lies in {folder}, where it would be taken for a class: run this elsewhere, "
                             f"or set {name}")
    config.class_index = config.class_index or classes


def _compare(arguments, config, is_recipe):
    from mindclf.compare import compare, compared_folder

    if not 1 <= arguments.seeds <= 1000:
        raise ValueError(f"--seeds {arguments.seeds} must lie between 1 and 1000")
    variants = {name: fields for name, fields in arguments.variants.items() if name in (arguments.only or arguments.variants)}
    for name in (re.match(r"\w*", text)[0] for text in arguments.fields):
        users = [variant for variant, fields in variants.items() if name in fields]
        if users or name in ("seed", "resume"):
            raise ValueError(f"{name} is what {', '.join(users) or 'compare'} sets itself: leave it out, or change the recipe")
    rows = compare(config, variants, range(1, arguments.seeds + 1))
    print()
    _print_table([("variant", "parameters", "MACs", "top-1, mean", "least", "greatest", "seeds", "seconds"),
                  *((row["variant"], f"{row['parameters']:,}", f"{row['macs'] / 1e6:,.1f} M", f"{row['mean_top1']:.2%}",
                     f"{min(row['top1']):.2%}", f"{max(row['top1']):.2%}", str(len(row["seeds"])), f"{row['mean_seconds']:,.0f}")
                    for row in rows if row["seeds"])], right=range(1, 8))
    print(f"\ntable and curves: {compared_folder(config)}/compare.json, compare.png")
    failed = [f"{row['variant']}: {message}" for row in rows for message in row["failed"]]
    for message in failed:
        print(f"mindclf: {message}", file=sys.stderr)
    return USER_ERROR if failed else 0


def _evaluate(arguments, config, is_recipe):
    from mindclf.checkpoint import load_net
    from mindclf.dataset.splits import find_folder, labelled_for
    from mindclf.device import use_device
    from mindclf.evaluate import report
    from mindclf.page import Measured
    from mindclf.runtimes import EXPORTED, Runner
    from mindclf.train.callbacks import history_beside
    from mindclf.train.fit import write_report

    use_device(config.device_target)
    file, card = _checkpoint_and_card(arguments, config, is_recipe)
    runner = Runner(file, card)
    card = runner.card
    folder, origin = find_folder(config)
    pictures = labelled_for(card, folder, "test", config)
    logits, labels = runner.logits(pictures, config.eval_batch_size)
    result = report(logits, labels, len(card["classes"]))
    if arguments.report:
        net = None if file.suffix in EXPORTED else load_net(file, card)[0]  # the runner's has no gradients for Grad-CAM
        measured = Measured(file, net, card, origin, pictures, logits, result, history_beside(file))
        write_report(Path(arguments.report), measured, config)
    if arguments.json:
        print(json.dumps({"data": origin, "classes": card["classes"], **result.as_dict()}, ensure_ascii=False))
        return 0
    figures = result.metrics()
    print(f"{figures['images']} test pictures: {origin} ({folder.as_posix()})\n"
          f"top-1 {figures['top1']:.2%}  top-5 {figures['top5']:.2%}  loss {figures['loss']:.4f}")
    _print_table([(name, f"{value:.0%}" if value == value else "no pictures")
                  for name, value in zip(card["classes"], result.per_class)])
    return 0


def _predict(arguments, config, is_recipe):
    from mindclf.device import use_device
    from mindclf.predict import Predictor, gather

    use_device(arguments.device)
    predictor = Predictor(*_checkpoint_and_card(arguments, config, is_recipe), arguments.runtime)
    if predictor.net is None and arguments.device not in ("auto", "CPU"):
        raise ValueError(f"--device {arguments.device}: ONNX Runtime computes on the CPU here; leave it out")
    failed = False
    for name, guesses in predictor.sort(gather(arguments.pictures, arguments.allow_private), arguments.top_k):
        if isinstance(guesses, ValueError):
            failed = True
            print(f"mindclf: {guesses}", file=sys.stderr)
        else:
            _show(name, guesses, arguments.json)
    return USER_ERROR if failed else 0


def _explain(arguments, config, is_recipe):
    from mindclf import plots
    from mindclf.device import use_device
    from mindclf.explain import explain
    from mindclf.files import replacing
    from mindclf.predict import gather

    found = list(gather([arguments.picture], arguments.allow_private))
    if len(found) > 1:
        raise ValueError(f"{one_line(arguments.picture)} has {len(found)} files: explain takes one picture")
    [(name, read)] = found
    destination = Path(arguments.to or f"{_stem(name)}_explained.png")
    if destination.suffix != ".png":
        raise ValueError(f"{one_line(destination)}: the name of the picture that is written ends in .png")
    if destination.exists():
        raise ValueError(f"{one_line(destination)} exists and is not overwritten: name another with --to")
    picture = read()
    use_device(config.device_target)
    checkpoint, card = _checkpoint_and_card(arguments, config, is_recipe)
    explained = explain(checkpoint, picture, arguments.class_name, card)
    destination.parent.mkdir(parents=True, exist_ok=True)
    with replacing(destination) as file:
        plots.explanation(explained, file)
    print(one_line(destination))
    return 0


def _demo(arguments, config, is_recipe):
    from mindclf.demo import serve
    from mindclf.device import use_device

    use_device(config.device_target)
    checkpoint, card = _checkpoint_and_card(arguments, config, is_recipe)
    serve(checkpoint, arguments.examples, arguments.port, card)
    return 0


def _export(arguments, config, is_recipe):
    from mindclf.device import use_device
    from mindclf.export import export

    use_device("CPU")
    checkpoint, card = _checkpoint_and_card(arguments, config, is_recipe)
    print(export(checkpoint, arguments.format, arguments.to, card, arguments.with_preprocessing, arguments.batch_size))
    return 0


def _quantize(arguments, config, is_recipe):
    from mindclf.device import use_device
    from mindclf.quantize import quantize

    use_device("CPU")
    given = {"calibration_pictures": arguments.calibration_pictures, "allowed_loss": arguments.allow_loss}
    made = quantize(arguments.model, config, arguments.to,
                    **{name: value for name, value in given.items() if value is not None})
    print(f"{made.before.images} test pictures: {made.origin}")
    _print_table([("", "before", "after"), ("top-1", f"{made.before.top1:.2%}", f"{made.after.top1:.2%}"),
                  ("loss", f"{made.before.loss:.4f}", f"{made.after.loss:.4f}"),
                  ("MiB", f"{made.bytes_before / 2**20:.2f}", f"{made.bytes_after / 2**20:.2f}")], right=(1, 2))
    print(made.path)
    return 0


def _convert(arguments, config, is_recipe):
    from mindclf.convert import convert

    given = {text.partition("=")[0].partition(".")[0] for text in arguments.fields}
    print(convert(arguments.source, arguments.destination, arguments.net, **{name: config[name] for name in given}))
    return 0


def _split(arguments, config, is_recipe):
    from mindclf.dataset.split_folder import MANIFEST, split_folder

    made = split_folder(arguments.source, arguments.destination, arguments.every, arguments.fraction, arguments.seed,
                        arguments.on_bad_image)
    count, classes = len(made.train) + len(made.test), made.train.classes
    _print_counts(classes, {"train": [made.train.labels.count(label) for label in range(len(classes))],
                            "test": [made.test.labels.count(label) for label in range(len(classes))]})
    copies = sum(len(group) - 1 for group in made.duplicates)
    links = {count: "hard links: a picture that is changed in one place changes in both", 0: "copies"}
    print()
    _print_table([
        ("pictures", links.get(made.linked, f"{made.linked:,} hard links, {count - made.linked:,} copies")),
        ("duplicates", f"{copies:,}, each on the same side as the picture that it repeats" if copies else "none"),
        ("manifest", (Path(arguments.destination) / MANIFEST).as_posix()),
        ("train on it", f"{_this_python()} -m mindclf train {_quoted(arguments.destination)}")])
    return 0


def _stats(arguments, config, is_recipe):
    from mindclf.dataset.folder import NAMES_SHOWN
    from mindclf.dataset.statistics import folder_statistics

    found = folder_statistics(arguments.folder)
    if arguments.json:
        print(json.dumps({"folder": arguments.folder, **found.as_dict()}, ensure_ascii=False))
        return 0
    whole = found.pixels_of == "all"
    _print_counts(list(found.counts[found.pixels_of]),
                  {"pictures" if whole else split: list(counts.values()) for split, counts in found.counts.items()})
    print()
    _print_table([("pixels", "smallest", "median", "largest"),
                  *((side, *(f"{number:,g}" for number in numbers))
                    for side, numbers in (("width", found.widths), ("height", found.heights)))], right=(1, 2, 3))
    print()
    problems = [problem if whole else f"{split}: {problem}" for split, lines in found.problems.items() for problem in lines]
    of = "all pictures" if whole else f"the pictures in {found.pixels_of}/"
    _print_table([
        ("formats", _tally(found.formats)),
        ("modes", _tally(found.modes)),
        ("kinds", f"{found.grey:,} grey, {found.transparent:,} with transparency, {found.turned:,} turned upright as EXIF says"),
        ("mean", f"({', '.join(f'{value:.2f}' for value in found.mean)}) RGB, 0 to 255, over all pixels of {of}"),
        ("std", f"({', '.join(f'{value:.2f}' for value in found.std)})"),
        ("problems", f"{len(problems):,}" if problems else "none")])
    for problem in problems[:NAMES_SHOWN]:
        print(f"  {problem}")
    if len(problems) > NAMES_SHOWN:
        print(f"  and {len(problems) - NAMES_SHOWN:,} more: --json names them all")
    return 0


def _doctor(arguments, config, is_recipe):
    from mindclf.doctor import describe, examine

    facts = examine()
    if arguments.json:
        print(json.dumps(facts, ensure_ascii=False))
    else:
        _print_table(describe(facts))
    return 0


def _nets(arguments, config, is_recipe):
    from mindspore.nn.utils import no_init_parameters

    from mindclf.nets import NETS, create_net
    from mindclf.summary import count_parameters, paper

    rows = []
    for name in NETS:
        with no_init_parameters():
            trainable, _ = count_parameters(create_net(name, 1000).get_parameters())
        rows.append((name, f"{trainable:,}", paper(name)))
    _print_table(rows, right=(1,))
    return 0


def _summary(arguments, config, is_recipe):
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
        print(json.dumps({"net": arguments.net, "net_options": config.net_options, "num_classes": arguments.classes,
                          "image_height": size, "image_width": size, **summary.as_dict(batch_size)}))
        return 0
    rows = [("layer", "kind", "output", "trainable", "statistics", "MACs")]
    rows += [(layer.name, layer.kind, " x ".join(map(str, layer.shape)) if layer.shape else "not run",
              f"{layer.trainable:,}", f"{layer.statistics:,}", f"{layer.macs:,}") for layer in summary.layers]
    rows.append(("total", "", "", f"{summary.trainable:,}", f"{summary.statistics:,}", f"{summary.macs:,}"))
    _print_table(rows, right=(3, 4, 5))
    print(f"\none picture of {size} x {size} pixels, {arguments.classes} classes; everything in float32\n"
          f"MACs         {summary.macs / 1e6:,.1f} million multiply-accumulates, of convolutions and dense layers\n"
          f"weights      {summary.weights_mib:,.1f} MiB with the statistics\n"
          f"activations  {summary.activations_mib:,.1f} MiB: the outputs of all layers above\n"
          f"training     {summary.training_mib(batch_size):,.1f} MiB for the weights, a gradient and a momentum for each, and "
          f"the activations of {batch_size} pictures; room to work in comes on top")
    return 0


def _checkpoint_and_card(arguments, config, is_recipe):
    """(path, card); card is None where the checkpoint has its own, and made from the recipe for a tutorial's file."""
    from mindclf.checkpoint import has_card
    from mindclf.config import RAW_SIZE, pixel_statistics
    from mindclf.dataset.folder import check_class_index
    from mindclf.pretrained import GARBAGE_SORTER
    from mindclf.runtimes import EXPORTED

    default = Path(config.output) / "best.ckpt" if is_recipe else GARBAGE_SORTER
    path = Path(arguments.checkpoint) if arguments.checkpoint else default
    if not is_recipe or has_card(path) or path.suffix in EXPORTED:  # an .onnx has its card inside
        return path, None
    if config.dataset == "cifar10" and not config.mean and path.is_file():
        raise ValueError(f"{path} has no card, and the recipe leaves open which pixel statistics it was trained with: set mean "
                         f"and std in the recipe's config")
    mean, std = pixel_statistics(config)
    folders = check_class_index(config.class_index)
    return path, {
        "net": config.net, "net_options": config.net_options, "classes": class_names(config.dataset, folders),
        "class_folders": folders, "image_height": config.image_height, "image_width": config.image_width,
        "mean": mean, "std": std, "crop_share": config.crop_share, "raw_size": RAW_SIZE.get(config.dataset, ()),
    }


def _show(name, guesses, as_json):
    if as_json:
        line = json.dumps({"picture": name, "guesses": [asdict(guess) for guess in guesses]}, ensure_ascii=False)
        print(line.encode(errors="backslashreplace").decode(), flush=True)  # names of files need not be UTF-8
        return
    print(one_line(name))
    _print_table([("  " + guess.name, guess.chinese, " ".join(filter(None, (guess.category, guess.category_chinese))),
                   f"{guess.probability:.1%}") for guess in guesses])


def _stem(picture):
    """What a file about a picture, a path, a URL or "-", is named after: the name without folder and suffix."""
    if picture.startswith(("http://", "https://")):
        picture = unquote(urlsplit(picture).path)
    return Path(picture).stem.lstrip("-") or "picture"


def _this_python():
    """What to type for the Python that runs this."""
    return os.path.relpath(sys.executable) if Path(sys.executable).is_relative_to(Path.cwd()) else sys.executable


def _quoted(text):
    """`text` as a shell takes it for one word, in the quotes that leave Python's own readable."""
    return shlex.quote(text) if set(text) & set('"$`\\!') or "'" not in text else f'"{text}"'


def _print_counts(classes, columns):
    """Prints a row a class and their total; `columns` is {title: counts in the order of `classes`}."""
    rows = [("class", *columns)]
    rows += [(name, *(f"{count:,}" for count in counts)) for name, *counts in zip(classes, *columns.values())]
    rows.append((f"{len(classes)} classes", *(f"{sum(counts):,}" for counts in columns.values())))
    _print_table(rows, right=range(1, len(columns) + 1))


def _tally(counts):
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


def _print_table(rows, right=()):
    """Prints columns of texts. Those whose index is in `right` are flush right, as numbers should be."""
    widths = [max(map(_width, column)) for column in zip(*rows)]
    for row in rows:
        gaps = [" " * (width - _width(cell)) for cell, width in zip(row, widths)]
        cells = [gap + cell if index in right else cell + gap for index, (cell, gap) in enumerate(zip(row, gaps))]
        print("  ".join(cells).rstrip(), flush=True)


def _width(text):
    """Columns that a terminal gives to `text`: two for a Chinese character."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


