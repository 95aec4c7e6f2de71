"""A golden of twelve seeds with its healthy and broken values, for tests of the comparator."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from goldmark.golden._compare.tiers import compare
from goldmark.golden._files.entries import Close, Provenance, Result
from goldmark.golden._record.entry import golden_from, statistical_entry

GENERATOR = np.random.default_rng(0)
HEALTHY = 3 + 0.1 * GENERATOR.normal(size=12)
NOISE = 0.1 * GENERATOR.normal(size=12)
BROKEN = HEALTHY + 2 + 0.1 * GENERATOR.normal(size=12)
STREAM = {str(seed): f"stream {seed}" for seed in range(12)}
MOVED = {str(seed): f"moved {seed}" for seed in range(12)}
FINGERPRINT = {"device": "cpu", "torch": "2.13.0", "cpu": "EPYC"}
SOURCES = {"src/a.py": "11", "src/b.py": "22"}
UPDATE = 'pytest tests/test_a.py --golden-update --golden-reason "..."'


def by_seed(values):
    """Return values as a golden stores them."""
    return {str(seed): float(value) for seed, value in enumerate(values)}


def entry(values=HEALTHY, **rule):
    """Return a metric guarded by a broken variant two units away, of which .1 is nothing to mind."""
    guard = {"guard": "broken", "guard_values": by_seed(BROKEN)}
    return statistical_entry(by_seed(values), **{"scale": "identity", "margin": 0.1, "better": "lower"} | guard | rule)


def unguarded(values=HEALTHY):
    """Return a metric with a margin and without a guard."""
    return entry(values, guard=None, guard_values=None)


def shown(values=HEALTHY):
    """Return a metric without a margin."""
    return entry(values, guard=None, guard_values=None, margin=None)


def approved(result):
    """Return a result as a golden that was made with its own code and environment."""
    text = Provenance(
        date="2026-01-02",
        reason="first",
        commit=None,
        versions=result.versions,
        fingerprint=result.fingerprint,
        sources=result.sources,
    )
    return golden_from(result, (replace(text, sources={}), text))


SAME = Result(
    name="roast/normalized",
    exact={"n": 3, "recipe": {"lr": 0.1, "clip": None, "warm": True}, "shapes": [[1, 2], [3]]},
    close={"shares": Close([i / 50 + 0.01 for i in range(50)]), "trace": Close({"a": 1.0, "b": [2.0, 0.0]}, rel=1e-3)},
    statistical={"rmse": entry(), "loss": shown()},
    stream=STREAM,
    versions={"scipy": "1.11"},
    fingerprint=FINGERPRINT,
    sources=SOURCES,
)
GOLDEN = approved(SAME)


def compared(**changes):
    """Compare the golden with a result that differs in some fields."""
    return compare(GOLDEN, replace(SAME, **changes))


def elsewhere(**metrics):
    """Compare metrics that were trained with other code, so that they need not repeat."""
    return compared(statistical={**SAME.statistical, **metrics}, sources={"src/a.py": "changed"})
