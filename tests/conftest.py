"""Runs shared by all tests of a session, and the questions that the regressions ask of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from goldmark.case import Run, Verdict

pytest_plugins = ["pytester"]

RunsOf = Callable[..., dict[str, list[Run]]]
VerdictOf = Callable[..., Verdict]


@pytest.fixture(scope="session")
def session_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all xdist workers of the session share."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "goldmark-runs"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def runs_of(session_folder: Path) -> RunsOf:
    """`runs_of(case, variants=None)`: the runs by variant, trained once a session by whichever worker asks.

    With `again=True` they are those of a second training, to be compared with the first.
    """
    from goldmark.cases import find_case
    from goldmark.training import by_variant
    from goldmark.training.runs import trained_once

    read: dict[tuple[str, str, bool], list[Run]] = {}

    def runs(case_name: str, variants: Sequence[str] | None = None, *, again: bool = False) -> dict[str, list[Run]]:
        case, folder = find_case(case_name), session_folder / ("again" if again else "once")
        names = variants or [variant.name for variant in case.variants]
        missing = [name for name in names if (case_name, name, again) not in read]
        for name, its in by_variant(trained_once(folder, case, missing)).items():
            read[case_name, name, again] = its
        return {name: read[case_name, name, again] for name in names}

    return runs


@pytest.fixture(scope="session")
def verdict_of(runs_of: RunsOf) -> VerdictOf:
    """`verdict_of(case, claim, relabel={})`; relabel={"fixed": "broken"} judges broken runs as fixed."""
    from goldmark.cases import find_case
    from goldmark.claims import verdict_on

    def verdict(case_name: str, claim_name: str, relabel: Mapping[str, str] = {}) -> Verdict:
        claim = next(claim for claim in find_case(case_name).claims if claim.name == claim_name)
        sources = {variant: relabel.get(variant, variant) for variant in claim.variants}
        runs = runs_of(case_name, sorted(set(sources.values())))
        return verdict_on(claim, {variant: runs[source] for variant, source in sources.items()})

    return verdict
