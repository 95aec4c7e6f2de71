"""Teacher forcing: the sd of a binomial share against numpy, and leaks of known decoders."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from goldmark.checks import check_forcing_not_per_step, check_target_leak


def coins(n, length, p, seed=0):
    """Independent draws of numpy."""
    return torch.from_numpy(np.random.default_rng(seed).random((n, length)) < p)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("length", [2, 12, 50])
def test_independent_steps_pass_and_one_draw_for_all_does_not(p, length):
    """On both sides, for ratios and lengths of the record: numpy's coins, and its first one for all steps."""
    forced = coins(200, length, p)
    right, broken = check_forcing_not_per_step(forced), check_forcing_not_per_step(forced[:, :1].expand(-1, length))
    assert (False, True) == (right.trouble, broken.trouble), (right.numbers, broken.numbers)
    shares = forced.numpy().mean(axis=1)
    assert np.std(shares, ddof=1) == pytest.approx(right.numbers["sd_of_share"], rel=1e-9)  # float64 rounding
    expected = np.std(shares, ddof=1) / math.sqrt(shares.mean() * (1 - shares.mean()) / length)
    assert expected == pytest.approx(right.numbers["spread"], rel=1e-9)
    assert ((shares > 0) & (shares < 1)).mean() == pytest.approx(right.numbers["share_mixed"])


def test_right_forcing_is_hardly_ever_called_wrong():
    """Of 200 sets of right draws none is beyond five standard errors."""
    assert not any(check_forcing_not_per_step(coins(60, 10, 0.5, seed)).trouble for seed in range(200))


def test_the_same_steps_in_every_sequence_are_found():
    """All sequences are mixed, and none differs from another."""
    finding = check_forcing_not_per_step(coins(1, 12, 0.5).expand(100, -1))
    assert finding.trouble
    assert 1.0 == finding.numbers["share_mixed"]
    assert 0.0 == pytest.approx(finding.numbers["spread"], abs=1e-12)  # float64 rounding


@pytest.mark.parametrize(
    ("forced", "told"),
    [(torch.zeros(200, 12), "share of 0 forced"), (torch.ones(200, 12), "share of 1"), (torch.eye(12), "12 sequences")],
)
def test_forcing_that_tells_nothing_is_refused(forced, told):
    """Nothing forced, everything forced, few sequences: an error, and no pass."""
    with pytest.raises(ValueError, match=told):
        check_forcing_not_per_step(forced)


def shifted(by):
    """A decoder that sums up what it is fed: at step t all targets up to t - by."""

    def decode(targets):
        fed = torch.zeros_like(targets)
        for t in range(targets.shape[1]):
            if 0 <= t - by < targets.shape[1]:
                fed[:, t] = targets[:, t - by]
        return fed.cumsum(dim=1)

    return decode


@pytest.mark.parametrize(("by", "leaks"), [(2, False), (1, False), (0, True), (-1, True)])
def test_leak_is_a_target_fed_before_it_is_written(by, leaks):
    """Fed the last target or the one before it: none; fed its own or the next: a leak, as large as any change."""
    finding = check_target_leak(shifted(by), torch.arange(24.0).reshape(2, 6, 2))
    assert (leaks, float(leaks)) == (finding.trouble, finding.numbers["leak"])


def test_leak_counts_in_the_reach_of_a_target():
    """A hundredth of the answer mixed in is a leak of a hundredth, and below a threshold of .1."""
    last, own = shifted(1), shifted(0)
    targets = torch.arange(24.0, dtype=torch.float64).reshape(2, 6, 2)
    finding = check_target_leak(lambda targets: last(targets) + 0.01 * targets, targets, threshold=0.1)
    assert finding.numbers["leak"] == pytest.approx(0.01, rel=1e-6)  # the reach is that of the sum
    assert not finding.trouble
    assert check_target_leak(lambda targets: last(targets) + own(targets), targets, threshold=0.1).trouble


def test_nan_is_a_leak_and_a_decoder_without_targets_is_refused():
    """NaN is trouble; what depends on no target says nothing."""
    targets = torch.ones(2, 3, 1)
    assert check_target_leak(lambda targets: targets * math.nan, targets).trouble
    with pytest.raises(ValueError, match="nothing is forced"):
        check_target_leak(torch.zeros_like, targets)
