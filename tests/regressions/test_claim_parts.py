"""Every limit of every claim can be broken: by another variant's runs, or by one wrong metric in the right ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest

from goldmark.case import Check, Run, Runs
from goldmark.cases import CASES

PARTS = [
    (case.name, claim.name, place)
    for case in CASES.values()
    for claim in case.claims
    for place in range(len(claim.check.parts))
]


@pytest.mark.parametrize(("case_name", "claim_name", "place"), PARTS)
def test_every_part_of_a_claim_can_fail(case_name, claim_name, place, runs_of):
    """Self-proof: wrong runs that were truly trained break each limit, so that none can be moved out of reach."""
    part = CASES[case_name].claim(claim_name).check.parts[place]
    runs = runs_of(case_name)
    verdict = part({name: runs[name] for name in part.variants})
    assert any(_fails(part, wrong) for wrong in wrong_runs(part, runs)), f"nothing breaks this part: {verdict}"


def wrong_runs(part: Check, runs: Runs) -> Iterator[Runs]:
    """Yield runs with one variant's replaced: by another's, by its own after one epoch, or with a foreign metric."""
    own = {name: runs[name] for name in part.variants}
    for name, right in own.items():
        others = {other: trained for other, trained in runs.items() if other != name}
        yield from ({**own, name: trained} for trained in others.values())
        yield {**own, name: [replace(run, metrics=run.metrics | run.history[0]) for run in right]}
        for trained in others.values():
            yield from ({**own, name: mixed} for mixed in _with_a_foreign_metric(right, trained))


def _with_a_foreign_metric(right: Sequence[Run], trained: Sequence[Run]) -> Iterator[list[Run]]:
    """Yield the right runs with one metric after the other from another variant's run of the same seed."""
    foreign = {run.seed: run.metrics for run in trained}
    shared = [run for run in right if run.seed in foreign]
    for metric in right[0].metrics:
        yield [replace(run, metrics=run.metrics | {metric: foreign[run.seed][metric]}) for run in shared]


def _fails(part: Check, runs: Runs) -> bool:
    """Tell whether a part fails; runs that were not examined for its signs, or share no seed, say nothing."""
    try:
        return part(runs).ok is False
    except ValueError:
        return False
