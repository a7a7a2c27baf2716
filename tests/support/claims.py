"""What documents say of results in sentences: the figures, computed from the file of the result, and the words around them.

The words are as few as tell the figures apart: a sentence may say more. Tables are written by benchmarks/tables.py.
"""

import json
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Claim:
    """`figures` makes a dict of the JSON in the file `result`; `words` are {document: a text with places for these figures}."""

    result: str
    figures: Callable
    words: dict


def read(file):
    return json.loads((ROOT / file).read_text(encoding="utf-8"))


COARSER = "benchmarks/results/runs/cifar10_mobilenet_v1_32px_independent/card.json"


def points_more(card, other):
    """By how many points the test accuracy of `card` is better than that of the card in the file `other`."""
    return {"points": 100 * (card["metrics"]["test"]["top1"] - read(other)["metrics"]["test"]["top1"])}


def rows(compared):
    return {row["variant"]: row for row in compared["rows"]}


def own_sorters(measured):
    """The lines of the README that `mindclf train my_photos` printed, and with --best."""
    fast, best = (step["output"] for step in measured["steps"] if " train " in step["command"])
    return {"images": _line(fast, "172 "), "fast": _line(fast, "time "), "phase": _line(best, "phase 2"),
            "best": _line(best, "time ")}


def gains_of_all_layers(measured):
    """{data set: points that --best gains over the head alone}."""
    return {row["dataset"]: 100 * (row["top1"]["best"] - row["top1"]["fast"]) for row in measured["rows"]}


def _line(lines, beginning):
    return next(line for line in lines if line.startswith(beginning))


def compared_nets(compared):
    """AsymmNet large and small against MobileNetV2."""
    large, small, theirs = (rows(compared)[name] for name in ("asymmnet_large", "asymmnet_small", "mobilenet_v2"))
    time = {row["variant"]: statistics.mean(row["seconds_without_pauses"]) for row in (small, theirs)}
    return {"points": 100 * (large["mean_top1"] - theirs["mean_top1"]), "macs": large["macs"] / theirs["macs"],
            "parameters": large["parameters"] / theirs["parameters"], "of_small": small["parameters"] / theirs["parameters"],
            "lower": 100 * (theirs["mean_top1"] - small["mean_top1"]), "time": time["asymmnet_small"] / time["mobilenet_v2"]}


def larger_nets(compared):
    resnet, vgg, theirs = (rows(compared)[name] for name in ("resnet50", "vgg19_bn", "mobilenet_v2"))
    return {"resnet": resnet["mean_top1"], "macs": resnet["macs"] / theirs["macs"],
            "vgg": vgg["mean_top1"], "of_vgg": vgg["macs"] / theirs["macs"]}


def compared_starts(compared):
    trained, fresh = (rows(compared)[name]["mean_top1"] for name in ("from_cifar10", "from_fresh_weights"))
    return {"points": 100 * (trained - fresh)}


def mirrored(nets):
    nets = [nets[f"cifar10_{name}"] for name in ("mobilenet_v1", "shufflenet_v1")]
    return {"top1": [net["mirror"]["top1"] for net in nets], "top5": [net["mirror"]["top5"] for net in nets],
            "points": [100 * (net["mirror"]["top1"] - net["plain"]["top1"]) for net in nets]}


def sorter_ways(measured):
    """{name of a way of garbage_folds.py: its row}, with names that a format takes."""
    return {row["way"].replace("lr_max=", "rate_").replace(".", "_"): row for row in measured["rows"]}


def quantized(measured):
    [some, none] = measured["int8"]
    assert (some["float_convolutions"], none["float_convolutions"]) == (3, 0)
    return {"images": measured["test_images"], "before": measured["float32"]["top1"], "after": some["top1"],
            "none": none["top1"], "mib": [part["bytes"] / 2**20 for part in (measured["float32"], some)]}


def shortened(measured):
    """What remains of a training step's time in bfloat16: medians of the rounds' ratios, as in the table of speeds."""
    return {step["net"]: 1 / step["ratios"]["mindclf bfloat16"]["median"] for step in measured["steps"]
            if step["task"] == "train"}


