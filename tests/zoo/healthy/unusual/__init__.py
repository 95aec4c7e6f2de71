"""Healthy programs that look wrong at a glance: what they do is meant."""

from __future__ import annotations

from zoo.healthy.unusual import (
    attending,
    bits,
    factors,
    flows,
    graphs,
    lengths,
    masks,
    optimizers,
    parts,
    placing,
    reading,
    shifting,
    sleeping,
    starting,
    steps,
    tables,
    transposing,
    values,
)

__all__ = [
    "attending",
    "bits",
    "factors",
    "flows",
    "graphs",
    "lengths",
    "masks",
    "optimizers",
    "parts",
    "placing",
    "reading",
    "shifting",
    "sleeping",
    "starting",
    "steps",
    "tables",
    "transposing",
    "values",
]
