"""Writes the tables of the documents from benchmarks/results/ and the cards in checkpoints/.

    python benchmarks/tables.py            # between the lines <!-- table NAME --> and <!-- end -->
"""

import csv
import functools
import json
import math
import re
import statistics
import sys
from pathlib import Path

from mindclf.metrics import wilson_interval

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "notebooks"))

from support import command_of, mark, mark_of_row  # noqa: E402  it is beside the notebooks, which show commands too

RUNS_FOLDER = ROOT / "benchmarks" / "results" / "runs"
# What the tables say, in each language. The trap names of garbage_traps.json are their own English.
WORDS = {
    "en": {
        "systems": "| system | net | tutorial, as published | **mindclf**, top-1 | test images | wall time |",
        "garbage": "garbage, 26 classes, head only", "garbage_all": "garbage, 26 classes, all layers",
        "of_nine": "2 of 9 'Cardboard' images", "of_cifar10": "CIFAR-10, from random initialisation",
        "of_caltech16": "16 Caltech classes, from random initialisation", "of_flowers102": "102 flowers, two phases",
        "of_validation": "{top1:.1f}% (ResNet18, validation images)", "of_original": "{top1:.1f}% (original images)",
        "seconds": "{seconds:.0f} s", "nothing": "none",
        "results": "| garbage sorting, 26 classes, {images} test photos | top-1 | 95 % interval | wall time | made by |",
        "tutorial": "| tutorial, as published | 2 of the 9 'Cardboard' images it shows | | | |",
        "head": "| head on a frozen backbone, mean of {runs} seeds (range) | **{mean:.1%}** ({low:.1%} to {high:.1%}) "
                "| {interval} | {seconds:.0f} s (median) | `{recipe}` |",
        "all": "| then all layers, mean of {runs} seeds (range) | **{mean:.1%}** ({low:.1%} to {high:.1%}) | {interval} "
               "| {minutes:.0f} min (median) | `{recipe}` |",
        "out_of_fold": "| the same, of the {images:,} training photos by five-fold cross-validation, 1 seed | {top1:.1%} "
                       "| {interval} | | `... folds=5` |",
        "duplicates": "| the net that comes with mindclf, without {count} test photos that resemble a training photo "
                      "| {top1:.1%} | {interval} | | "
                      "`benchmarks/near_duplicates.py` |",
        "cifar10": "| CIFAR-10, {images:,} test images | epochs | top-1 | top-5 | wall time | training images/s | made by |",
        "flowers102": "| 102 flowers, {images} test images | epochs | top-1 | top-5 | wall time | training images/s "
                      "| made by |",
        "published": {"cifar10": "{net}, tutorial as published, original images",
                      "flowers102": "{net}, tutorial as published, of the validation images"},
        "minutes": "{minutes:.0f} min", "hours": "{hours} h",
        "compared": {"caltech16_compare": "16 Caltech classes, {images} test images",
                     "flower_photos_shufflenet": "photos of 5 flowers, {images} test images"},
        "of_each": "initialised from | parameters | MACs | top-1, mean of the seeds (range) | 95 % interval | seeds "
                   "| epochs to 70 % of the validation images | seconds an epoch | time a run, without pauses",
        "not_reached": "not reached",
        "random": "random initialisation",
        "traps": "| run | top-1, mean of {runs} seeds (range) | against corrected |",
        "streams": "| one run each, same seed and recipe | test images | one stream of draws | independent draws "
                   "| difference, 95 % |",
        "speed": {"train": "training step on {cores} cores, ms", "infer": "inference on {cores} cores, ms"},
        "stock": "stock MindSpore", "net": "{net}, {size} px, batch {batch}",
        "memory": "| peak memory of a training process, MiB | mindclf | PyTorch | mindclf / PyTorch |",
        "step": {"train": "{net}, {size} px, training step of {batch}", "infer": "{net}, {size} px, inference of {batch}"},
        "roofline": "| {cores} cores, {peak:.0f} Gflop/s, {bandwidth:.0f} GB/s | ms | of the roofline | outside of kernels "
                    "| kernels that take most of it |",
        "newcomer": "| | command | time |",
        "best": "| folder | test images | head alone (`mindclf train`) | **`--best`** | logistic regression "
                "| minutes, head alone | minutes, `--best` |",
        "optimisation": "| way, {seeds} seeds | best top-1 of 100 validation images: mean (range) | of 200 test images |",
        "best_choice": "| way | {datasets} |", "on": "{dataset}, {test_images} images",
        "base": "learning rate 0.006, 10 epochs, 224 pixels, crops from 35 %",
        "to": "to",
    },
    "zh": {
        "systems": "| 系统 | 网络 | 教程公布的结果 | **mindclf**，top-1 | 测试图片 | 用时 |",
        "garbage": "垃圾分类，26 类，只训练分类头", "garbage_all": "垃圾分类，26 类，训练所有层",
        "of_nine": "9 张“硬纸板”中认对 2 张", "of_cifar10": "CIFAR-10，从随机初始化开始",
        "of_caltech16": "16 类 Caltech，从随机初始化开始", "of_flowers102": "102 种花卉，分两阶段",
        "of_validation": "{top1:.1f}%（ResNet18，验证集）", "of_original": "{top1:.1f}%（原始图片）",
        "seconds": "{seconds:.0f} 秒", "nothing": "无",
        "results": "| 26 类垃圾分类，{images} 张测试照片 | top-1 | 95 % 区间 | 用时 | 脚本 |",
        "tutorial": "| 教程公布的结果 | 展示的 9 张“硬纸板”中认对 2 张 | | | |",
        "head": "| 冻结骨干，只训练分类头，{runs} 个随机种子的平均（范围） | **{mean:.1%}**（{low:.1%} 至 {high:.1%}） "
                "| {interval} | {seconds:.0f} 秒（中位数） | `{recipe}` |",
        "all": "| 再训练所有层，{runs} 个随机种子的平均（范围） | **{mean:.1%}**（{low:.1%} 至 {high:.1%}） | {interval} "
               "| {minutes:.0f} 分钟（中位数） | `{recipe}` |",
        "out_of_fold": "| 同上，五折交叉验证下的 {images:,} 张训练照片，1 个种子 | {top1:.1%} | {interval} | | `... folds=5` |",
        "duplicates": "| 随 mindclf 提供的网络，去掉 {count} 张与训练照片相似的测试照片 | {top1:.1%} | {interval} | | "
                      "`benchmarks/near_duplicates.py` |",
        "cifar10": "| CIFAR-10，{images:,} 张测试图片 | 轮数 | top-1 | top-5 | 用时 | 训练时每秒图片数 | 脚本 |",
        "flowers102": "| 102 种花卉，{images} 张测试图片 | 轮数 | top-1 | top-5 | 用时 | 训练时每秒图片数 | 脚本 |",
        "published": {"cifar10": "{net}，教程公布的结果，原始图片", "flowers102": "{net}，教程公布的结果，验证图片"},
        "minutes": "{minutes:.0f} 分钟", "hours": "{hours} 小时",
        "compared": {"caltech16_compare": "Caltech 的 16 类，{images} 张测试图片",
                     "flower_photos_shufflenet": "5 种花卉照片，{images} 张测试图片"},
        "of_each": "初始权重 | 参数量 | 乘加次数 | top-1，各种子平均（范围） | 95 % 区间 | 种子数 "
                   "| 验证图片达到 70 % 所需轮数 | 每轮秒数 | 每次用时（不含暂停）",
        "not_reached": "未达到",
        "random": "随机初始化",
        "traps": "| 运行 | top-1，{runs} 个种子的平均（范围） | 与修正后相比 |",
        "streams": "| 各跑一次，种子与配方相同 | 测试图片 | 共用一个随机数流 | 相互独立 | 差别，95 % 区间 |",
        "speed": {"train": "{cores} 核上的训练步，毫秒", "infer": "{cores} 核上的推理，毫秒"},
        "stock": "未调优的 MindSpore", "net": "{net}，{size} 像素，一批 {batch} 张",
        "memory": "| 训练进程的内存峰值，MiB | mindclf | PyTorch | mindclf / PyTorch |",
        "step": {"train": "{net}，{size} 像素，{batch} 张的训练步", "infer": "{net}，{size} 像素，{batch} 张的推理"},
        "roofline": "| {cores} 核，{peak:.0f} Gflop/s，{bandwidth:.0f} GB/s | 毫秒 | 占屋顶线 | 内核之外 | 用时最多的内核 |",
        "newcomer": "| | 命令 | 用时 |",
        "best": "| 文件夹 | 测试图片 | 只训练分类头（`mindclf train`） | **`--best`** | 逻辑回归 "
                "| 分钟，只训练分类头 | 分钟，`--best` |",
        "optimisation": "| 做法，{seeds} 个种子 | 100 张验证图片上最好的 top-1：平均（范围） | 200 张测试图片上 |",
        "best_choice": "| 做法 | {datasets} |", "on": "{dataset}，{test_images} 张图片",
        "base": "学习率 0.006，10 轮，224 像素，裁剪面积至少 35 %",
        "to": "至",
    },
}
CHINESE_TRAPS = {
    "corrected": "修正后",
    "loss scale given to the optimizer alone": "损失缩放只给了优化器",
    "schedule made for 10 epochs, 2 run": "学习率按 10 轮安排，只跑 2 轮",
    "nn.Dropout(0.2) read as 'keep 20 %' (p=0.8)": "nn.Dropout(0.2) 被理解成“保留 20 %”（p=0.8）",
    "prediction squashes to 224 x 224": "预测时直接压缩到 224 x 224",
    "reported: evaluation drops the last batch": "报告值：评估丢掉最后一批",
    "reported: 'test' set is augmented training images": "报告值：“测试集”其实是增强后的训练图片",
    "frozen backbone's batch norm in training mode": "冻结的骨干中，批归一化仍处于训练模式",
    "as written: all that apply": "照教程原样（适用的全部陷阱）",
    "other pixel statistics, padding and epsilon than the weights'": "像素统计量、填充和 epsilon 与权重训练时不一致",
}
RUNS = {  # table: rows of net, and the run's name, or what is published: epochs, top-1, top-5 in %, hours
    "cifar10": (
        ("MobileNetV1", (20, 69.23, None, None)),
        ("MobileNetV1, `_as_written`", "cifar10_mobilenet_v1_as_written"),
        ("MobileNetV1, `stem=cifar`, 32 px", "cifar10_mobilenet_v1_32px_independent"),
        ("**MobileNetV1**, `stem=cifar8`, 48 px", "cifar10_mobilenet_v1"),
        ("ShuffleNetV1 2.0x, 224 px", (250, 81.52, 97.5, 21)),
        ("**ShuffleNetV1 1.5x**", "cifar10_shufflenet_v1"),
    ),
    "flowers102": (
        ("ResNet18, 64 px", (20, 30.2, None, None)),
        ("ResNet18, 64 px, {random}, `_as_written`", "flowers102_resnet18_as_written"),
        ("ResNet18, 64 px, {random}", "flowers102_resnet18_64px"),
        ("**MobileNetV2**, 192 px", "flowers102_two_phase"),
    ),
}

