"""Grades in an order, told by one output for each step between two of them: what the loss wants of each output."""

from __future__ import annotations

import torch
from torch import Tensor

from goldmark.case import Finding
from goldmark.checks._losses import LossFunction
from goldmark.checks._outputs import gradient_at

_ROWS = 4  # of outputs, each of which is given every grade
_RTOL = 1e-5  # of a gradient, which may be the mean of several


def check_merged_grades(loss_fn: LossFunction, output: Tensor) -> Finding:
    """Find out whether outputs (N, K) for grades 0 to K are taught `grade >= k`, for k from 0 to K - 1.

    Then the first is 1 for every grade, and the last two grades have the same targets. K outputs tell K + 1 grades by
    `grade > k` (Niu et al., "Ordinal regression with multiple output CNN for age estimation", 2016). The gradient of an
    output tells: of output k it is one for all grades below k, and another for all others. It may be so of quantiles by
    where they lie, and is not when they change places.
    """
    n_steps = output.shape[1]
    few = torch.cat([output[:_ROWS], output[:_ROWS].flip(1)]).detach()
    grades = torch.arange(n_steps + 1, device=output.device)
    by_grade = torch.stack([gradient_at(loss_fn, few, grade.repeat(len(few))) for grade in grades]).double()
    lowest, highest = by_grade[0], by_grade[-1]
    reached = grades[:, None, None] >= grades[:-1]
    alike = torch.isclose(by_grade, torch.where(reached, highest, lowest), rtol=_RTOL, atol=0).all()
    apart = (~torch.isclose(lowest, highest, rtol=_RTOL, atol=0)).all(dim=0)  # which outputs tell lowest and highest
    merged = bool(alike) and bool(apart[1:].all()) and not bool(apart[0]) and bool(highest[:, 0].all())
    return Finding(
        name="merged_grades",
        trouble=merged,
        numbers={"grades": float(n_steps + 1), "grades_told_apart": float(n_steps + 1 - merged)},
        threshold=float(n_steps + 1),
        relation="each output must tell the grades below a step from those above it, and no two grades be one",
        advice="compare by >: levels = (grade[:, None] > torch.arange(n_grades - 1)).float()",
    )
