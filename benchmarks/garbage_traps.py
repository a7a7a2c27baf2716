"""What each trap of the garbage tutorial costs: the corrected run, the same with one trap, and the run as written.

    python benchmarks/garbage_traps.py                 # about 20 minutes on two cores; writes results/tables/garbage_traps.json

Budget of the tutorial in all rows: 2 epochs of batches of 16, each image once an epoch as a random crop, frozen ImageNet
backbone, head trained by Momentum 0.9, weight decay 1e-4, cosine from 0.05. Accuracy on the 130 test images, 3 seeds. The
backbone runs once for each view and its features are shared by the rows, which therefore see the same crops.
"""

import os
import time

import numpy as np
from common import provenance, require_photos, write_result
from easydict import EasyDict
from mindspore import Tensor, nn
from mindspore import dataset as ds
from mindspore.dataset import vision

from mindclf.config import IMAGENET_MEAN, IMAGENET_STD, merge
from mindclf.dataset import augmented_pipeline, encoded_image, eval_pipeline, read_folder, train_pipeline
from mindclf.dataset.draws import STORED_VIEWS, Draws
from mindclf.dataset.locate import find_garbage26
from mindclf.device import describe_device, set_seeds, use_device
from mindclf.inference.features import PooledFeatures
from mindclf.inference.logits import predict_logits
from mindclf.labels import index_en
from mindclf.nets import MobileNetV2Head, freeze
from mindclf.preprocessing import Preprocessing
from mindclf.pretrained import start_net
from mindclf.train import cosine_decay_lr

SEEDS = (1, 2, 3)
EPOCHS, BATCH_SIZE, LR_MAX = 2, 16, 0.05
CORRECTED = EasyDict(loss_scaled=True, schedule_epochs=EPOCHS, dropout=0.0)


def main():
    use_device("CPU")
    started = time.perf_counter()
    found = find_garbage26()
    require_photos(found.origin)
    train, test = (read_folder(found.path / split, index_en) for split in ("train", "test"))
    config = merge({}, dict(class_index=index_en, pretrained="imagenet", batch_size=BATCH_SIZE))
    scores = {}

    def score(row, value):
        scores.setdefault(row, []).append(value)
        print(f"{time.perf_counter() - started:6.0f} s  {row}: {value:.2%}", flush=True)

    for seed in SEEDS:
        config = merge(config, {"seed": seed})
        net, settled, _ = start_net(config, len(index_en))
        freeze(net.backbone)
        backbone = PooledFeatures(net)
        centre, labels = predict_logits(backbone, evaluated(test, settled))
        squashed = features_of(backbone, squashed_batches(test, settled))
        views = random_views(backbone, train, settled, seed)

        heads = {"corrected": train_head(views, CORRECTED, seed)}
        score("corrected", accuracy(heads["corrected"], centre, labels))
        score("loss scale given to the optimizer alone", accuracy(train_head(views, {**CORRECTED, "loss_scaled": False}, seed),
                                                                  centre, labels))
        score("schedule made for 10 epochs, 2 run", accuracy(train_head(views, {**CORRECTED, "schedule_epochs": 10}, seed),
                                                             centre, labels))
        score("nn.Dropout(0.2) read as 'keep 20 %' (p=0.8)", accuracy(train_head(views, {**CORRECTED, "dropout": 0.8}, seed),
                                                                      centre, labels))
        score("prediction squashes to 224 x 224", accuracy(heads["corrected"], squashed, labels))
        whole = len(test) // 8 * 8
        score("reported: evaluation drops the last batch", accuracy(heads["corrected"], centre[:whole], labels[:whole]))
        [(crops, crop_labels)] = random_views(backbone, train, settled, seed + 100, count=1)
        score("reported: 'test' set is augmented training images", accuracy(heads["corrected"], crops, crop_labels))

        moving, moving_views = batch_norm_in_training_mode(config, train)
        moved_centre, _ = predict_logits(moving, evaluated(test, settled))
        moved_squashed = features_of(moving, squashed_batches(test, settled))
        score("frozen backbone's batch norm in training mode",
              accuracy(train_head(moving_views, CORRECTED, seed), moved_centre, labels))
        as_written = train_head(moving_views, {**CORRECTED, "loss_scaled": False, "schedule_epochs": 10}, seed)
        score("as written: all that apply", accuracy(as_written, moved_squashed, labels))

        other = merge(config, dict(mean=IMAGENET_MEAN, std=IMAGENET_STD, net_options={"pad_mode": "pad", "bn_epsilon": 1e-5}))
        net, _, _ = start_net(other, len(index_en))
        freeze(net.backbone)
        backbone = PooledFeatures(net)
        views = random_views(backbone, train, other, seed)
        score("other pixel statistics, padding and epsilon than the weights'",
              accuracy(train_head(views, CORRECTED, seed), predict_logits(backbone, evaluated(test, other))[0], labels))

    write_result(__file__, {**provenance(describe_device("CPU")), "data": found.origin, "test_images": len(test),
                            "seeds": SEEDS, "seconds": round(time.perf_counter() - started), "top1": scores})


