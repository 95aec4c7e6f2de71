"""Factors that count for more than they seem to: of a schedule's rates, and of the terms of a loss."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from torch import Tensor

from goldmark.case import Finding
from goldmark.checks._graph import Node, kind

_HIGHEST_BASE = 0.1  # above it, a schedule may reach its base rate as a factor by chance


def check_schedule_factors(
    base: float, factors: Sequence[float], fewest: int = 4, ahead: Sequence[float] = ()
) -> Finding:
    """Find out whether a LambdaLR's function returns rates and not factors: then `base` is multiplied by itself.

    `factors` are those of a schedule from its start on. The highest is 1, or a round number, where they are factors. It
    is `base` to 6 digits where they are rates, unless a warm-up is just passing it: trouble is only what has turned
    after it, or stayed. Where the function can be asked for the factors `ahead`, far beyond any training and at every
    power of 2, it is trouble as well that the highest of all lies between half of `base` and `base`: a warm-up by equal
    steps is seen in its second half. Factors far below are meant, as of a rate that grows with a model's width.
    """
    highest = max((*factors, *ahead), default=0.0)
    turned = len(factors) >= fewest and (factors[-1] < highest or factors.count(highest) >= fewest)
    equal = turned and math.isclose(highest, base, rel_tol=1e-6)
    never = len(factors) >= fewest and len(ahead) > 0 and 0 < base / 2 <= highest <= base
    return Finding(
        name="schedule_factors",
        trouble=0 < base <= _HIGHEST_BASE and (equal or never),
        numbers={"base_rate": base, "highest_factor": highest, "highest_rate": base * highest},
        threshold=base,
        relation="the function of a LambdaLR returns factors of the optimizer's rate, which must be 1 at its height",
        advice="return the factor alone, without the rate, or give the optimizer lr=1.0",
    )


def check_weightless_term(weightless: Collection[str], n_steps: int, fewest: int = 100) -> Finding:
    """Find out whether a declared term of a loss was multiplied by 0, or left out, in all of `fewest` steps or more.

    `weightless` are the names of such terms. Pass those of a whole run: an annealed weight may start at 0. Left out is
    a term that reads outputs of the model that the loss does not read.
    """
    return Finding(
        name="weightless_term",
        trouble=bool(weightless) and n_steps >= fewest,
        numbers={"terms": float(len(weightless)), "steps": float(n_steps)},
        threshold=0.0,
        relation="a declared term must count at some time, not be multiplied by 0 or left out of the loss: "
        + ", ".join(sorted(weightless)),
        advice="look at its weight: epoch // n_epochs is 0 to the end; and for a line that sets the loss to one of its "
        "terms; declare no term that is off on purpose",
    )


def weightless_terms(terms: Mapping[str, Any]) -> frozenset[str] | None:
    """Return the names of terms that are a number 0 times something; None where the graph has been freed."""
    own = {name: term.grad_fn for name, term in terms.items() if isinstance(term, Tensor) and term.grad_fn is not None}
    try:
        products = {name: constant_factors(node) for name, node in own.items() if kind(node) == "Mul"}
        return frozenset(name for name, factors in products.items() if any(not bool(one.any()) for one in factors))
    except RuntimeError:
        return None


def constant_factors(node: Node) -> list[Tensor]:
    """Return the factors of a product that are numbers, and no tensors that were computed with a gradient.

    Raises `RuntimeError` where the graph has been freed.
    """
    factors = (node._saved_self, node._saved_other)  # noqa: SLF001
    return [one for one in factors if one is not None and one.dim() == 0 and not one.requires_grad]
