"""Learning rates against values computed by hand."""

import pytest

from mindclf.config import merge
from mindclf.train import cosine_decay_lr
from mindclf.train.schedules import ReduceLROnPlateau, learning_rates


def test_without_warmup_it_starts_at_the_maximum_and_halves_in_the_middle():
    rates = cosine_decay_lr(lr_max=0.8, total_steps=4)
    # 0.8 * (1 + cos(pi * i / 4)) / 2 for i = 0, 1, 2, 3; cos(pi / 4) = 0.70711
    assert rates == pytest.approx([0.8, 0.68284, 0.4, 0.11716], abs=1e-5)


def test_warmup_is_linear_and_ends_at_the_maximum():
    rates = cosine_decay_lr(lr_max=0.1, total_steps=6, warmup_steps=4)
    assert rates == pytest.approx([0.025, 0.05, 0.075, 0.1, 0.1, 0.05])


def test_it_decays_towards_lr_end():
    # halfway: 0.02 + (0.1 - 0.02) / 2; at 3/4: 0.02 + 0.08 * (1 - 0.70711) / 2
    rates = cosine_decay_lr(lr_max=0.1, total_steps=4, lr_end=0.02)
    assert rates[2:] == pytest.approx([0.06, 0.0317157], abs=1e-6)


def test_every_step_has_its_own_rate():
    rates = cosine_decay_lr(lr_max=1.0, total_steps=50, warmup_steps=10)
    assert len(rates) == 50
    assert all(later > earlier for earlier, later in zip(rates[:9], rates[1:10]))
    assert all(later < earlier for earlier, later in zip(rates[10:], rates[11:]))


@pytest.mark.parametrize(("total", "warmup"), [(0, 0), (5, 5), (5, -1)])
def test_a_warmup_that_takes_all_steps_is_refused(total, warmup):
    with pytest.raises(ValueError, match=f"warmup_steps={warmup} must be less than total_steps={total}"):
        cosine_decay_lr(0.1, total, warmup)


@pytest.mark.parametrize(("schedule", "expected"), [
    ("cosine", [0.2, 0.4, 0.4, 0.4 - 0.3 * 0.14645, 0.25, 0.1 + 0.3 * 0.14645]),  # (1 - cos(pi / 4)) / 2 = 0.14645
    ("one_cycle", [0.2, 0.4, 0.4, 0.325, 0.25, 0.175]),
    ("constant", [0.2, 0.4, 0.4, 0.4, 0.4, 0.4]),
    ("plateau", [0.2, 0.4, 0.4, 0.4, 0.4, 0.4]),
])
def test_each_schedule_has_its_rates(schedule, expected):
    """Three epochs of two steps, the first of them warm-up."""
    config = merge({}, {"schedule": schedule, "epochs": 3, "warmup_epochs": 1, "lr_max": 0.4,
                        "min_lr": 0.0 if schedule == "constant" else 0.1})
    assert learning_rates(config, 2) == pytest.approx(expected, abs=1e-5)


def rates(plateau, values):
    return [plateau.step(value) for value in values]


def test_a_plateau_lowers_the_rate_as_pytorch_does():
    """ReduceLROnPlateau("min", factor=0.5, patience=2, min_lr=0.03): after the third epoch in a row without improvement."""
    plateau = ReduceLROnPlateau(0.2, "loss", factor=0.5, patience=2, lr_end=0.03)
    losses = [1.0, 0.9, 0.9, 0.95, 0.8, 0.81, 0.82, 0.83, 0.79, 0.80, 0.80, 0.80, 0.80, 0.80, 0.80, 0.80]
    assert rates(plateau, losses) == [0.2] * 7 + [0.1] * 4 + [0.05] * 3 + [0.03] * 2


def test_a_plateau_asks_for_an_improvement_of_one_in_ten_thousand():
    """0.99991 is not under 1 * (1 - 1e-4); 0.99989 is."""
    assert rates(ReduceLROnPlateau(1.0, patience=0), [1.0, 0.99991]) == [1.0, 0.5]
    assert rates(ReduceLROnPlateau(1.0, patience=0), [1.0, 0.99989]) == [1.0, 1.0]
    assert rates(ReduceLROnPlateau(1.0, "top1", patience=0), [0.5, 0.50004]) == [1.0, 0.5]
    assert rates(ReduceLROnPlateau(1.0, "top1", patience=0), [0.5, 0.50006]) == [1.0, 1.0]


def test_a_plateau_watches_accuracy_for_its_rise():
    assert rates(ReduceLROnPlateau(1.0, "top1", factor=0.1, patience=1), [0.0, 0.5, 0.6, 0.6, 0.5]) == [1.0, 1.0, 1.0, 1.0, 0.1]


def test_a_plateau_goes_on_where_it_stopped():
    losses = [1.0, 1.1, 1.2, 1.3, 0.9, 1.0, 1.0]
    whole = rates(ReduceLROnPlateau(0.2, patience=1), losses)
    for stop in range(len(losses)):
        first, second = ReduceLROnPlateau(0.2, patience=1), ReduceLROnPlateau(0.2, patience=1)
        head = rates(first, losses[:stop])
        second.load_state_dict(first.state_dict())
        assert head + rates(second, losses[stop:]) == whole
