"""Draws: a function of seed, step and site alone, and uniform, normal, permuted as they say."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from goldmark.training import draws

N = 200_000


def splitmix64(key, count):
    """SplitMix64's finaliser with Python's integers: the second implementation."""
    for i in range(1, count + 1):
        x = (key + i * 0x9E3779B97F4A7C15) % 2**64
        x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        x = (x ^ (x >> 27)) * 0x94D049BB133111EB % 2**64
        yield x ^ (x >> 31)


def test_bits_are_splitmix64():
    """The bits equal those of the published generator, computed with integers that cannot wrap by accident."""
    key = draws.key(3, 5, "order")
    assert list(splitmix64(int(key) % 2**64, 100)) == [bits % 2**64 for bits in draws.bits(key, 100).tolist()]


def test_first_outputs_match_the_reference_vector():
    """Seed 1234567 gives the first outputs printed with the reference implementation of SplitMix64."""
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert expected == [bits % 2**64 for bits in draws.bits(torch.tensor(1234567), 3).tolist()]


def test_draws_do_not_depend_on_their_neighbours():
    """A run's numbers are the same alone and stacked with other seeds."""
    together = draws.uniform(draws.key(torch.arange(4), 7, "dropout"), (3, 5))
    for seed in range(4):
        assert torch.equal(together[seed], draws.uniform(draws.key(seed, 7, "dropout"), (3, 5)))


def test_a_scalar_is_the_first_of_many():
    """No shape gives one number, the same as the first of a longer draw."""
    key = draws.key(1, 2, "weight")
    assert draws.uniform(key, ()).shape == ()
    assert draws.uniform(key, (5,))[0] == draws.uniform(key, ())


def test_seed_step_and_site_all_matter():
    """Changing any counter changes the key, and swapping seed and step does too."""
    keys = {int(draws.key(*counters)) for counters in [(1, 2, "a"), (2, 1, "a"), (1, 2, "b"), (1, 1, "a"), (2, 2, "a")]}
    assert len(keys) == 5


def test_uniform_is_uniform_and_open():
    """Kolmogorov-Smirnov over 200,000 draws; p is uniform under the null, so 1e-4 alarms once in 10,000 such keys."""
    sample = draws.uniform(draws.key(0, 0, "test"), (N,)).numpy()
    assert 0 < sample.min()
    assert sample.max() < 1
    assert stats.kstest(sample, "uniform").pvalue > 1e-4


def test_normal_is_standard_normal():
    """Kolmogorov-Smirnov over 200,000 draws, as above; all finite."""
    sample = draws.normal(draws.key(0, 0, "test"), (N,)).numpy()
    assert np.isfinite(sample).all()
    assert stats.kstest(sample, "norm").pvalue > 1e-4


def test_neighbouring_keys_are_uncorrelated():
    """Correlation of 1,000 adjacent seeds' and steps' draws stays within 4.5 standard errors of 0."""
    for keys in (draws.key(torch.arange(1001), 0, "x"), draws.key(0, torch.arange(1001), "x")):
        sample = draws.uniform(keys, (200,))
        correlation = np.corrcoef(sample[:-1].flatten(), sample[1:].flatten())[0, 1]
        assert abs(correlation) < 4.5 / np.sqrt(1000 * 200)


def test_permutation_holds_every_number_once():
    """All orders of three are drawn about equally often: chi-square over 6,000 seeds."""
    orders = draws.permutation(draws.key(torch.arange(6000), 0, "order"), 3)
    assert torch.equal(torch.arange(3).expand(6000, 3), orders.sort(dim=-1).values)
    _, counts = orders.unique(dim=0, return_counts=True)
    assert len(counts) == 6
    assert stats.chisquare(counts.numpy()).pvalue > 1e-4


def test_dropout_keeps_the_mean_and_the_share():
    """A share p is zero, the rest is scaled to keep the mean: within 4 standard errors over 200,000 cells."""
    step = draws.Draws.at(0, 0)
    dropped = draws.Dropout(0.3, "site")(torch.ones(N), step)
    assert [0.0, pytest.approx(1 / 0.7)] == dropped.unique().tolist()
    assert abs(float((dropped == 0).double().mean()) - 0.3) < 4 * np.sqrt(0.3 * 0.7 / N)


