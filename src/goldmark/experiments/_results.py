"""What a training function gave: numbers of the declared metrics, an epoch each where it yields them, and the run."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from goldmark.case import Run, recipe_of

if TYPE_CHECKING:
    from goldmark.experiments._declare import Experiment

Row = dict[str, float]


class ResultError(ValueError):
    """A result that is not the numbers that the experiment declares."""


def results_of(result: Any, metrics: Sequence[str], followed: Iterable[str] = ()) -> tuple[Row, list[Row]]:
    """Return (metrics, history) of what a training function returned; one that yields is run to its end.

    The metrics of one that yields are what it returns, or else its last row. Raise `ResultError` for what is no dict of
    numbers, for a metric that is missing and for one that was not declared, and where no row has one whose curve is
    `followed`.
    """
    rows, returned = _yielded(result, metrics) if isinstance(result, Iterator) else ([], result)
    for name in followed:
        if all(name not in row for row in rows):
            raise ResultError(
                f"it yielded no '{name}', whose curve metrics follow; yield {{'{name}': ...}} every epoch"
            )
    if not isinstance(result, Iterator):
        return _metrics(result, metrics, "it returned"), []
    if returned is not None:
        return _metrics(returned, metrics, "it returned"), rows
    if not rows:
        raise ResultError(f"it yielded nothing and returned nothing; yield or return {_wanted(metrics)}")
    last = {name: value for name, value in rows[-1].items() if name != "epoch"}
    return _metrics(last, metrics, "its last row is"), rows


def run_of(
    case: Experiment, variant: str, seed: int, metrics: Mapping[str, float], history: Sequence[Row], **fields: Any
) -> Run:
    """Return the run of a seed: what its function gave, further fields, and none of what engines alone know."""
    return Run(
        case=case.name,
        scale=case.scale,
        variant=variant,
        seed=seed,
        metrics=metrics,
        history=tuple(history),
        learning_rates=(),
        baselines=(),
        findings=(),
        exact={"recipe": recipe_of(case.settings_of(variant))},
        close={},
        stream=f"seed {seed}",
        data="generated",
        **fields,
    )


def not_finite(row: Mapping[str, float]) -> str | None:
    """Return in words which metric is not finite, or None."""
    name = next((name for name, value in row.items() if not math.isfinite(value)), None)
    return None if name is None else f"diverged: {name} is {row[name]}"


def _yielded(result: Iterator[Any], metrics: Sequence[str]) -> tuple[list[Row], Any]:
    rows: list[Row] = []
    while True:
        try:
            row = next(result)
        except StopIteration as end:
            return rows, end.value
        epoch = len(rows) + 1
        rows.append({"epoch": float(epoch)} | _numbers(row, metrics, f"in epoch {epoch} it yielded"))


def _metrics(result: Any, metrics: Sequence[str], gave: str) -> Row:
    row = _numbers(result, metrics, gave)
    missing = [name for name in metrics if name not in row]
    if missing:
        raise ResultError(f"{gave} {_shown(result)} without '{missing[0]}'; the experiment declares {_wanted(metrics)}")
    return {name: row[name] for name in metrics}


def _numbers(row: Any, metrics: Sequence[str], gave: str) -> Row:
    if not isinstance(row, Mapping):
        raise ResultError(f"{gave} {_shown(row)}; it has to be a dict of its metrics, {_wanted(metrics)}")
    unknown = [name for name in row if name not in metrics]
    if unknown:
        raise ResultError(
            f"{gave} '{unknown[0]}', which is none of its metrics: {', '.join(metrics)}; declare it, "
            f"Metric('{unknown[0]}', margin=None), or leave it out"
        )
    return {name: _number(name, value, gave) for name, value in row.items()}


def _number(name: str, value: Any, gave: str) -> float:
    """Return a number of Python, a scalar of numpy, or a tensor or array of no axes as a float."""
    plain = value.item() if getattr(value, "shape", None) == () and hasattr(value, "item") else value
    if isinstance(plain, numbers.Real):
        return float(plain)
    raise ResultError(f"{gave} {_shown(value)} as '{name}'; it has to be one number, such as value.mean().item()")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}..."


def _wanted(metrics: Sequence[str]) -> str:
    return "{" + ", ".join(f"'{name}': ..." for name in metrics) + "}"
