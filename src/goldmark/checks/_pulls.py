"""Which outputs a target pulls on: those whose gradient moves when the target is another."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from goldmark.checks._losses import LossFunction
from goldmark.checks._reduction import fresh_leaf
from goldmark.checks._structures import map_tensors, tensors_of

_ROUNDING = 1e-6  # of the largest gradient


def gradients(loss_fn: LossFunction, output: Any, targets: Any) -> list[Tensor]:
    """Return the gradients of a loss on all tensors of an output, in their order; zero where it does not read them."""
    fresh = map_tensors(fresh_leaf, output)
    given = list(tensors_of(fresh))
    loss = loss_fn(fresh, targets).sum()
    leaves = [one for one in given if one.requires_grad]
    known = torch.autograd.grad(loss, leaves, allow_unused=True) if loss.requires_grad else [None] * len(leaves)
    by_leaf = {id(leaf): gradient for leaf, gradient in zip(leaves, known, strict=True)}
    read = [by_leaf.get(id(one)) for one in given]
    return [torch.zeros_like(one) if grad is None else grad for one, grad in zip(given, read, strict=True)]


def pull(before: Tensor, after: Tensor) -> Tensor:
    """Return by how much a gradient has moved, and 0 where it has by rounding alone.

    What all of it is multiplied by is no pull: a mean over targets that count has another number of them.
    """
    heard = (before != 0) & (after != 0)
    factor = float((after[heard].double() / before[heard].double()).median()) if bool(heard.any()) else 1.0
    moved = (before * factor - after).abs()
    return moved.masked_fill(moved <= _ROUNDING * (float(before.abs().max()) + 1e-12), 0.0)


def with_target(targets: Any, target: Tensor, changed: Tensor) -> Any:
    """Return the targets of a batch with one of their tensors changed."""
    return map_tensors(lambda one: changed if one is target else one, targets)


def is_taught_in_place(loss_fn: LossFunction, output: Tensor, targets: Tensor) -> bool:
    """Tell whether a class in targets (B, T) is that of the output at its position, which a loss that shifts is not."""
    if targets.is_floating_point() or targets.dim() != 2 or output.shape[:2] != targets.shape:
        return True
    column = targets.shape[1] // 2
    others = targets[:, column][(targets[:, column] != targets[0, column]) & (targets[:, column] >= 0)]
    if not len(others) or int(targets[0, column]) < 0:
        return True
    changed = targets.clone()
    changed[0, column] = others[0]
    moved = pull(*(gradients(loss_fn, output, one)[0][0] for one in (targets, changed))).flatten(1).any(dim=1)
    return bool(moved[column]) or not bool(moved.any())
