"""merge: the one way to set a field, and what it refuses."""

import copy
import json
import subprocess
import sys

import pytest
from easydict import EasyDict
from hypothesis import given, settings
from hypothesis import strategies as st
from mindspore.dataset import vision

from mindclf import config as config_module
from mindclf.config import ALIASES, DEFAULTS, FIELDS, IMAGENET_MEAN, merge, own_names, phases_of
from mindclf.dataset.folder import check_class_index

TWO_PHASES = dict(phases=(dict(trainable="head", epochs=3, lr_max=0.1), dict(trainable="all", epochs=4)))


def test_no_override_gives_the_defaults():
    assert dict(merge({}, [])) == dict(DEFAULTS)


def test_imagenet_mean_is_on_the_scale_of_pixels():
    assert pytest.approx((123.675, 116.28, 103.53)) == IMAGENET_MEAN


@pytest.mark.parametrize("name", FIELDS)
def test_a_declaration_agrees_with_itself(name):
    field = FIELDS[name]
    assert field.help and "\n" not in field.help and not field.help.endswith(".")
    assert bool(field.length) == (isinstance(field.default, tuple) and name != "phases")
    if field.range:
        low, high = field.range
        assert low < high and all(low <= number <= high for number in (field.default if field.length else [field.default]))
    if field.choices:
        assert field.allowed.count(field.default) == 1 and set(field.choices) <= set(field.allowed)
    if field.meant_for:
        switch, values = field.meant_for
        assert set(values) < set(FIELDS[switch].choices) and FIELDS[switch].per_phase >= field.per_phase


def test_every_number_has_a_range():
    numbers = [name for name, field in FIELDS.items() if type(field.default) in (int, float) or field.length]
    assert [name for name in numbers if not FIELDS[name].range] == []


@pytest.mark.parametrize(("text", "field", "value"), [
    ("epochs=3", "epochs", 3),
    ("lr_max=0.25", "lr_max", 0.25),
    ("lr_max=1", "lr_max", 1.0),
    ("weight_decay=1e-3", "weight_decay", 0.001),
    ("resume=true", "resume", True),
    ("nesterov=False", "nesterov", False),
    ("ratio=(0.5, 2)", "ratio", (0.5, 2)),
    ("ratio=[0.5, 2]", "ratio", (0.5, 2)),
    ("output=runs/a=b", "output", "runs/a=b"),
    ("output=7", "output", "7"),
    ("output=", "output", ""),
    ("class_index={'cat': 0, 'Old Mirror': 1}", "class_index", {"cat": 0, "Old Mirror": 1}),
    ("class_index=('1', '10', '2')", "class_index", {"1": 0, "10": 1, "2": 2}),
    ("net_options.width_mult=0.5", "net_options", {"width_mult": 0.5}),
    ("class_index.贝壳=0", "class_index", {"贝壳": 0}),
])
def test_texts_become_the_type_of_their_field(text, field, value):
    merged = merge({}, [text])[field]
    assert merged == value
    assert type(merged) is type(value) or isinstance(value, dict)


def test_an_int_for_a_float_becomes_a_float():
    assert isinstance(merge({}, {"momentum": 1}).momentum, float)


def test_known_data_sets_number_their_folders():
    """Oxford's by number, where '10' comes before '2' among texts; Caltech's by name."""
    flowers, caltech = (dict(merge({}, {"dataset": dataset}).class_index) for dataset in ("flowers102", "caltech16"))
    assert flowers == {str(number): number - 1 for number in range(1, 103)}
    assert sorted(caltech, key=caltech.get) == sorted(caltech) and len(caltech) == 16
    assert merge({"class_index": ["b", "a"]}, {"dataset": "caltech16"}).class_index == {"b": 0, "a": 1}


def test_a_dotted_field_keeps_the_other_entries():
    merged = merge(dict(net_options=dict(width_mult=0.5, last_channel=64)), ["net_options.width_mult=0.25", "net_options.new=1"])
    assert merged.net_options == {"width_mult": 0.25, "last_channel": 64, "new": 1}


