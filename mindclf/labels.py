"""Class names of the data sets that the recipes use. Their order is a file format: it numbers the outputs of checkpoints."""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from mindclf.imagenet import IMAGENET

NOT_SURE = "not sure"  # an answer below the threshold, and the folder of such images: no class is called so

# The four sorting categories of Shanghai's rules: Chinese name, English name, colour of the bin.
CATEGORIES = {
    "干垃圾": ("residual", "black"),
    "可回收物": ("recyclable", "blue"),
    "湿垃圾": ("food", "brown"),
    "有害垃圾": ("hazardous", "red"),
}

# English name, Chinese name, category, in the fixed order of MindSpore's garbage sorting tutorial.
GARBAGE = (
    ("Seashell", "贝壳", "干垃圾"),
    ("Lighter", "打火机", "干垃圾"),
    ("Old Mirror", "旧镜子", "干垃圾"),
    ("Broom", "扫把", "干垃圾"),
    ("Ceramic Bowl", "陶瓷碗", "干垃圾"),
    ("Toothbrush", "牙刷", "干垃圾"),
    ("Disposable Chopsticks", "一次性筷子", "干垃圾"),
    ("Dirty Cloth", "脏污衣服", "干垃圾"),
    ("Newspaper", "报纸", "可回收物"),
    ("Glassware", "玻璃制品", "可回收物"),
    ("Basketball", "篮球", "可回收物"),
    ("Plastic Bottle", "塑料瓶", "可回收物"),
    ("Cardboard", "硬纸板", "可回收物"),
    ("Glass Bottle", "玻璃瓶", "可回收物"),
    ("Metalware", "金属制品", "可回收物"),
    ("Hats", "帽子", "可回收物"),
    ("Cans", "易拉罐", "可回收物"),
    ("Paper", "纸张", "可回收物"),
    ("Vegetable Leaf", "菜叶", "湿垃圾"),
    ("Orange Peel", "橙皮", "湿垃圾"),
    ("Eggshell", "蛋壳", "湿垃圾"),
    ("Banana Peel", "香蕉皮", "湿垃圾"),
    ("Battery", "电池", "有害垃圾"),
    ("Tablet capsules", "药片胶囊", "有害垃圾"),
    ("Fluorescent lamp", "荧光灯", "有害垃圾"),
    ("Paint bucket", "油漆桶", "有害垃圾"),
)

# In the order of the labels in its files (batches.meta.txt), with Chinese names.
CIFAR10_CHINESE = {"airplane": "飞机", "automobile": "汽车", "bird": "鸟", "cat": "猫", "deer": "鹿", "dog": "狗", "frog": "青蛙",
                   "horse": "马", "ship": "船", "truck": "卡车"}
CIFAR10 = tuple(CIFAR10_CHINESE)

# Oxford's 102 flowers in the order of their folders, '1' to '102', as numbers: label 0 is folder '1', label 1 folder '2'.
FLOWERS102 = (
    "pink primrose", "hard-leaved pocket orchid", "canterbury bells", "sweet pea", "english marigold", "tiger lily",
    "moon orchid", "bird of paradise", "monkshood", "globe thistle", "snapdragon", "colt's foot", "king protea",
    "spear thistle", "yellow iris", "globe-flower", "purple coneflower", "peruvian lily", "balloon flower",
    "giant white arum lily", "fire lily", "pincushion flower", "fritillary", "red ginger", "grape hyacinth", "corn poppy",
    "prince of wales feathers", "stemless gentian", "artichoke", "sweet william", "carnation", "garden phlox",
    "love in the mist", "mexican aster", "alpine sea holly", "ruby-lipped cattleya", "cape flower", "great masterwort",
    "siam tulip", "lenten rose", "barbeton daisy", "daffodil", "sword lily", "poinsettia", "bolero deep blue", "wallflower",
    "marigold", "buttercup", "oxeye daisy", "common dandelion", "petunia", "wild pansy", "primula", "sunflower", "pelargonium",
    "bishop of llandaff", "gaura", "geranium", "orange dahlia", "pink-yellow dahlia", "cautleya spicata", "japanese anemone",
    "black-eyed susan", "silverbush", "californian poppy", "osteospermum", "spring crocus", "bearded iris", "windflower",
    "tree poppy", "gazania", "azalea", "water lily", "rose", "thorn apple", "morning glory", "passion flower", "lotus lotus",
    "toad lily", "anthurium", "frangipani", "clematis", "hibiscus", "columbine", "desert-rose", "tree mallow", "magnolia",
    "cyclamen", "watercress", "canna lily", "hippeastrum", "bee balm", "ball moss", "foxglove", "bougainvillea", "camellia",
    "mallow", "mexican petunia", "bromelia", "blanket flower", "trumpet creeper", "blackberry lily",
)

