"""Windows without a response time were given 0 s, in silence, and trained on."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from goldmark.cases.eeg import CASE
from goldmark.cases.eeg.data import generate
from goldmark.checks import check_placeholder_labels


def as_read(path):
    """The response times that the case trains and validates on, of a user's file."""
    case = CASE.on_file(path)
    data = case.make_data(case.settings, 0)
    return torch.cat([data["train_response_s"], data["val_response_s"]])


def as_zeros(path):
    """The bug: what is missing is 0."""
    with np.load(path) as arrays:
        return torch.from_numpy(np.nan_to_num(arrays["y"]))


def as_the_mean(path):
    """A control, which looks like a fix: what is missing is the mean of the others."""
    with np.load(path) as arrays:
        response_s = arrays["y"]
        return torch.from_numpy(np.where(np.isnan(response_s), np.nanmean(response_s), response_s))


@pytest.fixture
def path(windows, write):
    """A file in which every tenth response time is missing."""
    windows["y"][::10] = np.nan
    return write(**windows)


def test_windows_without_a_label_are_left_out(path, windows):
    """None of the 36 measured labels is lost, and nothing stands for the four that are missing."""
    finding = check_placeholder_labels(as_read(path))
    assert not finding.trouble, f"missing labels are turned into {finding.numbers['value']:g}: {finding.advice}"
    labelled = windows["y"][~np.isnan(windows["y"])]
    assert sorted(labelled) == sorted(as_read(path).tolist())


@pytest.mark.parametrize("read", [as_zeros, as_the_mean])
def test_labels_that_were_filled_in_are_found(path, read):
    """Zeros and means, through the same check."""
    assert check_placeholder_labels(read(path)).trouble


def test_a_window_keeps_its_label(path, windows):
    """Leaving windows out leaves no label with a window that is not its own."""
    case = CASE.on_file(path)
    data = case.make_data(case.settings_of("volts"), 0)
    for half in ("train", "val"):
        for eeg, response_s in zip(data[f"{half}_eeg"], data[f"{half}_response_s"], strict=True):
            (row,) = np.flatnonzero((windows["X"] == eeg.numpy()).all(axis=(1, 2)))
            assert windows["y"][row] == response_s, "a window was given the label of another"


def test_every_generated_window_has_a_label():
    """The case's own data pass the check, both halves."""
    data = generate(CASE.settings, 0)
    for half in ("train", "val"):
        finding = check_placeholder_labels(data[f"{half}_response_s"])
        assert not finding.trouble, f"missing labels among the generated ones of '{half}': {finding}"
