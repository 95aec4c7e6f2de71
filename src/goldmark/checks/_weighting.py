"""Weights of examples that come too late: a mean was taken before each of them could count."""

from __future__ import annotations

from contextlib import suppress

from torch import Tensor

from goldmark.case import Finding
from goldmark.checks._graph import Node, kind, nodes, shape_of, source

_MOST_NODES = 2_000
_SCALED = ("Neg", "Mul", "Div", "Add", "Sub", "Rsub")  # by one number
_FEWEST = 4  # examples: fewer are the weights of a few terms


def check_weights_after_mean(loss: Tensor) -> Finding:
    """Find out whether a mean, or a sum, over N examples is multiplied, or divided, by N constants that are not alike.

    Each of them then counts for all examples alike: the weights of examples beside a loss that is averaged already, or
    the returns of steps beside the mean of their log-probabilities. The graph holds constants until its backward pass,
    and nothing is said after it.
    """
    late = 0
    with suppress(RuntimeError):
        walked = nodes(loss.grad_fn, _MOST_NODES, past_layers=False)
        late = next((n for node in walked if kind(node) in ("Mul", "Div") and (n := _n_late(node))), 0)
    return Finding(
        name="weights_after_mean",
        trouble=late > 0,
        numbers={"examples": float(late)},
        threshold=0.0,
        relation=f"a weight of an example must count for that example: here {late} meet one mean over all",
        advice='weigh first, and take the mean then: (weights * cross_entropy(..., reduction="none")).mean(), '
        "or (returns * log_probs).sum()",
    )


def _n_late(product: Node) -> int:
    """Return how many unlike constants (N,) or (N, 1) meet one number that as many rows were reduced to; or 0."""
    given = [below for below, _ in product.next_functions if below is not None]
    if len(given) != 1 or shape_of(given[0]) not in ((), (1,)):
        return 0
    first = product.next_functions[0][0] is not None
    factor = getattr(product, "_saved_other" if first else "_saved_self", None)
    shape: tuple[int, ...] = () if factor is None else tuple(factor.shape)
    if factor is None or not shape or shape[0] < _FEWEST or factor.numel() != shape[0]:
        return 0
    return shape[0] if bool((factor != factor[:1]).any()) and _reduced(given[0]) == shape[0] else 0


def _reduced(node: Node | None) -> int:
    """Return of how many rows a number was made, past other numbers that scale it; 0 where it was of none."""
    node = source(node)
    while node is not None and kind(node) in _SCALED and shape_of(node) in ((), (1,)):
        below = [source(one) for one, _ in node.next_functions if one is not None]
        if len(below) != 1:
            return 0
        node = below[0]
    if node is None or shape_of(node) not in ((), (1,)):
        return 0
    rows = [shape for one, place in node.next_functions if one is not None and (shape := shape_of(one, place))]
    return rows[0][0] if rows else 0
