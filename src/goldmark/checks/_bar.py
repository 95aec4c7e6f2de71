"""Success bars: whether a trivial predictor would pass for a success."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from goldmark.case import Finding


def check_low_bar(
    passes: Callable[[Mapping[str, float]], bool], baselines: Mapping[str, Mapping[str, float]]
) -> Finding:
    """Find out whether a success bar lets a trivial predictor pass.

    `passes` takes the metrics of a run and returns whether it counts as a success; `baselines` are the metrics of the
    trivial predictors, by name. A bar that no skill is needed for says nothing of one that is passed.
    """
    passing = [name for name, metrics in baselines.items() if passes(metrics)]
    return Finding(
        name="low_bar",
        trouble=bool(passing),
        numbers={"baselines": len(baselines), "passing": len(passing)},
        threshold=0.0,
        advice=f"the success bar is below a trivial baseline, {' and '.join(passing) or 'none'}: "
        "ask for a margin over the best of them",
    )