def test_the_later_of_two_overrides_holds():
    assert merge(dict(epochs=5), ["epochs=6", "epochs=7"]).epochs == 7


def test_overrides_may_be_a_dict():
    merged = merge(dict(epochs=5), {"epochs": 6, "net_options.width_mult": 0.5})
    assert (merged.epochs, merged.net_options) == (6, {"width_mult": 0.5})


ONE_PHASE = "expected phases.N.FIELD with N from 0 to 0 and a field of a phase, such as phases.0.epochs"


@pytest.mark.parametrize(("override", "message"), [
    ("epoch=2", "unknown field 'epoch'; did you mean 'epochs'?"),
    ("batchsize=2", "unknown field 'batchsize'; did you mean 'batch_size'?"),
    ("Epochs=2", "unknown field 'Epochs'; did you mean 'epochs'?"),
    ("lr=0.1", "unknown field 'lr'; did you mean 'lr_max'?"),
    ("model=vgg16", "unknown field 'model'; did you mean 'net'?"),
    ("net_option.width_mult=2", "unknown field 'net_option'; did you mean 'net_options'?"),
    ("epochs", "'epochs' is not of the form field=value"),
    ("", "'' is not of the form field=value"),
    ("epochs=two", "epochs='two' must be of type int"),
    ("epochs=2.0", "epochs=2.0 must be of type int"),
    ("epochs=True", "epochs=True must be of type int"),
    ("epochs=", "epochs='' must be of type int"),
    ("lr_max=True", "lr_max=True must be of type float"),
    ("nesterov=1", "nesterov=1 must be true or false"),
    ("nesterov=yes", "nesterov='yes' must be true or false"),
    ("schedule=linear", "schedule='linear' is not known; expected one of 'cosine', 'one_cycle', 'constant', 'plateau'"),
    ("ema_decay=1", "ema_decay=1.0 must lie between 0 and 0.99999"),
    ("lr_max=nan", "lr_max='nan' must be of type float"),
    ("mean=1", "mean=1 must be of type tuple"),
    ("class_index=1", "class_index=1 must be of type dict"),
    ("class_index=[1, 10]", "class_index=[1, 10] must hold texts: the names of the class folders, in the order of their labels"),
    ("class_index=['1', '10', '1']", "class_index names '1' more than once"),
    ("rotation=181", "rotation=181.0 must lie between 0 and 180"),
    ("hue_adjust=0.6", "hue_adjust=0.6 must lie between 0 and 0.5"),
    ("grey_prob=2", "grey_prob=2.0 must lie between 0 and 1"),
    ("policy=augmix", "policy='augmix' is not known; expected one of '', 'trivial_augment', 'rand_augment', 'auto_augment', "
     "'auto_augment_cifar10'"),
    ("rand_augment_ops=3", "rand_augment_ops=3 means nothing to policy='': it is for policy='rand_augment'"),
    ("erasing_scale=(0.1, 0.2)", "erasing_scale=(0.1, 0.2) means nothing to erasing_prob=0.0: nothing is erased"),
    ("epochs=0", "epochs=0 must lie between 1 and 100000"),
    ("epochs=-3", "epochs=-3 must lie between 1 and 100000"),
    ("lr_max=-0.1", "lr_max=-0.1 must lie between 0 and 1000.0"),
    ("lr_max=1e400", "lr_max=inf must lie between 0 and 1000.0"),
    ("valid_fraction=1", "valid_fraction=1.0 must lie between 0 and 0.9"),
    ("image_height=31", "image_height=31 must lie between 32 and 4096"),
    ("optimizer=momentun", "optimizer='momentun' is not known; expected one of 'momentum', 'sgd', 'adam', 'adamw', 'lion', "
                           "'lbfgs'"),
    ("trainable=body", "trainable='body' is not known; expected one of 'all', 'head'"),
    ("device_target=cpu", "device_target='cpu' is not known; expected one of 'auto', 'CPU', 'GPU', 'Ascend'"),
    ("mean=(1, 2)", "mean=(1, 2) must have 3 numbers"),
    ("scale=(0.5,)", "scale=(0.5,) must have 2 numbers"),
    ("scale=(1.0, 0.5)", "scale=(1.0, 0.5) must be two positive numbers, the smaller first"),
    ("ratio=(0, 1)", "ratio=(0, 1) must be two positive numbers, the smaller first"),
    ("scale=(0.5, 5)", "scale=(0.5, 5) must be numbers between 0 and 1"),
    ("mean=(1, 2, 3)", "mean and std belong together: set both or neither"),
    ("phases.1.epochs=2", f"phases.1.epochs: {ONE_PHASE}"),
    ("phases.0.net=x", f"phases.0.net: {ONE_PHASE}"),
])
def test_a_mistake_is_named(override, message):
    with pytest.raises(ValueError) as raised:
        merge({"phases": [{"epochs": 3}], "valid_fraction": 0.2}, [override])
    assert str(raised.value) == message


