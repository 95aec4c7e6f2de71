"""EEG windows: generated ones, an evoked bump linear in the response time, and those that a user's file holds."""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from goldmark.case import Data, UsageError
from goldmark.training import draws

if TYPE_CHECKING:
    from goldmark.cases.eeg import EegSettings

MEAN_S, SD_S = 1.56, 0.4  # of the response times, as in the competition's data
WINDOW_S = 2.0
VOLT = 1e-5  # sd of the pink noise: potentials on the scalp are tens of microvolts
BUMP_S, BUMP_SD_S = 1.0, 0.15  # middle and width of the evoked response
DIMENSIONS = {"X": 3, "y": 1, "subject": 1}  # of the arrays in a user's file
KINDS = {"X": "fiu", "y": "fiu", "subject": "fiuU"}  # of numpy's dtypes: numbers, a subject by its name, too
FEWEST_WINDOWS = 10
SHORTEST = 8  # samples of a window
LONGEST_RESPONSE_S = 60  # beyond, response times are in ms
VOLTS_SD = (1e-6, 1e-3)  # of windows that nobody has scaled: tens of microvolts, more where electrodes drift
LARGEST_UNIT_RATIO = 1e3  # of the sds of two subjects, beyond which their windows have two units
VALIDATION_SHARE = 0.2  # of the windows, reached by whole subjects


@dataclass(frozen=True, kw_only=True)
class Windows:
    """EEG windows (N, C, T), generated ones in V, the response time (N,) in s and the subject (N,) of each."""

    eeg: Tensor
    response_s: Tensor
    subject: Tensor


def generate(settings: EegSettings, seed: int) -> Data:
    """Return the training and validation halves of one seed's windows; see `halves` for names and shapes."""
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
    return halves(Windows(eeg=eeg, response_s=MEAN_S + SD_S * z, subject=subjects), torch.arange(n) < n_train, settings)


def halves(windows: Windows, in_train: Tensor, settings: EegSettings) -> Data:
    """Split windows into `train_` and `val_`: eeg (N, C, T), z-scored or in volts, response_s (N,) and subject (N,).

    z-scoring takes one mean and one sd, from the training half alone.
    """
    eeg = windows.eeg
    if settings.input_scale == "zscore":
        eeg = (eeg - eeg[in_train].mean()) / eeg[in_train].std()
    named = {"eeg": eeg, "response_s": windows.response_s, "subject": windows.subject}
    rows = {"train": in_train, "val": ~in_train}
    return {f"{half}_{name}": tensor[rows[half]] for half in rows for name, tensor in named.items()}


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


def read_windows(path: Path) -> Windows:
    """Read an npz file of `X` (N, C, T) in one unit, `y` (N,), response times in s, and `subject` (N,).

    A window whose response time is missing (NaN) is left out: no number stands in for it. Subjects are whole numbers
    or names, which are numbered in their order. Raises `UsageError` where the file is bad, and where a response time is
    none, such as a 0 or a -1 in the place of what is missing.
    """
    arrays = _arrays(path)
    subject, labelled = _subjects(arrays["subject"], path), ~np.isnan(arrays["y"].astype(np.float64))
    n, n_missing = int(labelled.sum()), int((~labelled).sum())
    if n < FEWEST_WINDOWS:
        raise UsageError(f"{path}: {n} windows with a response time, {n_missing} without; {FEWEST_WINDOWS} are needed")
    _require_finite(arrays["X"], labelled, path)
    eeg, response_s = (torch.from_numpy(arrays[name][labelled].astype(np.float64)) for name in ("X", "y"))
    windows = Windows(eeg=eeg, response_s=response_s, subject=torch.from_numpy(subject[labelled]))
    _require_measured(windows, path)
    if len(set(windows.subject.tolist())) < 2:
        raise UsageError(f"{path}: one subject only; a split by subject needs two or more")
    _require_one_unit(windows, arrays["subject"][labelled], path)
    return windows


