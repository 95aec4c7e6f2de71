"""Terms of a loss that are flat: they differ from batch to batch, and no weight that they reach changes them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from torch import Tensor

from goldmark.case import Finding
from goldmark.checks._factors import constant_factors
from goldmark.checks._graph import kind, leaves, nodes
from goldmark.checks._losses import number
from goldmark.checks._shares import gradient_norms

_ROUNDING = 1e-6  # of a value, below which a difference is rounding in float32


@dataclass(kw_only=True, eq=False)
class Slopes:
    """Values of terms and norms of their gradients, in sampled steps, as long as a term has had no gradient."""

    flat: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    others: set[str] = field(default_factory=set)  # have had one, or are no part of the loss

    def note(self, loss: Tensor, terms: Mapping[str, Any]) -> None:
        """Take down what has had no gradient yet; needs the graph, which a backward pass frees unless it was kept."""
        floor = _ROUNDING * max((abs(number(term)) for term in terms.values()), default=0.0)
        for name, term in terms.items():
            if name in self.others or not isinstance(term, Tensor) or term.grad_fn is None:
                continue
            weight = _weight(term)
            if weight == 0 or _has_floor(term):
                continue
            norm = gradient_norms({name: term.sum()}, leaves(term))[name]
            if norm <= floor and term.grad_fn in set(nodes(loss.grad_fn)):
                self.flat.setdefault(name, []).append((number(term) / weight, norm / weight))
            else:
                self.others.add(name)
                self.flat.pop(name, None)


def _weight(term: Tensor) -> float:
    """Return the size of the number that a term is multiplied by, which a schedule may change."""
    weights = constant_factors(term.grad_fn) if kind(term.grad_fn) == "Mul" else []
    return math.prod(abs(float(one)) for one in weights)


def _has_floor(term: Tensor) -> bool:
    """Tell whether some part of a term is held above a number, as free bits are: it may lie there for long."""
    below = [(kind(node), node) for node in nodes(term.grad_fn)]
    one_sided = any(name == "Clamp" and node._saved_max is None for name, node in below)  # noqa: SLF001
    return one_sided or any(name in ("ClampMin", "Maximum") for name, _ in below)


def check_flat_term(slopes: Mapping[str, Sequence[tuple[float, float]]], fewest: int = 5) -> Finding:
    """Find out whether a term of the loss rises and falls from step to step while its gradient is 0 in all of them.

    `slopes` are, by term, its values and the norms of its gradient on all that it reaches, in `fewest` steps or more.
    A hinge that is satisfied stays at 0, a clamped term at its limit; a limit that a schedule moves goes one way. Terms
    with a floor, as free bits, are not noted.
    """
    flat = sorted(name for name, own in slopes.items() if len(own) >= fewest and _is_flat(own))
    return Finding(
        name="flat_term",
        trouble=bool(flat),
        numbers={"flat": float(len(flat)), "terms": float(len(slopes))},
        threshold=_ROUNDING,
        relation=f"a term that changes from batch to batch must have a gradient: {', '.join(flat)} has none",
        advice="look for what cancels or is rounded: a ratio to log-probabilities that were computed anew with a "
        "gradient, and not stored with the actions; round() or sign() of an output",
    )


def _is_flat(slopes: Sequence[tuple[float, float]]) -> bool:
    values = [value for value, _ in slopes]
    rounding = _ROUNDING * max(map(abs, values))
    changes = [after - before for before, after in pairwise(values)]
    return max(norm for _, norm in slopes) <= rounding and min(changes) < -rounding and max(changes) > rounding
