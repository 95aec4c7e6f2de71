"""Schedules of learning rates: where the living ones stand, beside the optimizers that they steer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.optim.lr_scheduler import LRScheduler

from goldmark.checks._ownership import living


def schedulers_of(optimizers: Sequence[torch.optim.Optimizer]) -> list[Any]:
    """Return the living schedulers of some optimizers; those within a chain are left to the chain."""
    if not any(hasattr(optimizer.step, "_wrapped_by_lr_sched") for optimizer in optimizers):
        return []  # as every scheduler of torch wraps the step of its optimizer
    mine = [s for s in living(LRScheduler) if any(getattr(s, "optimizer", None) is one for one in optimizers)]
    inner = {id(part) for one in mine for part in getattr(one, "_schedulers", ())}
    return [scheduler for scheduler in mine if id(scheduler) not in inner]


def steps_of(optimizer: torch.optim.Optimizer) -> int:
    """Return how many steps an optimizer has taken, by its state; 0 where that does not tell."""
    counts = [int(own["step"]) for own in optimizer.state.values() if isinstance(own, dict) and "step" in own]
    return max(counts, default=0)


def schedule_state(optimizers: Sequence[torch.optim.Optimizer], done: int) -> tuple[int, int] | None:
    """Return how many steps the schedule has taken, and the optimizer; None without a schedule."""
    taken = [int(scheduler.last_epoch) for scheduler in schedulers_of(optimizers) if hasattr(scheduler, "last_epoch")]
    return (max(taken), done) if taken else None
