"""Errors of every example against every other one, read from the graph of a loss.

A column (N, 1) less a row (N,) is a matrix (N, N). The graph keeps the shapes of whatever has a gradient, and none of
constants, as targets are: that one was a row is known from the column and from the matrix. A matrix that is meant is
made of an operand that was brought into its shape for that (`x[:, None]`, `x.T`), or of a product or of distances.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from torch import Tensor

from goldmark.checks._graph import Node, kind, nodes, shape_of, source
from goldmark.checks._structures import size_of, tensors_of

Operand = tuple[Node, tuple[int, ...]]
_ERRORS = ("MseLoss", "SmoothL1Loss", "HuberLoss")
_BENT = ("Pow", "Abs", "Sqrt", "Cosh", "Clamp", "ClampMin", "Exp", "Log", "Log1P", "Relu", "Softplus", "LogSigmoid")
_EITHER = ("Minimum", "Maximum")
_STRAIGHT = ("Mean", "Sum", "Neg", "Rsub")
_LAID_OUT = ("Unsqueeze", "T", "Transpose", "Permute", "View", "Expand", "Index")  # an operand, by the loss itself
_CHOSEN = ("Gather", "LogSoftmax", "NllLoss")  # what gives the logarithms of the probabilities of actions
_RATIO = ("Exp", "Sub", "Clamp")  # of such probabilities to earlier ones, as in PPO
_MOST_NODES = 2_000


def crosses_examples(loss: Tensor, output: Any, targets: Any) -> bool:
    """Tell whether a loss is a mean, or a sum, of errors of all pairs of examples, whose shapes have met by accident.

    No such mean is wanted: of squares it is least where all outputs are one. Nothing is said where the loss also holds
    a matrix (N, N) that is meant, as an energy distance does, where outputs or targets are one, or targets all alike.
    """
    n = size_of(output)
    if n < 2 or _holds_matrix((output, targets), n):
        return False
    given = {one.grad_fn for one in tensors_of(output)}
    known = list(nodes(loss.grad_fn, _MOST_NODES, past_layers=False, without=given))
    matrices = [node for node in known if shape_of(node) == (n, n)]
    if not matrices or any(_is_meant(node, n, given) for node in matrices):
        return False
    column = any(tuple(one.shape) == (n, 1) for one in tensors_of((output, targets)))
    made = [making for node in known if shape_of(node) == () for making in _makings(node, n)]
    return any(_is_accident(*making, n, column=column) for making in made) and _has_unlike(targets, n)


def crosses_targets(loss: Tensor, output: Any, targets: Any) -> bool:
    """Tell whether a loss is a mean, or a sum, of all products of a row (N,) and a column (N, 1) of the targets.

    Such a mean is that of the row times that of the column: no target is read for its example. The graph holds factors
    until its backward pass, and nothing is said after it.
    """
    n = size_of(output)
    if n < 2 or _holds_matrix((output, targets), n) or not _has_unlike(targets, n):
        return False
    totals = (node for node in nodes(loss.grad_fn, _MOST_NODES, past_layers=False) if kind(node) in ("Mean", "Sum"))
    with suppress(RuntimeError):
        factors = [_constant_factor(node.next_functions[0][0], n) for node in totals if shape_of(node) == ()]
        return any(_is_column_of(targets, factor) for factor in factors if factor is not None)
    return False


def _constant_factor(node: Node | None, n: int) -> Tensor | None:
    """Return the constant (N, 1) that a row (N,) was multiplied by, up to the sign."""
    while node is not None and kind(node) == "Neg":
        node = node.next_functions[0][0]
    if node is None or kind(node) != "Mul" or shape_of(node) != (n, n):
        return None
    first = node.next_functions[0][0]
    factor: Tensor | None = node._saved_self if first is None else node._saved_other  # noqa: SLF001
    rows = [shape for _, shape in _operands(node)]
    return factor if rows == [(n,)] and factor is not None and tuple(factor.shape) == (n, 1) else None


def _is_column_of(targets: Any, column: Tensor) -> bool:
    given = (one.reshape(len(one), -1) for one in tensors_of(targets) if one.dim() and len(one) == len(column))
    return any(bool((one.to(column) == column).all(dim=0).any()) for one in given)


def _holds_matrix(structure: Any, n: int) -> bool:
    """Tell whether outputs or targets are of pairs themselves, (N, N) or (1, N)."""
    return any(tuple(one.shape) in ((n, n), (1, n)) for one in tensors_of(structure))


def _has_unlike(targets: Any, n: int) -> bool:
    """Tell whether some targets are given for N examples, and not all alike."""
    rows = [one for one in tensors_of(targets) if one.dim() and len(one) == n]
    return any(bool((one != one[:1]).any()) for one in rows)


def _is_meant(node: Node, n: int, given: set[Node]) -> bool:
    """Tell whether a matrix (N, N) was made of anything but a column and a row that came so, or of one number.

    What the model has `given` came so, whatever the model did last. Pairs of an output with itself are meant.
    """
    operands = [(one, shape) for one, shape in _operands(node) if shape != (n, n)]
    if any(shape not in ((n, 1), (n,), (1,), ()) for _, shape in operands):
        return True
    laid_out = any(kind(one) in _LAID_OUT and one not in given for one, shape in operands if shape == (n, 1))
    return laid_out or not _apart(operands)


def _operands(node: Node) -> Iterator[Operand]:
    """Yield what computed the inputs of an operation, and their shapes, where they have a gradient."""
    for operand, place in node.next_functions:
        shape = None if operand is None else shape_of(operand, place)
        if shape is not None:
            yield operand, shape


def _apart(operands: list[Operand]) -> bool:
    return len({source(operand) for operand, _ in operands}) == len(operands)


def _makings(node: Node, n: int, *, bent: bool = False) -> Iterator[tuple[str, list[Operand]]]:
    """Yield by what, and of what, a matrix (N, N) was made that a number is the mean or the sum of.

    Between the two lies what acts on every entry alone. Unless that is `bent`, a difference is left out: the mean of
    all differences is that of matching ones.
    """
    name, operands = kind(node), list(_operands(node))
    if not operands or (n, n) not in (operands[0][1], shape_of(node)):
        return
    bent = bent or name in (*_BENT, *_ERRORS, *_EITHER)
    following = operands if name in _EITHER else operands[:1] if name in (*_BENT, *_STRAIGHT) else []
    if name in ("Sub", *_ERRORS) and bent:
        expanded = [pair for one, _ in operands if kind(one) == "Expand" for pair in _operands(one)]
        yield name, expanded if len(expanded) == len(operands) else operands
    elif name == "Mul" and len(operands) == 2 and not _apart(operands):  # a square
        bent, following = True, operands[:1]
    elif name == "Mul":
        yield name, operands
    for one, _ in following:
        yield from _makings(one, n, bent=bent)


def _is_accident(name: str, operands: list[Operand], n: int, *, column: bool) -> bool:
    """Tell whether a column (N, 1) has met a row (N,), of which one may be a constant.

    Of factors it may where it is an advantage, or a weight, of choices, and outputs or targets hold a `column`.
    """
    if name == "Mul" and len(operands) == 1:
        return column and operands[0][1] == (n,) and _is_of_choices(operands[0][0])
    shapes = sorted((shape for _, shape in operands), key=len)
    return _apart(operands) and shapes in ([(n,)], [(n, 1)], [(n,), (n, 1)])


def _is_of_choices(node: Node) -> bool:
    """Tell whether numbers are logarithms of the probabilities of what was chosen, or ratios of these."""
    below = source(node)
    while below is not None and kind(below) in _RATIO and len(list(_operands(below))) == 1:
        below = source(next(_operands(below))[0])
    return below is not None and kind(below) in _CHOSEN
