"""Model cards: the typed `Card`, and the JSON file beside a net's file that holds it: NAME.ckpt and NAME.ckpt.json.

A card says what the weights are: net, classes, preprocessing, metrics, data, seed, versions, command. With it, evaluation,
prediction and export need only the path, and cannot preprocess otherwise than training did.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from mindclf.calibration import Calibration
from mindclf.config import RAW_SIZE, merge
from mindclf.labels import ClassLabel, class_labels
from mindclf.preprocessing import Preprocessing
from mindclf.utils.files import one_line, replacing, sha256, write_json, writing

CARD_FORMAT = 1
# What each card must have, and its type: enough to build the net and to preprocess an image.
REQUIRED = {"net": str, "net_options": dict, "classes": list, "image_height": int, "image_width": int, "mean": list, "std": list}
IN_FILES = {**REQUIRED, "format": int, "weights_sha256": str}  # what the one in a file of its own must have
# What a card may have besides that is used, and its type.
OPTIONAL = {"crop_share": (int, float), "raw_size": list, "white": (int, float), "class_folders": list, "classes_chinese": list,
            "categories": list, "categories_chinese": list, "config": dict, "metrics": dict, "data": dict,
            "seconds": (int, float), "device": dict, "versions": dict, "exported": dict, "speed": list, "stopped_early": list,
            "seen_images": dict, "extended": list, "calibration": dict, "format": int, "weights_sha256": str}
WITHIN = {("data", "path"): str, ("data", "train"): int, ("data", "held_out"): int, ("data", "test"): int,
          ("config", "dataset"): str, ("exported", "with_preprocessing"): bool}
OF_CLASSES = ("classes", "class_folders", "classes_chinese", "categories", "categories_chinese")  # a text for each class
SEEN_FIELDS = ("train", "validation", "test")  # of seen_images: 8 characters of base64 an image, see mindclf.dataset.seen
CALIBRATION_RANGES = {"temperature": (1e-3, 1e3), **dict.fromkeys(
    ("threshold", "target_error", "coverage", "error", "error_bound", "ece_before", "ece_after"), (0, 1))}
OF_PHASES = {  # fields with a record of each phase of the training, and the numbers in it
    "speed": ("phase", "images_per_second", "data_share"), "stopped_early": ("phase", "epoch", "planned_epochs"),
}
IN_CONFIG = {  # the fields with the ranges of a config, and what they are called there
    "net_options": "net_options", "image_height": "image_height", "image_width": "image_width", "mean": "mean", "std": "std",
    "crop_share": "crop_pct", "white": "white",
}
MAX_CARD_BYTES = 2**24
MAX_BATCH = 65_536  # images that an exported file takes at a time


class Card(dict):
    """What is known of the net in a file: a dict, as JSON holds it. Fields that this version does not know stay, in their order.

    Properties give what mindclf uses in types of its own. Raises ValueError of one line, which begins with `source`, for a field
    that is not fit for use, and for one of `required`, {field: type}, that is missing.
    """

    def __init__(self, fields: Mapping, source: str | Path = "the card", required: Mapping = REQUIRED):
        super().__init__(fields)
        for problem in _problems(self, required):
            raise ValueError(f"{source}: {problem}")

    @classmethod
    def parse(cls, text: str | bytes, source: str | Path, required: Mapping = IN_FILES) -> Card:
        """The card in `text`, which was read from `source`. Raises ValueError as the card itself does, also if it is no JSON."""
        if len(text) > MAX_CARD_BYTES:
            raise ValueError(f"{source} is not a card: it is larger than {MAX_CARD_BYTES / 2**20:.0f} MiB")
        try:
            fields = json.loads(text)
        except (ValueError, RecursionError) as error:  # the latter for brackets in a thousand brackets
            raise ValueError(f"{source} is not a card: {error}") from None
        if not isinstance(fields, dict):
            raise ValueError(f"{source} is not a card: expected a JSON object, received {type(fields).__name__}")
        return cls(fields, source, required)

    @classmethod
    def describing(cls, net: str, net_options: Mapping, labels: Sequence[ClassLabel], preprocessing: Preprocessing,
                   class_folders: Sequence[str] | None = None) -> Card:
        """The card of a net of that name and these options: what its use needs, and nothing of how it was made.

        `labels` are its classes in the order of its outputs; `class_folders` what their folders are called, if not so.
        """
        return cls({
            "net": net, "net_options": dict(net_options), "classes": [label.name for label in labels],
            "class_folders": list(class_folders or (label.name for label in labels)),
            "classes_chinese": [label.chinese for label in labels], "categories": [label.category for label in labels],
            "categories_chinese": [label.category_chinese for label in labels], **preprocessing.card_fields(),
        })

    @property
    def net(self) -> str:
        """The name of the net, one of mindclf.nets.NETS."""
        return self["net"]

    @property
    def net_options(self) -> dict:
        """The further arguments of `create_net`."""
        return self["net_options"]

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes in the order of the net's outputs; () for a backbone without a classifier."""
        return tuple(self["classes"])

    @property
    def class_folders(self) -> tuple[str, ...]:
        """What the folders of the classes are called, in the same order."""
        return tuple(self.get("class_folders") or self["classes"])

    @property
    def labels(self) -> tuple[ClassLabel, ...]:
        """The classes with their Chinese names and bins, in the same order.

        A card without "categories_chinese" is of an older mindclf, which took both by the name alone, also for classes of one's
        own: there they are those of the data set that the card names (see `class_labels`).
        """
        if "categories_chinese" not in self:
            return class_labels(self.classes, self.dataset)
        blank = [""] * len(self.classes)
        return tuple(map(ClassLabel, self.classes, self.get("classes_chinese", blank), self.get("categories", blank),
                         self["categories_chinese"]))

    @property
    def preprocessing(self) -> Preprocessing:
        """What evaluation does to an image for this net."""
        return Preprocessing.from_card(self)

    @property
    def calibration(self) -> Calibration:
        """How logits become probabilities, and when an answer is sure: as they come and always, where the card does not say."""
        return Calibration.of(self.get("calibration", {}))

    @property
    def dataset(self) -> str:
        """The name of the data set that the net was trained on; "" for images of one's own, or if it is not known."""
        return self.get("config", {}).get("dataset", "")

    @property
    def data(self) -> dict:
        """Where the images came from and how many they were; {} if it is not known."""
        return self.get("data", {})


