"""Dimensions followed through views, transposes and copies, down a graph and up: which of them is which there."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from goldmark.checks._graph import Node, kind, shape_of, signed

_TRANSPOSED = ("Permute", "Transpose", "T")
_RESHAPED = frozenset(
    ("View", "UnsafeView", "ReshapeAlias", "Reshape", "Squeeze", "Unsqueeze", "Clone", "ToCopy", "Alias")
)

Roles = list[str]  # of each dimension; empty where it has none


def roles_below(node: Node, below: Node, roles: Sequence[str]) -> Roles | None:
    """Return the roles of the dimensions of what a node was made of, by those of its result; None: they are mixed up.

    A node that is no view, nor the like, keeps the shape.
    """
    shape, own = shape_of(node), shape_of(below)
    if shape is None or own is None or len(shape) != len(roles):
        return None
    name = kind(node)
    if name in _TRANSPOSED:
        return [role for _, role in sorted(zip(_order(node, len(shape)), roles, strict=True))]
    if name == "Unsqueeze":
        place = signed(node._saved_dim) % len(shape)  # noqa: SLF001
        return [*roles[:place], *roles[place + 1 :]]
    if name == "Expand":
        return list(roles[len(shape) - len(own) :])
    return list(roles) if shape == own else _regrouped(shape, roles, own)


def _order(node: Node, n: int) -> list[int]:
    """Return which dimension of what is transposed each dimension of the result is."""
    if kind(node) == "Permute":
        return [signed(one) % n for one in node._saved_dims]  # noqa: SLF001
    order = list(range(n))
    one, other = (0, 1) if kind(node) == "T" else (signed(end) % n for end in (node._saved_dim0, node._saved_dim1))  # noqa: SLF001
    order[one], order[other] = other, one
    return order


def _regrouped(shape: Sequence[int], roles: Sequence[str], own: Sequence[int]) -> Roles | None:
    """Return the roles of dimensions that were split or joined; None where one got several."""
    given: Roles = []
    for joined, places in _groups(shape, own):
        kinds = {roles[place] for place in joined if shape[place] > 1}
        if len(kinds) > 1:
            return None
        given += [next(iter(kinds), "")] * places
    return given if len(given) == len(own) else None


def _groups(shape: Sequence[int], own: Sequence[int]) -> Iterator[tuple[list[int], int]]:
    """Yield dimensions of a result, and how many dimensions, of as many entries, they are below."""
    start, end = 0, 0
    while start < len(shape) or end < len(own):
        joined: list[int] = []
        places, size, other = 0, 1, 1
        while start < len(shape) and (not joined or size < other or shape[start] == 1):
            size *= shape[start]
            joined.append(start)
            start += 1
            while end < len(own) and (other < size or own[end] == 1):
                other *= own[end]
                places += 1
                end += 1
        if size != other or (not joined and not places):
            return
        yield joined, places


def summed(node: Node, n_dims: int) -> list[int]:
    """Return the dimensions that a sum runs over."""
    dims = getattr(node, "_saved_dim", ()) or range(n_dims)
    return [signed(dim) % n_dims for dim in dims]


def place_after(view: Node, before: tuple[int, ...], after: tuple[int, ...], place: int) -> int | None:
    """Return where a view puts a dimension; None where it is gone, or divided, or something else than a view was done.

    A view that moves none keeps the sizes of what comes before it, multiplied.
    """
    if kind(view) in _TRANSPOSED:
        return _order(view, len(before)).index(place)
    if kind(view) not in _RESHAPED:
        return None
    offset = math.prod(before[:place])
    fits = (dim for dim, size in enumerate(after) if size == before[place] and math.prod(after[:dim]) == offset)
    return next(fits, None)
