"""The code that a run is kept for: a file that is left out would leave its runs as they are after a change."""

from __future__ import annotations

import gc
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import goldmark
from goldmark.cases import CASES, case_at
from goldmark.fingerprint import source_hashes
from goldmark.runs import Job, sources_of

PACKAGE = Path(goldmark.__file__).parent
SMALL = {
    "roast": {"n_train": 8, "n_val": 4, "length": 12},
    "eeg": {"n_train": 16, "n_val": 32},
    "expansion": {"n_train": 16, "n_val": 16},
    "poetry": {"n_train": 64, "n_val": 32},
}
# They write down what a run was made of, and what they write is itself compared before a run is read.
BOOKKEEPING = {
    "goldmark/_session.py",
    "goldmark/fingerprint/_imports.py",
    "goldmark/fingerprint/_libraries.py",
    "goldmark/runs/_since.py",
    "goldmark/runs/_sources.py",
}


def executed(train, *arguments):
    """The files of the package whose functions are called."""
    files = set()
    gc.collect()  # a watch that a test has left behind hears of what models load

    def note(frame, event, argument):  # returns no tracer of lines
        if frame.f_code.co_name != "<module>":
            files.add(frame.f_code.co_filename)

    before = sys.gettrace()
    sys.settrace(note)
    try:
        train(*arguments)
    finally:
        sys.settrace(before)
    return {Path(file).relative_to(PACKAGE.parent).as_posix() for file in files if Path(file).is_relative_to(PACKAGE)}


@pytest.mark.parametrize("name", CASES)
def test_whatever_a_run_executes_is_among_its_sources(name):
    """The fix and the bug by the plain loop, and one of them in a stack."""
    from goldmark.training._single import train_single
    from goldmark.training._stacked import train_stacked

    case = replace(CASES[name], settings=replace(CASES[name].settings, steps=2, **SMALL[name]))
    variants = {variant.role: variant.name for variant in case.variants}
    jobs = [Job(case, variants[role], 0) for role in ("fixed", "broken")]
    sources = {engine: set(sources_of(case, engine)) for engine in ("single", "stacked")}
    alone = {file for job in jobs for file in executed(train_single, job)}
    stacked = executed(train_stacked, [jobs[0]])
    assert all((PACKAGE.parent / file).exists() for file in BOOKKEEPING)
    assert set() == alone - BOOKKEEPING - sources["single"]
    assert set() == stacked - BOOKKEEPING - sources["stacked"]
    assert {f"goldmark/cases/{name}/{part}.py" for part in ("__init__", "data", "model", "scores")} <= alone


CHECKS = {  # that each case calls, and the ones that those call
    "roast": {"_collapse", "_scale", "_shares", "_skill"},
    "eeg": {"_augmentation", "_collapse", "_ensemble", "_mixup", "_shares", "_skill"},
    "expansion": {"_scale", "_shares", "_skill"},
    "poetry": {"_rank", "_shares"},
}


@pytest.mark.parametrize("scale", ["fast", "full"])
@pytest.mark.parametrize("name", CASES)
def test_sources_of_a_case_are_its_files_and_the_checks_that_it_uses(name, scale):
    """Variants and claims train nothing again when they change, nor does a check, or another case, of no use here."""
    sources = {path.removeprefix("goldmark/") for path in sources_of(case_at(name, scale), "single")}
    folder = {f"cases/{name}/{path.name}" for path in (PACKAGE / "cases" / name).glob("*.py")}
    declarations = {f"cases/{name}/{part}.py" for part in ("experiments", "full")}
    assert folder - declarations == {path for path in sources if path.startswith("cases/")}
    assert {f"checks/{part}.py" for part in CHECKS[name]} == {path for path in sources if path.startswith("checks/")}
    assert set() == {path for path in sources if path.startswith(("claims", "statistics/", "golden/", "cli/"))}


def test_engines_have_sources_of_their_own():
    """The stack is no source of what the plain loop trains, nor the other way round."""
    single, stacked = (sources_of(CASES["roast"], engine) for engine in ("single", "stacked"))
    training = {"_single.py"}, {"_stacked.py", "_adamw.py", "_graph.py", "recurrent.py", "cells.py"}
    assert training == tuple(
        {path.rpartition("/")[2] for path in its if path not in other}
        for its, other in ((single, stacked), (stacked, single))
    )


def test_sources_are_hashes_of_the_files():
    """Each path, relative to what holds the package, stands with the hash of its code now."""
    sources = sources_of(CASES["eeg"], "stacked")
    assert source_hashes([PACKAGE.parent / path for path in sources], PACKAGE.parent) == sources
