"""What every net of the table keeps, checked on each, and what PyTorch computes with the same weights (see tests/reference)."""

import gzip
import inspect
import json

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor
from mindspore.nn.utils import no_init_parameters

from mindclf import device
from mindclf.checkpoint import fill_net, load_checkpoint, save_checkpoint
from mindclf.explain import class_activation
from mindclf.nets import HEAD_KEYS, NETS, create_net, freeze, unfreeze
from mindclf.nets.dropout import Dropout
from tests.reference import KEYS_FILE, REFERENCE_FILE
from tests.reference.cases import CASES, KINDS, NUM_CLASSES
from tests.reference.rule import direction, images, weight
from tests.test_checkpoint import CARD

REFERENCE = json.loads(REFERENCE_FILE.read_text())
KEYS = json.loads(gzip.decompress(KEYS_FILE.read_bytes()))
ROWS, OPTIONS = CASES[:len(NETS)], CASES[len(NETS):]


def build(case, **options):
    """The net of a case, filled by the rule, in inference mode."""
    with no_init_parameters():
        net = create_net(case.net, NUM_CLASSES, **case.options, **options)
    return fill_net(net, {p.name: weight(p.name, p.shape) for p in net.get_parameters()}, "the rule").set_train(False)


def input_of(case, count=2):
    return Tensor(images(count, case.height, case.width))


def assert_logits(actual, expected, tolerance=1e-4):
    """Equal to `tolerance`, or to that part of the largest logit where it is more than 1."""
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * max(1, np.abs(expected).max()))


@pytest.fixture(scope="module", params=ROWS, ids=[case.net for case in ROWS])
def row(request):
    """(case, net) of a row of the table. The tests of a row share its net, so each leaves it as it was."""
    return request.param, build(request.param)


@pytest.fixture(scope="module", params=KINDS, ids=[case.net for case in KINDS])
def kind(request):
    """As `row`, of one net of each kind."""
    return request.param, build(request.param)


# Those with operators or cells that no other net has; tests/nets/test_fold.py and tests/test_export_zoo.py compile the others.
SPECIAL = [case for case in KINDS if case.net in ("mobilenet_v2", "shufflenet_v1", "asymmnet_large", "alexnet", "squeezenet1_0")]


@pytest.fixture(scope="module", params=SPECIAL, ids=[case.net for case in SPECIAL])
def special(request):
    """As `row`, of those nets."""
    return request.param, build(request.param)


def test_there_is_a_case_for_each_row():
    assert [case.net for case in ROWS] == list(NETS)


def test_keys_and_shapes_are_frozen(row):
    """They are a file format: a change needs a key map. Written by tests/reference/write_keys.py."""
    case, net = row
    assert [f"{p.name} {p.shape}" for p in net.get_parameters()] == KEYS[case.net]


def test_logits_are_pytorchs(row):
    case, net = row
    logits = net(input_of(case)).asnumpy()
    assert logits.shape == (2, NUM_CLASSES) and np.isfinite(logits).all()
    assert_logits(logits, np.array(REFERENCE[case.name]["logits"]))


@pytest.mark.compiled
def test_the_compiled_graph_computes_what_the_operators_do(special):
    case, net = special
    compiled = net(input_of(case)).asnumpy()
    with device.pynative():
        assert_logits(compiled, net(input_of(case)).asnumpy())


def test_logits_of_an_image_do_not_depend_on_its_batch(kind):
    case, net = kind
    batch = input_of(case)
    together = net(batch).asnumpy()
    for index in range(2):
        assert_logits(net(batch[index:index + 1]).asnumpy()[0], together[index], 1e-5)


def test_the_head_takes_maps_and_what_it_pools(kind):
    case, net = kind
    batch = input_of(case)
    maps = net.backbone(batch)
    assert maps.ndim == 4 and maps.shape[:2] == (2, net.backbone.out_channels)
    logits = net(batch).asnumpy()
    np.testing.assert_array_equal(net.head(maps).asnumpy(), logits)
    pooled = net.head.pool(maps)
    assert len(pooled) == 2
    np.testing.assert_array_equal(net.head(pooled).asnumpy(), logits)


