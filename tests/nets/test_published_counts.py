"""Parameters and multiply-accumulates (MACs) are those that the papers, the tutorials and torchvision publish."""

import pytest

from mindclf.nets import NETS
from mindclf.summary import count_parameters, empty_net, summarise
from tests.reference.published import PUBLISHED


def test_every_net_of_the_table_has_a_published_count():
    assert {row.net for row in PUBLISHED} == set(NETS)


@pytest.mark.parametrize("row", PUBLISHED, ids=[row.name for row in PUBLISHED])
def test_parameters_are_as_published(row):
    trainable, _ = count_parameters(empty_net(row.net, row.num_classes, **row.options).get_parameters())
    assert trainable == row.parameters


COUNTED = [row for row in PUBLISHED if row.mmacs]


@pytest.mark.parametrize("row", COUNTED, ids=[row.name for row in COUNTED])
def test_macs_are_as_published(row):
    macs = summarise(empty_net(row.net, row.num_classes, **row.options), row.size, row.size).macs
    assert round(macs / 1e6, row.decimals) == row.mmacs


def test_half_the_resolution_is_a_quarter_of_the_macs():
    """MobileNetV1's resolution multiplier (arXiv:1704.04861, section 3.4): every layer but the last works on a quarter."""
    full = summarise(empty_net("mobilenet_v1", 10), 256, 256).macs
    half = summarise(empty_net("mobilenet_v1", 10, resolution_mult=0.5), 256, 256).macs
    dense = 1024 * 10
    assert half - dense == (full - dense) / 4
    assert half == summarise(empty_net("mobilenet_v1", 10), 128, 128).macs


@pytest.mark.parametrize(("group", "smallest"), [(1, 36), (2, 48), (3, 60), (4, 64), (8, 96)])
def test_shufflenet_takes_every_size_in_every_number_of_groups(group, smallest):
    """Channels double from stage to stage and follow the scale, to the nearest that the groups divide."""
    for scale in (0.25, 1.5, 2.0):
        net = empty_net("shufflenet_v1", 10, model_size=f"{scale:g}x" if scale % 1 else f"{scale:.1f}x", group=group)
        assert abs(net.backbone.out_channels - 4 * scale * {1: 144, 2: 200, 3: 240, 4: 272, 8: 384}[group]) <= 8 * group
        assert net.backbone.out_channels % (16 * group) == 0
        if scale == 0.25:
            assert net.backbone.out_channels == 4 * smallest
