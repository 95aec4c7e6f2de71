"""What logs cost: the processor time that is spent on them, over that of all else in a run."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from goldmark.case import ModelCase
from goldmark.cases import CASES, case_at
from goldmark.runs import Job, Keep
from goldmark.training import _checkpoint, _single, _stacked
from goldmark.training._tasks import train_task

LIMIT = 0.10
LOGGING = (  # all that logging does, but for models that a stack writes back for it
    (_checkpoint, "start_log"),
    (_checkpoint, "write_log"),
    *((engine, name) for engine in (_single, _stacked) for name in ("note_gradients", "log_epoch")),
)


def documented_size() -> ModelCase[Any]:
    """The expansion case at its documented size, for 20 of its epochs."""
    full = case_at("expansion", "full")
    return replace(full, settings=replace(full.settings, steps=100))


MADE: dict[str, tuple[Callable[[], ModelCase[Any]], int]] = {
    "expansion, one run": (lambda: CASES["expansion"], 1),
    "expansion, documented size": (documented_size, 1),
    "roast, stack of 5": (lambda: CASES["roast"], 5),
    "eeg, stack of 16": (lambda: CASES["eeg"], 16),
    "poetry, stack of 5": (lambda: CASES["poetry"], 5),
}


@pytest.mark.parametrize("name", MADE)
def test_logs_cost_less_than_a_tenth(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Print the share of the second of two tries: the first one loads what torch loads late."""
    make, n_seeds = MADE[name]
    case = make()
    variant = next(variant.name for variant in case.variants if variant.role == "fixed")
    spent = [0.0]
    for module, function in LOGGING:
        monkeypatch.setattr(module, function, timed(getattr(module, function), spent))
    for i in range(2):
        keep = Keep(folder=tmp_path / str(i), every=10)
        spent[0], before = 0.0, time.process_time()
        train_task(tuple(Job(case, variant, seed, keep=keep) for seed in range(n_seeds)))
        share = spent[0] / (time.process_time() - before - spent[0])
    print(f"\n{name}: {100 * share:.1f} %")
    assert share < LIMIT


def timed(function: Callable[..., Any], spent: list[float]) -> Callable[..., Any]:
    """The same function, which adds the processor time that it takes."""

    def measured(*arguments: Any, **named: Any) -> Any:
        before = time.process_time()
        try:
            return function(*arguments, **named)
        finally:
            spent[0] += time.process_time() - before

    return measured