def make_card(net_name: str, classes: Sequence[str], config: Mapping | None = None) -> Card:
    """The card of a net that you trained yourself, with which `Predictor`, `evaluate` and `export` take its checkpoint.

    `net_name` is one of mindclf.nets.NETS and `classes` are the names of its outputs, in their order. `config` has those of the
    fields that matter to preprocessing and to the net: image_height, image_width, mean, std, crop_pct, net_options; the others
    are left at their defaults. Write it with `save_checkpoint(net, path, card)`, or give it to `CardCheckpoint`. Raises
    ValueError for a field that is not fit for use.
    """
    fields = merge(dict(config or {}), {})
    labels = class_labels(classes, fields.dataset)
    return Card.describing(net_name, fields.net_options, labels, Preprocessing.from_config(fields, RAW_SIZE.get(fields.dataset)))


def card_path(path: str | Path) -> Path:
    """The path of the card that belongs to the file at `path`: its name with .json added."""
    return Path(f"{path}.json")


def next_card_path(path: str | Path) -> Path:
    """The path of the card that is about to take the place of `card_path(path)`, together with new weights."""
    return Path(f"{path}.next.json")


def has_card(path: str | Path) -> bool:
    """Whether the file at `path` has a card beside it, perhaps of a save that was cut short."""
    return card_path(path).is_file() or next_card_path(path).is_file()


def read_card(path: str | Path) -> Card:
    """The card beside the file at `path`. Raises ValueError if it is missing, unreadable, or of other weights."""
    file = card_path(path)
    if not Path(path).is_file():
        raise ValueError(f"checkpoint {path} does not exist")
    following = next_card_path(path)
    if following.is_file() and _describes(following, path):
        file = following  # a save was cut short
    if not file.is_file():
        hint = "" if Path(path).suffix == ".mindir" else (". A file from a tutorial has none; use it through the recipe that "
               "describes it, as in python recipes/garbage_mobilenet_v2.py predict; one of mindcv's or MindSpore Hub's is for "
               "mindclf convert")
        raise ValueError(f"{path} has no card: {file.name} is missing beside it{hint}")
    card = _card_in(file)
    if card["weights_sha256"] != sha256(path):
        raise ValueError(f"{path} is damaged, or not the file that {file.name} describes: its SHA-256 differs from the card's")
    return card


@contextlib.contextmanager
def replacing_with_card(path: Path, card: dict) -> Iterator[Path]:
    """As `files.replacing`, for a file with a net and its `card`, to which the block may add.

    The card is first written as `next_card_path`, then the file replaces the old one, then the card: whenever that is cut short,
    `read_card` finds the card that belongs to the file. Raises ValueError, and writes nothing, for a card that is none.
    """
    with replacing(path) as temporary:
        yield temporary
        written = Card({**card, "format": CARD_FORMAT, "weights_sha256": sha256(temporary)}, card_path(path), IN_FILES)
        write_json(next_card_path(path), written)
    with writing(card_path(path)):
        next_card_path(path).replace(card_path(path))


