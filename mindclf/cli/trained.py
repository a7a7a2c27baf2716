"""The commands for a trained net: eval, predict, explain, demo."""

import contextlib
import sys
from dataclasses import asdict
from pathlib import Path
from urllib.parse import unquote, urlsplit

from mindclf.cli.text import USER_ERROR, print_json, print_table
from mindclf.cli.weights import checkpoint_of
from mindclf.utils.files import one_line


def evaluate(arguments, config, is_recipe):
    from mindclf.checkpoint import load_net
    from mindclf.dataset.splits import find_folder, images_to_measure
    from mindclf.device import use_device
    from mindclf.inference.runner import EXPORTED, Runner
    from mindclf.metrics import compute_metrics
    from mindclf.report.html import Measured
    from mindclf.train.callbacks import history_beside
    from mindclf.train.fit import write_report
    from mindclf.utils.claim import claimed

    use_device(config.device_target)
    checkpoint = checkpoint_of(arguments, config, is_recipe)
    with claimed(arguments.report) if arguments.report else contextlib.nullcontext():
        runner = Runner(checkpoint, mirror=arguments.mirror)
        card = runner.card
        folder, origin = find_folder(config)
        if arguments.mirror:
            origin += ", with test-time augmentation (horizontal flip)"
        images, chosen = images_to_measure(card, folder, config)
        logits, labels = runner.logits(images, config.eval_batch_size)
        metrics = compute_metrics(logits, labels, len(card.classes))
        if arguments.report:
            file = checkpoint.path
            net = None if file.suffix in EXPORTED else load_net(checkpoint)[0]  # the runner's has no gradients for Grad-CAM
            measured = Measured(file, net, card, origin, images, logits, metrics, history_beside(file))
            write_report(Path(arguments.report), measured, config)
    if arguments.json:
        left_out = {"trained_on": chosen.trained_on, "validation": chosen.validation}
        print_json({"data": origin, "classes": card.classes, "left_out": left_out, **metrics.as_dict()})
        return 0
    imbalance = metrics.imbalance(card.classes)
    print(f"{_measured(chosen, metrics.images)} {origin} ({folder.as_posix()}){_left_out(chosen)}\n"
          f"top-1 {metrics.top1:.2%}  top-5 {metrics.top5:.2%}  loss {metrics.loss:.4f}"
          + (f"\nbalanced accuracy {imbalance}" if imbalance else ""))
    print_table([(name, f"{value:.0%}" if value == value else "no images")
                  for name, value in zip(card.classes, metrics.per_class)])
    return 0


def _measured(chosen, count):
    """What is measured, in words."""
    if not chosen.whole:
        return f"{count} test images:"
    return f"{count} images that training has not seen, of" if _left_out(chosen) else f"{count} images, all of"


def _left_out(chosen):
    """How many images are not measured, and why."""
    reasons = [f"{count} {reason}" for count, reason in ((chosen.trained_on, "trained on"), (chosen.validation, "for validation"))
               if count]
    return f"; left out: {', '.join(reasons)}" if reasons else ""


def predict(arguments, config, is_recipe):
    from mindclf.device import use_device
    from mindclf.inference.sources import gather
    from mindclf.predict import Predictor

    use_device(arguments.device)
    predictor = Predictor(checkpoint_of(arguments, config, is_recipe), arguments.runtime, arguments.mirror, config.max_pixels)
    if predictor.net is None and arguments.device not in ("auto", "CPU"):
        raise ValueError(f"--device {arguments.device}: ONNX Runtime computes on the CPU here; leave it out")
    failed = False
    sources = gather(arguments.images, arguments.allow_private, predictor.preprocessing.reading)
    for name, found in predictor.predict_iter(sources, arguments.top_k):
        if isinstance(found, ValueError):
            failed = True
            print(f"mindclf: {found}", file=sys.stderr)
        else:
            _show(name, found, arguments.json)
    return USER_ERROR if failed else 0


def explain(arguments, config, is_recipe):
    from mindclf.device import use_device
    from mindclf.explain import check_has_gradients, explain
    from mindclf.inference.sources import gather
    from mindclf.report import plots

    checkpoint = checkpoint_of(arguments, config, is_recipe)
    check_has_gradients(checkpoint.path)
    preprocessing = checkpoint.read_card().preprocessing.with_max_pixels(config.max_pixels)
    found = list(gather([arguments.image], arguments.allow_private, preprocessing.reading))
    if len(found) > 1:
        raise ValueError(f"{one_line(arguments.image)} has {len(found)} files: explain takes one image")
    [(name, read)] = found
    destination = Path(arguments.to or f"{stem(name)}_explained.png")
    if destination.suffix != ".png":
        raise ValueError(f"{one_line(destination)}: the name of the image that is written ends in .png")
    if destination.exists():
        raise ValueError(f"{one_line(destination)} exists and is not overwritten: name another with --to")
    image = read()
    use_device(config.device_target)
    explained = explain(checkpoint, image, arguments.class_name)
    destination.parent.mkdir(parents=True, exist_ok=True)
    plots.explanation(explained, destination)
    print(one_line(destination))
    return 0


def demo(arguments, config, is_recipe):
    from mindclf.demo import serve
    from mindclf.device import use_device

    use_device(config.device_target)
    serve(checkpoint_of(arguments, config, is_recipe), arguments.examples, arguments.port)
    return 0


def _show(name, predictions, as_json):
    if as_json:
        print_json({"image": name, "predictions": [asdict(prediction) for prediction in predictions]})
        return
    print(one_line(name))
    print_table([("  " + prediction.name, prediction.chinese,
                  " ".join(filter(None, (prediction.category, prediction.category_chinese))),
                  f"{prediction.probability:.1%}") for prediction in predictions])


def stem(image):
    """What a file about an image, a path, a URL or "-", is named after: the name without folder and suffix."""
    if image.startswith(("http://", "https://")):
        image = unquote(urlsplit(image).path)
    return Path(image).stem.lstrip("-") or "image"
