"""Writes tests/reference/keys.json.gz: the keys and shapes of every net with 10 classes.

    python -m tests.reference.write_keys

They are a file format: run this only when a net is new, or together with a key map for the checkpoints that people have.
"""

import gzip
import json

from mindspore.nn.utils import no_init_parameters

from mindclf.nets import NETS, create_net
from tests.reference import KEYS_FILE
from tests.reference.cases import CASES, NUM_CLASSES


def main():
    keys = {}
    with no_init_parameters():
        for case in CASES[:len(NETS)]:
            net = create_net(case.net, NUM_CLASSES, **case.options)
            keys[case.net] = [f"{p.name} {p.shape}" for p in net.get_parameters()]
    KEYS_FILE.write_bytes(gzip.compress(json.dumps(keys).encode(), mtime=0))


if __name__ == "__main__":
    main()
