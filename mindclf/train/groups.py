"""Parameter groups: which weights decay, and how fast the layers of a backbone learn compared with the head."""

from itertools import groupby


def parameter_groups(net, config, learning_rates):
    """The groups of the unfrozen weights of `net` for an nn.Optimizer with `learning_rates`.

    Kernels and matrices have config.weight_decay, biases and batch norm none. A weight whose factor is not 1 (see `rate_factors`)
    has the learning rates times its factor.
    """
    factors = rate_factors(net, config)
    members = {}
    for weight in net.trainable_params():
        members.setdefault((factors.get(weight.name, 1.0), weight.ndim > 1), []).append(weight)
    return [{"params": weights, "weight_decay": config.weight_decay if decays else 0.0,
             **({} if factor == 1 else {"lr": [factor * rate for rate in learning_rates]})}
            for (factor, decays), weights in sorted(members.items(), key=lambda item: item[0], reverse=True)]


def rate_factors(net, config):
    """{name of a weight of the backbone of `net`: its learning rate, as a factor of that of the head}.

    Of n blocks the last one has config.backbone_lr_factor x config.layer_decay, the first one config.backbone_lr_factor x
    config.layer_decay^n (BEiT, arXiv:2106.08254, and timm). A net without backbone, as a head alone, has no factors.
    """
    weights = net.backbone.trainable_params() if hasattr(net, "backbone") else []
    blocks = backbone_blocks(weights)
    return {weight.name: config.backbone_lr_factor * config.layer_decay ** (len(blocks) - number)
            for number, block in enumerate(blocks) for weight in block}


def backbone_blocks(weights):
    """The `weights` of a backbone in lists, one for each block, from the images on.

    A block is a layer, or what has one number or name in the backbone: features.3, layer2.0, features.denseblock1, Mixed_5b.
    Batch norm that has a name of its own belongs to the block before it.
    """
    blocks = []
    for _, members in groupby(weights, key=_block_name):
        members = list(members)
        if blocks and all(weight.ndim == 1 for weight in members):
            blocks[-1] += members
        else:
            blocks.append(members)
    return blocks


def _block_name(weight):
    first, second, *_ = weight.name.split(".")
    return f"{first}.{second}" if first == "features" or second.isdigit() else first