@pytest.mark.parametrize(("field", "numbers"), [
    ("mean", (-0.1, 2, 3)), ("mean", (1, 255.1, 3)), ("mean", (1, 2, 300)), ("std", (1, 0, 1)), ("std", (1, -1, 1)),
    ("std", (1, 1e-40, 1)), ("std", (1, 256, 1))])
def test_pixel_statistics_are_on_the_scale_of_pixels(field, numbers):
    """What MindSpore's Normalize refuses is refused before anything is read; so is a deviation that divides to infinity."""
    fields = {"mean": (1, 2, 3), "std": (1, 2, 3), field: numbers}
    with pytest.raises(ValueError) as raised:
        merge({}, fields)
    low = {"mean": "0", "std": "0.001"}[field]
    assert str(raised.value) == f"{field}={numbers} must be numbers between {low} and 255"


def test_pixel_statistics_may_lie_at_the_ends_of_the_scale():
    mean, std = (0, 127.5, 255), (0.001, 1, 255)
    vision.Normalize(mean, std)
    assert (merge({}, {"mean": mean, "std": std}).mean, merge({}, {"mean": mean, "std": std}).std) == (mean, std)


# Other values than the defaults.
OTHERS = {"crop_pct": 0.5, "train_scale": 0.5, "trainable": "head", "min_lr": 0.01, "plateau_monitor": "top1"}
ALIASED = [(alias, name, next(OTHERS[key] for key in (alias, name) if key in OTHERS)) for alias, name in ALIASES.items()]
SWITCHES = {"schedule": "plateau"}  # with which all of them mean something


@pytest.fixture
def nothing_said(monkeypatch):
    """The log has told of no alias yet."""
    monkeypatch.setattr(config_module, "_said", set())


BOTH_NAMES = {"crop_share": "crop_pct", "size_share": "train_scale", "layers": "trainable", "lr_end": "min_lr",
              "plateau_figure": "plateau_monitor"}


def test_each_field_that_was_renamed_has_both_names():
    assert set(map(frozenset, ALIASES.items())) == set(map(frozenset, BOTH_NAMES.items()))
    assert not set(ALIASES) & set(FIELDS)


@pytest.mark.parametrize(("alias", "name", "value"), ALIASED)
def test_an_alias_works_like_the_name_of_its_field(alias, name, value):
    expected = merge({name: value, **SWITCHES}, {})
    assert expected[name] == value != DEFAULTS[name]
    for config, overrides in (({alias: value}, {}), (EasyDict({alias: value}), []), ({}, {alias: value}),
                              ({}, [f"{alias}={value}"]), (expected, {}), ({name: DEFAULTS[name]}, {alias: value}),
                              ({alias: DEFAULTS[name]}, {name: value})):
        assert merge({**config, **SWITCHES}, overrides) == expected


