"""One phase of training: which layers learn, from what, and for how long."""

import logging
from pathlib import Path

from mindspore.train import CheckpointConfig, ModelCheckpoint

from mindclf.dataset import eval_pipeline, train_pipeline
from mindclf.evaluate import evaluate
from mindclf.nets import freeze, unfreeze
from mindclf.train.callbacks import History, Progress, StopOnBadLoss
from mindclf.train.features import feature_batches
from mindclf.train.model import create_model
from mindclf.train.schedule import cosine_decay_lr

log = logging.getLogger(__name__)


def train_phase(net, number, config, splits, keeper):
    """Trains `net` as the phase's `config` says; `keeper` hears of every epoch.

    layers="head" freezes the backbone for good. With cached_views the head alone is trained, on stored features. After each
    epoch the whole net goes to epochs/ with its card (the newest only): what a run that is killed leaves behind.
    """
    if config.layers == "head":
        freeze(net.backbone)
    else:
        unfreeze(net)
    watched, watched_name = splits.watched
    if config.cached_views:
        trained = net.head
        batches = feature_batches(net, splits.train, config, config.cached_views, shuffle=True)
        watched_batches = feature_batches(net, watched, config)
    else:
        trained = net
        batches = train_pipeline(splits.train, config)
        watched_batches = eval_pipeline(watched, config)
    steps = batches.get_dataset_size()
    learning_rates = cosine_decay_lr(config.lr_max, config.epochs * steps, config.warmup_epochs * steps, config.lr_end)
    model = create_model(trained, config, learning_rates)

    def watch():
        report = evaluate(trained, watched_batches, len(splits.classes))
        trained.set_train(True)
        return report

    title = f"phase {number} ({config.layers})"
    log.info("%s: %d epochs of %d steps of %d pictures, %s, rate up to %g", title, config.epochs, steps, config.batch_size,
             config.optimizer, config.lr_max)
    snapshots = ModelCheckpoint(f"phase{number}", str(keeper.output / "epochs"), CheckpointConfig(
        save_checkpoint_steps=steps, keep_checkpoint_max=1, saved_network=net))

    def after_epoch(row, report):
        keeper.after_epoch(row, report, Path(snapshots.latest_ckpt_file_name))

    model.train(config.epochs, batches, dataset_sink_mode=False, callbacks=[
        StopOnBadLoss(learning_rates),
        Progress(title, learning_rates, config.batch_size),
        History(keeper.output / "history.csv", number, learning_rates, config.batch_size, watched_name, watch,
                after_epoch),
        snapshots,
    ])
