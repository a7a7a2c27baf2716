"""Writes tests/reference/foreign_keys.json.gz: what torchvision, timm and Keras call the weights of the nets that convert.

    python -m tests.reference.write_foreign_keys

Needs torchvision 0.28, timm 1.0.31, and Keras 3.15 on PyTorch. Names and shapes are those of nets with 1000 classes, in the
order of their layers, without the counters of batch norm. Where timm names a net as torchvision does, it stands there once.
"""

import gzip
import json
import os

from tests.reference import FOREIGN_KEYS_FILE

TORCHVISION = ("mobilenet_v2", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "vgg11", "vgg13", "vgg16", "vgg19",
               "vgg11_bn", "vgg13_bn", "vgg16_bn", "vgg19_bn", "alexnet", "squeezenet1_0", "squeezenet1_1", "densenet121",
               "densenet161", "densenet169", "densenet201", "inception_v3")
TIMM = {"mobilenetv1_100": "mobilenet_v1", "mobilenetv2_100": "mobilenet_v2", "mobilenetv2_050": "mobilenet_v2",
        "resnet18": "resnet18", "resnet50": "resnet50", "vgg11": "vgg11", "vgg16_bn": "vgg16_bn", "densenet121": "densenet121",
        "inception_v3": "inception_v3"}
KERAS = {"MobileNet": "mobilenet_v1", "MobileNetV2": "mobilenet_v2", "ResNet50": "resnet50"}


def main():
    os.environ["KERAS_BACKEND"] = "torch"
    import keras
    import timm
    import torchvision

    files = {}
    for name in TORCHVISION:
        files[f"torchvision {name}"] = name, state_dict(getattr(torchvision.models, name)(weights=None))
    for name, net in TIMM.items():
        rows = state_dict(timm.create_model(name, pretrained=False))
        if sorted(rows) != sorted(files.get(f"torchvision {net}", ("", ()))[1]):
            files[f"timm {name}"] = net, rows
    for name, net in KERAS.items():
        model = getattr(keras.applications, name)(weights=None)
        files[f"keras {name}"] = net, [f"{layer.name}/{weight.path} {tuple(weight.shape)}"
                                       for layer in model.layers for weight in layer.weights]
    FOREIGN_KEYS_FILE.write_bytes(gzip.compress(json.dumps(files).encode(), mtime=0))


def state_dict(model):
    return [f"{name} {tuple(value.shape)}" for name, value in model.state_dict().items() if not name.endswith("_tracked")]


if __name__ == "__main__":
    main()
