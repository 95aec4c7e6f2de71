"""Signs of trouble: each check on data where the answer is known, on both sides of its threshold."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from goldmark import checks


def normal(*shape, seed=0):
    """Standard normal float64 of torch's own generator."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_spread_ratio_is_a_ratio_of_standard_deviations():
    """Scaling the predictions scales the ratio; shifting them does not."""
    targets = normal(100)
    assert pytest.approx(0.25) == checks.spread_ratio(0.25 * targets + 300, targets)
    with pytest.raises(ValueError, match=r"predictions \(3,\) and targets \(4,\) differ in shape"):
        checks.spread_ratio(torch.zeros(3), torch.zeros(4))
    with pytest.raises(ValueError, match="the 4 targets do not vary"):
        checks.spread_ratio(torch.zeros(4), torch.ones(4))


def test_constant_predictions_are_collapsed_and_varied_ones_are_not():
    """A constant, a NaN and nearly a constant are trouble; half the spread is not."""
    targets = normal(100)
    for scale in (0.0, 0.05, math.nan):
        assert checks.check_collapsed_output(scale * targets, targets).trouble
    assert not checks.check_collapsed_output(0.5 * targets, targets).trouble


def test_target_scale_sees_raw_fahrenheit_and_not_z_scores():
    """Targets around 300 are far from a fresh model's output of order 1; z-scores are near."""
    fresh = normal(100) * 0.5
    assert checks.check_target_scale(fresh, 300 + 78 * normal(100, seed=1)).trouble
    assert not checks.check_target_scale(fresh, normal(100, seed=1)).trouble
    assert checks.check_target_scale(fresh, normal(100, seed=1) * math.nan).trouble


def test_target_scale_counts_in_the_spread_of_a_fresh_output():
    """An output that varies by 5 reaches 40; one that varies by 1 does not."""
    fresh = torch.tensor([-5.0, 5.0]).repeat(50)
    assert not checks.check_target_scale(fresh, fresh + 40).trouble
    assert checks.check_target_scale(fresh / 5, fresh / 5 + 40).trouble


@pytest.mark.parametrize(("low", "share"), [(0.0, 0.0), (2.0, 0.4), (9.0, 1.0)])
def test_clipped_targets_are_those_that_a_clamp_changes(low, share):
    """The share of true values below the clamp; NaN in the place of a value changes it too."""
    targets = torch.arange(5.0)
    finding = checks.check_clipped_targets(lambda values: values.clamp_min(low), targets)
    assert (share > 0, pytest.approx(share)) == (finding.trouble, finding.numbers["share"])
    assert checks.check_clipped_targets(lambda values: values * math.nan, targets).trouble


def test_skill_is_one_minus_the_ratio():
    """Perfect is 1, the baseline 0, three times the error -2; a perfect baseline is refused."""
    assert [1.0, 0.0, -2.0] == [checks.skill(score, 4.0) for score in (0.0, 4.0, 12.0)]
    with pytest.raises(ValueError, match="baseline error above 0, got 0"):
        checks.skill(1.0, 0.0)


def test_no_skill_at_the_baseline_and_beyond():
    """As good as the baseline is no skill; half its error is."""
    assert checks.check_no_skill(4.0, 4.0).trouble
    assert checks.check_no_skill(math.nan, 4.0).trouble
    assert not checks.check_no_skill(2.0, 4.0).trouble


def test_shares_sum_to_one():
    """The documented losses give the documented 91.2 % for the countdown."""
    losses = {"type": 0.68, "pointers": 0.009, "span": 0.28, "countdown": 10.08}
    assert pytest.approx(0.912, abs=0.001) == checks.shares(losses)["countdown"]
    assert pytest.approx(1.0) == sum(checks.shares(losses).values())
    with pytest.raises(ValueError, match="amounts of 0 or more"):
        checks.shares({"a": -1.0})
    with pytest.raises(ValueError, match="one amount above 0"):
        checks.shares({"a": 0.0})


