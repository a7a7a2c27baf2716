"""How the head's learning rate, weight decay and label smoothing were chosen: 3-fold cross-validation within train/.

    python benchmarks/garbage_choice.py                # about 3 minutes on two cores; writes results/tables/garbage_choice.json

The test photos take no part. Features are the stored centre crops of the recipe, so each row differs in the head only.
"""

import itertools

import numpy as np
from common import provenance, require_photos, write_result
from mindspore import Tensor
from mindspore import dataset as ds

from mindclf.config import merge
from mindclf.dataset import read_folder
from mindclf.dataset.locate import find_garbage26
from mindclf.device import describe_device, set_seeds, use_device
from mindclf.labels import index_en
from mindclf.nets import MobileNetV2Head, freeze
from mindclf.pretrained import start_net
from mindclf.train import cosine_decay_lr, create_model
from mindclf.train.features import stored_features

FOLDS, EPOCHS = 3, 40
RATES, DECAYS, SMOOTHINGS = (0.02, 0.1, 0.3), (1e-4, 1e-3, 4e-3), (0.0, 0.1)


def main():
    use_device("CPU")
    found = find_garbage26()
    require_photos(found.origin)
    images = read_folder(found.path / "train", index_en)
    config = merge({}, dict(dataset="garbage26", pretrained="imagenet", batch_size=64, trainable="head"))
    net, config, start = start_net(config, len(index_en))
    freeze(net.backbone)
    features, labels = stored_features(net, images, config)
    folds = np.random.default_rng(0).permutation(len(labels)) % FOLDS
    rows = []
    for rate, decay, smoothing in itertools.product(RATES, DECAYS, SMOOTHINGS):
        options = merge(config, dict(lr_max=rate, weight_decay=decay, label_smoothing=smoothing))
        top1 = [fold_accuracy(features, labels, folds == fold, options) for fold in range(FOLDS)]
        rows.append({"lr_max": rate, "weight_decay": decay, "label_smoothing": smoothing, "top1": round(float(np.mean(top1)), 4),
                     "folds": [round(value, 4) for value in top1]})
        print(rows[-1], flush=True)
    write_result(__file__, {**provenance(describe_device("CPU")), "data": found.origin, "start": start, "images": len(labels),
                            "epochs": EPOCHS, "rows": sorted(rows, key=lambda row: -row["top1"])})


def fold_accuracy(features, labels, held_out, config):
    """Accuracy on the images held out, of a head trained on the others."""
    set_seeds(1)
    head = MobileNetV2Head(features.shape[1], len(index_en))
    batches = ds.NumpySlicesDataset((features[~held_out], labels[~held_out]), ["feature", "label"]).batch(config.batch_size, True)
    rates = cosine_decay_lr(config.lr_max, EPOCHS * batches.get_dataset_size())
    create_model(head, config, rates).train(EPOCHS, batches, dataset_sink_mode=False)
    head.set_train(False)
    return float((head(Tensor(features[held_out])).asnumpy().argmax(1) == labels[held_out]).mean())


if __name__ == "__main__":
    main()
