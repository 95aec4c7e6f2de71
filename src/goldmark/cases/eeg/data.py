"""The generator of EEG windows: an evoked bump, linear in the response time, under what differs between subjects."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from goldmark.case import Data
from goldmark.training import draws

if TYPE_CHECKING:
    from goldmark.cases.eeg import EegSettings

MEAN_S, SD_S = 1.56, 0.4  # of the response times, as in the competition's data
WINDOW_S = 2.0
VOLT = 1e-5  # sd of the pink noise: potentials on the scalp are tens of microvolts
BUMP_S, BUMP_SD_S = 1.0, 0.15  # middle and width of the evoked response


def generate(settings: EegSettings, seed: int) -> Data:
    """Return windows (N, C, T), z-scored or in volts, response times (N,) in s and subjects (N,) of both halves.

    The halves share no subject. z-scoring takes one mean and one sd, from the training half alone.
    """
    n_train, n = settings.n_train, settings.n_train + settings.n_val
    subjects = torch.cat(
        [
            torch.arange(n_train) % settings.train_subjects,
            torch.arange(settings.n_val) % settings.val_subjects + settings.train_subjects,
        ]
    )
    z = _normal(seed, "response", n)
    noise = pink_noise(_normal(seed, "noise", n, settings.channels, settings.samples))
    eeg = VOLT * (_evoked(settings, seed, subjects, z) + _rhythm(settings, seed, subjects) + noise)
    if settings.input_scale == "zscore":
        eeg = (eeg - eeg[:n_train].mean()) / eeg[:n_train].std()
    named = {"eeg": eeg, "response_s": MEAN_S + SD_S * z, "subject": subjects}
    halves = {"train": slice(None, n_train), "val": slice(n_train, None)}
    return {f"{half}_{name}": tensor[rows] for half, rows in halves.items() for name, tensor in named.items()}


def _evoked(settings: EegSettings, seed: int, subjects: Tensor, z: Tensor) -> Tensor:
    """Return the response (N, C, T): a bump with an amplitude linear in z, times the subject's gain and topography."""
    n_subjects = settings.train_subjects + settings.val_subjects
    topography = _normal(seed, "topography", settings.channels)
    topography *= math.sqrt(settings.channels) / topography.norm()  # or some seeds would have next to no signal
    own = settings.topography_sd * _normal(seed, "topography of subjects", n_subjects, settings.channels)
    gain = (settings.gain_sd * _normal(seed, "gain of subjects", n_subjects)).exp()
    by_subject = gain[:, None] * (topography + own)
    bump = (-((_time_s(settings) - BUMP_S) ** 2) / (2 * BUMP_SD_S**2)).exp()
    return settings.amplitude * z[:, None, None] * by_subject[subjects][:, :, None] * bump


def _rhythm(settings: EegSettings, seed: int, subjects: Tensor) -> Tensor:
    """Return an alpha rhythm (N, C, T) of 8 to 12 Hz: frequency and topography by subject, phase by window."""
    n_subjects = settings.train_subjects + settings.val_subjects
    frequency_hz = 8 + 4 * _uniform(seed, "rhythm of subjects", n_subjects)
    topography = _normal(seed, "rhythm topography of subjects", n_subjects, settings.channels)
    phase = 2 * math.pi * _uniform(seed, "rhythm phase", len(subjects))
    angle = 2 * math.pi * frequency_hz[subjects][:, None] * _time_s(settings) + phase[:, None]
    return settings.rhythm * topography[subjects][:, :, None] * angle.sin()[:, None, :]


def pink_noise(white: Tensor) -> Tensor:
    """Return noise of power 1 / f, mean 0 and expected variance 1, from white noise (..., T) of an even length."""
    length = white.shape[-1]
    frequency = torch.arange(length // 2 + 1, dtype=torch.float64)
    power = torch.where(frequency > 0, 1 / frequency.clamp_min(1), 0.0)
    # a real signal holds every frequency twice, but the highest once
    variance = (2 * power.sum() - power[-1]) / length
    pink: Tensor = torch.fft.irfft(torch.fft.rfft(white) * (power / variance).sqrt(), n=length)
    return pink


def _time_s(settings: EegSettings) -> Tensor:
    return torch.arange(settings.samples, dtype=torch.float64) / (settings.samples / WINDOW_S)


def _normal(seed: int, site: str, *shape: int) -> Tensor:
    return draws.normal(draws.key(seed, 0, f"eeg {site}"), shape)


def _uniform(seed: int, site: str, *shape: int) -> Tensor:
    return draws.uniform(draws.key(seed, 0, f"eeg {site}"), shape)
