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
from goldmark.golden._record.claims import WAY_OUT, failing_claims


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
    """Return the result of a variant's runs, and how it compares with its golden; see `_recorded` of a recording."""
    case, name = with_defaults(_case_of(variant), session.defaults), variant.name
    if recording:
        return _recorded(case, name, again=session.again)
    looks = [range(n) for n in LOOKS] if case.sequential else [case.seeds_of(name)]
    for seeds in looks:
        runs = obtain(case, [name], seeds).runs
        (comparison,) = check_case(runs, session.folder, case=case, allow_fewer=session.partial, strict=session.strict)
        if not comparison.next_seeds:
            break
    if session.guards:
        comparison = _with_drifts(comparison, _on_trial(case, name, session))
    return result_of(runs, name, case), comparison


def _recorded(case: Case[Any], variant: str, *, again: bool) -> tuple[Result, Comparison]:
    """Return the result of runs that are trained now, those of the guards too, and which claims were not judged.

    The claims that name the variant or its guards are judged first, on all the runs that they are about: these are
    trained as well. Raise `UsageError` where a claim or a seed fails.
    """
    held = {variant} if again else {variant, *case.variant(variant).guards.values()}
    claims = tuple(claim for claim in case.claims if not again and held & set(claim.variants))
    claimed = {name for claim in claims for name in claim.variants}
    runs = obtain(case, [variant, *sorted((held | claimed) - {variant})]).runs
    result = result_of(runs, variant, case)
    _need_successes(result)
    failing, unjudged = failing_claims(replace(case, claims=claims), runs)
    if failing:
        head = f"golden '{result.name}' is not recorded: claims of case '{case.name}' fail:"
        raise UsageError("\n".join([head, *(f"  {claim}" for claim in failing), WAY_OUT]))
    return result, Comparison(name=result.name, ok=True, reason="; ".join(unjudged))


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
