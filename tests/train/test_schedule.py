"""cosine_decay_lr against values computed by hand."""

import pytest

from mindclf.train import cosine_decay_lr


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
