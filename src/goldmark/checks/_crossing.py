"""Errors of every example against every other one, read from the graph of a loss.

A column (N, 1) less a row (N,) is a matrix (N, N). The graph keeps the shapes of whatever has a gradient, and none of
constants, as targets are: that one was a row is known from the column and from the matrix; constant factors are known
until a backward pass. A matrix that is meant is made of an operand that was brought into its shape for that
(`x[:, None]`, `x.T`), or of a product or of distances.
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
_FACTORED = ("Mul", "Div")
_BOUNDS = ("Minimum", "Maximum", "Clamp", "ClampMin", "Relu", "Softplus", "LogSigmoid")  # clipped ratios, and margins
_MOST_NODES = 2_000


def crosses_examples(loss: Tensor, output: Any, targets: Any) -> bool:
    """Tell whether a loss is a mean, or a sum, of errors of all pairs of examples, whose shapes have met by accident.

    No such mean is wanted: of squares it is least where all outputs are one. Nothing is said where the loss also holds
    a matrix (N, N) that is meant, as an energy distance does, where outputs or targets are one, or targets all alike.
    Outputs may be left out.
    """
    n = size_of(output) or size_of(targets)
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


def crossed_factors(loss: Tensor) -> int:
    """Return the N of a row (N,) and a column (N, 1) whose products of all pairs are what a loss sums up; else 0.

    One of the two is constant, and not all alike. Such a mean is that of the row times that of the column, or nearly so
    where a margin, or a bound, lies between: no factor is read for its example. The graph holds constants until its
    backward pass, and nothing is said after it.
    """
    totals = (node for node in nodes(loss.grad_fn, _MOST_NODES, past_layers=False) if kind(node) in ("Mean", "Sum"))
    with suppress(RuntimeError):
        products = (made for node in totals if shape_of(node) == () for made in _products(node))
        return next((n for product, bent in products if (n := _crossed(product, bent=bent))), 0)
    return 0


def _products(total: Node) -> Iterator[tuple[Node, bool]]:
    """Yield the products and quotients that a total is made of, and whether a margin or a bound lies between."""
    waiting, known = [(total, False)], set[tuple[Node, bool]]()
    while waiting:
        node, bent = waiting.pop()
        name, squares = kind(node), [one for one, shape in _operands(node) if len(shape) == 2 and shape[0] == shape[1]]
        bent = bent or name in _BOUNDS
        if name in _FACTORED:
            yield node, bent
        elif node is total or name in (*_BOUNDS, "Neg", "Rsub", "ToCopy") or (name in ("Add", "Sub") and not bent):
            fresh = {(one, bent) for one in squares} - known
            known |= fresh
            waiting += fresh


def _crossed(product: Node, *, bent: bool) -> int:
    """Return the N of the row and the column that a product (N, N) was made of, one of them constant; else 0.

    A column that was laid out for it is meant where more is made of the pairs than their total.
    """
    operands, n = list(_operands(product)), (shape_of(product) or (0,))[0]
    if n < 2 or shape_of(product) != (n, n) or len(operands) != 1:
        return 0
    first_is_constant = product.next_functions[0][0] is None
    factor = getattr(product, "_saved_self" if first_is_constant else "_saved_other", None)
    if factor is None or {operands[0][1], tuple(factor.shape)} != {(n,), (n, 1)}:
        return 0
    meant = bent and operands[0][1] == (n, 1) and kind(operands[0][0]) in _LAID_OUT
    return n if not meant and bool((factor != factor[:1]).any()) else 0


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
