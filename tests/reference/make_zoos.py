"""Writes tests/reference/zoos.json.gz: names, shapes and logits of mindcv's and MindSpore Hub's nets, filled by the seeded rule.

    python -m tests.reference.make_zoos [NAME ...]      # needs mindcv 0.3.0, which needs PyYAML; without names all cases

Each net gets its weights by the rule (rule.py), from the names in its own file. The logits that it computes are stored, of one
image of each size. Then its file is written with mindspore.save_checkpoint, converted, and mindclf's net compared with it at two
sizes more, near those of ImageNet: the largest difference, in units of the largest logit, is stored as "difference". What was
converted is exported for mindcv, loaded into its net again, strictly, and compared too: "back".
"""

import gzip
import json
import sys
import tempfile
from pathlib import Path

import mindspore as ms
import numpy as np
from mindspore import Tensor

from mindclf.checkpoint import load_net
from mindclf.convert import convert
from mindclf.device import pynative, use_device
from mindclf.export import export
from tests.reference import ZOOS_FILE
from tests.reference.rule import images, weight
from tests.reference.zoo_nets import CASES, VGG_SIZES, build, parts

FULL = ((224, 224), (161, 225))


def main(chosen):
    use_device("CPU")
    results = json.loads(gzip.decompress(ZOOS_FILE.read_bytes())) if ZOOS_FILE.exists() else {}
    for case in CASES:
        if not chosen or case.name in chosen:
            with tempfile.TemporaryDirectory() as folder, pynative():
                results[case.name] = measured(case, Path(folder))
            print(case.name, results[case.name]["difference"], results[case.name].get("back"), flush=True)
            ordered = {case.name: results[case.name] for case in CASES if case.name in results}
            ZOOS_FILE.write_bytes(gzip.compress(json.dumps(ordered).encode(), mtime=0))


def document_table(results):
    """The lines of the table in docs/coming_from_mindcv.md: a net each, with what was measured of it in either zoo."""
    rows = {}
    for name, result in results.items():
        origin, net = name.split(" ", 1)
        rows.setdefault(net, {})[origin] = result
    lines = ["| net | mindcv | back | MindSpore Hub |", "|---|---|---|---|"]
    for net, found in rows.items():
        mindcv, hub = found.get("mindcv", {}), found.get("hub", {})
        cells = ["" if cell is None else f"{cell:.0e}" if cell else "0"
                 for cell in (mindcv.get("difference"), mindcv.get("back"), hub.get("difference"))]
        lines.append(f"| `{net}` | {' | '.join(cells)} |")
    return lines


def measured(case, folder):
    net, names = build(case)
    stored = []
    for parameter in net.get_parameters():
        if parameter.name in names:
            found = [(name, weight(name, shape)) for name, shape in parts(case, names[parameter.name], parameter.shape)]
            parameter.set_data(Tensor(np.concatenate([values for _, values in found])))
            stored += [{"name": name, "data": Tensor(values)} for name, values in found]
    result = {"origin": case.origin, "net": case.net, "options": case.options,
              "weights": [[entry["name"], list(entry["data"].shape)] for entry in stored],
              "logits": {f"{height}x{width}": [float(f"{value:.7g}") for value in logits_of(net, height, width)]
                         for height, width in case.sizes}}
    ms.save_checkpoint(stored, str(folder / "theirs.ckpt"))
    hidden = {name: value for name, value in case.options.items() if name == "hidden_channels"}
    fields = {"net_options": hidden} if hidden else {}
    ours = convert(folder / "theirs.ckpt", folder / "ours.ckpt", case.net, case.origin, **fields)
    result["difference"] = difference(load_net(ours)[0], net, case)
    if case.origin == "mindcv" and not hidden:
        back = export(ours, "mindcv", folder / "back.ckpt")
        again, _ = build(case)
        missing, unexpected = ms.load_param_into_net(again, ms.load_checkpoint(str(back)), strict_load=True)
        if missing or unexpected:
            raise ValueError(f"{case.name}: mindcv misses {missing[:3]}, and does not know {unexpected[:3]}")
        result["back"] = difference(again, net, case)
    return result


def difference(ours, theirs, case):
    """The largest of FULL sizes, as a fraction of the largest logit."""
    found = []
    for height, width in VGG_SIZES if case.net.startswith("vgg") else FULL:
        expected = logits_of(theirs, height, width)
        found.append(np.abs(logits_of(ours, height, width) - expected).max() / np.abs(expected).max())
    return float(f"{max(found):.1g}")


def logits_of(net, height, width):
    return net(Tensor(images(1, height, width))).asnumpy()[0].astype(float)


if __name__ == "__main__":
    main(sys.argv[1:])
