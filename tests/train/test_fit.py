"""fit from images to checkpoint: a tiny net on tiny images, through the real entry point."""

import csv
import itertools
import logging
import os
import re
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor
from PIL import Image

from mindclf import device, kernels
from mindclf.checkpoint import load_net, read_card, read_weights, save_checkpoint
from mindclf.config import VARIATION_FIELDS, merge
from mindclf.dataset import eval_pipeline, read_folder
from mindclf.dataset.splits import read_splits
from mindclf.inference.logits import evaluate_net
from mindclf.labels import CIFAR10
from mindclf.nets import create_net
from mindclf.pretrained import start_net
from mindclf.report.history import HistoryFile
from mindclf.train import callbacks, checkpointing, features, fit
from tests.conftest import CLASS_INDEX, ONLY_HEAD
from tests.support.pipelines import evaluated

pytestmark = pytest.mark.usefixtures("uncompiled")


def test_fit_learns_the_colours_and_writes_what_it_promises(fitted):
    assert fitted.report.images == 9 and fitted.report.top1 > 0.6
    files = {file.name for file in fitted.checkpoint.parent.iterdir()}
    assert files == {"best.ckpt", "best.ckpt.json", "last.ckpt", "last.ckpt.json", "history.csv", "curves.png", "report.json",
                     "report.html", "classes.png", "confusion.png", "coverage.png", "map.png", "predictions.png"}
    for name in ("curves.png", "classes.png", "confusion.png", "predictions.png"):
        with Image.open(fitted.checkpoint.parent / name) as image:
            assert min(image.size) > 100


def test_the_card_is_enough_to_repeat_the_evaluation(fitted, colour_folder):
    net, card = load_net(fitted.checkpoint)
    images = read_folder(colour_folder / "test", {name: index for index, name in enumerate(card["classes"])})
    again = evaluate_net(net, eval_pipeline(images, card.preprocessing, 4), len(card.classes))
    assert again.top1 == fitted.report.top1
    assert again.loss == pytest.approx(fitted.report.loss, abs=1e-6)
    assert card["metrics"]["test"]["top1"] == pytest.approx(fitted.report.top1, abs=1e-6)
    assert card["classes"] == ["green", "blue", "red"]
    assert len(card["data"].pop("digest")) == 16
    assert card["data"] == {"origin": "your folder", "path": colour_folder.as_posix(), "train": 24, "held_out": 6, "test": 9}


