"""The runs of a case of either kind: read where nothing has changed that can change them, and trained otherwise."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from goldmark._session import Session, current
from goldmark.case import Case, ModelCase, Run, recipe_of
from goldmark.fingerprint import fingerprint

if TYPE_CHECKING:
    from goldmark.experiment._declare import Experiment


@dataclass(frozen=True, kw_only=True)
class Obtained:
    """The runs that were asked for, in that order, and where they come from."""

    runs: list[Run]
    n_read: int = 0  # of them were there already
    trained: Counter[str] = field(default_factory=Counter)  # why the others were trained -> how many


def obtain(
    case: Case[Any],
    variants: Sequence[str] | None = None,
    seeds: Iterable[int] | None = None,
    *,
    session: Session | None = None,
    on_run: Callable[[Run], None] = lambda run: None,
) -> Obtained:
    """Return runs of variants (all by default) with seeds (each variant's own by default), in that order.

    A seed that fails is a run with its error. Raise `UsageError` for a variant that the case has not.
    """
    session = session or current()
    names = [variant.name for variant in case.variants] if variants is None else list(variants)
    if isinstance(case, ModelCase):
        from goldmark.training import train

        return Obtained(runs=train(case, names, seeds, jobs=session.jobs or 1, on_run=on_run))
    fixed = None if seeds is None else list(seeds)
    runs = [
        _here(cast("Experiment", case), name, seed)
        for name in names
        for seed in (case.seeds_of(name) if fixed is None else fixed)
    ]
    return Obtained(runs=runs, trained=Counter({"no run yet": len(runs)}))


def _here(case: Experiment, variant: str, seed: int) -> Run:
    """Run an experiment in this process."""
    started = time.perf_counter()
    settings = case.settings_of(variant)
    result = case.function(seed, **settings)
    history = () if isinstance(result, dict) else tuple(result)
    metrics = dict(result) if isinstance(result, dict) else dict(history[-1])
    return Run(
        case=case.name,
        scale=case.scale,
        variant=variant,
        seed=seed,
        metrics=metrics,
        history=history,
        learning_rates=(),
        baselines=(),
        findings=(),
        exact={"recipe": recipe_of(settings)},
        close={},
        stream=f"seed {seed}",
        fingerprint=fingerprint(),
        sources={},
        data="generated",
        seconds=time.perf_counter() - started,
    )