def settle(path: str | Path) -> None:
    """Brings a save of the checkpoint at `path` that was cut short to its end, or takes it back."""
    following = next_card_path(path)
    if following.is_file():
        if Path(path).is_file() and _describes(following, path):
            following.replace(card_path(path))
        else:
            following.unlink()


def _card_in(file):
    with open(file, "rb") as opened:
        return Card.parse(opened.read(MAX_CARD_BYTES + 1), file)


def _describes(file, path):
    """Whether `file` is a card, that of the weights at `path`."""
    try:
        return _card_in(file)["weights_sha256"] == sha256(path)
    except ValueError:  # nothing that we wrote
        return False


def _problems(card, required):
    """Yields what is wrong with the fields of `card`, each in words; later looks rely on earlier ones."""
    yield from _wrong_types(card, required)
    if "format" in card and not 1 <= card["format"] <= CARD_FORMAT:
        yield f"it has format {_short(card['format'])}, this mindclf reads up to {CARD_FORMAT}: update mindclf"
    for field in filter(card.__contains__, OF_CLASSES):
        for text in card[field]:
            if not _is_one_line(text):
                yield f"field {field!r} must hold names of one line, received {_short(text)}"
        if len(card[field]) != len(card["classes"]):
            yield f"{field!r} must be as many as the {len(card['classes'])} classes"
    yield from _wrong_records(card)
    size = card.get("raw_size", ())
    if size and not (len(size) == 2 and all(type(side) is int and 1 <= side <= 4096 for side in size)):
        yield f"field 'raw_size' must be a height and a width, 1 to 4096 pixels, received {_short(size)}"
    try:
        merge({}, {name: card[field] for field, name in IN_CONFIG.items() if field in card})
    except ValueError as error:
        yield _short(error, str)


def _wrong_types(card, required):
    for field, kind in {**OPTIONAL, **required}.items():
        if field not in card and field not in required:
            continue
        kinds = (list, tuple) if kind is list else kind
        if field not in card or not isinstance(card[field], kinds) or isinstance(card[field], bool):
            yield f"field {field!r} must be of type {getattr(kind, '__name__', 'number')}, received {_short(card.get(field))}"
    for (group, field), kind in WITHIN.items():
        if field in card.get(group, ()) and not isinstance(card[group][field], kind):
            yield f"field '{group}.{field}' must be of type {kind.__name__}, received {_short(card[group][field])}"


def _wrong_records(card):
    """What is wrong in what a card says of an export, calibration, the speed of training, and the images that were seen."""
    batch_size = card.get("exported", {}).get("batch_size")
    if batch_size is not None and not (type(batch_size) is int and 1 <= batch_size <= MAX_BATCH):
        yield f"field 'exported.batch_size' must lie between 1 and {MAX_BATCH}, received {_short(batch_size)}"
    calibration = card.get("calibration", {})
    for field, (low, high) in CALIBRATION_RANGES.items():
        value = calibration.get(field, low)
        if not (type(value) in (int, float) and low <= value <= high) and (field, value) != ("threshold", None):
            yield f"field 'calibration.{field}' must lie between {low:g} and {high:g}, received {_short(value)}"
    for field in ("of", "missing"):
        if not _is_one_line(calibration.get(field, "")):
            yield f"field 'calibration.{field}' must be a text of one line, received {_short(calibration[field])}"
    for field, names in OF_PHASES.items():
        for phase in card.get(field, ()):
            if not (isinstance(phase, dict) and all(type(phase.get(name)) in (int, float) for name in names)):
                yield f"field {field!r} must hold numbers {', '.join(names)}, received {_short(phase)}"
    for part, metrics in card.get("metrics", {}).items():
        if not (isinstance(metrics, dict) and all(type(metrics.get(name, 0)) in (int, float) for name in ("top1", "images"))):
            yield f"field 'metrics' must hold numbers top1 and images of {_short(part)}, received {_short(metrics)}"
    seen = card.get("seen_images", dict.fromkeys(SEEN_FIELDS, ""))
    for name in SEEN_FIELDS:
        if not (isinstance(seen.get(name), str) and re.fullmatch(r"(?:[A-Za-z0-9+/]{8})*", seen[name])):
            yield f"field 'seen_images.{name}' must hold 8 characters of base64 an image, received {_short(seen.get(name))}"
    unknown = seen.get("parents_unknown", [])
    if not (isinstance(unknown, list) and all(map(_is_one_line, unknown))):
        yield f"field 'seen_images.parents_unknown' must hold names of one line, received {_short(unknown)}"


def _is_one_line(text):
    return isinstance(text, str) and one_line(text) == text


def _short(value, shown=repr):
    """`value` for a message: a card may have anything anywhere."""
    text = one_line(shown(value))
    return text if len(text) <= 200 else f"{text[:200]}..."
