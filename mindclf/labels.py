"""Class names of the data sets that the recipes use. Their order is a file format: it numbers the outputs of checkpoints."""

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

# The names under which the tutorial's readers know these tables.
class_en = [english for english, _, _ in GARBAGE]
class_cn = [chinese for _, chinese, _ in GARBAGE]
index_en = {english: index for index, english in enumerate(class_en)}
garbage_classes = {category: [cn for _, cn, kind in GARBAGE if kind == category] for category in CATEGORIES}


def describe(name):
    """What is known of the class called `name` besides that: a dict with its Chinese name and its category, or {}."""
    for english, chinese, category in GARBAGE:
        if english == name:
            return {"chinese": chinese, "category": CATEGORIES[category][0], "category_chinese": category}
    return {"chinese": CIFAR10_CHINESE[name]} if name in CIFAR10_CHINESE else {}
