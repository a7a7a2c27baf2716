"""Numbers that PyTorch computed, and the keys of every net, for the tests that compare with them."""

from pathlib import Path

REFERENCE_FILE = Path(__file__).with_name("reference.json")
KEYS_FILE = Path(__file__).with_name("keys.json.gz")
FOREIGN_KEYS_FILE = Path(__file__).with_name("foreign_keys.json.gz")  # what other libraries call the weights
ZOOS_FILE = Path(__file__).with_name("zoos.json.gz")  # of mindcv and MindSpore Hub
