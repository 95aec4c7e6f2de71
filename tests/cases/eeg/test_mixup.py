"""Mixup: what it makes of a batch, and the weights that it draws."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from goldmark.cases.eeg import EegSettings
from goldmark.cases.eeg.mixup import mix_batch, mixing_weights, mixup, share_mixed
from goldmark.training.draws import Draws, key, uniform

FOUR_SE = 4  # a share of independent draws lies this many standard errors off once in 16,000 times


def test_mixup_mixes_both_with_one_weight_and_one_order():
    """By hand, and in inputs of any shape; exact in binary fractions."""
    x, y = torch.tensor([[0.0, 4.0], [8.0, 0.0], [2.0, 2.0]]), torch.tensor([1.0, 3.0, 5.0])
    mixed_x, mixed_y = mixup(x, y, torch.tensor([0.25]), torch.tensor([1, 2, 0]))
    assert [[6.0, 1.0], [3.5, 1.5], [0.5, 3.5]] == mixed_x.tolist()
    assert [2.5, 4.5, 2.0] == mixed_y.tolist()


def test_windows_can_have_a_weight_each():
    """The first is mixed, the second is not, the third is its partner; exact in binary fractions."""
    x, y = torch.tensor([[0.0, 4.0], [8.0, 0.0], [2.0, 2.0]]), torch.tensor([1.0, 3.0, 5.0])
    mixed_x, mixed_y = mixup(x, y, torch.tensor([0.25, 1.0, 0.0]), torch.tensor([1, 2, 0]))
    assert [[6.0, 1.0], [8.0, 0.0], [0.0, 4.0]] == mixed_x.tolist()
    assert [2.5, 3.0, 1.0] == mixed_y.tolist()


def test_mixing_weights_are_those_of_the_keyed_draws():
    """A second implementation, step by step, by scipy's distribution: 1 where a uniform lies above the fraction."""
    settings = EegSettings(mixup_alpha=0.2, mixup_fraction=0.5)
    expected = [
        _lam(float(uniform(key(3, step, "mixup weight"), ())), 0.2)
        if float(uniform(key(3, step, "mixup applied"), ())) < 0.5
        else 1.0
        for step in range(40)
    ]
    assert 10 < sum(weight == 1 for weight in expected) < 30
    # the inverse of a Beta distribution of alpha 0.2 has 1e-9 of float64 left at its ends
    np.testing.assert_allclose(mixing_weights(settings, 3).flatten().numpy(), expected, rtol=1e-6, atol=1e-7)


def test_a_mixed_batch_is_never_taken_for_one_that_is_not():
    """At alpha 0.2 one weight in fifty rounds to 1 in float32; mixed batches stay below, unmixed ones are exactly 1."""
    weights = mixing_weights(EegSettings(mixup_alpha=0.2, steps=2000), 0).float()
    assert 1 > float(weights.max()) >= 1 - 1e-7
    assert {1.0} == set(mixing_weights(EegSettings(mixup_fraction=0.0), 0).flatten().tolist())


def test_weights_of_windows_are_drawn_one_each():
    """A tenth of the windows of a batch, each with its own weight; members of an ensemble have their own, too."""
    settings = EegSettings(mixup_of="windows", mixup_fraction=0.1, members=2, steps=100)
    weights = mixing_weights(settings, 0)
    assert (100, 2, 32) == weights.shape
    assert (100, 2, 1) == mixing_weights(replace(settings, mixup_of="batches"), 0).shape
    mixed = weights[weights < 1]
    assert len(mixed) == len(mixed.unique())
    assert abs(len(mixed) / 6400 - 0.1) <= FOUR_SE * (0.1 * 0.9 / 6400) ** 0.5


@pytest.mark.parametrize("mix_targets", [True, False])
def test_targets_are_mixed_with_their_windows_unless_the_settings_say_otherwise(mix_targets):
    """One order, drawn at its own site, for both; the broken variant leaves the targets as they were."""
    x, y, weight = torch.arange(12.0).reshape(6, 2), torch.arange(6.0), torch.tensor([0.25])
    order = Draws.at(0, 3).permutation("mixup index", 6)
    mixed_x, mixed_y = mix_batch(x, y, weight, Draws.at(0, 3), EegSettings(mix_targets=mix_targets))
    assert (0.25 * x + 0.75 * x[order]).tolist() == mixed_x.tolist()
    assert (0.25 * y + 0.75 * y[order] if mix_targets else y).tolist() == mixed_y.tolist()


@pytest.mark.parametrize("fraction", [0.0, 0.02, 0.1, 1.0])
def test_mixup_of_windows_shows_in_the_stated_share_of_batches(fraction):
    """Counted over 40,000 batches of 16: some window is mixed, and with another than itself."""
    draw = np.random.default_rng(0)
    mixed = draw.random((40_000, 16)) < fraction
    partners = draw.permuted(np.tile(np.arange(16), (40_000, 1)), axis=1)
    counted = float((mixed & (partners != np.arange(16))).any(axis=1).mean())
    share = share_mixed(EegSettings(mixup_of="windows", mixup_fraction=fraction))
    # the formula takes the partners of a batch for independent, which a permutation's are not quite: 0.002
    assert abs(counted - share) <= FOUR_SE * (share * (1 - share) / 40_000) ** 0.5 + 0.002
    assert fraction == share_mixed(EegSettings(mixup_fraction=fraction))


def _lam(probability, alpha):
    from scipy import stats

    return stats.beta(alpha, alpha).ppf(probability)
