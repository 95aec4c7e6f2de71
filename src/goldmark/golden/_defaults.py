"""What a check leaves unsaid: the project's defaults, from its pytest configuration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from goldmark.case import Case, ModelCase, Unsaid, UsageError
from goldmark.golden._files.arrays import KEPT_WHOLE, SMALL


@dataclass(frozen=True, kw_only=True)
class Defaults:
    """The project's own margin, alpha, tolerance and device, for checks that name none."""

    margin: float | str | Unsaid = Unsaid.MARGIN
    alpha: float = 1e-3
    rel: float = 1e-9
    device: str = "cpu"
    whole: int = KEPT_WHOLE  # entries of the largest array that a golden holds whole

    @classmethod
    def from_ini(cls, getini: Callable[[str], str | None]) -> Defaults:
        """Return the defaults of a pytest configuration; raise `UsageError` for one that is no number."""
        margin = getini("golden_margin")
        return cls(
            margin=_margin(margin) if margin else Unsaid.MARGIN,
            alpha=_number("golden_alpha", getini("golden_alpha"), 1e-3),
            rel=_number("golden_rel", getini("golden_rel"), 1e-9),
            device=getini("golden_device") or "cpu",
            whole=_entries(getini("golden_whole")),
        )


def with_defaults(case: Case[Any], defaults: Defaults) -> Case[Any]:
    """Return a case by the project's rules: an experiment leaves margins and alphas to them, a `ModelCase` does not.

    Raise `UsageError` for a metric that has no margin, where the project has none either, and for a claim or a guard
    that names a variant which the case has not.
    """
    case.need_variants()
    if isinstance(case, ModelCase):
        return case
    unsaid = [metric.name for metric in case.metrics if metric.margin is Unsaid.MARGIN]
    if unsaid and isinstance(defaults.margin, Unsaid):
        raise UsageError(
            f"'{unsaid[0]}' of '{case.name}' has no margin; name the change that nobody minds, "
            f"Metric('{unsaid[0]}', margin=0.1), or say margin=None for what is only to be shown"
        )
    metrics = tuple(replace(m, margin=defaults.margin) if m.name in unsaid else m for m in case.metrics)
    variants = tuple(replace(declared, alpha=defaults.alpha) for declared in case.variants)
    return replace(case, metrics=metrics, variants=variants)


def _entries(text: str | None) -> int:
    number = _number("golden_whole", text, KEPT_WHOLE)
    if not (number.is_integer() and number >= SMALL):
        raise UsageError(f"the ini option golden_whole is '{text}'; give a number of entries of at least {SMALL}")
    return int(number)


def _margin(text: str) -> float | str:
    return text if text.endswith("%") else _number("golden_margin", text, 0.0)


def _number(name: str, text: str | None, default: float) -> float:
    try:
        return float(text) if text else default
    except ValueError:
        raise UsageError(f"the ini option {name} is '{text}'; give a number such as {default:g}") from None
