"""One phase of training: which layers learn, from what, and for how long."""

import logging
from functools import cache, partial

from mindclf.dataset import epoch_pipeline, eval_pipeline
from mindclf.distributed import collectives
from mindclf.evaluate import evaluate
from mindclf.nets import freeze, seed_dropout, unfreeze
from mindclf.preprocessing import Preprocessing
from mindclf.train.batches import EpochBatches
from mindclf.train.callbacks import (
    EqualStatistics,
    ExclusiveSteps,
    FirstStep,
    History,
    Progress,
    StepFigures,
    StopOnBadLoss,
    StopWhenAsked,
    read_history,
)
from mindclf.train.ema import WeightAverage
from mindclf.train.features import feature_batches, stored_features
from mindclf.train.model import create_model, set_learning_rates
from mindclf.train.output import HISTORY
from mindclf.train.resume import kept_values, optimizer_state, restore_optimizer, save_state, state_path
from mindclf.train.schedules import Plateau, learning_rates
from mindclf.train.tensorboard import EventFiles

log = logging.getLogger(__name__)


def train_phase(net, number, config, splits, keeper, signals, begin=None, state=None):
    """Trains `net` as the phase's `config` says; `keeper` hears of every epoch.

    layers="head" freezes the backbone for good. With cached_views the head alone is trained, on stored features. After each
    epoch the whole net goes to epochs/ with its card, in the place of the one before, and so does all that is needed to go on
    from there: what a run that is killed leaves behind. When `signals`, a StopSignals, receives one, the run keeps the same after
    the step that it is at, and stops. Nothing is written before the first step, after which `begin` is called. `state` is such a
    RunState, of this phase; `net` has its weights.
    """
    if config.layers == "head":
        freeze(net.backbone)
    else:
        unfreeze(net)
    watched, watched_name = splits.watched
    count = len(splits.train) * max(config.cached_views, 1)
    if config.cached_views:
        trained = net.head
        features, labels = stored_features(net, splits.train, config, config.cached_views)
        make_batches = lambda _, indices: feature_batches(features, labels, config.batch_size, indices)  # noqa: E731
        watched_batches = feature_batches(*stored_features(net, watched, config), config.eval_batch_size,
                                          collectives.shard_indices(len(watched)))
    else:
        trained = net
        make_batches = partial(epoch_pipeline, splits.train, config)
        watched_batches = eval_pipeline(collectives.shard(watched), Preprocessing.from_config(config), config.eval_batch_size)
    epochs_done, steps_done = (state.facts["position"][unit] for unit in ("epochs", "steps")) if state else (0, 0)
    batches = EpochBatches(make_batches, count, config.batch_size, config.seed, number, config.mixup_alpha, len(splits.classes),
                           epochs_done, steps_done)
    steps = batches.get_dataset_size()
    rates = learning_rates(config, steps)
    model = create_model(trained, config, rates)
    optimizer = model.train_network.optimizer
    plateau = Plateau(config.lr_max, config.plateau_figure, config.plateau_factor, config.plateau_patience, config.lr_end)
    figures = StepFigures(rates, config.batch_size, steps)
    average = [WeightAverage(trained, config.ema_decay, steps)] if config.ema_decay else []
    history_file = keeper.output / HISTORY
    events = cache(lambda: EventFiles(keeper.output / "tensorboard"))  # made after the first epoch
    has_events = config.tensorboard and collectives.is_main_process()
    looks = 2 if config.sam_rho else 1  # at images, in a step
    seed_dropout(trained, [collectives.per_rank_seed(config.seed), number], draws=looks * (epochs_done * steps + steps_done))

    def keep_rate_of_plateau(epoch):
        if config.schedule == "plateau" and epoch > config.warmup_epochs:
            rates[epoch * steps:] = [plateau.rate] * (len(rates) - epoch * steps)
            set_learning_rates(optimizer, rates)

    if state:
        restore_optimizer(optimizer, kept_values(optimizer, state))
        plateau.restore(state.facts["plateau"])
        keep_rate_of_plateau(epochs_done)
        figures.restore(state.facts["figures"])
        for callback in average:
            callback.restore(state.group("average"), figures.step, state.facts["averaged_step"])

    stop_on_bad_loss = StopOnBadLoss(figures, lambda: keeper.newest)

    def watch():
        report = evaluate(trained, watched_batches, len(splits.classes), partial(collectives.unshard, count=len(watched)))
        trained.set_train(True)
        stop_on_bad_loss.check(report.loss, f" on the {watched_name} images")  # the last step may have broken the weights
        return report

    if config.schedule == "plateau" and watched_name == "test":
        log.warning("no images are held out: the learning rate follows the test images, whose figures then look too good")
    title = f"phase {number} ({config.layers})"
    log.info("%s: %d epochs of %d steps of %d images, %s, rate up to %g", title, config.epochs, steps, figures.images_per_step,
             config.optimizer, config.lr_max)

    def save():
        epochs, steps_of_next = divmod(figures.step, steps)
        if steps_of_next:  # at an epoch's end they have agreed
            figures.agree()
            collectives.average_statistics(trained)
            for callback in average:
                callback.agree()
        if collectives.is_main_process():
            write_state(epochs, steps_of_next)
        collectives.barrier()  # before anyone goes on or ends: an end of one is the end of all

    def write_state(epochs, steps_of_next):
        save_state(state_path(keeper.output),
                   {**keeper.state(), "position": {"phase": number, "epochs": epochs, "steps": steps_of_next},
                    "figures": figures.state(), "clock": history.state() if steps_of_next else history.earlier,
                    "averaged_step": average[0].averaged_step if average else 0, "plateau": plateau.state(),
                    "history": history_file.read_bytes().decode("utf-8")},
                   net={p.name: p.asnumpy() for p in net.get_parameters()}, optimizer=optimizer_state(optimizer),
                   average=average[0].state() if average else {})

    def after_epoch(row, report):
        if row["epoch"] > config.warmup_epochs:
            plateau.next_rate(row[config.plateau_figure])
        keep_rate_of_plateau(row["epoch"])
        keeper.after_epoch(row, report)
        if has_events:
            events().add(read_history(history_file))  # before the state: who is killed in between finds them when it goes on
        save()
        keeper.save_best()  # after the state: a run that is killed in between saves it when it goes on

    history = History(history_file, number, figures, batches, watched_name, watch, after_epoch)
    if state:
        history.earlier = state.facts["clock"]
    signals.deferred = True
    model.train(config.epochs, batches, initial_epoch=epochs_done, dataset_sink_mode=False, callbacks=[
        figures,
        stop_on_bad_loss,
        *([FirstStep(begin)] if begin else []),
        Progress(title, figures),
        EqualStatistics(trained, figures),
        *average,  # from an epoch's end to the next one's begin the net holds the average
        history,
        StopWhenAsked(signals, figures, number, save),
        ExclusiveSteps(),
    ])
    signals.deferred = False
    if has_events:
        events().close()
