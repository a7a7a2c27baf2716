"""compare(config, variants, seeds): several nets, or ways to train one, side by side under one recipe."""

import json
import logging
import statistics
from pathlib import Path

from mindclf import __version__
from mindclf.checkpoint import read_card
from mindclf.config import DEFAULTS, merge, own_names
from mindclf.dataset.splits import read_splits
from mindclf.device import describe_device, use_device
from mindclf.pretrained import start_net
from mindclf.report import plots
from mindclf.report.history import HISTORY, HistoryFile
from mindclf.summary import summarise
from mindclf.train import fit
from mindclf.utils.claim import claimed
from mindclf.utils.files import command_line, first_line, write_json
from mindclf.utils.logs import shown_log

log = logging.getLogger(__name__)


def compare(config, variants, seeds):
    """Trains every one of `variants`, {name: the fields in which it differs}, with each of `seeds`; returns a row for each.

    A row has the variant's name, trainable parameters, MACs of one image, and by seed: top-1 and top-5 on the test images,
    and seconds. Writes compare.json with the rows and compare.png into `compared_folder`, anew after each run, beside rows of
    other variants that an earlier call with the same config left there. The run of a variant with a seed has the folder
    <variant>-seed<seed>; it goes on if it was interrupted, and is only reported again if it is finished.

    A run that fails with ValueError, as one does whose loss is no number, goes to "failed" of its row, and the others go on.
    Raises ValueError before the first is trained for a variant whose fields, images, net or first weights are wrong, and while
    another comparison writes into that folder.
    """
    output = compared_folder(config)
    runs = {name: [merge(config, {**fields, "seed": seed, "output": str(output / f"{name}-seed{seed}"), "resume": True})
                   for seed in seeds] for name, fields in variants.items()}
    device = use_device(config.device_target)
    sizes = _check({name: configs[0] for name, configs in runs.items()})
    with shown_log(), claimed(output):
        return _compare(config, runs, sizes, seeds, output, device)


def _compare(config, runs, sizes, seeds, output, device):
    facts = {"command": command_line(), "mindclf": __version__, "device": describe_device(device),
             "config": {name: value for name, value in config.items()
                        if value != DEFAULTS[name] and name not in ("class_index", "output", "resume")}}
    rows = {row["variant"]: row for row in _earlier_rows(output / "compare.json", facts["config"]) if row["variant"] not in runs}
    new = {name: {"variant": name, **sizes[name], "seeds": [], "top1": [], "top5": [], "seconds": [], "failed": []}
           for name in runs}
    for name, configs in runs.items():
        rows[name] = row = new[name]
        for seed, run in zip(seeds, configs):
            log.info("%s, seed %d", name, seed)
            try:
                figures = fit(run, may_extend=False).report.scalars()
            except ValueError as error:
                log.warning("%s, seed %d failed: %s", name, seed, error)
                row["failed"].append(f"seed {seed}: {first_line(error)}")
            else:
                last = read_card(Path(run.output) / "last.ckpt")
                for column, value in (("seeds", seed), ("top1", figures["top1"]), ("top5", figures["top5"]),
                                      ("seconds", last["seconds"])):
                    row[column].append(value)
                row["mean_top1"], row["mean_seconds"] = statistics.mean(row["top1"]), statistics.mean(row["seconds"])
                facts["data"] = {name: value for name, value in last["data"].items() if name != "digest"}
            _write(output, facts, rows)
    return list(new.values())


def compared_folder(config):
    """The folder for the runs of a comparison, beside that of a single run of the recipe."""
    return Path(f"{config.output}-compared")


def _check(configs):
    """{variant: its `_size`} of {variant: config}, all images having been read. Raises ValueError that names the variant."""
    sizes, read = {}, set()
    for name, config in configs.items():
        try:
            sizes[name] = _size(config)
            images = repr([config[field] for field in ("dataset", "dataset_path", "class_index", "on_bad_image")])
            if images not in read:
                read_splits(config)
            read.add(images)
        except ValueError as error:
            raise ValueError(f"{name}: {first_line(error)}; --only compares the others") from None
    return sizes


def _size(config):
    """Net, start, trainable parameters and MACs of what `config` trains."""
    net, config, origin = start_net(config, len(config.class_index))
    size = summarise(net, config.image_height, config.image_width)
    return {"net": config.net, "start": origin, "parameters": size.trainable, "macs": size.macs}


def _earlier_rows(file, config):
    """The rows of a compare.json that was made with this `config`."""
    if not file.is_file():
        return []
    earlier = json.loads(file.read_text(encoding="utf-8"))
    then, now = (json.dumps(fields, sort_keys=True) for fields in (own_names(earlier["config"]), config))
    return earlier["rows"] if then == now else []


def _write(output, facts, rows):
    write_json(output / "compare.json", {**facts, "rows": list(rows.values())})
    shown = [row for row in rows.values() if row["seeds"]]
    histories = {row["variant"]: [HistoryFile(output / f"{row['variant']}-seed{seed}" / HISTORY).rows() for seed in row["seeds"]]
                 for row in shown}
    if shown:
        plots.comparison(shown, histories, output / "compare.png")