# Runs before and after random choices were made independent of each other.
STREAMS = (
    ("MobileNetV1, `stem=cifar`, CIFAR-10", "cifar10_mobilenet_v1_32px", "cifar10_mobilenet_v1_32px_independent"),
    ("ShuffleNetV1, `cifar10_shufflenet_v1.py`", "cifar10_shufflenet_v1", "cifar10_shufflenet_v1_independent"),
    ("MobileNetV2, `flowers102_two_phase.py`", "flowers102_two_phase", "flowers102_two_phase_independent"),
)

SORTERS = ("garbage26_mobilenet_v2", "garbage26_mobilenet_v2_seed2", "garbage26_mobilenet_v2_seed3")  # by seed
COMPARED = ("caltech16_compare", "flower_photos_shufflenet")  # tables of runs under one recipe


def main():
    for document in TABLES:
        path = ROOT / document
        path.write_text(with_tables(document, path.read_text(encoding="utf-8")), encoding="utf-8")


def with_tables(document, text):
    """The text of a document with each of its tables made anew."""
    for name, make in TABLES[document].items():
        table = make(document)
        pattern = re.compile(rf"(<!-- table {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        text, found = pattern.subn(lambda match, table=table: f"{match[1]}{table}\n{match[2]}", text)
        if found != 1:
            raise ValueError(f"{document} has {found} places for the table {name}, expected 1")
    return text


def language(document):
    """"zh" for a document in Chinese, else "en"."""
    return "zh" if document.endswith((".zh.md", "_CN.md")) else "en"


def systems(document):
    """A line for each system: what its tutorial publishes, and what was measured here."""
    words = WORDS[language(document)]
    head = read("benchmarks/results/tables/garbage_head.json")
    caltech16 = read(RUNS_FOLDER / "caltech16_compare" / "compare.json")
    asymmnet = next(row for row in caltech16["rows"] if row["variant"] == "asymmnet_large")
    sorters, sorter_seconds = measured_sorters()
    published = {name: top1 for name, (_, top1, *_) in (RUNS["cifar10"][0], RUNS["cifar10"][-2], RUNS["flowers102"][0])}

    def row(system, net, tutorial, top1, images, seconds, marked=""):
        time = words["seconds"].format(seconds=seconds) if seconds < 90 else words["minutes"].format(minutes=seconds / 60)
        return f"| {words[system]} | {net} | {tutorial} | **{top1:.1%}**{marked} | {images:,} | {time} |"

    def run(system, net, name, tutorial):
        card, _ = measured_run(name)
        test = card["metrics"]["test"]
        return row(system, net, tutorial, test["top1"], test["images"], card["seconds"], mark(card, name))

    original = words["of_original"]
    return "\n".join([
        words["systems"], "|---|---|---|---|---|---|",
        row("garbage", "MobileNetV2", words["of_nine"], head["mean_top1"], head["test_images"], head["median_seconds"]),
        row("garbage_all", "MobileNetV2", words["of_nine"], statistics.mean(sorters), head["test_images"], sorter_seconds),
        run("of_cifar10", "MobileNetV1", "cifar10_mobilenet_v1", original.format(top1=published["MobileNetV1"])),
        run("of_cifar10", "ShuffleNetV1", "cifar10_shufflenet_v1", original.format(top1=published["ShuffleNetV1 2.0x, 224 px"])),
        row("of_caltech16", "AsymmNet large", words["nothing"], asymmnet["mean_top1"], caltech16["data"]["test"],
            statistics.mean(asymmnet["seconds_without_pauses"]), mark_of_row(asymmnet, RUNS_FOLDER / "caltech16_compare")),
        run("of_flowers102", "MobileNetV2", "flowers102_two_phase",
            words["of_validation"].format(top1=published["ResNet18, 64 px"])),
    ])


def results(document):
    words = WORDS[language(document)]
    head = read("benchmarks/results/tables/garbage_head.json")
    duplicates = read("benchmarks/results/tables/near_duplicates.json")
    out_of_fold = read(RUNS_FOLDER / SORTERS[0] / "cross_validation.json")["pooled"]
    top1, (all_layers, seconds) = [run["top1"] for run in head["runs"]], measured_sorters()
    fresh = duplicates["test_images"] - duplicates["near_duplicates"]

    def interval(share, count):
        low, high = wilson_interval(share * count, count)
        return f"{low:.1%} {words['to']} {high:.1%}"

    return "\n".join([
        words["results"].format(images=head["test_images"]), "|---|---|---|---|---|", words["tutorial"],
        words["head"].format(runs=len(top1), mean=head["mean_top1"], low=min(top1), high=max(top1), recipe=head["recipe"],
                             seconds=head["median_seconds"], interval=interval(head["mean_top1"], head["test_images"])),
        words["all"].format(runs=len(all_layers), mean=statistics.mean(all_layers), low=min(all_layers), high=max(all_layers),
                            minutes=seconds / 60,
                            interval=interval(statistics.mean(all_layers), head["test_images"]),
                            recipe="recipes/garbage_mobilenet_v2_all_layers.py"),
        words["out_of_fold"].format(**out_of_fold, interval=interval(out_of_fold["top1"], out_of_fold["images"])),
        words["duplicates"].format(count=duplicates["near_duplicates"], top1=duplicates["top1_without_near_duplicates"],
                                   interval=interval(duplicates["top1_without_near_duplicates"], fresh)),
    ])


def runs(document, table):
    """A line for each run of a table, and for what the tutorials publish."""
    words, rows = WORDS[language(document)], []
    for net, name in RUNS[table]:
        if isinstance(name, tuple):
            epochs, top1, top5, hours = name
            shown, time = words["published"][table].format(net=net), words["hours"].format(hours=hours) if hours else ""
            rows.append(f"| {shown} | {epochs} | {top1:.2f}% | {f'{top5:.1f}%' if top5 else ''} | {time} | | |")
            continue
        card, epochs = measured_run(name)
        test = card["metrics"]["test"]
        time = words["minutes"].format(minutes=card["seconds"] / 60)
        speed = ", ".join(f"{phase['images_per_second']:,.0f}" for phase in card["speed"])
        shown = net.format(random=words["random"])
        rows.append(f"| {shown} | {epochs} | {test['top1']:.2%}{mark(card, name)} | {test['top5']:.2%} | {time} | {speed} "
                    f"| `{command_of(card)}` |")
    return "\n".join([words[table].format(images=test["images"]), "|---|---|---|---|---|---|---|", *rows])


def measured_sorters():
    """(test accuracy of each run of SORTERS, the median of their seconds)."""
    cards = [measured_run(name)[0] for name in SORTERS]
    return [card["metrics"]["test"]["top1"] for card in cards], statistics.median(card["seconds"] for card in cards)


def measured_run(name):
    """(card, epochs) of the run called `name`: logged alone, or with its weights in checkpoints/."""
    folder = RUNS_FOLDER / name
    card = folder / "card.json" if (folder / "card.json").is_file() else ROOT / "checkpoints" / f"{name}.ckpt.json"
    return read(card), len((folder / "history.csv").read_text(encoding="utf-8").splitlines()) - 1


def measured_in_float32(name):
    """The metrics on the test images of the run called `name`, superseded or not, before its weights were rounded to float16."""
    superseded = read("benchmarks/results/tables/superseded.json")
    if name in superseded:
        return superseded[name]["metrics"]["test"]
    report = RUNS_FOLDER / name / "report.json"
    return read(report) if report.is_file() else measured_run(name)[0]["metrics"]["test"]


def compared(document, table):
    """A line for each net or start that was compared under one recipe.

    The interval is that of the mean as if it were one run's: it has the chance of the test images in it, not of the seeds.
    Epochs to 70 % are those until so many validation images were right, and seconds an epoch the median of all epochs of the
    largest image size.
    """
    words, rows, measured = WORDS[language(document)], [], read(RUNS_FOLDER / table / "compare.json")
    images = measured["data"]["test"]

    def spread(values, form):
        if min(values) == max(values):
            return form.format(values[0])
        return f"{form.format(min(values))} {words['to']} {form.format(max(values))}"

    for row in measured["rows"]:
        start = words["random"] if row["start"] == "fresh weights" else row["start"]
        histories = [history(table, f"{row['variant']}-seed{seed}") for seed in row["seeds"]]
        reached = [next((number for number, epoch in enumerate(epochs, 1) if float(epoch["top1"]) >= 0.7), math.inf)
                   for epochs in histories]
        last = [float(epoch["seconds"]) for epochs in histories for epoch in epochs if epoch["phase"] == epochs[-1]["phase"]]
        low, high = wilson_interval(row["mean_top1"] * images, images)
        accuracy = f"{row['mean_top1']:.2%}{mark_of_row(row, RUNS_FOLDER / table)}"
        rows.append([f"`{row['variant']}`", start, f"{row['parameters'] / 1e6:.2f} M", f"{row['macs'] / 1e6:,.0f} M",
                     accuracy + (f" ({spread(row['top1'], '{:.2%}')})" if len(row["top1"]) > 1 else ""),
                     f"{low:.1%} {words['to']} {high:.1%}", str(len(row["top1"])),
                     words["not_reached"] if math.inf in reached else spread(reached, "{}"), f"{statistics.median(last):,.0f}",
                     words["minutes"].format(minutes=statistics.mean(row["seconds_without_pauses"]) / 60)])
    title = f"{words['compared'][table].format(images=images)} | {words['of_each']}".split(" | ")
    return "\n".join([f"| {' | '.join(title)} |", "|" + "---|" * len(title), *(f"| {' | '.join(row)} |" for row in rows)])


def history(table, run):
    """The epochs of a run of a comparison, as dicts of its history."""
    with (RUNS_FOLDER / table / "runs" / f"{run}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def traps(document):
    words, chinese = WORDS[language(document)], language(document) == "zh"
    measured = read("benchmarks/results/tables/garbage_traps.json")
    corrected = statistics.mean(measured["top1"]["corrected"])
    rows = [words["traps"].format(runs=len(measured["seeds"])), "|---|---|---|"]
    for name, values in measured["top1"].items():
        mean = statistics.mean(values)
        cost = "" if name == "corrected" else f"{100 * (mean - corrected):+.1f}"
        shown = CHINESE_TRAPS[name] if chinese else name
        rows.append(f"| {shown} | {mean:.1%} ({min(values):.1%} {words['to']} {max(values):.1%}) | {cost} |")
    return "\n".join(rows)


def streams(document):
    """A line for each pair of runs, with the 95 % interval of the difference of two independent shares of the same images."""
    rows = []
    for shown, *names in STREAMS:
        before, after = map(measured_in_float32, names)
        difference, count = after["top1"] - before["top1"], before["images"]
        margin = 1.96 * math.sqrt(sum(run["top1"] * (1 - run["top1"]) for run in (before, after)) / count)
        rows.append(f"| {shown} | {count:,} | {before['top1']:.2%} | {after['top1']:.2%} | {100 * difference:+.1f} "
                    f"({100 * (difference - margin):+.1f} .. {100 * (difference + margin):+.1f}) |")
    return "\n".join([WORDS[language(document)]["streams"], "|---|---|---|---|---|", *rows])


def speed(document, table, task):
    """A line for each net of a table of speeds: medians of a task in ms, and ratios of mindclf's time with their quartiles.

    Columns without a figure are left out, as that of ONNX Runtime for training.
    """
    words, measured = WORDS[language(document)], read(f"benchmarks/results/tables/{table}.json")

    def milliseconds(row, *names):
        times = [row["seconds"][name]["median"] for name in names if name in row["seconds"]]
        return f"{1000 * min(times):,.{0 if min(times) > 0.02 else 1}f}" if times else ""

    def ratio(row, name):
        if name not in row["ratios"]:
            return ""
        low, high = row["ratios"][name]["quartiles"]
        return f"{row['ratios'][name]['median']:.2f} ({low:.2f} {words['to']} {high:.2f})"

    titles = [words["speed"][task].format(cores=measured["usable_cores"]), words["stock"], "**mindclf**", "bfloat16", "PyTorch",
              "ONNX Runtime", "int8", "mindclf / PyTorch", "mindclf / ONNX Runtime"]
    lines = []
    for row in measured["steps"]:
        if row["task"] == task:
            step = words["net"].format(net=row["title"], size=row["size"], batch=row["batch_size"])
            lines.append([step, milliseconds(row, "stock"), f"**{milliseconds(row, 'mindclf')}**",
                          milliseconds(row, "mindclf bfloat16"), milliseconds(row, "torch", "torch channels-last"),
                          milliseconds(row, "onnxruntime"), milliseconds(row, "onnxruntime int8"), ratio(row, "better torch"),
                          ratio(row, "onnxruntime")])
    columns = [column for column in zip(titles, "-" * len(titles), *lines) if any(column[2:])]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in zip(*columns)).replace("| - |", "|---|").replace(" - |", "---|")


def memory(document, table):
    """A line for each net: the most memory that a process has had that trains it."""
    words, measured = WORDS[language(document)], read(f"benchmarks/results/tables/{table}.json")
    lines = [words["memory"], "|---|---|---|---|"]
    for row in measured["steps"]:
        if row["task"] == "train":
            peaks = {name: facts["peak_mib"] for name, facts in row["facts"].items()}
            torch = min(peaks["torch"], peaks["torch channels-last"])
            step = words["net"].format(net=row["title"], size=row["size"], batch=row["batch_size"])
            lines.append(f"| {step} | {peaks['mindclf']:,.0f} | {torch:,.0f} | {peaks['mindclf'] / torch:.2f} |")
    return "\n".join(lines)


def roofline(document):
    """A line for each task of each net: its share of the roofline, and where its time goes."""
    words, measured = WORDS[language(document)], read("benchmarks/results/tables/roofline.json")
    titles = {row["net"]: row["title"] for row in read("benchmarks/results/tables/speed_amd.json")["steps"]}
    lines = [words["roofline"].format(cores=measured["device"]["cores"], peak=measured["peak_gflops"],
                                      bandwidth=measured["bandwidth_gb"]), "|---|---|---|---|---|"]
    for row in measured["steps"]:
        step = words["step"][row["task"]].format(net=titles[row["net"]], size=row["size"], batch=row["batch_size"])
        most = ", ".join(f"`{part['kernel']}` {part['share_of_step']:.0%}" for part in row["kernels"][:3])
        lines.append(f"| {step} | {row['milliseconds']:,.0f} | {row['share_of_roofline']:.0%} | {row['outside_of_kernels']:.0%} "
                     f"| {most} |")
    return "\n".join(lines)


def newcomer(document):
    """A line for each command of the README that a newcomer types."""
    words = WORDS[language(document)]
    lines = [words["newcomer"], "|---|---|---|"]
    for number, step in enumerate(read("benchmarks/results/tables/newcomer.json")["steps"], start=1):
        time = words["seconds"].format(seconds=step["seconds"])
        lines.append(f"| {number} | `{step['command']}` | {time} |")
    return "\n".join(lines)


def best(document):
    """A line for each folder: accuracy on its test images with the 95 % interval by way, and minutes."""
    words = WORDS[language(document)]

    def top1(row, way, mark=""):
        low, high = row["interval"][way]
        return f"{mark}{row['top1'][way]:.1%}{mark} ({low:.1%} {words['to']} {high:.1%})"

    rows = [words["best"], "|---|---|---|---|---|---|---|"]
    for row in read("benchmarks/results/tables/own_folder_best.json")["rows"]:
        minutes = [f"{row['seconds'][way] / 60:.1f}" for way in ("fast", "best")]
        cells = [row["dataset"], str(row["test_images"]), top1(row, "fast"), top1(row, "best", "**"),
                 top1(row, "logistic_regression"), *minutes]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def best_choice(document):
    """A line for each way of --best: accuracy of the head, the best and the last epoch, by data set."""
    words = WORDS[language(document)]
    rows = read("benchmarks/results/tables/own_folder_best_choice.json")["rows"]
    measured = {(row["way"], row["dataset"]): row for row in rows}
    ways, datasets = (list(dict.fromkeys(names)) for names in zip(*measured))
    titles = [words["on"].format(**measured["base", dataset]) for dataset in datasets]
    lines = [words["best_choice"].format(datasets=" | ".join(titles)), "|---" * (len(datasets) + 1) + "|"]
    for way in ("base", *(way for way in ways if way != "base")):
        found = [measured.get((way, dataset)) for dataset in datasets]
        cells = [" / ".join(f"{row['top1'][part]:.1%}" for part in ("head", "best", "last")) if row else "" for row in found]
        lines.append(f"| {words['base'] if way == 'base' else f'`{way}`'} | {' | '.join(cells)} |")
    return "\n".join(lines)


def nets(document):
    """A line for each net of the table."""
    rows = ["| net | paper and table | parameters | MACs | counts agree with | compared with | largest difference |",
            "|---|---|---|---|---|---|---|"]
    for row in zoo_rows(of_the_table=True):
        compared = f"{row['reference']}{', gradients too' if row['gradients'] else ''}"
        rows.append(f"| `{row['net']}` | {row['paper']} | {row['parameters']:,} | {row['macs'] / 1e6:,.1f} M at {row['size']} "
                    f"| {'; '.join(row['counts_published_by'])} | {compared} | {row['difference']:.0e} |")
    return "\n".join(rows)


def net_options(document):
    """A line for each further case that was compared."""
    rows = ["| net and options | compared with | largest difference |", "|---|---|---|"]
    for row in zoo_rows(of_the_table=False):
        options = " ".join(f"net_options.{option}={value}" for option, value in row["options"].items())
        rows.append(f"| `{' '.join(filter(None, (row['net'], options)))}` at {' x '.join(map(str, row['compared_at']))} "
                    f"| {row['reference']} | {row['difference']:.0e} |")
    return "\n".join(rows)


def optimisation(document):
    """A line for each way to fine-tune: accuracy on validation and on test images, mean and range over seeds."""
    words = WORDS[language(document)]

    def accuracy(values):
        return f"{statistics.mean(values):.1%} ({min(values):.1%} {words['to']} {max(values):.1%})"

    found = read("benchmarks/results/tables/optimisation.json")
    rows = [words["optimisation"].format(seeds=len(found["seeds"])), "|---|---|---|"]
    rows += [f"| {row['way']} | {accuracy(row['valid_top1'])} | {accuracy(row['test_top1'])} |" for row in found["rows"]]
    return "\n".join(rows)


def zoo_rows(of_the_table):
    return [row for row in read("benchmarks/results/tables/zoo.json")["rows"] if ("paper" in row) == of_the_table]


def read(path):
    return json.loads((ROOT / path).read_text(encoding="utf-8"))


RESULTS = {"results": results, **{table: functools.partial(runs, table=table) for table in RUNS},
           **{table: functools.partial(compared, table=table) for table in COMPARED}}
SPEEDS = {"roofline": roofline, "memory": functools.partial(memory, table="speed_amd"),
          "one": functools.partial(speed, table="speed_amd_one", task="infer"),
          **{f"{task}_{maker}": functools.partial(speed, table=f"speed_{maker}", task=task)
             for task in ("train", "infer") for maker in ("amd", "intel")}}
PAGES = {"README": {"systems": systems}, "docs/results": RESULTS, "docs/traps": {"traps": traps, "streams": streams},
         "docs/speed": SPEEDS, "docs/get_started": {"newcomer": newcomer},
         "docs/how_to/optimisation": {"optimisation": optimisation},
         "docs/how_to/fine_tune": {"best_choice": best_choice, "best": best}}
TABLES = {
    **{f"{page}{'_CN.md' if chinese and page == 'README' else '.zh.md' if chinese else '.md'}": tables
       for page, tables in PAGES.items() for chinese in (False, True)},
    "mindclf/nets/README.md": {"nets": nets, "options": net_options},
}

if __name__ == "__main__":
    main()
