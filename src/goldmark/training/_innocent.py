"""Changes that nobody minds, to measure how far they move a metric: one ulp in one weight, and another thread."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from goldmark.case import ModelCase

_ONE_ULP, _TWO_THREADS = "one ulp in one weight", "two threads"
INNOCENT_CHANGES = (_ONE_ULP, _TWO_THREADS)


def with_innocent_change(case: ModelCase[Any], change: str) -> ModelCase[Any]:
    """Return a case that is the same but for an innocent change to each run, one of `INNOCENT_CHANGES`."""
    kind = type(case)

    class Changed(kind):  # type: ignore[valid-type, misc]
        threads = 2 if change == _TWO_THREADS else kind.threads

        def make_model(self, settings: Any, data: Any) -> Any:
            model = super().make_model(settings, data)
            if change == _ONE_ULP:
                _move_one_weight(model)
            return model

        def __reduce__(self) -> tuple[Any, ...]:  # another process cannot import a class that a function made
            return with_innocent_change, (_as(kind, self), change)

    Changed.__module__ = kind.__module__  # whose code trains
    return _as(Changed, case)


def _move_one_weight(model: Any) -> None:
    """Move a weight of the last tensor of the most axes, through which predictions go, to the next float."""
    import torch

    last = max(reversed(list(model.parameters())), key=lambda parameter: parameter.ndim)  # of equals the first
    with torch.no_grad():
        weight = last.view(-1)[:1]
        weight.copy_(torch.nextafter(weight, torch.full_like(weight, torch.inf)))


def _as(kind: type[ModelCase[Any]], case: ModelCase[Any]) -> ModelCase[Any]:
    return kind(**{field.name: getattr(case, field.name) for field in fields(case)})
