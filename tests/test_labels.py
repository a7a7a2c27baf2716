"""The garbage classes: names and indices as the tutorial publishes them, in four categories. Flowers and their folders."""

import json

import pytest

from mindclf import labels
from mindclf.dataset.registry import DATA_SETS, class_names
from mindclf.imagenet import IMAGENET
from mindclf.labels import ClassLabel

# Written out from the tutorial, not read from the package: these indices number the outputs of published checkpoints.
TUTORIAL = {
    0: ("Seashell", "贝壳", "residual"), 1: ("Lighter", "打火机", "residual"), 2: ("Old Mirror", "旧镜子", "residual"),
    3: ("Broom", "扫把", "residual"), 4: ("Ceramic Bowl", "陶瓷碗", "residual"), 5: ("Toothbrush", "牙刷", "residual"),
    6: ("Disposable Chopsticks", "一次性筷子", "residual"), 7: ("Dirty Cloth", "脏污衣服", "residual"),
    8: ("Newspaper", "报纸", "recyclable"), 9: ("Glassware", "玻璃制品", "recyclable"), 10: ("Basketball", "篮球", "recyclable"),
    11: ("Plastic Bottle", "塑料瓶", "recyclable"), 12: ("Cardboard", "硬纸板", "recyclable"),
    13: ("Glass Bottle", "玻璃瓶", "recyclable"), 14: ("Metalware", "金属制品", "recyclable"), 15: ("Hats", "帽子", "recyclable"),
    16: ("Cans", "易拉罐", "recyclable"), 17: ("Paper", "纸张", "recyclable"),
    18: ("Vegetable Leaf", "菜叶", "food"), 19: ("Orange Peel", "橙皮", "food"), 20: ("Eggshell", "蛋壳", "food"),
    21: ("Banana Peel", "香蕉皮", "food"),
    22: ("Battery", "电池", "hazardous"), 23: ("Tablet capsules", "药片胶囊", "hazardous"),
    24: ("Fluorescent lamp", "荧光灯", "hazardous"), 25: ("Paint bucket", "油漆桶", "hazardous"),
}


def test_names_stand_at_the_indices_of_the_tutorial():
    assert dict(enumerate(labels.class_en)) == {index: english for index, (english, _, _) in TUTORIAL.items()}
    assert dict(enumerate(labels.class_cn)) == {index: chinese for index, (_, chinese, _) in TUTORIAL.items()}
    assert labels.index_en == {english: index for index, (english, _, _) in TUTORIAL.items()}


def test_categories_hold_8_10_4_and_4_classes():
    assert {category: len(names) for category, names in labels.garbage_classes.items()} == {
        "干垃圾": 8, "可回收物": 10, "湿垃圾": 4, "有害垃圾": 4}


@pytest.mark.parametrize("dataset", ["garbage26", ""])
def test_garbage_has_chinese_names_and_bins(dataset):
    chinese = {"residual": "干垃圾", "recyclable": "可回收物", "food": "湿垃圾", "hazardous": "有害垃圾"}
    names = [english for english, _, _ in reversed(TUTORIAL.values())]
    for (english, chinese_name, category), label in zip(reversed(TUTORIAL.values()), labels.class_labels(names, dataset)):
        assert label == ClassLabel(english, chinese_name, category, chinese[category])
        assert chinese_name in labels.garbage_classes[chinese[category]]


def test_a_class_of_ones_own_has_a_name_alone_whatever_that_is():
    for names in (["Battery", "Paper"], [*labels.class_en, "Else"], labels.class_en[1:], ["seashell"], []):
        assert labels.class_labels(names) == tuple(map(ClassLabel, names))
    assert labels.class_labels(["Battery"], "garbage26")[0].category == "hazardous"  # a part of that data set
    assert labels.class_labels(["Battery"], "flowers102") == (ClassLabel("Battery"),)


def test_a_flower_belongs_to_the_number_of_its_folder():
    """These three are in the tutorial's text; '10' comes before '2' only among texts."""
    assert class_names("flowers102", ("1", "10", "2")) == ("pink primrose", "globe thistle", "hard-leaved pocket orchid")
    assert len(set(labels.FLOWERS102)) == 102
    assert class_names("garbage26", ("1", "10")) == ("1", "10")
    with pytest.raises(ValueError, match="class_index has 'rose', but the class folders of dataset=flowers102 are called '1' "):
        class_names("flowers102", ("1", "rose"))


def test_flowers_are_called_as_in_the_file_that_comes_with_the_images(shared):
    file = shared / "data" / "flowers102" / "cat_to_name.json"
    if not file.is_file():
        pytest.skip("needs ../shared/data/flowers102, which is not beside this clone")
    folders = DATA_SETS["flowers102"].class_index
    assert dict(zip(folders, class_names("flowers102", folders))) == json.loads(file.read_text(encoding="utf-8"))


def test_imagenets_classes_are_in_the_order_of_their_labels():
    """Some of ILSVRC 2012, whose labels follow the numbers of their WordNet synsets."""
    names = list(IMAGENET)
    places = {0: "tench", 1: "goldfish", 207: "golden retriever", 281: "tabby", 340: "zebra", 430: "basketball",
              504: "coffee mug", 817: "sports car", 954: "banana", 999: "toilet tissue"}
    assert len(names) == 1000 and {place: names[place] for place in places} == places
    chinese = {"zebra": "斑马", "banana": "香蕉", "crane": "起重机", "crane bird": "鹤"}
    assert {name: IMAGENET[name] for name in chinese} == chinese
    assert not labels.alike(names) and all(name and name == name.strip() for name in IMAGENET.values())
    assert labels.class_labels(names)[340].chinese == "斑马"
