"""State dicts with the names and shapes that other libraries write, for the tests of the conversion."""

import ast
import gzip
import json

import numpy as np

from tests.reference import FOREIGN_KEYS_FILE

FILES = json.loads(gzip.decompress(FOREIGN_KEYS_FILE.read_bytes()))  # "torchvision resnet18": [net, ["conv1.weight (64, ...)"]]


def shapes(file):
    """(net, {name: shape}) of one of FILES."""
    net, rows = FILES[file]
    return net, {name: ast.literal_eval(shape) for name, shape in (row.split(" ", 1) for row in rows)}


def hollow(file):
    """(net, arrays) without numbers in them, which take no memory."""
    net, named = shapes(file)
    return net, {name: np.broadcast_to(np.float32(0), shape) for name, shape in named.items()}


def filled(file, num_classes=1000):
    """(net, arrays) with random numbers, for so many classes."""
    rng = np.random.default_rng(0)
    net, named = shapes(file)
    named = {name: tuple(num_classes if size == 1000 else size for size in shape) for name, shape in named.items()}
    return net, {name: rng.uniform(0.5, 1.5, shape).astype(np.float32) for name, shape in named.items()}