def test_gradient_norms_match_the_closed_form():
    """d/dw of a sum of w x is x; a term that misses the shared weights has norm 0."""
    shared, other = torch.zeros(2, requires_grad=True), torch.zeros(1, requires_grad=True)
    losses = {"near": (shared * torch.tensor([3.0, 4.0])).sum(), "far": other.sum()}
    assert {"near": 5.0, "far": 0.0} == checks.gradient_norms(losses, [shared])


def test_dominated_gradient_above_its_threshold():
    """Half of the gradient for one of three terms is trouble, a third is not."""
    assert checks.check_dominated_gradient({"a": 2.0, "b": 1.0, "c": 1.0}, "a").trouble
    assert not checks.check_dominated_gradient({"a": 1.0, "b": 1.0, "c": 1.0}, "a").trouble


@pytest.mark.parametrize("rank", [1, 3, 8])
def test_participation_ratio_counts_equal_directions(rank):
    """Equal variance along r orthogonal directions gives r, to rounding in float64."""
    states = torch.cat([torch.eye(8, dtype=torch.float64)[:rank], -torch.eye(8, dtype=torch.float64)[:rank]])
    assert pytest.approx(rank, rel=1e-12) == checks.participation_ratio(states)


def test_participation_ratio_of_nan_is_nan():
    """A diverged model is a row with NaN, not a crash."""
    assert math.isnan(checks.participation_ratio(torch.full((5, 3), math.nan)))


def test_participation_ratio_of_constants_is_zero():
    """No variance has no direction."""
    assert checks.participation_ratio(torch.ones(5, 3)) == 0.0


def test_cosine_ceiling_is_attained_by_the_best_subspace():
    """With equal scatter the bound is met by projecting on the top eigenvectors, computed with numpy."""
    tokens = torch.eye(6, dtype=torch.float64)
    _, vectors = np.linalg.eigh(tokens.numpy().T @ tokens.numpy() / 6)
    projected = tokens.numpy() @ vectors[:, -3:] @ vectors[:, -3:].T
    cosines = (projected * tokens.numpy()).sum(1) / np.maximum(np.linalg.norm(projected, axis=1), 1e-12)
    ceiling = checks.cosine_ceiling(tokens, width=2)
    assert pytest.approx(math.sqrt(0.5)) == ceiling
    assert cosines.mean() <= ceiling + 1e-12  # rounding


def test_no_trained_narrow_layer_exceeds_its_ceiling():
    """Affine outputs of two units, fitted to the cosine itself, stay below the bound and come close to it."""
    tokens, codes = normal(60, 8) + 0.5, normal(60, 2, seed=1).requires_grad_()
    output = nn.Linear(2, 8, dtype=torch.float64)
    optimizer = torch.optim.Adam([codes, *output.parameters()], lr=0.05)
    for _ in range(150):
        optimizer.zero_grad()
        loss = -nn.functional.cosine_similarity(output(codes), tokens).mean()
        loss.backward()
        optimizer.step()
    ceiling = checks.cosine_ceiling(tokens, width=2)
    assert ceiling - 0.1 < -loss.item() <= ceiling


def test_r2_ceiling_is_that_of_principal_components():
    """Equal to the share of variance that numpy's singular values give."""
    tokens = normal(50, 6) * torch.arange(1, 7)
    singular = np.linalg.svd(tokens.numpy() - tokens.numpy().mean(0), compute_uv=False)
    expected = (singular[:2] ** 2).sum() / (singular**2).sum()
    assert pytest.approx(expected, rel=1e-12) == checks.r2_ceiling(tokens, width=2)


def test_low_ceiling_and_ignored_codes():
    """A ceiling below the wanted score, and a score that survives shuffled codes, are trouble."""
    assert checks.check_low_ceiling(0.8, wanted=0.95).trouble
    assert not checks.check_low_ceiling(0.97, wanted=0.95).trouble
    assert checks.check_code_ignored(0.9, 0.89).trouble
    assert not checks.check_code_ignored(0.9, 0.3).trouble
