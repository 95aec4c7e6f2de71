"""The zoo: every bug is named by a finding of its pair, and no healthy program gets one."""

from __future__ import annotations

import pytest
import torch
from zoo.healthy.register import HEALTHY
from zoo.loops import PAIRS
from zoo.table import seeded

from goldmark import checks
from goldmark.checks._findings import CAUSES

# The fast suite runs a part of each file of pairs; `nox -s zoo` and `nox -s slow` run them all.
EVERY = 4


def some(programs):
    """Return the programs as parameters, all but every fourth of them slow."""
    names = [getattr(program, "name", None) or program.__name__ for program in programs]
    slow = [[pytest.mark.slow] if place % EVERY else [] for place in range(len(programs))]
    return [pytest.param(one, id=name, marks=marks) for one, name, marks in zip(programs, names, slow, strict=True)]


@pytest.fixture(autouse=True)
def one_thread():
    """One thread, as everywhere: tiny networks are slower with more."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("pair", some(PAIRS))
def test_a_bug_is_named_and_its_twin_passes(pair):
    """One finding at least is the one that the bug should get; without the bug there is none."""
    names = seeded(pair.program, True)
    assert set(pair.expected) & set(names), f"expected one of {pair.expected}, got {names}"
    assert [] == seeded(pair.program, False)


@pytest.mark.parametrize("program", some(HEALTHY))
def test_a_healthy_program_gets_no_finding(program):
    """Neither before training nor while it runs."""
    assert [] == seeded(program)


def test_every_check_has_a_pair():
    """A check that no program can trip is not tested by the zoo."""
    public = {name.removeprefix("check_") for name in checks.__all__ if name.startswith("check_")}
    expected = {name for pair in PAIRS for name in pair.expected}
    assert set() == public - expected


def test_every_check_has_its_place_between_cause_and_symptom():
    """Findings are printed in one order, which names each check once."""
    public = {name.removeprefix("check_") for name in checks.__all__ if name.startswith("check_")}
    assert set() == public - set(CAUSES)
    assert len(set(CAUSES)) == len(CAUSES)
