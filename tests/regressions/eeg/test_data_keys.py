"""Files named their arrays `data` and `targets`, the loader asked for `eeg` and `labels`: four times, found late."""

from __future__ import annotations

import numpy as np
import pytest

from goldmark.case import UsageError
from goldmark.cases.eeg.data import read_windows

NAMES = {"X": "data", "y": "targets", "subject": "subject"}


def with_defaults(path):
    """The bug: what is not there under its name is zeros."""
    with np.load(path) as arrays:
        n = len(arrays["subject"])
        eeg, response_s = arrays.get("X", np.zeros((n, 4, 20))), arrays.get("y", np.zeros(n))
    return eeg, response_s


def as_the_case_reads(path):
    """The reader of the case."""
    read = read_windows(path)
    return read.eeg.numpy(), read.response_s.numpy()


def hands_out_other_data(read, path, windows):
    """Whether a reader returns something else than what the file holds; one that refuses the file does not."""
    try:
        eeg, response_s = read(path)
    except UsageError:
        return False
    return not (np.array_equal(eeg, windows["X"]) and np.array_equal(response_s, windows["y"]))


@pytest.mark.parametrize("renamed", [("X",), ("y",), ("X", "y")])
def test_arrays_of_other_names_are_refused(windows, write, renamed):
    """The error names what is missing, what is there, and how to write the file; the bug trains on zeros."""
    path = write(**{NAMES[name] if name in renamed else name: array for name, array in windows.items()})
    assert hands_out_other_data(with_defaults, path, windows)
    assert not hands_out_other_data(as_the_case_reads, path, windows), "data keys: a missing array is made up"
    with pytest.raises(UsageError) as refused:
        read_windows(path)
    assert f"array '{renamed[0]}' is missing; it has: " in str(refused.value)
    assert all(NAMES[name] in str(refused.value) for name in renamed)
    assert "np.savez(path, X=..., y=..., subject=...)" in str(refused.value)


def test_arrays_of_the_right_names_are_read(windows, write):
    """Both readers hand out what the file holds: the check does not fail on everything."""
    path = write(**windows)
    assert not hands_out_other_data(with_defaults, path, windows)
    assert not hands_out_other_data(as_the_case_reads, path, windows)
    assert windows["X"].shape == as_the_case_reads(path)[0].shape
