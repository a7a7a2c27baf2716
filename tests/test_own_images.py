"""What a training of one's own folder starts from."""

from pathlib import Path

import pytest
from PIL import Image

from mindclf.config import merge, phases_of
from mindclf.own_images import (
    ALL_LAYERS,
    BEST_CROP,
    BEST_EPOCHS,
    BEST_VIEWS,
    NOT_WITH_BEST,
    best_epochs,
    best_image_size,
    count_trained,
    own_images,
)


@pytest.mark.parametrize("asked_for", [
    ["epochs=20"], ["lr_max=0.1"], ["lr_end=0.001"], ["optimizer=adam"], ["trainable=all", "cached_views=0"], ["cached_views=0"],
    ["momentum=0.5"], ["net=vgg16"], ["phases=[{'epochs': 2}]"], ["mixup_alpha=0.2"], {"batch_size": 8}, {"optimizer": "sgd"}])
def test_a_field_of_gradient_descent_has_ones_own_head_trained_by_that(asked_for):
    """At the learning rate and with the epochs that such a head had before heads were solved."""
    config = own_images("folder", asked_for)
    assert (config["epochs"], config["lr_max"], config["weight_decay"]) == (40, 0.025, 4e-3) and "optimizer" not in config
    merge(config, asked_for)


@pytest.mark.parametrize("asked_for", [
    [], ["seed=3"], ["net=resnet18"], ["optimizer=lbfgs"], ["label_smoothing=0.1"], ["cached_views=2"], {"trainable": "head"},
    ["flip_prob=0.0"], ["valid_fraction=0.2"], {"tune_weight_decay": "validation"}])
def test_any_other_field_leaves_ones_own_head_solved(asked_for):
    assert merge(own_images("folder", asked_for), asked_for).optimizer == "lbfgs"


def test_a_weight_decay_that_is_asked_for_is_not_tuned():
    config = merge(own_images("folder", ["weight_decay=0.5"]), ["weight_decay=0.5"])
    assert (config.optimizer, config.weight_decay, config.tune_weight_decay) == ("lbfgs", 0.5, "no")


def test_a_solver_that_is_asked_for_by_name_refuses_what_it_cannot_take():
    asked_for = ["optimizer=lbfgs", "lr_max=0.1"]
    with pytest.raises(ValueError, match="^lr_max=0.1 means nothing to optimizer='lbfgs'"):
        merge(own_images("folder", asked_for), asked_for)


def test_the_log_says_why_ones_own_head_is_not_solved(caplog):
    with caplog.at_level("INFO", logger="mindclf"):
        own_images("folder", ["epochs=20"])
    assert caplog.messages == ["epochs=20: the head is trained by gradient descent, not solved"]


def test_the_output_of_ones_own_folder_has_the_name_that_was_given(tmp_path, monkeypatch):
    """That of a link, not of what it leads to; and a name where `.` was given."""
    (tmp_path / "holiday" / "photos").mkdir(parents=True)
    (tmp_path / "flowers").symlink_to(tmp_path / "holiday" / "photos")
    monkeypatch.chdir(tmp_path / "holiday")
    for folder, name in ((tmp_path / "flowers", "flowers"), (f"{tmp_path}/flowers/", "flowers"), ("photos", "photos"),
                        (".", "holiday"), ("photos/..", "holiday")):
        assert own_images(str(folder))["output"] == f"outputs/{name}"


def write_images(folder, **counts):
    """`folder` with so many small images in each of its class folders, which `counts` names."""
    for place, count in counts.items():
        target = folder / place.replace("__", "/")
        target.mkdir(parents=True)
        for number in range(count):
            Image.new("RGB", (8, 8), (number, 0, 0)).save(target / f"{number}.png")
    return str(folder)


def test_best_solves_the_head_and_then_trains_all_layers(tmp_path):
    folder = write_images(tmp_path / "photos", cats=5, dogs=5)
    config = merge(own_images(folder, best=True))
    head, whole = phases_of(config)
    assert (head.trainable, head.optimizer, head.cached_views) == ("head", "lbfgs", 1)
    assert (whole.trainable, whole.optimizer, whole.cached_views) == ("all", "momentum", 0)
    assert config.output == "outputs/photos-best" and own_images(folder)["output"] == "outputs/photos"


@pytest.mark.parametrize(("sides", "expected"), [
    ((8, 8, 300), 160), ((160, 160, 161), 160), ((161, 8, 200), None), ((300,), None)])
