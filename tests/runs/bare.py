"""Runs with nothing in them but what a test looks at."""

from __future__ import annotations

from goldmark.case import Run


def bare_run(**fields):
    """Return a run of seed 0 that is empty but for these fields."""
    return Run(
        **{
            "case": "digits",
            "scale": "fast",
            "variant": "default",
            "seed": 0,
            "metrics": {},
            "history": (),
            "learning_rates": (),
            "baselines": (),
            "findings": (),
            "exact": {},
            "close": {},
            "stream": "",
            "fingerprint": {},
            "sources": {},
            "data": "generated",
            "seconds": 0.0,
        }
        | fields
    )