@pytest.mark.parametrize(("alias", "name", "value"), [row for row in ALIASED if FIELDS[row[1]].per_phase])
def test_an_alias_works_inside_phases(alias, name, value):
    expected = merge({**SWITCHES, "phases": ({name: value}, {})}, {})
    for phases, overrides in ((({alias: value}, {}), []), (({}, {}), [f"phases.0.{alias}={value}"]),
                              (({alias: DEFAULTS[name]}, {}), {name: value}), (({name: DEFAULTS[name]}, {}), {alias: value}),
                              (({}, {}), [f"phases=({{{alias!r}: {value!r}}}, {{}})"])):
        found = merge({**SWITCHES, "phases": phases}, overrides)
        assert found.phases == expected.phases and phases_of(found)[0][name] == value


@pytest.mark.parametrize(("alias", "name", "value"), ALIASED)
def test_two_names_of_one_field_are_one_too_many(alias, name, value):
    for config, overrides in (({alias: value, name: value}, {}), ({}, {name: value, alias: value}),
                              ({}, [f"{name}={value}", f"{alias}={value}"])):
        with pytest.raises(ValueError) as raised:
            merge(config, overrides)
        assert str(raised.value) in (f"{one} and {other} are two names of one field: give one"
                                     for one, other in ((alias, name), (name, alias)))
    if FIELDS[name].per_phase:
        with pytest.raises(ValueError, match="are two names of one field"):
            merge({"phases": [{name: value, alias: value}]}, {})


def test_the_log_says_once_what_a_field_is_called(nothing_said, caplog):
    [(alias, name, value), (other, its, another), *_] = ALIASED
    for _ in range(2):
        merge({alias: value}, {})
        merge({}, [f"{other}={another}", f"{alias}={value}"])
        merge({name: value}, {})
    assert caplog.messages == [f"{alias} is another name of the field {name}", f"{other} is another name of the field {its}"]


def test_the_config_of_an_old_card_is_read_under_the_names_of_today():
    """A card keeps the fields that are not the defaults, as JSON has them, under the names that they had then."""
    phase = {alias: value for alias, name, value in ALIASED if FIELDS[name].per_phase}
    recorded = json.loads(json.dumps({"epochs": 3, **{alias: value for alias, _, value in ALIASED}, "phases": [phase, {}]}))
    own = own_names(recorded)
    assert own["epochs"] == 3 and [own[name] for _, name, _ in ALIASED] == [value for _, _, value in ALIASED]
    assert own["phases"] == ({name: value for _, name, value in ALIASED if FIELDS[name].per_phase}, {})
    assert merge({**recorded, **SWITCHES}) == merge({**own, **SWITCHES})


def test_an_option_of_a_net_may_be_called_like_an_alias():
    options = dict.fromkeys(ALIASES, 1)
    assert merge({}, [f"net_options.{alias}=1" for alias in ALIASES]).net_options == options
    assert own_names({"net_options": options}) == {"net_options": options}


def test_what_was_perhaps_meant_may_be_an_alias():
    for alias in ALIASES:
        with pytest.raises(ValueError, match=f"unknown field '{alias}x'; did you mean '{alias}'?"):
            merge({}, {f"{alias}x": 1})


def test_an_easydict_is_as_good_as_a_dict():
    fields = dict(epochs=3, net_options=dict(width_mult=0.5), class_index=dict(a=0, b=1), phases=[dict(trainable="head"), dict()])
    merged = merge(fields, {})
    for other in (merge(EasyDict(fields), {}), merge({}, EasyDict(fields)), merge(EasyDict(fields))):
        assert other == merged and all(type(other[name]) is type(merged[name]) for name in merged)


NO_ATTRIBUTES = ("__background__", "__class__", "__dict__", "__init__", "items", "keys", "update", "pop", "get", "copy", "self",
                 "setdefault", "d", "1", "a b", "猫", "class", "None", "")


