"""A worker of benchmarks/speed.py: one net in PyTorch, eager, as other people wrote it where a package has it.

    python benchmarks/speed_torch.py NET train|infer WARM_UPS plain|channels_last     # in a Python with torch and torchvision,
                                                                                      # and pytorchcv for two of the nets
"""

import sys
from pathlib import Path

import torch
from speed_case import answer_channel, case_of, cores, random_batch, serve

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "reference"))


def main(net, task, warm_ups, memory_format):
    channel = answer_channel()
    torch.manual_seed(0)
    torch.set_num_threads(cores())
    case = case_of(net)
    memory_format = {"plain": torch.contiguous_format, "channels_last": torch.channels_last}[memory_format]
    module = build(case).to(memory_format=memory_format)
    images, labels = map(torch.from_numpy, random_batch(case))
    images = images.contiguous(memory_format=memory_format)
    step = {"train": training, "infer": inference}[task](module, images, labels.long())
    serve(step, {"torch": torch.__version__}, channel, int(warm_ups))


def build(case):
    """The torch module of a case."""
    if case.net == "shufflenet_v1":  # as a PyTorch programmer writes it; the one in tests/reference follows the tutorial's keys
        from pytorchcv.models.shufflenet import get_shufflenet

        return get_shufflenet(groups=3, width_scale=1.0, num_classes=case.num_classes)
    from cases import Case
    from torch_nets import reference_net

    reference = {"mobilenet_v1": "pytorchcv 0.0.74", "asymmnet_large": "functional"}.get(case.net, "torchvision 0.28")
    return reference_net(Case(case.net, case.size, case.size, reference, case.options), case.num_classes)[0]


def training(module, images, labels):
    """A step: forward, backward, update with momentum; kernels and matrices decay, as in mindclf.train.model."""
    weights = list(module.parameters())
    groups = [{"params": [p for p in weights if p.ndim > 1], "weight_decay": 1e-4},
              {"params": [p for p in weights if p.ndim <= 1]}]
    optimizer = torch.optim.SGD(groups, lr=0.01, momentum=0.9)
    loss_function = torch.nn.CrossEntropyLoss()
    module.train()

    def step():
        optimizer.zero_grad()
        loss = loss_function(module(images), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def inference(module, images, labels):
    module.eval()

    def step():
        with torch.inference_mode():
            return module(images).numpy()

    return step


if __name__ == "__main__":
    main(*sys.argv[1:])
