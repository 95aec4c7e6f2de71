"""Values that are bootstrapped inside a loop, r + gamma max Q(s'), found by the graph of their loss alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import torch
from torch import Tensor

from goldmark.checks._graph import PASSING, Node, kind, nodes, shape_of, source, sources

_ERRORS = ("MseLoss", "SmoothL1Loss", "HuberLoss")
_SIZES = ("Pow", "Abs")  # of a difference
_CHOICES = ("Max", "Amax", "Minimum", "Gather")  # of the value of one action, or the smaller one of two critics


def bootstrapped_values(loss: Tensor) -> Iterator[tuple[Node, Node]]:
    """Yield the operations that gave a value and its target, where a loss compares a value with a bootstrapped one.

    Such a target is a constant, the reward, plus a constant times a value that is chosen among several, or that is left
    out where an episode ends, which a graph tells until its backward pass. Consistency of two views, margins, and
    equations between derivatives do not look like it: there both sides are meant to move.
    """
    for node in nodes(loss.grad_fn, past_layers=False):
        sides = _compared(node)
        for value, target in (sides, sides[::-1]) if len(sides) == 2 else ():
            if _is_bootstrapped(target) and not _is_bootstrapped(value):  # else gaps are filled on both sides
                yield value, target


def _compared(node: Node) -> list[Node]:
    """Return what gave the two sides of an error, of those that have a gradient."""
    if kind(node) in _ERRORS:
        return sources(node)
    below = sources(node) if kind(node) in _SIZES else []
    return sources(below[0]) if below and kind(below[0]) == "Sub" else []


def _is_bootstrapped(target: Node) -> bool:
    """Tell whether an operation adds a constant to a share of a value, which is chosen, or 0 where episodes end."""
    below, ends, n_factors = _beside_constant(target, "Add"), False, 0
    while below is not None and (value := _beside_constant(source(below), "Mul")) is not None:
        ends = ends or _is_mask(source(below))
        below, n_factors = value, n_factors + 1
    return n_factors > 0 and (ends or _is_chosen(below))


def _is_mask(product: Node) -> bool:
    """Tell whether the constant of a product is 0 for some and one other number for all others; not after its pass."""
    with suppress(RuntimeError):  # the backward pass has freed what the graph held
        constants = (product._saved_self, product._saved_other)  # noqa: SLF001
        places = (following is None for following, _ in product.next_functions)
        known = [one for one, is_constant in zip(constants, places, strict=True) if is_constant]
        return any(isinstance(one, Tensor) and _is_of_zeros_and_one_number(one) for one in known)
    return False


def _is_of_zeros_and_one_number(tensor: Tensor) -> bool:
    return len(values := torch.unique(tensor)) == 2 and not bool(values.all())


def _is_chosen(node: Node | None) -> bool:
    """Tell whether an operation gave one value of several, or passes it on: also by `values[rows, actions]`."""
    while node is not None and kind(node) in PASSING:
        below = next((following for following, _ in node.next_functions if following is not None), None)
        shape, several = shape_of(node) or (), (() if below is None else shape_of(below)) or ()
        if kind(node) == "Index" and len(several) == 2 and several[1] > 1 and shape == several[:1]:
            return True
        node = below
    return node is not None and kind(node) in _CHOICES


def _beside_constant(node: Node | None, name: str) -> Node | None:
    """Return the operation whose result another one, of a name, combines with what has no gradient."""
    edges = [] if node is None else [following for following, _ in node.next_functions]
    moving = [following for following in edges if following is not None]
    return moving[0] if node is not None and kind(node) == name and len(edges) == 2 and len(moving) == 1 else None
