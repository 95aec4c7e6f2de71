"""Positions: whether attention depends on distances, as with a rotary embedding, or on places, and which it is told."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from goldmark.case import Finding

_SHIFTS = (1, 7, 100)


def check_not_relative(attend: Callable[[Tensor], Tensor], n_steps: int, threshold: float = 1e-4) -> Finding:
    """Find out whether a result that should depend on distances between positions alone depends on where they start.

    `attend` returns the attention scores, or the outputs, of fixed inputs at positions (T,) int64. Moving all
    positions by the same number of steps may change them by `threshold` of their norm at most (Su et al., "RoFormer",
    2021, section 3.2), while doubling all distances must change them by more: a model without positions is no relative
    one either.
    """
    steps = torch.arange(n_steps)
    known = attend(steps)
    shift_change = max(_relative(attend(steps + shift), known) for shift in _SHIFTS)
    stretch_change = _relative(attend(2 * steps), known)
    return Finding(
        name="not_relative",
        trouble=not shift_change <= threshold < stretch_change,
        numbers={"shift_change": shift_change, "stretch_change": stretch_change},
        threshold=threshold,
        advice="the positions are not relative: a rotary embedding rotates queries and keys in every layer, not the "
        "input once",
    )


def _relative(changed: Tensor, known: Tensor) -> float:
    return float((changed - known).double().norm() / known.double().norm())


def check_one_position(rows: Sequence[int], shorter: Sequence[int], length: int) -> Finding:
    """Find out whether all positions of a sequence are told one and the same row of a table of positions.

    `rows` are those that outputs for sequences of `length` positions depend on, `shorter` those for sequences that are
    cut by a few: one row, and another one, is looked up by the length. One row whatever the length may be meant.
    """
    return Finding(
        name="one_position",
        trouble=len(rows) == len(shorter) == 1 < length and rows[0] != shorter[0],
        numbers={"rows": float(len(rows)), "positions": float(length)},
        threshold=1.0,
        relation=f"each of {length} positions must have its own row of the table",
        advice="add the rows up to the length, table[:, :T], not the row of the length, table[:, T]",
    )
