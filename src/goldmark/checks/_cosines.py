"""Cosines as logits: without a scale they lie in [-1, 1], and a softmax of them is never sure of a class."""

from __future__ import annotations

import math

from torch import Tensor

from goldmark.case import Finding
from goldmark.checks._axes import Roles, roles_below
from goldmark.checks._graph import PASSING, Node, kind, nodes, shape_of, signed, source

_CROSS_ENTROPIES = ("NllLoss", "NllLoss2D")
_BESIDE_NORM = frozenset(("ClampMin", "Clamp", "Maximum", "Add", *PASSING))  # what keeps a norm from 0
_EVEN = 0.5


def check_unscaled_cosines(loss: Tensor) -> Finding:
    """Find out whether the logits of all cross-entropies are cosines of features and class weights, without a scale.

    Directions of C classes are furthest apart as corners of a simplex, where cosines are 1 and -1 / (C - 1): of as many
    examples each, the geometric mean of the probabilities is 1 / (1 + (C - 1) e^(-C / (C - 1))) at most (Wang et al.,
    "NormFace", 2017, proposition 2, for a scale of 1). Below one half, for five classes or more, it is trouble. A
    margin that is subtracted makes it less. Between examples, or to directions that are fixed, it may be a choice.
    """
    crosses = [node for node in nodes(loss.grad_fn, past_layers=False) if kind(node) in _CROSS_ENTROPIES]
    highest = [_highest_probability(node) for node in crosses]
    largest = max(highest, default=1.0)
    return Finding(
        name="unscaled_cosines",
        trouble=largest < _EVEN,
        numbers={"highest_probability": largest},
        threshold=_EVEN,
        relation="logits must reach far enough for a probability near 1: cosines lie between -1 and 1",
        advice="multiply the cosines, after the margin, by a scale (16 to 64 are usual), or divide by a temperature",
    )


def _highest_probability(cross: Node) -> float:
    """Return the highest mean probability of the right class that a cross-entropy allows for."""
    softmax = source(cross.next_functions[0][0])
    if softmax is None or kind(softmax) != "LogSoftmax":
        return 1.0
    logits = source(softmax.next_functions[0][0])
    while logits is not None and kind(logits) == "Sub" and logits.next_functions[1][0] is None:  # a constant margin
        logits = source(logits.next_functions[0][0])
    if logits is None or kind(logits) not in ("Mm", "Bmm", "Sum") or not _are_cosines(logits):
        return 1.0
    n_classes, shape = (shape_of(logits) or (0,))[-1], shape_of(softmax) or ()
    if n_classes < 2 or shape[signed(softmax._saved_dim)] != n_classes:  # noqa: SLF001
        return 1.0
    return 1 / (1 + (n_classes - 1) * math.exp(-n_classes / (n_classes - 1)))


def _are_cosines(product: Node) -> bool:
    """Tell whether a product (N, C) is of features (N, D) and weights (D, C) that were divided by their lengths.

    The weights are a leaf, with a gradient.
    """
    given = [None if factor is None else _normalized(factor, roles) for factor, roles in _factors(product)]
    return len(given) == 2 and None not in given and any(kind(source(one)) == "AccumulateGrad" for one in given)


def _factors(product: Node) -> list[tuple[Node | None, Roles]]:
    """Return the factors of a product, and the roles of their dimensions; it may be summed up after it is taken."""
    if kind(product) != "Sum":
        batch = [""] * (kind(product) == "Bmm")
        ways = [[*batch, "row", "length"], [*batch, "length", "class"]]
        return [(factor, way) for (factor, _), way in zip(product.next_functions, ways, strict=True)]
    entries = product.next_functions[0][0]
    last = [signed(one) % 3 for one in getattr(product, "_saved_dim", ())] == [2]
    if not last or kind(entries) != "Mul" or len(shape_of(entries) or ()) != 3:
        return []
    return [(factor, ["row", "class", "length"]) for factor, _ in entries.next_functions]


def _normalized(node: Node, roles: Roles) -> Node | None:
    """Return what was divided by its own length along the dimension of that role, and by nothing else."""
    while kind(node) in PASSING and node.next_functions[0][0] is not None:
        below = node.next_functions[0][0]
        further = roles_below(node, below, roles)
        if further is None:
            return None
        node, roles = below, further
    if kind(node) != "Div" or node.next_functions[1][0] is None:
        return None
    (given, _), (norm, _) = node.next_functions
    while norm is not None and kind(norm) in _BESIDE_NORM:
        norm = norm.next_functions[0][0]
    if norm is None or kind(norm) != "LinalgVectorNorm" or norm._saved_ord != 2 or not norm._saved_dim:  # noqa: SLF001
        return None
    along = [roles[signed(one) % len(roles)] for one in norm._saved_dim]  # noqa: SLF001
    return given if along == ["length"] and source(norm.next_functions[0][0]) == source(given) else None
