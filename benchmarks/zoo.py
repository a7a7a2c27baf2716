"""Every net of the table: parameters, multiply-accumulates (MACs), and how far its logits are from those of a reference.

    python benchmarks/zoo.py          # about a minute; writes results/tables/zoo.json and the tables of mindclf/nets/README.md

Parameters and MACs come from tracing each net for 1000 classes (mindclf.summary). Differences come from the weights, images and
PyTorch logits of tests/reference, in units of the largest logit where that is more than 1.
"""

import json
import sys

import numpy as np
from common import ROOT, provenance, write_result
from mindspore import Tensor

from mindclf.checkpoint import fill_net
from mindclf.device import describe_device, pynative, use_device
from mindclf.nets import NETS
from mindclf.summary import empty_net, paper, summarise

sys.path.insert(0, str(ROOT))
from tests.reference import REFERENCE_FILE
from tests.reference.cases import CASES, NUM_CLASSES
from tests.reference.published import PUBLISHED
from tests.reference.rule import images, weight

SIZES = {"inception_v3": 299}  # pixels; the others were made for 224


def main():
    device = use_device("CPU")
    references = json.loads(REFERENCE_FILE.read_text(encoding="utf-8"))
    rows = []
    for case in CASES:
        row = {"net": case.net, "options": case.options, "reference": case.reference, "compared_at": [case.height, case.width],
               "difference": difference(case, references[case.name]["logits"])}
        if case in CASES[:len(NETS)]:
            size = SIZES.get(case.net, 224)
            summary = summarise(empty_net(case.net, 1000), size, size)
            row.update(paper=paper(case.net), size=size, parameters=summary.trainable, macs=summary.macs,
                       gradients=case.gradients, counts_published_by=sorted({p.source for p in PUBLISHED if p.net == case.net}))
        rows.append(row)
        print(f"{case.name}: {row['difference']:.1e}", flush=True)
    write_result(__file__, {**provenance(describe_device(device)), "rows": rows})


def difference(case, expected):
    """The largest difference of a logit, with the weights and images of the rule."""
    net = empty_net(case.net, NUM_CLASSES, **case.options)
    fill_net(net, {p.name: weight(p.name, p.shape) for p in net.get_parameters()}, "the rule")
    with pynative():
        logits = net.set_train(False)(Tensor(images(2, case.height, case.width))).asnumpy()
    return float(np.abs(logits - expected).max() / max(1, np.abs(expected).max()))


if __name__ == "__main__":
    main()
