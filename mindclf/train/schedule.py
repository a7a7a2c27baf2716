"""Learning rates, one for each step."""

import math


def cosine_decay_lr(lr_max, total_steps, warmup_steps=0, lr_end=0.0):
    """A list of `total_steps` learning rates: linear warm-up to `lr_max`, then half a cosine down towards `lr_end`.

    Warm-up step i has lr_max * (i + 1) / warmup_steps. Of the n steps after it, step i has
    lr_end + (lr_max - lr_end) * (1 + cos(pi * i / n)) / 2: it starts at lr_max and would reach lr_end one step after the last.
    Source: arXiv:1608.03983, equation 5, without restarts. MindSpore's own nn.cosine_decay_lr changes once an epoch.

    Raises ValueError if warm-up takes all steps.
    """
    if not 0 <= warmup_steps < total_steps:
        raise ValueError(f"warmup_steps={warmup_steps} must be less than total_steps={total_steps}")
    decay_steps = total_steps - warmup_steps
    warmup = [lr_max * (step + 1) / warmup_steps for step in range(warmup_steps)]
    decay = [lr_end + (lr_max - lr_end) * (1 + math.cos(math.pi * step / decay_steps)) / 2 for step in range(decay_steps)]
    return warmup + decay
