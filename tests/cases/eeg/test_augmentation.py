"""What a training step does to EEG windows: each augmentation on windows that show what was done."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from goldmark.cases.eeg import EegSettings
from goldmark.cases.eeg.augmentation import augmented, cut_out, noisy, rolled, scaled
from goldmark.cases.eeg.data import generate
from goldmark.training.draws import Draws

FOUR_SE = 4  # a mean of independent draws lies this many standard errors off once in 16,000 times
N = 2000


def near_share(expected, share, n=N):
    """Whether a share of n draws is one that chance explains."""
    return abs(share - expected) <= FOUR_SE * (expected * (1 - expected) / n) ** 0.5


def test_roll_moves_all_channels_of_a_window_together_and_loses_nothing():
    """Half of the windows, by -5 to 5 samples, each as often; a shift of 0 is one in eleven of them."""
    x = torch.arange(20.0).expand(N, 3, 20)
    shifts = rolled(x, Draws.at(0, 0), 0.5)[:, 0, 0].neg().long() % 20  # window[0] is sample -shift
    signed = torch.where(shifts > 10, shifts - 20, shifts)
    expected = torch.stack([x[0].roll(int(shift), dims=-1) for shift in signed])
    assert torch.equal(expected, rolled(x, Draws.at(0, 0), 0.5))
    assert set(range(-5, 6)) == set(signed.tolist())
    assert near_share(0.5 * 10 / 11, float((signed != 0).double().mean()))
    assert abs(float(signed.double().mean())) < FOUR_SE * (0.5 * 10 / N) ** 0.5


def test_scaling_multiplies_whole_windows_by_factors_near_1():
    """Half of the windows, by 0.9 to 1.1 uniformly."""
    factors = scaled(torch.ones(N, 2, 4, dtype=torch.float64), Draws.at(0, 0), 0.5)
    assert torch.equal(factors, factors[:, :1, :1].expand(factors.shape))
    moved = factors[:, 0, 0][factors[:, 0, 0] != 1]
    assert near_share(0.5, len(moved) / N)
    assert float((moved - 1).abs().max()) <= 0.1
    assert pytest.approx(0.1 / 3**0.5, rel=0.1) == float(moved.std())


def test_noise_reaches_its_share_of_the_windows():
    """Three in ten have noise of the given sd, in every sample; the others none."""
    noise = noisy(torch.zeros(N, 2, 50), Draws.at(0, 0), torch.tensor(0.01), 0.3)
    touched = (noise != 0).all(dim=(1, 2))
    assert torch.equal(touched, (noise != 0).any(dim=(1, 2)))
    assert near_share(0.3, float(touched.double().mean()))
    assert pytest.approx(0.01, rel=0.02) == float(noise[touched].std())


def test_cutout_silences_a_tenth_of_a_window_in_all_channels():
    """Half of the windows, 20 samples of 200, one stretch that may run over the end; everywhere as often."""
    cut = cut_out(torch.ones(N, 2, 200), Draws.at(0, 0), 0.5) == 0
    assert torch.equal(cut[:, 0], cut[:, 1])
    n_cut = cut[:, 0].sum(dim=-1)
    assert {0, 20} == set(n_cut.tolist())
    assert near_share(0.5, float((n_cut > 0).double().mean()))
    edges = (cut[:, 0] != cut[:, 0].roll(1, dims=-1)).sum(dim=-1)
    assert {0, 2} == set(edges.tolist())
    assert len(cut[:, 0].double().mean(dim=0).unique()) > 1
    assert 0.02 < float(cut[:, 0].double().mean(dim=0).min()) < 0.05


def test_channel_dropout_silences_whole_channels():
    """A tenth of all channels, in every sample, and the rest as they were."""
    settings = EegSettings(channel_drop_p=0.1)
    x = augmented(torch.ones(N, 5, 7), torch.tensor(0.0), Draws.at(0, 0), settings)
    assert torch.equal(x, x[:, :, :1].expand(x.shape))
    assert {0.0, 1.0} == set(x.flatten().tolist())
    assert near_share(0.1, float((x[:, :, 0] == 0).double().mean()), n=5 * N)


def test_windows_stay_as_they_are_unless_the_settings_say_otherwise():
    """Nothing is drawn, either."""
    x, draws = torch.ones(4, 2, 10), Draws.at(0, 0)
    assert x is augmented(x, torch.tensor(0.0), draws, EegSettings())
    assert set() == draws.used


def test_noise_is_neither_scaled_nor_left_in_a_cutout():
    """The order is the record's: with and without scaling, windows of 1 differ by a factor's distance from 1 alone."""
    settings = EegSettings(roll_p=1.0, scale_p=1.0, noise_sd=0.5, cutout_p=1.0)
    x, unscaled = (
        augmented(torch.ones(8, 2, 200), torch.tensor(0.5), Draws.at(0, 0), replace(settings, scale_p=p))
        for p in (1.0, 0.0)
    )
    assert {20} == set((x == 0).sum(dim=-1).flatten().tolist())
    assert 0 < float((x - unscaled).abs().max()) <= 0.1 + 1e-6  # noise of sd 0.5 would be scaled by more


def test_noise_has_its_sd_in_the_unit_of_the_windows():
    """The same 0.01 is a hundredth of a z-score and a thousand times a window in volts."""
    noise = noisy(torch.zeros(8, 16, 100), Draws.at(0, 0), torch.tensor(0.01), 1.0)
    assert pytest.approx(0.01, rel=FOUR_SE / (2 * 12_800) ** 0.5) == float(noise.std())
    volts = generate(EegSettings(input_scale="volts"), 0)["train_eeg"]
    assert float(volts.std()) < 0.01 / 300
