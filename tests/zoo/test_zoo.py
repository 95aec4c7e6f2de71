"""The zoo: every bug is named by a finding of its pair, and no healthy program gets one."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest
import torch
from zoo import pairs_measured
from zoo.healthy.register import HEALTHY
from zoo.loops import PAIRS
from zoo.table import seeded

from goldmark import checks
from goldmark.checks._findings import CAUSES

# The fast suite runs a part of each file of pairs, none on measured data; `nox -s zoo` and `nox -s slow` run all.
EVERY = 4


def some(programs):
    """Return the programs as parameters, slow all but every fourth of them, and those that load scikit-learn."""
    names = [getattr(program, "name", None) or program.__name__ for program in programs]
    measured = [getattr(program, "program", program).__module__ == pairs_measured.__name__ for program in programs]
    slow = [[pytest.mark.slow] if place % EVERY or measured[place] else [] for place in range(len(programs))]
    return [pytest.param(one, id=name, marks=marks) for one, name, marks in zip(programs, names, slow, strict=True)]


@pytest.fixture(autouse=True)
def one_thread():
    """One thread, as everywhere: tiny networks are slower with more."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.filterwarnings("ignore:Using a target size")  # torch says so too, of a bug that broadcasts
@pytest.mark.filterwarnings("ignore:Detected call of")  # and of a schedule whose optimizer takes no step
@pytest.mark.parametrize("pair", some(PAIRS))
def test_a_bug_is_named_and_its_twin_passes(pair):
    """One finding at least is the one that the bug should get; without the bug there is none."""
    if pair.program.__module__ == pairs_measured.__name__:
        pytest.importorskip("sklearn")
    names = seeded(pair.program, True)
    assert set(pair.expected) & set(names), f"expected one of {pair.expected}, got {names}"
    assert [] == seeded(pair.program, False)


@pytest.mark.filterwarnings("ignore:Detected call of")  # where rates are copied from a schedule
@pytest.mark.parametrize("program", some(HEALTHY))
def test_a_healthy_program_gets_no_finding(program):
    """Neither before training nor while it runs."""
    assert [] == seeded(program)


def test_every_check_is_a_function_that_says_so():
    """What returns a finding is called check_..., and what is called so returns one."""
    functions = {name: getattr(checks, name) for name in checks.__all__ if inspect.isfunction(getattr(checks, name))}
    returning = {name for name, one in functions.items() if one.__annotations__.get("return") == "Finding"}
    assert {name for name in functions if name.startswith("check_")} == returning


def named_in_calls():
    """The checks that preflight and watch call, by the names of their findings."""
    folder = Path(checks.__file__).parent
    probes = ("probes", "edge_probes", "input_probes", "loss_probes", "sequence_probes", "split_probes", "width_probes")
    files = [folder / f"_{name}.py" for name in (*probes, "record", "samples", "verdicts")]
    text = "".join(path.read_text() for path in files)
    return set(re.findall(r"\bcheck_(\w+)\(", text))


def test_every_check_of_preflight_and_watch_has_a_pair():
    """A check that no program can trip is not tested by the zoo; the further ones are tested alone."""
    expected = {name for pair in PAIRS for name in pair.expected}
    assert set() == (named_in_calls() | set(CAUSES)) - expected


def test_every_check_has_its_place_between_cause_and_symptom():
    """Findings are printed in one order, which names each check once."""
    assert set() == named_in_calls() - set(CAUSES)
    assert len(set(CAUSES)) == len(CAUSES)
