"""Advantages of choices that have a gradient to the critic which they are taken against."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from torch import Tensor

from goldmark.case import Finding
from goldmark.checks._adding import added, base_of_square, origin
from goldmark.checks._graph import Edge, Node, kind, nodes

_ERRORS = ("MseLoss", "SmoothL1Loss", "HuberLoss")
_CHOSEN = ("Gather", "LogSoftmax", "NllLoss", "Logsumexp")  # what gives the logarithms of the probabilities of actions
_PROBABLE = ("Sigmoid", "Softmax")  # what gives probabilities, which may share an example out between two terms
_MOST_NODES = 2_000


def check_advantage_with_gradient(loss: Tensor) -> Finding:
    """Find out whether a critic's value, compared with constants by a squared error, also multiplies log-probabilities.

    The loss is a sum of both terms, and the factor of the log-probabilities is constants less the very same value, or
    the value less constants; probabilities are no values. A gradient then moves the value against its own error, to
    where the choices seem good.
    The graph holds constants until its backward pass, and nothing is said after it.
    """
    advantages = 0
    with suppress(RuntimeError):
        terms = {node for (node, _), _ in added(loss.grad_fn)}
        values = {value for node in terms for value in _judged(node)}
        advantages = sum(_multiplies_choices(node, values) for node in terms) if values else 0
    return Finding(
        name="advantage_with_gradient",
        trouble=advantages > 0,
        numbers={"advantages": float(advantages)},
        threshold=0.0,
        relation="an advantage weighs choices as a constant: the critic must learn from its own error alone",
        advice="detach it: ((returns - value.detach()) * log_prob).mean()",
    )


def _judged(node: Node) -> Iterator[Edge]:
    """Yield what is compared with constants by a squared error."""
    below = [one for one in node.next_functions if one[0] is not None]
    if kind(node) in _ERRORS and len(below) == 1:
        yield origin(below[0])
    elif (base := base_of_square(node)) is not None:
        yield from _compared(base)


def _compared(edge: Edge) -> Iterator[Edge]:
    """Yield what a difference has a gradient to, where it is one of it and constants."""
    node, _ = origin(edge)
    while node is not None and kind(node) == "Neg":
        node, _ = origin(node.next_functions[0])
    below = [] if node is None else [one for one in node.next_functions if one[0] is not None]
    if kind(node) == "Sub" and len(below) == 1:
        yield origin(below[0])


def _multiplies_choices(node: Node, values: set[Edge]) -> bool:
    """Tell whether a product is one of log-probabilities and of a difference of constants and one of the values."""
    if kind(node) != "Mul" or any(below is None for below, _ in node.next_functions):
        return False
    first, second = node.next_functions
    return any(
        value in values and kind(value[0]) not in _PROBABLE and _are_of_choices(other, value)
        for one, other in ((first, second), (second, first))
        for value in _compared(one)
    )


def _are_of_choices(edge: Edge, value: Edge) -> bool:
    """Tell whether numbers were made of probabilities of choices, and of nothing that the value was made of."""
    made = set(nodes(edge[0], _MOST_NODES, past_layers=False))
    apart = made.isdisjoint(nodes(value[0], _MOST_NODES, past_layers=False))
    return apart and any(kind(node).startswith(_CHOSEN) for node in made)
