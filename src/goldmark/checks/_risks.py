"""Sums over all who are at risk, which run along a batch: its examples must be sorted by time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from goldmark.case import Finding
from goldmark.checks._graph import Node, kind, nodes, shape_of, signed
from goldmark.checks._losses import LossFunction
from goldmark.checks._reduction import fresh_loss
from goldmark.checks._structures import map_tensors, size_of, tensors_of

_FEWEST = 8  # examples: fewer may lie in order by chance
_MOST_COLUMNS = 32  # that are looked at
_VIEWS = ("View", "UnsafeView", "ReshapeAlias", "Reshape", "Squeeze", "Unsqueeze", "Select", "Slice", "Flip", "Clone")
# What acts on every example alone, or on all alike: the order of examples stays.
_IN_ORDER = (*_VIEWS, "ToCopy", "Neg", "Add", "Sub", "Rsub", "Mul", "Div", "Clamp", "Exp", "Max", "AccumulateGrad")


def check_unsorted_risks(loss_fn: LossFunction, output: Any, targets: Any, known: Sequence[Any] = ()) -> Finding:
    """Find out whether a logarithm of cumulative sums of exponentials runs along examples that are not sorted by time.

    So Cox's partial likelihood sums up the risks of all who are still there (Katzman et al., "DeepSurv", 2018, equation
    4). A time is a column of `targets` of three values or more, which the loss does not read: else it sorts by it, or
    it is a weight. None may rise or fall along the examples, and the outputs must be summed up in the order of these.
    Beside it stands who has left, of two values, which the loss reads. Whole numbers that never come twice, in the
    targets that are `known` of other batches either, may be names of people.
    """
    sums = map(_summed_along, nodes(fresh_loss(loss_fn, output, targets).grad_fn))
    n = next((length for length in sums if length is not None), 0)
    columns = _columns(targets, n) if n >= _FEWEST else []
    times, rest = [one for one in columns if _may_be_times(one)], [one for one in columns if not _may_be_times(one)]
    unlike = bool(times) and not any(_is_sorted(column) or _is_sorted(column.abs()) for column in times)
    left = unlike and any(_is_read(loss_fn, output, targets, column) for column in rest)
    unread = left and not any(_is_read(loss_fn, output, targets, column) for column in times)
    unread = unread and not _are_names(known or (targets,))
    return Finding(
        name="unsorted_risks",
        trouble=unread,
        numbers={"examples": float(n), "times": float(len(times))},
        threshold=float(_FEWEST),
        relation="cumulative sums of risks need examples that are sorted by time",
        advice="sort within the loss: order = times.argsort(descending=True), then outputs[order] and events[order]",
    )


def _summed_along(node: Node) -> int | None:
    """Return the number of examples that a cumulative sum of exponentials of outputs, in their order, runs along."""
    summed = node if kind(node) == "Logcumsumexp" else _below_logarithm(node)
    shape = None if summed is None else shape_of(summed)
    if summed is None or not shape or math.prod(shape) != shape[signed(summed._saved_dim) % len(shape)]:  # noqa: SLF001
        return None
    return math.prod(shape) if all(kind(one) in _IN_ORDER for one in nodes(summed.next_functions[0][0])) else None


def _below_logarithm(node: Node) -> Node | None:
    """Return the cumulative sum of exponentials that a node is the logarithm of, to which a constant may be added."""
    above = _past_constants(node.next_functions[0][0]) if kind(node) == "Log" else None
    if above is None or kind(above) != "Cumsum":
        return None
    below = _past_constants(above.next_functions[0][0])
    return above if below is not None and kind(below) == "Exp" else None


def _past_constants(node: Node | None) -> Node | None:
    """Return what lies below views, and below what a constant was added to, as it is to keep logarithms finite."""
    while node is not None and kind(node) in (*_VIEWS, "Add", "Clamp", "ClampMin"):
        node = next((following for following, _ in node.next_functions if following is not None), None)
    return node


def _columns(targets: Any, n: int) -> list[Tensor]:
    given = [one.detach().reshape(n, -1) for one in tensors_of(targets) if one.dim() and len(one) == n and one.numel()]
    return [column for one in given for column in one.T[:_MOST_COLUMNS]]


def _may_be_times(column: Tensor) -> bool:
    return len(torch.unique(column)) > 2


def _are_names(batches: Sequence[Any]) -> bool:
    """Tell whether all that may be times may be names of examples: whole numbers, of which none comes twice."""
    columns = map(torch.cat, zip(*(_columns(one, size_of(one)) for one in batches), strict=False))
    times = [column for column in columns if _may_be_times(column)]
    return all(not one.is_floating_point() and len(torch.unique(one)) == len(one) for one in times)


def _is_sorted(column: Tensor) -> bool:
    """Tell whether numbers never fall, or never rise."""
    later, earlier = column[1:], column[:-1]
    return bool((later >= earlier).all() or (later <= earlier).all())


def _is_read(loss_fn: LossFunction, output: Any, targets: Any, column: Tensor) -> bool:
    """Tell whether a loss is another one where the high numbers of a column of the targets are low, and the reverse."""

    def turned(one: Tensor) -> Tensor:
        own = one.clone()
        if one.dim() and len(one) == len(column):
            flat = own.reshape(len(one), -1)
            same = (flat == column.to(flat)[:, None]).all(dim=0)
            own = torch.where(same, flat.amax(0) + flat.amin(0) - flat, flat).reshape(one.shape)
        return own

    detached = map_tensors(torch.Tensor.detach, output)
    before, after = (loss_fn(detached, given) for given in (targets, map_tensors(turned, targets)))
    return not torch.equal(before, after)
