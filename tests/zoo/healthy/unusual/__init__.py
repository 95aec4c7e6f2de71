"""Healthy programs that look wrong at a glance: what they do is meant."""

from __future__ import annotations

from zoo.healthy.unusual import (
    bits,
    factors,
    graphs,
    lengths,
    optimizers,
    parts,
    placing,
    reading,
    starting,
    steps,
    tables,
    values,
)

__all__ = [
    "bits",
    "factors",
    "graphs",
    "lengths",
    "optimizers",
    "parts",
    "placing",
    "reading",
    "starting",
    "steps",
    "tables",
    "values",
]