def test_activations_have_the_size_of_the_maps_and_reach_from_0_to_1(kind):
    case, net = kind
    batch = input_of(case)
    activations, logits = class_activation(net, batch, [0, NUM_CLASSES - 1])
    assert activations.shape == (2, *net.backbone(batch).shape[2:]) and activations.dtype == np.float32
    assert activations.min() >= 0 and set(activations.max((1, 2)).tolist()) <= {0.0, 1.0}  # 0: nothing speaks for the class
    np.testing.assert_array_equal(logits, net(batch).asnumpy())


def test_a_frozen_backbone_leaves_the_head_and_gives_the_features_of_inference(kind):
    case, net = kind
    weights = {p.name for p in net.trainable_params()}
    inference = net.backbone(input_of(case)).asnumpy()
    freeze(net.backbone)
    left = {p.name for p in net.trainable_params()}
    assert left and left == {name for name in weights if name.startswith(HEAD_KEYS)}
    net.set_train(True)
    np.testing.assert_array_equal(net.backbone(input_of(case)).asnumpy(), inference)
    unfreeze(net)
    net.set_train(False)
    assert {p.name for p in net.trainable_params()} == weights


def test_a_checkpoint_brings_every_weight_back(special, tmp_path):
    case, net = special
    path = save_checkpoint(net, tmp_path / "net.ckpt", CARD)
    with no_init_parameters():
        other = create_net(case.net, NUM_CLASSES, **case.options)
    load_checkpoint(path, other)
    with no_init_parameters():
        backbone = create_net(case.net, NUM_CLASSES + 1, **case.options).backbone
    load_checkpoint(path, backbone)  # the head in the file is for other classes
    for loaded in (other, backbone):
        for p in loaded.get_parameters():
            np.testing.assert_array_equal(p.asnumpy(), weight(p.name, p.shape), err_msg=p.name)


@pytest.mark.parametrize("name", [name for name in NETS if "dropout" in inspect.signature(NETS[name]).parameters])
def test_dropout_drops_what_it_is_told(name):
    for dropout in (0.25, 0.5):
        with no_init_parameters():
            net = create_net(name, NUM_CLASSES, dropout=dropout)
        shares = [cell.p for _, cell in net.cells_and_names() if isinstance(cell, Dropout)]
        assert shares and set(shares) == {dropout}


@pytest.mark.parametrize("case", OPTIONS, ids=[case.name for case in OPTIONS])
def test_logits_with_further_options_are_pytorchs(case):
    assert_logits(build(case)(input_of(case)).asnumpy(), np.array(REFERENCE[case.name]["logits"]))


# All layers of Inception are in its case with the auxiliary head.
FAMILIES = [case for case in CASES if case.gradients and case.name != "inception_v3"]


@pytest.mark.parametrize("case", FAMILIES, ids=[case.name for case in FAMILIES])
def test_gradients_are_pytorchs(case):
    """Length and projection of each weight's gradient, through batch norm in training mode.

    To 1e-6 for most nets. Where rounding moves a value across the kink of a ReLU, gradients before it change by up to a percent.
    """
    without = {"dropout": 0.0} if "dropout" in inspect.signature(NETS[case.net]).parameters else {}
    net = build(case, **without).set_train(True)
    reference = REFERENCE[case.name]
    expected, first = reference["gradients"], reference["first_image"]
    factors = Tensor(weight("loss", (4, NUM_CLASSES)))
    batch = Tensor(images(4, case.height, case.width, first))
    weights = net.trainable_params()

    def loss(batch):
        outputs = net(batch)
        return sum((logits * factors).mean() for logits in (outputs if isinstance(outputs, tuple) else [outputs]))

    gradients = ms.value_and_grad(loss, None, weights)(batch)[1]
    assert {p.name for p in weights} == set(expected)
    longest = max(length for length, _ in expected.values())
    differences = []
    for p, gradient in zip(weights, gradients):
        values, (length, projection) = gradient.asnumpy().astype(np.float64), expected[p.name]
        off = max(abs(np.linalg.norm(values) - length), abs((values * direction(p.name, p.shape)).sum() - projection))
        assert np.isfinite(values).all() and (p.ndim == 1 or np.abs(values).sum() > 0), p.name
        differences.append(off / (length + 0.01 * longest))  # some gradients are nothing but rounding
        assert differences[-1] < 0.01 + reference["rounding"], p.name
    assert np.median(differences) < 1e-3
