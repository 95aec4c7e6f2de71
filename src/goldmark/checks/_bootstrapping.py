"""Values that are bootstrapped inside a loop, r + gamma max Q(s'), found by the graph of their loss alone."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from goldmark.checks._graph import Node, kind, nodes, source, sources

_ERRORS = ("MseLoss", "SmoothL1Loss", "HuberLoss")
_SIZES = ("Pow", "Abs")  # of a difference
_CHOICES = ("Max", "Amax", "Minimum", "Gather")  # of the value of one action, or the smaller one of two critics


def bootstrapped_values(loss: Tensor) -> Iterator[tuple[Node, Node]]:
    """Yield the operations that gave a value and its target, where a loss compares a value with a bootstrapped one.

    Such a target is a constant, the reward, plus a constant times a value that is chosen among several. Consistency of
    two views, margins, and equations between derivatives do not look like it: there both sides are meant to move.
    """
    for node in nodes(loss.grad_fn, past_layers=False):
        sides = _compared(node)
        for value, target in (sides, sides[::-1]) if len(sides) == 2 else ():
            if _is_bootstrapped(target):
                yield value, target


def _compared(node: Node) -> list[Node]:
    """Return what gave the two sides of an error, of those that have a gradient."""
    if kind(node) in _ERRORS:
        return sources(node)
    below = sources(node) if kind(node) in _SIZES else []
    return sources(below[0]) if below and kind(below[0]) == "Sub" else []


def _is_bootstrapped(target: Node) -> bool:
    """Tell whether an operation adds a constant to what is chosen among values and multiplied by constants."""
    below = _beside_constant(target, "Add")
    factor = None if below is None else _beside_constant(below, "Mul")
    while factor is not None and kind(factor) == "Mul":
        factor = _beside_constant(factor, "Mul")
    return factor is not None and kind(factor) in _CHOICES


def _beside_constant(node: Node, name: str) -> Node | None:
    """Return the operation whose result another one, of a name, combines with what has no gradient."""
    edges = [following for following, _ in node.next_functions]
    moving = [following for following in edges if following is not None]
    return source(moving[0]) if kind(node) == name and len(edges) == 2 and len(moving) == 1 else None