def test_a_class_may_have_a_name_that_no_attribute_has():
    """An EasyDict, as configs are, makes attributes of the keys of a plain dict."""
    expected = {name: label for label, name in enumerate(NO_ATTRIBUTES)}
    given = [merge({"class_index": names}, []) for names in (NO_ATTRIBUTES, list(NO_ATTRIBUTES), expected)]
    typed = [merge({}, [f"class_index={names!r}"]) for names in (NO_ATTRIBUTES, expected)]
    for merged in given + typed:
        again = copy.deepcopy(merge(merged, ["epochs=3"]))
        for config in (merged, again, *phases_of(again)):
            assert dict(config.class_index) == expected and check_class_index(config.class_index) == NO_ATTRIBUTES
    assert dict(merge({}, ["class_index.__class__=0"]).class_index) == {"__class__": 0}


def test_options_of_a_net_still_have_the_names_of_arguments():
    with pytest.raises(ValueError, match="must have texts as keys"):
        merge({}, {"net_options": {"__class__": 0}})


def test_one_phase_can_be_set_alone():
    phases = merge({"phases": [{"epochs": 3}, {"epochs": 4}]}, ["phases.1.epochs=9", "phases.0.lr_max=1"]).phases
    assert phases == ({"epochs": 3, "lr_max": 1.0}, {"epochs": 9})


def test_a_known_data_set_brings_its_classes():
    assert merge({}, ["dataset=garbage26"]).class_index["Old Mirror"] == 2
    assert merge({"class_index": {"a": 0}}, ["dataset=garbage26"]).class_index == {"a": 0}
    assert list(merge({}, ["dataset=cifar10"]).class_index)[:2] == ["airplane", "automobile"]


def test_an_unknown_field_without_a_neighbour_lists_the_fields():
    with pytest.raises(ValueError, match="unknown field 'qqqqqq'; the fields are: dataset, dataset_path, class_index, "):
        merge({}, ["qqqqqq=1"])


@pytest.mark.parametrize("override", [
    "epochs.x=1", "net.x=1", "phases.x=1", "phases=[5]", "std=('a', 'b', 'c')", "scale=('a', 'b')", "net_options={[1]: 2}",
    "class_index={1: 0}",
])
def test_a_value_of_a_wrong_shape_is_a_value_error(override):
    """And no TypeError: a command line shows ValueErrors as one line, everything else as a traceback."""
    with pytest.raises(ValueError, match=override.partition("=")[0].partition(".")[0]):
        merge({}, [override])


def test_an_unknown_field_of_the_recipe_is_named():
    with pytest.raises(ValueError, match="unknown field 'momentun'; did you mean 'momentum'?"):
        merge(dict(momentun=0.9), [])


def test_a_text_field_takes_no_number():
    with pytest.raises(ValueError, match="net=3 must be of type str"):
        merge({}, {"net": 3})


def test_an_override_replaces_a_field_in_the_phases_that_set_it():
    merged = merge(TWO_PHASES, ["epochs=9", "lr_max=0.2", "momentum=0.5"])
    assert merged.phases == (dict(trainable="head", epochs=9, lr_max=0.2), dict(trainable="all", epochs=9))
    assert [(phase.epochs, phase.lr_max, phase.momentum) for phase in phases_of(merged)] == [(9, 0.2, 0.5), (9, 0.2, 0.5)]


def test_a_phase_keeps_what_was_not_overridden():
    first, second = phases_of(merge(TWO_PHASES, ["batch_size=4"]))
    assert (first.trainable, first.epochs, first.lr_max, first.batch_size) == ("head", 3, 0.1, 4)
    assert (second.trainable, second.epochs, second.lr_max, second.batch_size) == ("all", 4, DEFAULTS.lr_max, 4)


