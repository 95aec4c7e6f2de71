"""The code that a run is kept for: a file that is left out would leave its runs as they are after a change."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import goldmark
from goldmark.cases import CASES, case_at
from goldmark.fingerprint import source_hashes
from goldmark.runs import sources_of

PACKAGE = Path(goldmark.__file__).parent
IMPORT = re.compile(r"^from goldmark\.training(?:\.(\w+))? import (.*)", re.MULTILINE)
PARTS = ("batchnorm", "cells", "draws", "recurrent")  # what models are built of


def files_in(room, sources):
    """The files of a folder of the package among some sources, relative to it."""
    return {path.removeprefix(f"goldmark/{room}/") for path in sources if path.startswith(f"goldmark/{room}/")}


def modules_reached(names):
    """Some modules of training, and those that they import, directly or through others."""
    reached, waiting = set(), list(names)
    while waiting:
        name = waiting.pop()
        reached.add(name)
        text = (PACKAGE / "training" / f"{name}.py").read_text()
        imports = IMPORT.findall(text)
        imported = {other for module, members in imports for other in ([module] if module else members.split(", "))}
        waiting += imported - reached
    return reached


@pytest.mark.parametrize("engine", ["single", "stacked"])
def test_sources_of_an_engine_are_all_that_it_imports_of_training(engine):
    """The engine, what it imports directly or through others, and the parts of models: these files and no others."""
    expected = {f"{name}.py" for name in modules_reached([f"_{engine}", *PARTS])}
    assert expected == files_in("training", sources_of(CASES["roast"], engine))


@pytest.mark.parametrize("scale", ["fast", "full"])
@pytest.mark.parametrize("name", CASES)
def test_sources_of_a_case_are_its_files_but_for_declarations(name, scale):
    """Every file of its folder that says how it behaves; variants and claims train nothing again when they change."""
    folder = {path.name for path in (PACKAGE / "cases" / name).glob("*.py")}
    sources = sources_of(case_at(name, scale), "single")
    assert folder - {"experiments.py", "full.py"} == files_in(f"cases/{name}", sources)
    assert {path.name for path in (PACKAGE / "checks").glob("*.py")} == files_in("checks", sources)
    assert {"_case.py", "_model_case.py", "_run.py"} == files_in("case", sources)


def test_sources_are_hashes_of_the_files():
    """Each path, relative to what holds the package, stands with the sha256 of its content now."""
    sources = sources_of(CASES["eeg"], "stacked")
    assert source_hashes([PACKAGE.parent / path for path in sources], PACKAGE.parent) == sources