def test_best_trains_small_photos_on_small_images(tmp_path, sides, expected):
    """The median of the shorter sides decides; what is no image does not count."""
    for number, side in enumerate(sides):
        place = tmp_path / ("cats" if number % 2 else "dogs")
        place.mkdir(exist_ok=True)
        Image.new("RGB", (side, 400)).save(place / f"{number}.png")
    (tmp_path / "dogs" / "broken.jpg").write_bytes(b"no image")
    assert best_image_size(tmp_path) == expected
    config = merge(own_images(str(tmp_path), best=True))
    assert (config.image_height, config.image_width) == (expected or 224,) * 2
    config = merge(own_images(str(tmp_path), ["image_width=192"], best=True), ["image_width=192"])
    assert (config.image_height, config.image_width) == (224, 192)  # as without --best


def test_a_field_that_is_asked_for_changes_the_phase_that_has_it(tmp_path):
    folder = write_images(tmp_path, cats=5, dogs=5)
    asked = ["epochs=3", "lr_max=0.001", "batch_size=8", "mixup_alpha=0.2", "net=resnet18", "image_height=96"]
    config = merge(own_images(folder, asked, best=True), asked)
    head, whole = phases_of(config)
    assert head.optimizer == "lbfgs" and config.net == "resnet18" and config.image_height == 96
    assert (whole.epochs, whole.lr_max, whole.batch_size, whole.mixup_alpha) == (3, 0.001, 8, 0.2)


@pytest.mark.parametrize("field", [*(f"{name}=1" for name in NOT_WITH_BEST), "layers=head", "phases.1.epochs=3", "pretrained="])
def test_what_means_two_things_in_two_phases_is_refused_with_best(tmp_path, field):
    with pytest.raises(ValueError, match=r"^\w+=? and --best exclude each other: --best "):
        own_images(write_images(tmp_path, cats=5, dogs=5), [field], best=True)


@pytest.mark.parametrize(("asked", "expected"), [((), "latest"), (["monitor=top1"], "latest"), (["monitor=macro_f1"], "best"),
                                                 (["choose_epoch=best"], "best")])
def test_best_takes_the_latest_good_epoch_where_top1_chooses(tmp_path, asked, expected):
    config = merge(own_images(write_images(tmp_path, cats=5, dogs=5), asked, best=True), asked)
    assert config.choose_epoch == expected


def test_a_head_of_several_layers_is_trained_before_all_layers(tmp_path):
    folder = write_images(tmp_path, cats=5, dogs=5)
    head, whole = phases_of(merge(own_images(folder, ["net=vgg11_bn"], best=True), ["net=vgg11_bn"]))
    assert (head.optimizer, head.trainable, head.cached_views, head.epochs) == ("momentum", "head", 1, 40)
    assert whole.trainable == "all"


@pytest.mark.parametrize("count", [0, 1, 60, 2000, 2181, 6552, 20_000, 100_000, 10**7])
def test_best_sees_about_as_many_images_of_small_and_large_folders(count):
    epochs = best_epochs(count)
    assert 2 <= epochs <= 30  # more than the epoch of warm-up
    if 2000 <= count <= 10_000:
        assert epochs * count == pytest.approx(BEST_VIEWS, rel=0.1)


@pytest.mark.parametrize(("counts", "expected"), [
    (dict(cats=100, dogs=100), 144), (dict(train__cats=100, train__dogs=100, test__cats=7, test__dogs=7), 180),
    (dict(train__cats=10, train__dogs=10, valid__cats=3, valid__dogs=3, test__cats=7, test__dogs=7), 20)])
def test_the_images_for_training_are_counted(tmp_path, counts, expected):
    assert count_trained(write_images(tmp_path, **counts)) == expected


@pytest.mark.parametrize(("page", "shown"), [
    ("fine_tune.md", ("({}, after", "least {:.0f} % of", "about {:,}", "in {} to {} epochs")),
    ("fine_tune.zh.md", ("（{}，先", "至少占面积的 {:.0f} %", "大约 {:,} 张", "{} 到 {} 轮"))])
def test_the_pages_tell_the_recipe_of_best(page, shown):
    text = (Path(__file__).parents[1] / "docs" / "how_to" / page).read_text(encoding="utf-8")
    values = ((ALL_LAYERS["lr_max"],), (100 * BEST_CROP[0],), (BEST_VIEWS,), BEST_EPOCHS)
    assert [form.format(*value) for form, value in zip(shown, values) if form.format(*value) not in text] == []
