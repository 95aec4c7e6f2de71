"""The file of a run: what is written is what is read."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from goldmark.cases import find_case
from goldmark.runs import Job, read_run, write_run
from goldmark.training._single import train_single


def brief():
    """The roast case cut down to two steps and one seed."""
    roast = find_case("roast")
    settings = replace(roast.settings, steps=2, n_train=8, n_val=4, length=12)
    variants = tuple(replace(variant, seeds=None) for variant in roast.variants)
    return replace(roast, settings=settings, variants=variants, seeds=1)


@pytest.fixture(scope="module")
def run():
    """One short run."""
    return train_single(Job(brief(), "normalized", 0))


def test_run_is_read_as_it_was_written(tmp_path, run):
    """Every field survives, floats to the last bit."""
    write_run(tmp_path / "run.json", run)
    assert run == read_run(tmp_path / "run.json")


def test_nan_is_null_in_the_file_and_nan_again(tmp_path, run):
    """The file is strict JSON; metrics that are not finite come back as NaN."""
    write_run(tmp_path / "run.json", replace(run, metrics={"rmse_f": math.nan, "other": math.inf}))
    assert {"rmse_f": None, "other": None} == json.loads((tmp_path / "run.json").read_text())["metrics"]
    assert all(math.isnan(value) for value in read_run(tmp_path / "run.json").metrics.values())
