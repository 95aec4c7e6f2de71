"""What a loss is a sum of: the terms that it adds up, and the factor of each."""

from __future__ import annotations

import math
from collections.abc import Iterator

from torch import Tensor

from goldmark.checks._graph import PASSING, Edge, Node, kind, shape_of

_PARTS = frozenset(("Split", "SplitWithSizes", "Unbind", "Select", "Slice", "Index", "MaskedSelect"))
_SPREAD = frozenset(("Sum", "Mean", "Neg", "Rsub", "Stack", "Cat", "Add", "Sub", "Mul", "Div"))
_MOST = 2_000


def added(root: Node | None) -> Iterator[tuple[Edge, float]]:
    """Yield everything that a number is a sum of, down to what is not linear, with the factors that it is summed with.

    What is scaled by anything but one constant number is yielded, and nothing below it. The graph holds constants
    until its backward pass: afterwards a RuntimeError is raised.
    """
    waiting: list[tuple[Edge, float]] = [((root, 0), 1.0)] if root is not None else []
    for _ in range(_MOST):
        if not waiting:
            return
        (node, place), factor = waiting.pop()
        yield (node, place), factor
        if (kind(node) in PASSING and kind(node) not in _PARTS) or kind(node) in _SPREAD:
            given = [(place, edge) for place, edge in enumerate(node.next_functions) if edge[0] is not None]
            below = [(edge, factor * _scale(node, place)) for place, edge in given]
            waiting += [(edge, own) for edge, own in below if own]


def _scale(node: Node, place: int) -> float:
    """Return what an operand counts for in what a linear operation gave; 0 where the operation is not linear in it."""
    name = kind(node)
    if name in ("Neg", "Rsub"):
        return -1.0
    if name in ("Add", "Sub"):
        return float(node._saved_alpha) * (1 if name == "Add" else -1) if place else 1.0  # noqa: SLF001
    if name == "Mean":
        before, after = shape_of(*node.next_functions[0]), shape_of(node)
        return math.prod(after or ()) / max(math.prod(before or ()), 1)
    if name not in ("Mul", "Div"):
        return 1.0
    constant = factor_of(node)
    if constant is None or constant.numel() != 1:
        return 0.0
    return float(constant) if name == "Mul" else 1 / float(constant) if place == 0 and float(constant) else 0.0


def factor_of(product: Node) -> Tensor | None:
    """Return the constant that a product, or a quotient, was made with; None where it has none, or two operands."""
    given = [place for place, (below, _) in enumerate(product.next_functions) if below is not None]
    if len(given) != 1:
        return None
    factor: Tensor | None = getattr(product, "_saved_self" if given[0] else "_saved_other", None)
    return factor


def base_of_square(node: Node) -> Edge | None:
    """Return what an operation squares."""
    first: Edge = node.next_functions[0] if node.next_functions else (None, 0)
    if kind(node) == "Pow" and node._saved_exponent == 2:  # noqa: SLF001
        return first
    return first if kind(node) == "Mul" and first[0] is not None and first == node.next_functions[1] else None


def origin(edge: Edge) -> Edge:
    """Return what a tensor is a view, or a copy, of: all its numbers, in another shape."""
    node, place = edge
    while node is not None and kind(node) in PASSING and kind(node) not in _PARTS:
        node, place = node.next_functions[0]
    return node, place
