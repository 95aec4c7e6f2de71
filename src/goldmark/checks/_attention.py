"""Attention whose weights add up to 1 over something else than what is attended to, read from the graph of a loss."""

from __future__ import annotations

import math
from collections.abc import Iterator

from torch import Tensor

from goldmark.case import Finding
from goldmark.checks._axes import Roles, roles_below
from goldmark.checks._graph import PASSING, Node, kind, nodes, shape_of, signed

_VIEWS = ("View", "UnsafeView", "ReshapeAlias", "Reshape", "Expand", "Permute", "Transpose", "Unsqueeze")
_KEPT = frozenset((*_VIEWS, "ToCopy", "Clone", "NativeDropout", "Mul"))
_SCORING = frozenset(("Div", "Mul", "Add", "Sub", "MaskedFill", "Where", *PASSING))  # scale, mask, bias


def check_softmax_over_heads(loss: Tensor) -> Finding:
    """Find out whether weights of attention, T by S, are a softmax over another dimension than those two, as of heads.

    The product with the values sums over S: over it weights add up to 1, or over T where queries compete (slot
    attention, Locatello et al., "Object-centric learning with slot attention", 2020). Of T = 1 they may be a routing
    between capsules. The scores are products of queries and keys that each head has of its own: weights of anything
    else, as of the types of an edge, may add up to 1 over it.
    """
    weights = [node for product in nodes(loss.grad_fn) if (node := _weights(product)) is not None]
    return Finding(
        name="softmax_over_heads",
        trouble=bool(weights),
        numbers={"products": float(len(weights))},
        threshold=0.0,
        relation="the weights of what a query attends to must add up to 1 over the keys",
        advice="take the softmax of scores (B, H, T, S) over the last dimension: scores.softmax(dim=-1)",
    )


def _weights(product: Node) -> Node | None:
    """Return the softmax whose result is the first factor of a product, where it runs over no dimension of that."""
    if kind(product) != "Bmm" or any(following is None for following, _ in product.next_functions):
        return None
    (factor, _), (values, _) = product.next_functions
    if min((shape_of(factor) or (0,))[-2:]) < 2 or _is_shared(values):
        return None
    node, roles = _softmax_below(factor, ["", "query", "key"])
    if node is None or roles[signed(node._saved_dim) % len(roles)]:  # noqa: SLF001
        return None
    return node if any(_is_own(one, shape_of(node) or ()) for one in _scores(node)) else None


def _softmax_below(node: Node, roles: Roles) -> tuple[Node | None, Roles]:
    """Return the softmax that an operand was brought into its shape from, and the roles of its dimensions."""
    while kind(node) != "Softmax":
        below = [following for following, _ in node.next_functions if following is not None]
        further = roles_below(node, below[0], roles) if len(below) == 1 and kind(node) in _KEPT else None
        if further is None:
            return None, []
        node, roles = below[0], further
    return node, roles


def _scores(node: Node) -> Iterator[Node]:
    """Yield the products that the argument of a softmax was made of."""
    waiting = [node.next_functions[0][0]]
    while waiting:
        below = waiting.pop()
        if below is not None and kind(below) in ("Bmm", "Baddbmm"):
            yield below
        elif below is not None and kind(below) in _SCORING:
            waiting += [following for following, _ in below.next_functions]


def _is_own(product: Node, shape: tuple[int, ...]) -> bool:
    """Tell whether a product has an entry for each weight, of factors that no two heads share."""
    factors = [following for following, _ in product.next_functions[-2:]]
    return math.prod(shape_of(product) or ()) == math.prod(shape) and not any(map(_is_shared, factors))


def _is_shared(node: Node | None) -> bool:
    """Tell whether a factor is a constant, or was expanded to many."""
    while node is not None and kind(node) in PASSING:
        below = next((following for following, _ in node.next_functions if following is not None), None)
        if kind(node) == "Expand" and below is not None and shape_of(below) != shape_of(node):
            return True
        node = below
    return node is None
