"""Losses on labels of 0 and 1 that want others, such as -1 and 1: one of the two is then no more than a constant."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from goldmark.case import Finding
from goldmark.checks._losses import LossFunction


def check_unlearnable_label(loss_fn: LossFunction, output: Tensor, targets: Tensor) -> Finding:
    """Find out whether the loss of one of two labels is a constant other than 0, whatever the outputs.

    As a hinge max(0, 1 - y f) is for y = 0. Outputs and targets have as many entries, in any shape; a label that the
    loss leaves out, as a mask or a reward does, costs nothing.
    """
    constant = [label for label in (0, 1) if _is_constant(loss_fn, output.detach(), targets, label)]
    return Finding(
        name="unlearnable_label",
        trouble=len(constant) == 1,
        numbers={"labels": float(len(constant)), "label": float(constant[0]) if constant else -1.0},
        threshold=0.0,
        relation="the loss of a label must depend on the outputs",
        advice="give a hinge or a soft margin labels of -1 and 1: 2 * y - 1",
    )


def _is_constant(loss_fn: LossFunction, output: Tensor, targets: Tensor, label: int) -> bool:
    """Tell whether examples of a label have no gradient among others, and alone one and the same loss, and no 0."""
    chosen = (targets == label).reshape(output.shape)
    if not bool(chosen.any()) or bool(chosen.all()):
        return False
    alone = []
    for made in _outputs_like(output):
        leaf = made.requires_grad_()
        (gradient,) = torch.autograd.grad(loss_fn(leaf, targets).sum(), leaf)
        if bool(gradient[chosen].any()) or not bool(gradient[~chosen].isfinite().all()):
            return False
        alone.append(float(loss_fn(made.detach(), torch.full_like(targets, label)).detach().sum()))
    return alone[0] != 0 and all(one == alone[0] for one in alone)  # gaps are unlike themselves


def _outputs_like(output: Tensor) -> Iterator[Tensor]:
    """Yield the outputs, and others of the same range: probabilities, none below 0, or any numbers."""
    yield output.clone()
    generator = torch.Generator().manual_seed(0)
    drawn = [torch.randn(output.shape, generator=generator).to(output) for _ in range(2)]
    if bool((output < 0).any()):
        yield from (3 * one for one in drawn)
    elif bool((output <= 1).all()):
        yield from (one.sigmoid() for one in drawn)
    else:
        yield from (one.abs() for one in drawn)
