"""Errors of every example against every other one, read from the graph of a loss.

A column (N, 1) less a row (N,) is a matrix (N, N). The graph keeps the shapes of whatever has a gradient, and none of
constants, as targets are: that one was a row is known from the column and from the matrix. A matrix that is meant is
made of an operand that was brought into its shape for that (`x[:, None]`, `x.T`), or of a product or of distances.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor

from goldmark.checks._graph import Node, kind, nodes, shape_of, source
from goldmark.checks._structures import size_of, tensors_of

Operand = tuple[Node, tuple[int, ...]]
_ERRORS = ("MseLoss", "SmoothL1Loss", "HuberLoss")
_BENT = ("Pow", "Abs", "Sqrt", "Cosh", "Clamp", "ClampMin", "Exp", "Log", "Log1P", "Relu", "Softplus", "LogSigmoid")
_STRAIGHT = ("Mean", "Sum", "Neg", "Rsub")
_LAID_OUT = ("Unsqueeze", "T", "Transpose", "Permute", "View", "Expand", "Index")  # an operand, by the loss itself
_CHOSEN = ("Gather", "LogSoftmax", "NllLoss")  # what gives the logarithms of the probabilities of actions
_MOST_NODES = 2_000


def crosses_examples(loss: Tensor, output: Any, targets: Any) -> bool:
    """Tell whether a loss is a mean, or a sum, of errors of all pairs of examples, whose shapes have met by accident.

    No such mean is wanted: of squares it depends on the mean output alone. Where the loss also holds a matrix (N, N)
    that is meant, as an energy distance does, or targets are matrices or all alike, nothing is said.
    """
    n = size_of(output)
    if n < 2 or not _tells_rows_apart(targets, n):
        return False
    known = list(nodes(loss.grad_fn, _MOST_NODES, past_layers=False))
    matrices = [node for node in known if shape_of(node) == (n, n)]
    given = {one.grad_fn for one in tensors_of(output)}
    if not matrices or any(_is_meant(node, n, given) for node in matrices):
        return False
    return any(_pairs_all(node, n) for node in known if shape_of(node) == ())


def _tells_rows_apart(targets: Any, n: int) -> bool:
    """Tell whether targets are given for N examples, unlike ones, of which none is a matrix (N, N) or (1, N)."""
    tensors = list(tensors_of(targets))
    if any(tuple(one.shape) in ((n, n), (1, n)) for one in tensors):
        return False
    return any(one.dim() > 0 and len(one) == n and bool((one != one[:1]).any()) for one in tensors)


def _is_meant(node: Node, n: int, given: set[Node]) -> bool:
    """Tell whether a matrix (N, N) was made of anything but a column and a row that came so, or of one number.

    What the model has `given` came so, whatever the model did last.
    """
    for operand, shape in _operands(node):
        if shape not in ((n, n), (n, 1), (n,), (1,), ()):
            return True
        if shape == (n, 1) and operand not in given and kind(operand) in _LAID_OUT:
            return True
    return False


def _operands(node: Node) -> Iterator[Operand]:
    """Yield what computed the inputs of an operation, and their shapes, where they have a gradient."""
    for operand, place in node.next_functions:
        shape = None if operand is None else shape_of(operand, place)
        if shape is not None:
            yield operand, shape


def _pairs_all(node: Node, n: int) -> bool:
    """Tell whether a number is a mean or a sum over a matrix (N, N) of errors, past what acts on every entry alone."""
    bent = False
    while True:
        operands = list(_operands(node))
        if not operands or (operands[0][1] != (n, n) and shape_of(node) != (n, n)):
            return False
        of_itself = kind(node) == "Mul" and len(operands) == 2 and operands[0][0] is operands[1][0]
        bent = bent or of_itself or kind(node) in (*_BENT, *_ERRORS)
        if kind(node) in ("Sub", *_ERRORS) and operands[0][1] != (n, n):
            return bent and _meet(operands, n)
        if kind(node) in ("Sub", *_ERRORS) and kind(operands[0][0]) == "Expand":
            return bent and _meet([pair for one, _ in operands for pair in _operands(one)], n)
        if kind(node) == "Mul" and not of_itself:
            return _is_policy(operands, n) or (len(operands) == 2 and _meet(operands, n))
        if not of_itself and (kind(node) not in (*_BENT, *_STRAIGHT, *_ERRORS) or len(operands) > 1):
            return False
        node = operands[0][0]


def _meet(operands: list[Operand], n: int) -> bool:
    """Tell whether operands are a column (N, 1) and a row (N,), of which one may be a constant.

    Of two that were computed from the same, as in `x - x.squeeze()`, the pairs are meant.
    """
    shapes = [shape for _, shape in operands]
    apart = len({source(operand) for operand, _ in operands}) == len(operands)
    return apart and sorted(shapes, key=len) in ([(n,)], [(n, 1)], [(n,), (n, 1)])


def _is_policy(operands: list[Operand], n: int) -> bool:
    """Tell whether a row of logarithms of probabilities is multiplied by a constant that makes a matrix of it."""
    operand, shape = operands[0]
    below = source(operand)
    return len(operands) == 1 and shape == (n,) and below is not None and kind(below) in _CHOSEN
