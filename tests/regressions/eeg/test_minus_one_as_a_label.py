"""-1 meant "no label" in the second challenge, in every window, and models were trained to answer -1."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from goldmark.case import UsageError
from goldmark.cases.eeg.data import read_windows
from goldmark.checks import check_placeholder_labels


def as_they_are(path):
    """The bug: whatever stands there is a label."""
    with np.load(path) as arrays:
        return torch.from_numpy(arrays["y"])


def trained_on_placeholders(read, path):
    """Whether a reader hands out labels of which many are one number; one that refuses the file does not."""
    try:
        return check_placeholder_labels(read(path)).trouble
    except UsageError:
        return False


@pytest.fixture(params=[8, 1], ids=["every eighth", "all"])
def path(request, windows, write):
    """Files in which every eighth response time, or each of them, is -1."""
    windows["y"][:: request.param] = -1
    return write(**windows)


def test_minus_one_is_refused_as_a_label(path):
    """The file is not read, and its reader tells how a missing label is marked; the bug reads it."""
    assert trained_on_placeholders(as_they_are, path)
    assert not trained_on_placeholders(lambda path: read_windows(path).response_s, path), "-1 is taken for a label"
    with pytest.raises(UsageError, match="response times are not above 0 s, such as -1; mark a missing one as NaN"):
        read_windows(path)


def test_measured_labels_are_read(windows, write):
    """A refusal of everything would be no fix."""
    assert windows["y"].tolist() == read_windows(write(**windows)).response_s.tolist()
