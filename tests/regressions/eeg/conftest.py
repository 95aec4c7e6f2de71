"""What the regressions of the EEG record share: a trained model with its data, and a user's file of windows."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from goldmark.cases.eeg import CASE
from goldmark.runs import Job
from goldmark.training._prepare import exact_arithmetic, prepare
from goldmark.training._single import _fit


@pytest.fixture(scope="session")
def trained():
    """`trained(variant, case=CASE, seed=0)`: a model after its training, in evaluation, and its data; trained once."""

    @cache
    def fitted(variant, case_id, seed):
        with exact_arithmetic(cases[case_id]):
            run = prepare(Job(cases[case_id], variant, seed))
            _fit(run, lambda *_: None)
        return run.model.eval().requires_grad_(requires_grad=False), run.data

    cases = {}

    def trained(variant, case=CASE, seed=0):
        cases[id(case)] = case
        return fitted(variant, id(case), seed)

    return trained


@pytest.fixture
def windows():
    """Arrays of a user's file: 40 windows of five subjects, 4 channels x 20 samples."""
    rng = np.random.default_rng(0)
    return {
        "X": rng.normal(size=(40, 4, 20)) * 1e-5,
        "y": rng.normal(1.56, 0.2, size=40).clip(0.5),
        "subject": np.arange(40) % 5,
    }


@pytest.fixture
def write(tmp_path):
    """Write arrays to an npz file and return its path."""

    def write(**arrays):
        np.savez(tmp_path / "windows.npz", **arrays)
        return tmp_path / "windows.npz"

    return write
