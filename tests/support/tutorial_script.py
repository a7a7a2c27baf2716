"""A script in the shape of the garbage tutorial's, with its class and function names imported from mindclf.

Run by test_tutorial.py in a folder with data_en/ and mobilenetV2-200_1067.ckpt. The training loop is written by hand, as the
tutorial's is, so that the pieces are used one by one and not through mindclf.train.
"""

import mindspore as ms
import numpy as np
from easydict import EasyDict
from mindspore import Tensor, nn
from PIL import Image

from mindclf.checkpoint import load_checkpoint
from mindclf.dataset import create_dataset
from mindclf.labels import class_cn, class_en, garbage_classes, index_en
from mindclf.nets import MobileNetV2Backbone, MobileNetV2Head, mobilenet_v2

ms.set_context(mode=ms.GRAPH_MODE, device_target="CPU")
config = EasyDict(
    num_classes=26, image_height=224, image_width=224, backbone_out_channels=1280, batch_size=16, eval_batch_size=8, epochs=10,
    lr_max=0.05, momentum=0.9, weight_decay=1e-4, save_ckpt_epochs=1, dataset_path="./data_en", class_index=index_en,
    pretrained_ckpt="./mobilenetV2-200_1067.ckpt")

train_dataset = create_dataset(dataset_path=config.dataset_path, config=config)
eval_dataset = create_dataset(dataset_path=config.dataset_path, config=config, training=False)

backbone = MobileNetV2Backbone(last_channel=config.backbone_out_channels)
for parameter in backbone.get_parameters():
    parameter.requires_grad = False
load_checkpoint(config.pretrained_ckpt, backbone)
head = MobileNetV2Head(input_channel=backbone.out_channels, num_classes=config.num_classes)
network = mobilenet_v2(backbone, head)

loss_fn = nn.SoftmaxCrossEntropyWithLogits(sparse=True, reduction="mean")
optimizer = nn.Momentum(network.trainable_params(), 0.01, config.momentum, config.weight_decay)


def forward(images, labels):
    return loss_fn(network(images), labels)


gradients = ms.value_and_grad(forward, None, optimizer.parameters)
losses = []
network.set_train()
for images, labels in train_dataset.create_tuple_iterator():
    loss, grads = gradients(images, labels)
    optimizer(grads)
    losses.append(float(loss.asnumpy()))
network.set_train(False)
counted = sum(len(labels) for _, labels in eval_dataset.create_tuple_iterator())
ms.save_checkpoint(network, "save_mobilenetV2_model.ckpt")

network = mobilenet_v2(MobileNetV2Backbone(), MobileNetV2Head(num_classes=config.num_classes))
load_checkpoint("save_mobilenetV2_model.ckpt", network)
network.set_train(False)
mean, std = np.array([0.485, 0.456, 0.406]) * 255, np.array([0.229, 0.224, 0.225]) * 255
image = Image.open("data_en/test/Cardboard/000.jpg").resize((config.image_height, config.image_width))
pixels = ((np.array(image) - mean) / std).transpose(2, 0, 1)[None].astype(np.float32)
prediction = int(network(Tensor(pixels)).asnumpy().argmax())
print(f"{len(losses)} steps, {counted} test images, loss {losses[-1]:.3f}, Cardboard taken for {class_en[prediction]}, "
      f"{class_cn[prediction]}, {len(garbage_classes)} categories")