def evaluated(images, config):
    """The batches of evaluation."""
    return eval_pipeline(images, Preprocessing.from_config(config), config.eval_batch_size)


def train_head(views, options, seed):
    """A head trained on one list of (features, labels) an epoch."""
    options = EasyDict(options)
    set_seeds(seed)
    rng = np.random.default_rng(seed)
    steps = len(views[0][1]) // BATCH_SIZE
    rates = cosine_decay_lr(LR_MAX, options.schedule_epochs * steps)
    head = MobileNetV2Head(1280, len(index_en))
    trained = nn.SequentialCell(nn.Dropout(p=options.dropout), head) if options.dropout else head
    optimizer = nn.Momentum(head.trainable_params(), rates, 0.9, weight_decay=1e-4, loss_scale=1024)
    loss = nn.WithLossCell(trained, nn.CrossEntropyLoss())
    step = nn.TrainOneStepCell(loss, optimizer, sens=1024 if options.loss_scaled else 1)
    step.set_train(True)
    for features, labels in views:
        order = rng.permutation(len(labels))[:steps * BATCH_SIZE].reshape(steps, BATCH_SIZE)
        for batch in order:
            step(Tensor(features[batch]), Tensor(labels[batch]))
    return head.set_train(False)


def batch_norm_in_training_mode(config, train):
    """The backbone after EPOCHS epochs with requires_grad=False alone, and the features that a head saw of it meanwhile."""
    net, settled, _ = start_net(config, len(index_en))
    backbone = PooledFeatures(net)
    epochs = train_pipeline(train, settled).create_tuple_iterator(num_epochs=EPOCHS, output_numpy=True)
    backbone.set_train(True)
    views = []
    for _ in range(EPOCHS):
        seen = [(backbone(Tensor(images)).asnumpy(), labels) for images, labels in epochs]
        views.append(tuple(map(np.concatenate, zip(*seen))))
    return backbone.set_train(False), views


def random_views(backbone, images, config, seed, count=EPOCHS):
    """`count` times the features and labels of all images, each time of other random crops."""
    return [predict_logits(backbone, augmented_pipeline(images, config, Draws(seed, STORED_VIEWS, view)))
            for view in range(count)]


def squashed_batches(images, config):
    """The tutorial's prediction: both sides to 224 at once, nothing cropped."""
    operations = [vision.Decode(), vision.Resize((224, 224)), vision.Normalize(list(config.mean), list(config.std)),
                  vision.HWC2CHW()]
    pairs = [(encoded_image(path), np.int32(label)) for path, label in zip(images.paths, images.labels)]
    source = ds.GeneratorDataset(pairs, ["image", "label"], shuffle=False)
    return source.map(operations, "image", num_parallel_workers=os.cpu_count()).batch(BATCH_SIZE)


def features_of(backbone, batches):
    return predict_logits(backbone, batches)[0]


def accuracy(head, features, labels):
    return float((head(Tensor(features)).asnumpy().argmax(1) == labels).mean())


if __name__ == "__main__":
    main()