def test_dropout_share_outside_its_range_is_said():
    """A share of 1 would leave nothing, and a negative one means nothing."""
    for p in (-0.1, 1.0):
        with pytest.raises(ValueError, match=f"a dropout share of {p} at 'site'; it lies between 0 and 1"):
            draws.Dropout(p, "site")


def test_used_sites_are_collected_for_the_stream():
    """What a step drew is known by site and shape."""
    step = draws.Draws.at(0, 0)
    step.uniform("a", 2, 3)
    step.permutation("b", 4)
    assert {("a", (2, 3)), ("b", (4,))} == step.used


def test_initial_weights_leave_the_global_generator_alone():
    """Two models of one seed are equal, of two seeds not, and the caller's own draws are as without."""
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    layers = []
    for seed in (1, 1, 2):
        with draws.initial_weights(seed):
            layers.append(torch.nn.Linear(4, 4).weight)
    assert torch.equal(layers[0], layers[1])
    assert not torch.equal(layers[0], layers[2])
    assert torch.equal(expected, torch.rand(3))


def test_a_stack_keeps_what_each_run_keeps():
    """Under vmap, with a key and a share a run and a size that is no multiple of four: the bits of each run alone."""
    keys, shares = draws.step_key(torch.arange(3), 5), torch.tensor([0.1, 0.3, 0.75], dtype=torch.float64)

    def kept(key, share):
        return draws.Draws(key).kept("site", (3, 5), share)

    together = torch.func.vmap(kept)(keys, shares)
    assert torch.equal(torch.stack(list(map(kept, keys, shares))), together)
    shared = torch.func.vmap(kept, in_dims=(0, None))(keys, shares[1])
    assert torch.equal(together[1], shared[1])


def test_quarters_of_a_stack_whose_axis_is_the_last_are_those_of_each_run():
    """Words that lie across the runs in memory are seen in quarters as each run's own would be."""
    words = draws.bits(draws.step_key(torch.arange(3), 5), 4)
    in_quarters = draws._Quarters.apply  # noqa: SLF001 (no draw puts the axis there today)
    alone = torch.stack([in_quarters(word) for word in words])
    assert torch.equal(alone, torch.func.vmap(in_quarters, in_dims=1)(words.T.contiguous()))


def test_kept_bits_are_quarters_of_splitmix64():
    """The lowest 16 bits of a word come first, read with their sign: the share of them below the limit is dropped."""
    words = list(splitmix64(int(draws.key(0, 5, "site")) % 2**64, 4))
    quarters = [(word >> shift) % 2**16 for word in words for shift in (0, 16, 32, 48)]
    signed = [quarter - 2**16 if quarter >= 2**15 else quarter for quarter in quarters]
    kept = draws.Draws.at(0, 5).kept("site", (14,), torch.tensor(0.25, dtype=torch.float64))
    assert [quarter >= -(2**14) for quarter in signed[:14]] == kept.tolist()


@settings(max_examples=40, deadline=None)  # a busy machine is not a failure
@given(st.lists(st.integers(0, 9), min_size=2, max_size=40).filter(lambda groups: len(set(groups)) > 1), st.integers())
def test_held_out_groups_are_whole_and_no_more_than_the_share_takes(groups, seed):
    """No group is in both halves, one trains, a fifth validates where it can, and no group is held out in vain."""
    out = draws.held_out(groups, 0.2, draws.key(seed % 2**31, 0, "test")).tolist()
    halves = [{group for group, held in zip(groups, out, strict=True) if held is half} for half in (True, False)]
    assert set() == halves[0] & halves[1]
    assert all(halves)
    spare = sum(out) + -len(groups) // 5
    assert spare >= 0 or len(halves[1]) == 1
    assert all(groups.count(group) > spare for group in halves[0])


def test_held_out_groups_are_those_of_the_key():
    """Other keys hold out others; with some groups of one example the share is hit exactly; one group has no halves."""
    groups = ["a"] * 3 + ["b"] * 3 + ["c"] * 3 + [*"defghijk"] + ["l"] * 3
    outs = [draws.held_out(groups, 0.2, draws.key(seed, 0, "test")) for seed in range(12)]
    assert {4} == {int(out.sum()) for out in outs}
    assert len({tuple(out.tolist()) for out in outs}) > 6
    with pytest.raises(ValueError, match="1 group cannot be split"):
        draws.held_out(["a"] * 5, 0.2, draws.key(0, 0, "test"))