def test_history_has_a_row_an_epoch_and_the_rates_of_the_schedule(fitted):
    with open(fitted.checkpoint.parent / "history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3, 4, 5, 6]
    assert [int(row["steps"]) for row in rows] == [4, 8, 12, 16, 20, 24]  # 24 images in batches of 6
    # the last step of epoch 3 is step 11 of 24, counted from 0: 0.05 * (1 + cos(pi * 11 / 24)) / 2
    assert float(rows[2]["learning_rate"]) == pytest.approx(0.05 * (1 + np.cos(np.pi * 11 / 24)) / 2, rel=1e-5)
    assert {row["watched"] for row in rows} == {"held out"}


def test_best_is_the_best_epoch_on_the_held_out_images(fitted):
    rows = HistoryFile(fitted.checkpoint.parent / "history.csv").rows()
    card = read_card(fitted.checkpoint)
    best = max(rows, key=lambda row: (row["top1"], -row["loss"]))
    assert card["epoch"] == best["epoch"]
    assert card["metrics"]["held out"]["top1"] == pytest.approx(best["top1"], abs=1e-5)
    assert read_card(fitted.checkpoint.parent / "last.ckpt")["epoch"] == 6


def test_with_nothing_held_out_the_last_epoch_is_the_best(tiny_config, caplog):
    with caplog.at_level("INFO", logger="mindclf"):
        fitted = fit({**tiny_config, "valid_fraction": 0.0})
    best, last = (read_weights(fitted.checkpoint.parent / name) for name in ("best.ckpt", "last.ckpt"))
    for name in last:
        np.testing.assert_array_equal(best[name], last[name])
    rows = HistoryFile(fitted.checkpoint.parent / "history.csv").rows()
    assert {row["watched"] for row in rows} == {"test"}
    assert rows[-1]["top1"] == pytest.approx(fitted.report.top1, abs=1e-5)
    header, *lines = [message.split() for message in caplog.messages if re.match(r" *(phase epoch|1 +\d) ", message)]
    assert header == ["phase", "epoch", "train", "loss", "top-1", "test", "loss", "top-1", "lr", "images/s", "seconds"]
    assert [line[:6] for line in lines] == [
        ["1", f"{row['epoch']:.0f}", f"{row['train_loss']:.4f}", f"{row['train_top1']:.2%}", f"{row['loss']:.4f}",
         f"{row['top1']:.2%}"] for row in rows]
    assert all(len(line) == 9 for line in lines), "an epoch is marked as the best, and there was nothing to choose by"


def test_the_best_epochs_so_far_are_marked_in_the_log(tiny_config, caplog):
    with caplog.at_level("INFO", logger="mindclf"):
        fitted = fit(tiny_config)
    lines = [message.split() for message in caplog.messages if re.match(r" *1 +\d ", message)]
    values = [(float(line[5].rstrip("%")), -float(line[4])) for line in lines]
    assert [line[9:] for line in lines] == [["*"] * (value > max(values[:epoch], default=(-1, 0)))
                                            for epoch, value in enumerate(values)]
    epoch = read_card(fitted.checkpoint)["epoch"]
    assert f"* marks the best epoch so far: best.ckpt has epoch {epoch} of phase 1" in caplog.messages


def test_without_verbose_only_warnings_appear(tiny_config, caplog):
    with caplog.at_level("INFO", logger="mindclf"):
        fit({**tiny_config, "epochs": 1, "valid_fraction": 0.0}, verbose=False)
        assert {record.levelname for record in caplog.records} <= {"WARNING"}
        assert logging.getLogger("mindclf").level == logging.INFO


@pytest.mark.parametrize("phases", [
    [{"trainable": "head", "cached_views": 2, "epochs": 2}],
    [{"trainable": "head", "epochs": 1}],
    [{"trainable": "head", "cached_views": 1, "epochs": 1}, {"trainable": "all", "epochs": 2, "lr_max": 0.01}],
])
def test_the_backbone_moves_only_where_all_layers_train(tiny_config, fitted, phases):
    config = {**tiny_config, "pretrained": str(fitted.checkpoint), "valid_fraction": 0.0, "phases": phases}
    weights = read_weights(fit(config).checkpoint)
    backbone = {name: value for name, value in read_weights(fitted.checkpoint).items() if name.startswith("features.")}
    moved = [name for name, value in backbone.items() if not np.array_equal(weights[name], value)]
    assert moved == (list(backbone) if phases[-1]["trainable"] == "all" else [])
    rows = HistoryFile(Path(config["output"]) / "history.csv").rows()
    assert [(row["phase"], row["epoch"]) for row in rows] == [
        (number, epoch) for number, phase in enumerate(phases, 1) for epoch in range(1, phase["epochs"] + 1)]


def test_every_way_of_training_goes_through_all_phases(tiny_config):
    """Plateau, averaged and mixed, on stored features and on images; min_lr keeps the rate from falling further."""
    config = {**tiny_config, "epochs": 4, "schedule": "plateau", "plateau_patience": 0, "plateau_factor": 0.01, "min_lr": 0.04,
              "mixup_alpha": 0.4, "ema_decay": 0.9, "optimizer": "sgd", "nesterov": True,
              "phases": [{"trainable": "head", "cached_views": 1}, {"trainable": "all", "schedule": "one_cycle"}]}
    fitted = fit(config)
    rows = HistoryFile(fitted.checkpoint.parent / "history.csv").rows()
    assert len(rows) == 8
    assert [row["learning_rate"] for row in rows[:4]] == sorted((row["learning_rate"] for row in rows[:4]), reverse=True)
    assert {row["learning_rate"] for row in rows[:4]} <= {0.05, 0.04}
    # one cycle of 4 epochs of 4 steps: 0.05 - 0.01 * i / 16 at i = 3, 7, 11, 15
    assert [row["learning_rate"] for row in rows[4:]] == pytest.approx([0.048125, 0.045625, 0.043125, 0.040625])
    for row in rows:
        assert 0 <= row["train_top1"] <= 1 and 0 < row["data_seconds"] < row["seconds"]
    assert [speed["phase"] for speed in read_card(fitted.checkpoint)["speed"]] == [1, 2]


def test_a_figure_that_does_not_improve_lowers_the_rate(tiny_config):
    """At so small a rate the loss falls by less than a ten-thousandth of itself in an epoch, which is no improvement.

    Epochs of warm-up do not count: the third epoch is the first that another can be better than.
    """
    config = {**tiny_config, **ONLY_HEAD, "epochs": 6, "warmup_epochs": 2, "lr_max": 1e-6, "schedule": "plateau",
              "plateau_patience": 0}
    rows = HistoryFile(fit(config).checkpoint.parent / "history.csv").rows()
    assert [row["learning_rate"] for row in rows] == pytest.approx([5e-7, 1e-6, 1e-6, 1e-6, 5e-7, 2.5e-7], abs=1e-9)


def test_the_best_epoch_of_all_phases_is_kept_and_reported(tiny_config, fitted, colour_folder):
    """The second phase, at far too large a rate, spoils what the first one learned."""
    config = {**tiny_config, "pretrained": str(fitted.checkpoint),
              "phases": [{"trainable": "head", "epochs": 2}, {"trainable": "all", "epochs": 2, "lr_max": 3.0}]}
    run = fit(config)
    checkpoint = run.checkpoint
    rows = HistoryFile(checkpoint.parent / "history.csv").rows()
    best, card = max(rows, key=lambda row: (row["top1"], -row["loss"])), read_card(checkpoint)
    assert (best["phase"], best["epoch"]) == (card["phase"], card["epoch"]) and best["phase"] == 1
    assert card["metrics"]["held out"]["top1"] == pytest.approx(best["top1"], abs=1e-5)
    assert any(row["top1"] < best["top1"] for row in rows if row["phase"] == 2)
    test = read_folder(colour_folder / "test", CLASS_INDEX)
    losses = [evaluate_net(load_net(checkpoint.with_name(name))[0], eval_pipeline(test, card.preprocessing, 4), 3).loss
              for name in ("best.ckpt", "last.ckpt")]
    assert run.report.loss == pytest.approx(losses[0], abs=1e-6) and abs(losses[0] - losses[1]) > 1e-3


def images_of(batches):
    return np.concatenate([images for images, _ in batches.create_tuple_iterator(output_numpy=True)])


def test_stored_features_are_those_of_the_net(tiny_config, colour_folder, monkeypatch):
    config = merge(tiny_config, {})
    net = create_net("mobilenet_v2", 3, **config.net_options).set_train(False)
    image_set = read_folder(colour_folder / "test", CLASS_INDEX)

    def stored(**changes):
        return features.stored_features(net, image_set, merge(config, changes))[0]

    first = stored()
    images = Tensor(images_of(evaluated(image_set, config)))
    np.testing.assert_allclose(first, net.backbone(images).asnumpy().mean((2, 3)), atol=1e-5)

    def not_again(*_):
        raise AssertionError("computed again")

    with monkeypatch.context() as patch:
        patch.setattr(features, "predict_logits", not_again)
        np.testing.assert_array_equal(stored(), first)
        with pytest.raises(AssertionError, match="computed again"):  # other features, not those of another normalisation
            stored(mean=(1.0, 2.0, 3.0), std=(1.0, 1.0, 1.0))
    for file in Path(config.feature_cache).iterdir():
        file.write_bytes(file.read_bytes()[:100])
    np.testing.assert_array_equal(stored(), first)
    statistics = next(p for p in net.backbone.get_parameters() if p.name.endswith("moving_mean"))
    statistics.set_data(statistics + 1)
    np.testing.assert_allclose(stored(), net.backbone(images).asnumpy().mean((2, 3)), atol=1e-5)
    assert abs(stored() - first).max() > 1e-3


def test_stored_features_belong_to_what_computed_them(tiny_config, colour_folder, monkeypatch):
    """Another variant of the kernels, none, a library that was compiled anew, another MindSpore, processor or oneDNN."""
    config = merge(tiny_config, {})
    net = create_net("mobilenet_v2", 3, **config.net_options).set_train(False)
    images = read_folder(colour_folder / "test", CLASS_INDEX)
    computed = []
    monkeypatch.setattr(features, "predict_logits", lambda *_: computed.append(1) or (np.zeros((9, 2), np.float32), np.zeros(9)))
    features.stored_features(net, images, config)
    variants = [variant for variant in kernels.VARIANTS if kernels.available(variant) and variant != kernels.status()[1]]
    changes = [(os.environ, "MINDCLF_KERNELS", other) for other in ["0"] * kernels.in_use() + variants]
    changes += [(kernels, "digest", lambda variant: "another")] * kernels.in_use()
    changes += [(ms, "__version__", "2.10.99"), (device, "processor", lambda: "another"), (device, "tune_cpu", lambda: "SSE41")]
    for count, (place, name, value) in enumerate(changes, start=2):
        with monkeypatch.context() as patch:
            patch.setitem(place, name, value) if place is os.environ else patch.setattr(place, name, value)
            for _ in range(2):
                features.stored_features(net, images, config)
                assert len(computed) == count, name
    features.stored_features(net, images, config)
    assert len(computed) == 1 + len(changes)


def test_every_stored_view_of_every_seed_is_another_image(tiny_config, colour_folder):
    config = merge(tiny_config, {})
    net = create_net("mobilenet_v2", 3, **config.net_options).set_train(False)
    images = read_folder(colour_folder / "test", CLASS_INDEX)
    rows, labels = features.stored_features(net, images, config, views=4)
    assert labels.tolist() == 4 * list(images.labels)
    views = list(rows.reshape(4, len(images), -1))
    rows, _ = features.stored_features(net, images, merge(config, {"seed": 2}), views=4)
    views += list(rows.reshape(4, len(images), -1)[1:])
    for first, second in itertools.combinations(views, 2):
        assert not np.array_equal(first, second)


def test_stored_views_belong_to_the_augmentation_that_made_them(tiny_config, colour_folder):
    still = {"scale": (1.0, 1.0), "ratio": (1.0, 1.0), **dict.fromkeys(VARIATION_FIELDS, 0.0)}
    net = create_net("mobilenet_v2", 3, **tiny_config["net_options"]).set_train(False)
    images = read_folder(colour_folder / "test", CLASS_INDEX)

    def view(**changes):
        return features.stored_features(net, images, merge(tiny_config, {**still, **changes}), views=2)[0][len(images):]

    for field in VARIATION_FIELDS:
        assert not np.array_equal(view(**{field: 0.5}), view()), field
    changes = [{"erasing_prob": 1.0}, {"policy": "auto_augment"}, {"policy": "rand_augment"},
               {"policy": "rand_augment", "rand_augment_magnitude": 3.0}, {"policy": "rand_augment", "rand_augment_ops": 3}]
    for first, second in itertools.combinations([{}, *changes], 2):
        assert not np.array_equal(view(**first), view(**second)), (first, second)


def test_a_run_that_stops_leaves_its_newest_epoch_ready_to_use(tiny_config, monkeypatch):
    def stop_after_the_second(self, delete_old=checkpointing.CardCheckpoint.delete_old):
        if (self.folder / "phase1-2_4.ckpt").exists():
            raise KeyboardInterrupt
        delete_old(self)

    monkeypatch.setattr(checkpointing.CardCheckpoint, "delete_old", stop_after_the_second)
    with pytest.raises(KeyboardInterrupt):
        fit({**tiny_config, **ONLY_HEAD, "epochs": 3})
    epochs = Path(tiny_config["output"]) / "epochs"
    _, card = load_net(epochs / "phase1-2_4.ckpt")
    assert card["epoch"] == 2
    _, card = load_net(epochs / "phase1-1_4.ckpt")  # stays until all of the second epoch is kept
    assert card["epoch"] == 1


def test_a_run_that_was_stopped_at_once_can_be_started_again(tiny_config, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(callbacks.TerminateOnNaN, "on_train_step_end", stop)
        fit({**tiny_config, **ONLY_HEAD, "epochs": 1})
    assert fit({**tiny_config, **ONLY_HEAD, "epochs": 1}).checkpoint.exists()


def test_only_an_earlier_run_is_moved_aside(tiny_config, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "holiday.jpg").write_bytes(b"")
    with pytest.raises(ValueError, match="run exists and is not the folder of an earlier run"):
        fit(tiny_config)
    assert (tmp_path / "run" / "holiday.jpg").exists()


def test_what_happened_before_does_not_change_the_first_weights(tiny_config):
    """The first run of a recipe may convert weights, which builds another net; later runs do not."""
    config = merge(tiny_config, {"seed": 5})
    weights = []
    for nets_before in (0, 1, 3):
        for _ in range(nets_before):
            create_net("mobilenet_v2", 7, **config.net_options)
        net, _, _ = start_net(config, 3)
        weights.append(net.head.head[1].weight.asnumpy())
    np.testing.assert_array_equal(weights[0], weights[1])
    np.testing.assert_array_equal(weights[0], weights[2])


def test_an_earlier_run_is_moved_aside_not_overwritten(tiny_config):
    config = {**tiny_config, **ONLY_HEAD, "epochs": 1}
    first = fit(config).checkpoint.read_bytes()
    second = fit({**config, "seed": 2}).checkpoint
    assert second.read_bytes() != first  # another seed, other weights
    assert (second.parent.with_name("run-1") / "best.ckpt").read_bytes() == first


def test_a_net_starts_with_its_pretrained_weights_statistics(tiny_config, tmp_path):
    """The card of the backbone decides about options and pixel statistics that the config leaves open."""
    options = {**tiny_config["net_options"], "pad_mode": "same", "bn_epsilon": 1e-3}
    path = save_checkpoint(create_net("mobilenet_v2", 5, **options), tmp_path / "start.ckpt", {
        "net": "mobilenet_v2", "net_options": options, "classes": list("abcde"), "image_height": 32, "image_width": 32,
        "mean": [10.0, 20.0, 30.0], "std": [40.0, 50.0, 60.0]})
    net, config, _ = start_net(merge(tiny_config, {"net_options": {}, "pretrained": str(path)}), num_classes=3)
    assert (config.net_options, config.mean, config.std) == (options, (10.0, 20.0, 30.0), (40.0, 50.0, 60.0))
    for parameter in net.backbone.get_parameters():
        np.testing.assert_array_equal(parameter.asnumpy(), read_weights(path)[parameter.name])


def test_cifar10_from_files_to_card(few_of_cifar10, caplog):
    with caplog.at_level("INFO", logger="mindclf"):
        fitted = fit(few_of_cifar10)
    net, card = load_net(fitted.checkpoint)
    assert (card["raw_size"], card["crop_share"], card["classes"]) == ([32, 32], 1.0, list(CIFAR10))
    assert card["classes_chinese"][0] == "飞机"
    assert card["data"]["origin"] == fitted.data_origin == "files laid out as CIFAR-10, but not the official ones"
    assert [card["data"][split] for split in ("train", "held_out", "test")] == [50, 10, 40]
    found = read_splits(merge(few_of_cifar10, {}))
    pixels = np.stack(found.train.paths).astype(float).reshape(-1, 3)
    np.testing.assert_allclose((card["mean"], card["std"]), (pixels.mean(0), pixels.std(0)))
    again = evaluate_net(net, eval_pipeline(found.test, card.preprocessing, 4), 10)
    assert (again.top1, again.top5) == (fitted.report.top1, fitted.report.top5) and again.images == 40
    assert f"top-1 {100 * again.top1:.2f}%, top-5 {100 * again.top5:.2f}%" in caplog.text


def test_a_head_is_trained_on_stored_features_of_cifar10(few_of_cifar10, tmp_path):
    """Whose images have no files that could tell when they change: their pixels do."""
    options = few_of_cifar10["net_options"]
    mean, std = [1.0, 2.0, 3.0], [4.0, 5.0, 6.0]
    start = save_checkpoint(create_net("mobilenet_v2", 5, **options), tmp_path / "start.ckpt", {
        "net": "mobilenet_v2", "net_options": options, "classes": list("abcde"), "image_height": 32, "image_width": 32,
        "mean": mean, "std": std})
    fitted = fit({**few_of_cifar10, "pretrained": str(start), **ONLY_HEAD})
    card = read_card(fitted.checkpoint)
    assert (card["mean"], card["std"]) == (mean, std)  # the pretrained weights', not those of the images
    assert len(list((tmp_path / "features").iterdir())) == 2  # of the training and the held-out images