def compiled(measured):
    """Seconds to the end of the first step, sorted: without MindSpore's compile cache, and in a second run with it."""
    assert measured["losses"]["label_smoothing=0.3, cached after it"] == measured["losses"]["label_smoothing=0"]
    return {name: sorted(step["seconds"][key] for step in measured["steps"])
            for name, key in (("without", "without"), ("cached", "second run with it"))}


def seconds_of_a_step(measured):
    """Medians of MobileNetV2's training step: {"stock", "mindclf"}."""
    [step] = [step for step in measured["steps"] if step["net"] == "mobilenet_v2" and step["task"] == "train"]
    return {name: step["seconds"][name]["median"] for name in ("stock", "mindclf")}


CLAIMS = (
    Claim("checkpoints/cifar10_mobilenet_v1.ckpt.json",
          lambda card: points_more(card, COARSER),
          {"docs/results.md": "it is {points:.1f} points ahead of `stem=cifar` at 32 pixels",
           "docs/results.zh.md": "比 32 像素的 `stem=cifar` 高出 {points:.1f} 个百分点"}),
    Claim("benchmarks/results/runs/cifar10_mobilenet_v1/report.json", lambda report: report,
          {"docs/results.md": "MobileNetV1 had {top1:.2%}", "docs/results.zh.md": "MobileNetV1 为 {top1:.2%}"}),
    Claim("benchmarks/results/runs/cifar10_shufflenet_v1/report.json", lambda report: report,
          {"docs/results.md": "ShuffleNetV1 {top1:.2%} before their weights were rounded",
           "docs/results.zh.md": "ShuffleNetV1 为 {top1:.2%}"}),
    Claim("benchmarks/results/tables/mirror.json", mirrored,
          {"docs/results.md": "{top1[0]:.2%} (top-5 {top5[0]:.2%}) of CIFAR-10's",
           "docs/results.zh.md": "{top1[0]:.2%}（top-5 {top5[0]:.2%}）"}),
    Claim("benchmarks/results/tables/mirror.json", mirrored,
          {"docs/results.md": "ShuffleNetV1 {top1[1]:.2%} ({top5[1]:.2%}), {points[0]:.2f} and {points[1]:.2f} points more",
           "docs/results.zh.md": "{top1[1]:.2%}（{top5[1]:.2%}），比表中多 {points[0]:.2f} 和 {points[1]:.2f} 个百分点"}),
    Claim("benchmarks/results/runs/flowers102_resnet18_64px/card.json",
          lambda card: points_more(card, "benchmarks/results/runs/flowers102_resnet18_as_written/card.json"),
          {"docs/results.md": "Ours has {points:.1f} points more after as many epochs",
           "docs/results.zh.md": "同样的轮数，我们的方法高 {points:.1f} 个百分点"}),
    Claim("benchmarks/results/runs/caltech16_compare/compare.json", compared_nets,
          {"docs/results.md": "ahead of MobileNetV2 by {points:.1f} points",
           "docs/results.zh.md": "领先 MobileNetV2 {points:.1f} 个百分点"}),
    Claim("benchmarks/results/runs/caltech16_compare/compare.json", compared_nets,
          {"docs/results.md": "it has {parameters:.1f} times the parameters, for {macs:.2f} of the multiply-accumulates",
           "docs/results.zh.md": "参数量是 {parameters:.1f} 倍，乘加次数是 {macs:.2f} 倍"}),
    Claim("benchmarks/results/runs/caltech16_compare/compare.json", compared_nets,
          {"docs/results.md": "AsymmNet small is: {of_small:.2f} of the parameters, a fifth of the multiply-accumulates, "
                              "{time:.1f} of the seconds. Its accuracy is {lower:.1f} points lower",
           "docs/results.zh.md": "参数量 {of_small:.2f} 倍，乘加次数五分之一，用时 {time:.1f} 倍，"
                                 "准确率低 {lower:.1f} 个百分点"}),
    Claim("benchmarks/results/runs/caltech16_compare/compare.json", larger_nets,
          {"docs/results.md": "ResNet50 has {resnet:.1%}, for {macs:.0f} times the multiply-accumulates of MobileNetV2, and "
                              "VGG19 with batch norm {vgg:.1%}, for {of_vgg:.0f} times",
           "docs/results.zh.md": "ResNet50 为 {resnet:.1%}，乘加次数是 MobileNetV2 的 {macs:.0f} 倍；"
                                 "带批归一化的 VGG19 为 {vgg:.1%}，乘加次数是 {of_vgg:.0f} 倍"}),
    Claim("benchmarks/results/runs/flower_photos_shufflenet/compare.json", compared_starts,
          {"docs/results.md": "the start from CIFAR-10 is worth {points:.0f} points",
           "docs/results.zh.md": "高出 {points:.0f} 个百分点"}),
    Claim("benchmarks/results/runs/own_folder_caltech16/card.json",
          lambda card: {"seconds": card["seconds"], **card["metrics"]["test"]},
          {"docs/results.md": "training took {seconds:.0f} s on two cores, without the start and the reading of images, and "
                              "found {top1:.1%} of {images} test",
           "docs/results.zh.md": "两个核上训练用时 {seconds:.0f} 秒（不含启动和读取图片），{images} 张测试图片认对 {top1:.1%}"}),
    Claim("benchmarks/results/tables/newcomer.json",
          lambda measured: {step["command"].split(" photo")[0]: step["seconds"] for step in measured["steps"]},
          {"README.md": "The first answer took {mindclf predict:.0f} seconds here",
           "README_CN.md": "这里第一次回答用了 {mindclf predict:.0f} 秒"}),
    *(Claim("benchmarks/results/tables/newcomer.json", own_sorters,
            {"README.md": words, "README_CN.md": words})
      for words in ("{images}\n...\naccuracy", "{fast}\n", "{phase}\n...\naccuracy", "{best}\n")),
    Claim("benchmarks/results/tables/own_folder_best.json", gains_of_all_layers,
          {"docs/how_to/fine_tune.md": "{caltech16:.1f} points on caltech16, {flower_photos:.1f} on flower_photos, "
                                       "{flowers102:.1f} on flowers102 and {garbage26:.1f} on garbage26",
           "docs/how_to/fine_tune.zh.md": "caltech16 提高 {caltech16:.1f} 个百分点，flower_photos 提高 {flower_photos:.1f}，"
                                          "flowers102 提高 {flowers102:.1f}，garbage26 提高 {garbage26:.1f}"}),
    Claim("benchmarks/results/tables/predict_speed.json",
          lambda measured: {name: found["median"] for name, found in measured["images_per_second"].items()},
          {"docs/speed.md": "{onnxruntime:.0f} photos a second in ONNX Runtime, and {mindspore:.0f} in MindSpore",
           "docs/speed.zh.md": "ONNX Runtime 每秒分类 {onnxruntime:.0f} 张照片，MindSpore {mindspore:.0f} 张"}),
    Claim("benchmarks/results/tables/garbage_folds.json", sorter_ways,
          {"docs/results.md": "{recipe[loss]:.3f} ({recipe[top1]:.1%} correct), with 0.001 {rate_0_001[loss]:.3f} "
                              "({rate_0_001[top1]:.1%}); the recipe of before, by momentum and without mixup, has "
                              "{before[loss]:.3f} ({before[top1]:.1%})",
           "docs/results.zh.md": "{recipe[loss]:.3f}（正确 {recipe[top1]:.1%}），0.001 为 {rate_0_001[loss]:.3f}（"
                                 "{rate_0_001[top1]:.1%}）；从前的配方（动量、没有 mixup）为 {before[loss]:.3f}（"
                                 "{before[top1]:.1%}）"}),
    Claim("benchmarks/results/tables/int8.json", quantized,
          {"docs/runtimes.md": "{mib[1]:.2f} MiB of {mib[0]:.2f} MiB",
           "docs/runtimes.zh.md": "从 {mib[0]:.2f} MiB 变为 {mib[1]:.2f} MiB"}),
    Claim("benchmarks/results/tables/int8.json", quantized,
          {"docs/runtimes.md": "finds {after:.1%} of the {images} test photos right before and after; with none in float32 it "
                               "would be {none:.1%}. The three were chosen on these photos",
           "docs/runtimes.zh.md": "都认对 {images} 张测试照片中的 {after:.1%}；没有卷积用 float32 时是 {none:.1%}，"
                           "这三个是用从前的网络在这些照片上选定的"}),
    Claim("benchmarks/results/tables/speed_bfloat16.json", shortened,
          {"docs/speed.md": "{resnet18:.2f} (ResNet18, 64 px) to {asymmnet_large:.2f} (AsymmNet, ShuffleNetV1) of the time",
           "docs/speed.zh.md": "{resnet18:.2f} 倍（ResNet18，64 像素）至 {asymmnet_large:.2f} 倍（AsymmNet、ShuffleNetV1）"}),
    Claim("benchmarks/results/tables/speed_bfloat16.json", shortened,
          {"docs/speed.md": "of MobileNetV1 at 32 px {mobilenet_v1:.2f}",
           "docs/speed.zh.md": "32 像素的 MobileNetV1 为 {mobilenet_v1:.2f} 倍"}),
    Claim("benchmarks/results/tables/speed_amd.json", shortened,
          {"docs/speed.md": "{mobilenet_v1:.2f} (MobileNetV1) to {asymmnet_large:.2f} (AsymmNet) of the time, and of ResNet18",
           "docs/speed.zh.md": "{mobilenet_v1:.2f} 倍（MobileNetV1）至 {asymmnet_large:.2f} 倍（AsymmNet），ResNet18"}),
    Claim("benchmarks/results/tables/roofline_1.json",
          lambda measured: {"outside": sorted(step["outside_of_kernels"] for step in measured["steps"])},
          {"docs/speed.md": "{outside[0]:.0%} to {outside[4]:.0%} of the time is outside of the kernels",
           "docs/speed.zh.md": "{outside[0]:.0%} 至 {outside[4]:.0%} 的时间在内核之外"}),
    Claim("benchmarks/results/tables/compile_cache.json", compiled,
          {"docs/speed.md": "{without[0]:.1f} to {without[4]:.1f} s for the five nets",
           "docs/speed.zh.md": "第一步结束用 {without[0]:.1f} 至 {without[4]:.1f} 秒"}),
    Claim("benchmarks/results/tables/compile_cache.json", compiled,
          {"docs/speed.md": "a second run waits only {cached[0]:.1f} to {cached[4]:.1f} s",
           "docs/speed.zh.md": "第二次运行只需等 {cached[0]:.1f} 至 {cached[4]:.1f} 秒"}),
    Claim("benchmarks/results/tables/bfloat16.json",
          lambda measured: {way: run["test_top1"] for way, run in measured["runs"].items()},
          {"docs/speed.md": "{float32:.1%} of the test images in float32, {bfloat16:.1%} in bfloat16",
           "docs/speed.zh.md": "float32 认对 {float32:.1%} 的测试图片，bfloat16 认对 {bfloat16:.1%}"}),
    Claim("benchmarks/results/tables/memory.json", lambda measured: measured["train"],
          {"docs/reliability.md": "{count:,} steps, 35 epochs | {first_mib:,.1f} MiB, {last_mib:,.1f} MiB"}),
    Claim("benchmarks/results/tables/memory.json", lambda measured: measured["predict"],
          {"docs/reliability.md": "{count:,} images | {first_mib:.1f} MiB, {last_mib:.1f} MiB: {growth_kib:.1f} KiB more"}),
    Claim("benchmarks/results/tables/speed_amd.json", seconds_of_a_step,
          {"README.md": "a training step of MobileNetV2 takes {mindclf:.1f} s, with stock MindSpore {stock:.1f} s",
           "README_CN.md": "MobileNetV2 的一个训练步用 {mindclf:.1f} 秒，未调优的 MindSpore 用 {stock:.1f} 秒"}),
    Claim("benchmarks/results/tables/zoo.json", lambda zoo: {"nets": sum("paper" in row for row in zoo["rows"])},
          {"README.md": "{nets} nets", "README_CN.md": "{nets} 个网络"}),
    Claim("benchmarks/results/runs/flowers102_two_phase/card.json", lambda card: card["speed"][0],
          {"docs/phases.md": "sees {images_per_second:,.0f} images a second",
           "docs/phases.zh.md": "每秒看 {images_per_second:,.0f} 张图片"}),
)
