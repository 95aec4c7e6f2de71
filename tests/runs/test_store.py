"""The folder of runs: what is written is what is read, and each run is trained once."""

from __future__ import annotations

import json
import math
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

import pytest

from goldmark.cases import find_case
from goldmark.runs import Job, read_run, run_path, write_run
from goldmark.training import _machines as machines
from goldmark.training import trained_once
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


def test_trained_once_reads_what_is_there(tmp_path, run):
    """A run in the folder is not trained again: a marked one is returned as it is."""
    marked = replace(run, seconds=12345.0)
    path = run_path(tmp_path, Job(brief(), "normalized", 0, "cpu"))
    write_run(path, marked)
    assert [marked] == trained_once(tmp_path, brief(), ["normalized"])


@pytest.mark.slow  # two processes that load torch
def test_two_processes_share_one_training(tmp_path):
    """Both get runs with the same measured time, to the last bit: each was trained by one of them alone."""
    portable = replace(brief(), claims=(), seeds=2)
    with ProcessPoolExecutor(2, machines.process_context()) as pool:
        asked = [pool.submit(trained_once, tmp_path, portable, ["normalized", "zscore"]) for _ in range(2)]
        first, second = (future.result(timeout=120) for future in asked)
    assert 4 == len(first)
    assert first == second
