"""Runs that the `golden` fixture trains or reads itself: which ones, by which rules, and guards on trial."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from goldmark._session import current
from goldmark.case import LOOKS, Case, UsageError, Variant
from goldmark.experiments import Experiment, obtain
from goldmark.golden._catalogue import check_case, result_of
from goldmark.golden._compare.drift import Comparison, Drift
from goldmark.golden._compare.tiers import compare
from goldmark.golden._defaults import with_defaults
from goldmark.golden._files.entries import Golden, Result
from goldmark.golden._files.folder import find_golden
from goldmark.golden._fixture.session import GoldenSession


def variant_of(of: Any) -> Variant:
    """Return the variant that is meant, of an experiment its own; raise `UsageError` for what is none."""
    variant = of.own if isinstance(of, Experiment) else of
    if isinstance(variant, Variant) and variant.case is not None:
        return variant
    if isinstance(of, Case):
        raise UsageError(f"golden.runs takes a variant of case '{of.name}', such as .variant('{of.variants[0].name}')")
    raise UsageError(f"golden.runs takes an experiment or a variant that was asked of its case, not {of!r}")


def name_of(variant: Variant) -> str:
    """Return the name of the golden of a variant that was asked of its case."""
    return f"{_case_of(variant).name}/{variant.name}"


def trained_and_compared(variant: Variant, session: GoldenSession, *, recording: bool) -> tuple[Result, Comparison]:
    """Return the result of a variant's runs, and how it compares with its golden; a recording has the guards' too.

    Raise `UsageError` where a seed failed that was to be recorded.
    """
    case, name = with_defaults(_case_of(variant), session.defaults), variant.name
    if recording:
        guards = [] if session.again else _guards_of(case, name)
        runs = obtain(case, [name, *guards]).runs
        result = result_of(runs, name, case)
        _need_successes(result)
        return result, Comparison(name=result.name, ok=True, reason="recorded")
    looks = [range(n) for n in LOOKS] if case.sequential else [case.seeds_of(name)]
    for seeds in looks:
        runs = obtain(case, [name], seeds).runs
        (comparison,) = check_case(runs, session.folder, case=case, allow_fewer=session.partial, strict=session.strict)
        if not comparison.next_seeds:
            break
    if session.guards:
        comparison = _with_drifts(comparison, _on_trial(case, name, session))
    return result_of(runs, name, case), comparison


def _guards_of(case: Case[Any], variant: str) -> list[str]:
    """Return the guards of a variant; raise `UsageError` for one that nobody has declared."""
    names = {declared.name for declared in case.variants}
    for metric, guard in case.variant(variant).guards.items():
        if guard not in names:
            raise UsageError(
                f"the guard of '{metric}' is '{guard}', and {case.name} has no such variant; declare it: "
                f"{case.name}.variant('{guard}', ...), with the arguments that bring the bug"
            )
    return sorted(set(case.variant(variant).guards.values()))


def _on_trial(case: Case[Any], variant: str, session: GoldenSession) -> list[Drift]:
    """Return a drift for every guard whose runs, trained anew, the golden lets pass; none where it sees them all."""
    golden = find_golden(session.folder, f"{case.name}/{variant}")
    if golden is None:  # which is said already
        return []
    drifts = []
    for guard in dict.fromkeys(entry.guard for entry in golden.statistical.values() if entry.guard):
        runs = obtain(case, [guard], session=replace(current(), fresh=True)).runs
        posing = [replace(run, variant=variant) for run in runs]
        comparison = compare(golden, result_of(posing, variant, case), statistical_only=True)
        if comparison.ok is not False:
            drifts.append(_unseen(golden, guard, len(runs)))
    return drifts


def _unseen(golden: Golden, guard: str, n: int) -> Drift:
    text = (
        f"guard '{guard}': its {n} seeds, trained anew, pass as '{golden.name}': the golden no longer sees its bug; "
        "look whether the guard still has it, and record with more seeds or a smaller margin"
    )
    return Drift(tier="rule", key=guard, golden="fails", got="passes", size=float("inf"), text=text)


def _with_drifts(comparison: Comparison, drifts: Sequence[Drift]) -> Comparison:
    """Return a comparison that fails by further drifts."""
    if not drifts:
        return comparison
    every = (*comparison.drifts, *drifts)
    return replace(comparison, ok=False, reason=every[0].text, drifts=every)


def _case_of(variant: Variant) -> Case[Any]:
    if variant.case is None:
        raise UsageError(f"variant '{variant.name}' belongs to no case; ask a case for it: case.variant('...')")
    return variant.case


def _need_successes(result: Result) -> None:
    """Raise `UsageError` for a result with seeds that failed: nothing is recorded of it."""
    if result.failures:
        lines = [f"  seed {seed}: {error}" for seed, error in result.failures.items()]
        n = len(lines)
        raise UsageError("\n".join([f"golden '{result.name}' is not recorded: {n} of its seeds failed:", *lines]))