def test_values_of_phases_become_the_type_of_their_field():
    [phase] = phases_of(merge({}, ["phases=({'epochs': '3', 'lr_max': 1},)"]))
    assert (phase.epochs, phase.lr_max) == (3, 1.0)
    assert isinstance(phase.lr_max, float)


def test_without_phases_there_is_one():
    assert [phase.epochs for phase in phases_of(merge({}, ["epochs=6"]))] == [6]


def test_an_override_leaves_the_recipe_as_it_was():
    recipe = dict(copy.deepcopy(TWO_PHASES), net_options=dict(width_mult=1.0), class_index=dict(a=0))
    before = copy.deepcopy(recipe)
    merged = merge(recipe, ["epochs=9", "net_options.width_mult=0.5", "class_index.b=1"])
    merged.net_options["more"] = 1
    merged.phases[0]["epochs"] = 11
    assert recipe == before


def test_merge_leaves_the_defaults_as_they_were():
    before = copy.deepcopy(DEFAULTS)
    merge({}, ["net_options.width_mult=0.5"]).class_index["a"] = 0
    assert before == DEFAULTS


@pytest.mark.parametrize(("phase", "message"), [
    (dict(epoch=2), "phases: unknown field 'epoch'; did you mean 'epochs'?"),
    (dict(seed=2), "phases: unknown field 'seed'"),
    (dict(epochs=0), "epochs=0 must lie between 1 and 100000"),
    (dict(trainable="body"), "trainable='body' is not known"),
    (dict(lr_max="much"), "lr_max='much' must be of type float"),
    (dict(epochs="two"), "epochs='two' must be of type int"),
])
def test_a_mistake_in_a_phase_is_named(phase, message):
    with pytest.raises(ValueError) as raised:
        merge(dict(phases=(dict(epochs=1), phase)), [])
    assert str(raised.value).startswith(message)


def test_cached_views_need_a_frozen_backbone():
    with pytest.raises(ValueError, match="cached_views=2 needs trainable='head'"):
        merge({}, ["cached_views=2"])
    assert merge({}, ["cached_views=2", "trainable=head"]).cached_views == 2
    with pytest.raises(ValueError, match="cached_views=2 needs trainable='head'"):
        merge(TWO_PHASES, ["cached_views=2"])


def test_nesterov_needs_sgd_with_momentum():
    for overrides in (["nesterov=true"], ["nesterov=true", "optimizer=sgd", "momentum=0"]):
        with pytest.raises(ValueError, match="nesterov=True needs optimizer='sgd' and a momentum"):
            merge({}, overrides)
    assert merge({}, ["nesterov=true", "optimizer=sgd"]).nesterov is True


def test_rates_fall():
    for schedule in ("cosine", "one_cycle", "plateau"):
        with pytest.raises(ValueError, match="min_lr=0.2 is more than lr_max=0.1"):
            merge({}, [f"schedule={schedule}", "min_lr=0.2", "lr_max=0.1"])
    assert merge({}, ["schedule=plateau", "min_lr=1e-6", "trainable=head", "cached_views=2"]).min_lr == 1e-6


@pytest.mark.parametrize(("overrides", "message"), [
    (["schedule=constant", "min_lr=0.01"],
     "min_lr=0.01 means nothing to schedule='constant': it is for schedule='cosine' or 'one_cycle' or 'plateau'"),
    (["plateau_patience=3"], "plateau_patience=3 means nothing to schedule='cosine': it is for schedule='plateau'"),
    (["optimizer=adam", "momentum=0.5"],
     "momentum=0.5 means nothing to optimizer='adam': it is for optimizer='momentum' or 'sgd'"),
    (["cutout=8"], "cutout=8 means nothing to augment='resized_crop': it is for augment='padded_crop'"),
    (["augment=padded_crop", "scale=(0.5, 1.0)"],
     "scale=(0.5, 1.0) means nothing to augment='padded_crop': it is for augment='resized_crop'"),
    (["phases=[{'schedule': 'plateau'}, {'plateau_patience': 2}]"],
     "plateau_patience=2 means nothing to schedule='cosine': it is for schedule='plateau'"),
])
def test_what_nothing_would_look_at_is_refused(overrides, message):
    with pytest.raises(ValueError) as raised:
        merge({}, overrides)
    assert str(raised.value) == message


