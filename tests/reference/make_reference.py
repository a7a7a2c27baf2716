"""Writes tests/reference/reference.json: logits and gradients of PyTorch nets that the seeded rule has filled.

    python tests/reference/make_reference.py       # needs torch==2.13.0, torchvision==0.28.0 and pytorchcv==0.0.74

The tests then compare mindclf with these numbers, without PyTorch. Gradients are those of the mean over a batch of 4, in training
mode and without dropout, of logits x a fixed random matrix (with those of an auxiliary head added); for each weight its length
and its projection on a random direction.
They are computed in float64. Rounding to float32 moves a value now and then across the kink of a ReLU, which changes gradients by
up to a percent; so of ten batches it takes the one for which PyTorch's float32 gradients agree best with its float64 ones, and
says how well they do ("rounding").
"""

import json
from pathlib import Path

import numpy as np
import torch
from cases import CASES, NUM_CLASSES
from rule import direction, images, weight
from torch_nets import reference_net

TRIES, ENOUGH = 10, 1e-4
FILE = Path(__file__).with_name("reference.json")


def main():
    torch.manual_seed(0)
    results = {}
    for case in CASES:
        module, keys = reference_net(case, NUM_CLASSES)
        state = module.state_dict()
        module.load_state_dict({name: torch.from_numpy(weight(key, tuple(state[name].shape))) for name, key in keys.items()},
                               strict=False)
        module.eval()
        with torch.no_grad():
            logits = module(torch.from_numpy(images(2, case.height, case.width)))
        results[case.name] = {"reference": case.reference, "torch": torch.__version__, "size": [case.height, case.width],
                              "logits": logits.double().numpy().tolist()}
        if case.gradients:
            results[case.name].update(settled_gradients(module, keys, case))
        print(f"{case.name}: largest logit {logits.abs().max():.3g} {results[case.name].get('rounding', '')}", flush=True)
    FILE.write_text(json.dumps(results, indent=0) + "\n")


def settled_gradients(module, keys, case):
    """{key: [length, projection]} of the gradient of each weight, the number of the first image, and what float32 adds."""
    tries = []
    for first in range(0, 4 * TRIES, 4):
        single, double = (gradients(module.to(kind), keys, case, first) for kind in (torch.float32, torch.float64))
        longest = max(np.linalg.norm(value) for value in double.values())
        rounding = max(np.linalg.norm(single[key] - value) / (np.linalg.norm(value) + 0.01 * longest)
                       for key, value in double.items())
        tries.append((rounding, first, double))
        if rounding < ENOUGH:
            break
    rounding, first, double = min(tries, key=lambda row: row[:2])
    return {"rounding": rounding, "first_image": first,
            "gradients": {key: [np.linalg.norm(value), (value * direction(key, value.shape)).sum()]
                          for key, value in double.items()}}


def gradients(module, keys, case, first):
    module.train().zero_grad()
    kind = next(module.parameters()).dtype
    outputs = module(torch.from_numpy(images(4, case.height, case.width, first)).to(kind))
    factors = torch.from_numpy(weight("loss", (4, NUM_CLASSES))).to(kind)
    sum((logits * factors).mean() for logits in (outputs if isinstance(outputs, tuple) else [outputs])).backward()
    return {keys[name]: parameter.grad.double().numpy() for name, parameter in module.named_parameters()}


if __name__ == "__main__":
    main()