def _arrays(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """Return the three arrays of a file, with as many windows each."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, AttributeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise UsageError(f"{path}: cannot be read ({reason}); give an npz file of arrays") from None
    _require_shapes(arrays, path)
    return {name: arrays[name] for name in DIMENSIONS}


def _require_shapes(arrays: Mapping[str, np.ndarray[Any, Any]], path: Path) -> None:
    """Raise `UsageError` where an array is missing, is of another kind, or does not fit the others."""
    for name, dimensions in DIMENSIONS.items():
        if name not in arrays:
            raise UsageError(
                f"{path}: array '{name}' is missing; it has: {', '.join(arrays) or 'none'};"
                f" write it with: np.savez(path, {', '.join(f'{key}=...' for key in DIMENSIONS)})"
            )
        if arrays[name].ndim != dimensions or arrays[name].dtype.kind not in KINDS[name]:
            given = f"{arrays[name].dtype} of shape {arrays[name].shape}"
            shape = "(windows, channels, samples)" if dimensions > 1 else "(windows,)"
            raise UsageError(f"{path}: '{name}' is {given}; numbers of shape {shape} are expected")
    if len({len(arrays[name]) for name in DIMENSIONS}) > 1:
        lengths = ", ".join(f"{name} {len(arrays[name])}" for name in DIMENSIONS)
        raise UsageError(f"{path}: as many windows in each array are expected; it has: {lengths}")
    _, channels, samples = arrays["X"].shape
    if channels < 1 or samples < SHORTEST:
        raise UsageError(
            f"{path}: 'X' has windows of {channels} channels and {samples} samples, where its shape is (windows,"
            f" channels, samples); {SHORTEST} samples or more are needed"
        )


def _subjects(subject: np.ndarray[Any, Any], path: Path) -> np.ndarray[Any, Any]:
    """Return the subjects as whole numbers, names by their order."""
    if subject.dtype.kind == "U":
        return np.unique(subject, return_inverse=True)[1].astype(np.int64)
    whole = np.isfinite(subject) & (subject == np.round(subject))
    if not whole.all():
        at = int(np.argmin(whole))
        raise UsageError(f"{path}: subject[{at}] is {subject[at]:g}; whole numbers or names are expected")
    return subject.astype(np.int64)


def _require_finite(eeg: np.ndarray[Any, Any], labelled: np.ndarray[Any, Any], path: Path) -> None:
    """Raise `UsageError` with the place of the first value of a window with a response time that is not finite."""
    wrong = ~np.isfinite(eeg) & labelled[:, None, None]
    if wrong.any():
        place = np.unravel_index(int(wrong.argmax()), wrong.shape)
        n_windows = int(wrong.any(axis=(1, 2)).sum())
        raise UsageError(
            f"{path}: X[{', '.join(map(str, place))}] is {eeg[place]:g}; finite numbers are expected, and {n_windows} "
            f"of {len(eeg)} windows have others: leave them out"
        )


def _require_measured(windows: Windows, path: Path) -> None:
    """Raise `UsageError` for a response time that cannot have been measured, and for windows without a signal."""
    response_s = windows.response_s
    wrong = response_s[~((response_s > 0) & response_s.isfinite())]
    if len(wrong):
        raise UsageError(
            f"{path}: {len(wrong)} of {len(response_s)} response times are not above 0 s, such as {float(wrong[0]):g};"
            " mark a missing one as NaN, and its window is left out"
        )
    if response_s.max() > LONGEST_RESPONSE_S:
        raise UsageError(
            f"{path}: response times reach {float(response_s.max()):g} s, where {LONGEST_RESPONSE_S} s are the most"
            " that is believed; divide milliseconds by 1000"
        )
    if response_s.min() == response_s.max():
        raise UsageError(f"{path}: all response times are {float(response_s[0]):g} s; there is nothing to predict")
    if windows.eeg.min() == windows.eeg.max():
        raise UsageError(f"{path}: all of 'X' is {float(windows.eeg[0, 0, 0]):g}; windows that vary are expected")


def _require_one_unit(windows: Windows, names: np.ndarray[Any, Any], path: Path) -> None:
    """Raise `UsageError` where the windows of two subjects differ in sd as volts and microvolts do."""
    sds = {subject: float(windows.eeg[windows.subject == subject].std()) for subject in set(windows.subject.tolist())}
    low, high = min(sds, key=sds.__getitem__), max(sds, key=sds.__getitem__)
    if sds[high] > LARGEST_UNIT_RATIO * sds[low]:
        numbers = windows.subject.numpy()
        one, other = (f"subject {names[numbers == number][0]} has sd {sds[number]:.3g}" for number in (low, high))
        raise UsageError(f"{path}: 'X' has more than one unit: {one}, {other}; give all windows in one")


def in_volts(eeg: Tensor) -> bool:
    """Return whether windows have the sd of potentials on the scalp in volts, 1e-6 to 1e-3."""
    low, high = VOLTS_SD
    return low <= float(eeg.std()) <= high


def on_unit(windows: Windows) -> str:
    """Return in a sentence which unit measured windows seem to have, and what is done about it."""
    sd = float(windows.eeg.std())
    n_subjects = len(set(windows.subject.tolist()))
    read = f"{len(windows.eeg)} windows of {n_subjects} subjects"
    if in_volts(windows.eeg):
        return (
            f"{read}, X in volts by its sd of {sd:.2g}: z-scored here by the training half, as your own training"
            " has to; the variants 'volts' leave it as it is"
        )
    return f"{read}, X not in volts by its sd of {sd:.2g}: z-scored by the training half; variants in volts left out"


def split_windows(windows: Windows, settings: EegSettings, seed: int) -> Data:
    """Return both halves of measured windows, as `halves` names them: whole subjects validate (`trains`)."""
    return halves(windows, trains(windows, seed).to(windows.eeg.device), settings)


def trains(windows: Windows, seed: int) -> Tensor:
    """Return a bool per window: subjects in the seed's order fill the validation half, the rest trains."""
    return ~draws.held_out(windows.subject.tolist(), VALIDATION_SHARE, draws.key(seed, 0, "eeg split"))
