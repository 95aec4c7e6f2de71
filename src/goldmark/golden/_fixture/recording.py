"""The end of a session that recorded: results are tried once more, and become goldens all or none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from goldmark.case import UsageError
from goldmark.golden._files.entries import Result, listed
from goldmark.golden._fixture.again import repeated
from goldmark.golden._fixture.ending import rename_offers
from goldmark.golden._fixture.session import Outcome, staged_results
from goldmark.golden._record.repetition import not_repeating, with_repetition
from goldmark.golden._update.apply import apply_update, need_recordable
from goldmark.golden._update.review import Review, terminal_table
from goldmark.golden._update.unused import KnownTests

_ROWS = 40  # of a review on the terminal


def write_recorded(
    config: pytest.Config, folder: Path, staging: Path, outcomes: Sequence[tuple[str, Outcome]], tests: KnownTests
) -> list[str]:
    """Write what the tests of a green session recorded as goldens and return the review.

    `outcomes` are by node id. Raise `UsageError`, with nothing written, for a name that two tests share, for results
    that were lost on the way, and for those that must not be recorded.
    """
    staged = staged_results(staging)
    _refuse_shared_names(outcomes)
    lost = sorted({outcome.name for _, outcome in outcomes if outcome.recorded} - set(staged))
    if lost:
        raise UsageError(f"nothing written: the results of {listed(lost)} were recorded and are not in {staging}")
    tried = _tried(config, folder, staged, {nodeid for nodeid, outcome in outcomes if outcome.recorded})
    offers = rename_offers(config, folder, tests, {outcome.name for _, outcome in outcomes}, tried)
    review = apply_update(folder, tried, config.option.golden_reason or "", weaken=config.option.golden_weaken)
    return [*_review_lines(review, folder), *_held_by_margin(tried), *offers]


def _tried(
    config: pytest.Config, folder: Path, staged: Mapping[str, Result], recorded: set[str]
) -> Mapping[str, Result]:
    """Return recorded results with what is known of their repetition: of a second run, unless that was not wanted."""
    if config.option.golden_once:
        return {name: with_repetition(result, None) for name, result in staged.items()}
    need_recordable(folder, staged, weaken=config.option.golden_weaken)

    def say(line: str) -> None:
        terminal = config.pluginmanager.get_plugin("terminalreporter")
        if terminal is not None:
            terminal.write(f"\ngoldmark: {line}", flush=True)  # on a line of its own: that of the dots is still open

    return repeated(config, recorded, staged, say)


def _held_by_margin(results: Mapping[str, Result]) -> list[str]:
    """Name the metrics that did not repeat."""
    names = [f"{metric} of {name}" for name, result in results.items() for metric in not_repeating(result)]
    return [f"no exact repetition, held by the margin alone: {listed(names)}"] if names else []


def _review_lines(review: Review, folder: Path) -> list[str]:
    """Return an update's review for the terminal; of a long table the beginning."""
    table = terminal_table(review.rows)
    more = [f"and {len(table) - _ROWS} more"] if len(table) > _ROWS else []
    counts = f"{review.counts()} in {folder}"
    return [counts, *table[:_ROWS], *more] if review.written else [counts]


def _refuse_shared_names(outcomes: Sequence[tuple[str, Outcome]]) -> None:
    owners: dict[str, str] = {}
    for nodeid, outcome in outcomes:
        owner = owners.setdefault(outcome.name, nodeid)
        if owner != nodeid and outcome.recorded:
            raise UsageError(
                f"nothing written: golden '{outcome.name}' is recorded by two tests, {owner} and {nodeid}; "
                "give each a name of its own: golden(name)"
            )