def test_a_field_of_all_phases_may_mean_something_to_one():
    merged = merge(TWO_PHASES, ["plateau_patience=2", "phases.1.schedule=plateau"])
    assert [phase.plateau_patience for phase in phases_of(merged)] == [2, 2]


@pytest.mark.parametrize(("overrides", "message"), [
    (["cutout=225"], "cutout=225 must be at most the images' 224 pixels"),
    (["image_width=32", "cutout=33"], "cutout=33 must be at most the images' 32 pixels"),
    (["crop_padding=224"], "crop_padding=224 must be less than the images' 224 pixels"),
    (["dataset=cifar10", "crop_padding=32"], "crop_padding=32 must be less than the images' 32 pixels"),
])
def test_something_of_an_image_is_left(overrides, message):
    with pytest.raises(ValueError) as raised:
        merge({"augment": "padded_crop"}, overrides)
    assert str(raised.value) == message


def test_an_average_is_over_many_steps():
    assert merge({}, ["ema_decay=0.99"]).ema_decay == 0.99
    with pytest.raises(ValueError, match="ema_decay=0.5 must be 0 or at least 0.9"):
        merge({}, ["ema_decay=0.5"])


def test_warm_up_is_shorter_than_the_run():
    with pytest.raises(ValueError, match="warmup_epochs=4 must be less than epochs=4"):
        merge({}, ["warmup_epochs=4", "epochs=4"])
    assert merge({}, ["warmup_epochs=3", "epochs=4"]).warmup_epochs == 3
    with pytest.raises(ValueError, match="warmup_epochs=3 must be less than epochs=3"):
        merge(TWO_PHASES, ["warmup_epochs=3"])


@pytest.mark.parametrize("module", ["mindclf", "mindclf.config", "mindclf.labels", "mindclf.cli"])
def test_importing_it_does_not_import_mindspore(module):
    program = f"import sys, {module}; print('mindspore' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "False\n"


ODD = [0, 1, 10**400, -1.0, "true", "1e400", "[" * 5000, "((1))", "cosine", "momentum", "head", "garbage26", "cifar10"]
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=6), st.sampled_from(ODD))
VALUES = st.recursive(SCALARS, lambda inner: st.one_of(st.lists(inner, max_size=3), st.tuples(inner, inner),
                                                       st.dictionaries(SCALARS, inner, max_size=2)), max_leaves=4)
NAMES = st.one_of(st.sampled_from([*DEFAULTS, *ALIASES, "net_options.width_mult", "phases.0.epochs", "class_index.a",
                                   "epochs.x"]),
                  st.text(max_size=6))


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.dictionaries(st.sampled_from([*DEFAULTS, *ALIASES]), VALUES, max_size=1),
       st.one_of(st.dictionaries(NAMES, VALUES, max_size=2), st.lists(st.builds("{}={}".format, NAMES, VALUES), max_size=2)))
def test_merge_gives_a_config_within_its_ranges_or_one_line(config, overrides):
    before = copy.deepcopy(DEFAULTS)
    try:
        merged = merge(config, overrides)
    except ValueError as error:
        assert str(error)
        return
    finally:
        assert before == DEFAULTS
    assert list(merged) == list(DEFAULTS)
    for phase in phases_of(merged):
        for name, field in FIELDS.items():
            if field.range:
                low, high = field.range
                assert all(low <= number <= high for number in (phase[name] if field.length else [phase[name]]))
            assert not field.choices or phase[name] in field.allowed
    for name, default in DEFAULTS.items():
        assert isinstance(merged[name], dict if isinstance(default, dict) else type(default))
    assert merge(merged, {}) == merged