# The largest classes of Caltech-101 but Airplanes, Motorbikes and the faces; the names are those of its folders.
CALTECH16 = ("Leopards", "bonsai", "brain", "buddha", "butterfly", "car_side", "chandelier", "grand_piano", "hawksbill",
             "helicopter", "kangaroo", "ketch", "menorah", "starfish", "trilobite", "watch")

# The class folders of the flower photos.
FLOWER_PHOTOS = ("daisy", "dandelion", "rose", "sunflower", "tulip")

# The names under which the tutorial's readers know these tables.
class_en = [english for english, _, _ in GARBAGE]
class_cn = [chinese for _, chinese, _ in GARBAGE]
index_en = {english: index for index, english in enumerate(class_en)}
garbage_classes = {category: [cn for _, cn, kind in GARBAGE if kind == category] for category in CATEGORIES}

BIN_COLOURS = dict(CATEGORIES.values())  # by category

JOINERS = "\u200c\u200d"  # of the invisible characters those that change how others look, in Persian or in emoji


@dataclass(frozen=True)
class ClassLabel:
    """What a class is called, and the bin that it belongs in; "" for what is not known or does not exist."""

    name: str
    chinese: str = ""
    category: str = ""          # "residual", "recyclable", "food" or "hazardous"
    category_chinese: str = ""


LABELS = {  # of data sets whose classes have more than one name: {class: its `ClassLabel`}
    "garbage26": {english: ClassLabel(english, chinese, CATEGORIES[category][0], category)
                  for english, chinese, category in GARBAGE},
    "imagenet": {english: ClassLabel(english, chinese) for english, chinese in IMAGENET.items()},
    "cifar10": {english: ClassLabel(english, chinese) for english, chinese in CIFAR10_CHINESE.items()},
}


def class_labels(names: Iterable[str], dataset: str = "") -> tuple[ClassLabel, ...]:
    """A `ClassLabel` for each of the class names, in their order.

    Chinese names and bins are known of the classes of `dataset`; without it, of `names` that are all the classes of one of these
    data sets and no others. One name alone tells nothing: somebody's own class "Paper" may be anything.
    """
    names = tuple(names)
    known = LABELS.get(dataset) or next((table for table in LABELS.values() if table.keys() == set(names)), {})
    return tuple(known.get(name, ClassLabel(name)) for name in names)


class ClassIndex(dict):
    """{class folder: label}. Folders may have any name, such as __class__ or items.

    It is a type of its own because an EasyDict, as configs are, makes another EasyDict of a plain dict, and attributes of its
    keys, which some names cannot be.
    """


class ClassWeights(dict):
    """{class: how much its images count}; a type of its own for the reason that `ClassIndex` is."""


def number_classes(folders):
    """The `ClassIndex` of class folders in the order of their labels. Raises ValueError unless each is a text, once."""
    folders = list(folders)
    if not all(isinstance(folder, str) for folder in folders):
        raise ValueError(f"class_index={folders} must hold texts: the names of the class folders, in the order of their labels")
    check_distinct(folders)
    return ClassIndex((folder, label) for label, folder in enumerate(folders))


def check_distinct(folders):
    """Raises ValueError if two of the class folders are one, as `composed` names are."""
    first = {}
    for folder in folders:
        if composed(folder) in first:
            raise ValueError(f"class_index names {first[composed(folder)]!r} more than once")
        first[composed(folder)] = folder


def composed(name):
    """`name` with accents and letters in one character each, Unicode's NFC. macOS takes them apart in the names of files."""
    return unicodedata.normalize("NFC", name)


def alike(names):
    """Groups of two or more of `names` that look alike: but for case, blanks and invisible characters, width and ligatures."""
    groups = {}
    for name in names:
        groups.setdefault(_look(name), []).append(name)
    return [group for group in groups.values() if len(group) > 1]


def escaped(name):
    """`name` in ASCII, with escapes for the rest and for blanks that are hard to see: 'cat\\x20', 'A\\u0308pfel'."""
    name = name.encode("ascii", "backslashreplace").decode()
    return re.sub(r"^ +| +$| {2,}", lambda blanks: r"\x20" * len(blanks[0]), name)


def _look(name):
    """A text that names which look alike have in common."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    visible = (letter for letter in folded if letter in JOINERS or unicodedata.category(letter) != "Cf")
    return " ".join("".join(visible).split())
