"""What a watch hears of calls around a loop: of schedules, states of optimizers, clippings, choices, errors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR

from goldmark.checks._choices import CHOICES
from goldmark.checks._clipping import CLIPPINGS, ClippingCalls
from goldmark.checks._predictions import ERRORS
from goldmark.checks._record import Record
from goldmark.checks._schedulers import SCHEDULES, STATES, factor_of, rates_of

Optimizer = torch.optim.Optimizer


class Listening:
    """Takes down in a record what concerns some optimizers and the outputs of their model."""

    def __init__(self, record: Record, optimizers: Sequence[Optimizer]) -> None:
        self._record, self._optimizers = record, optimizers
        self._clipping = ClippingCalls(clipped=self._note_clipping, unscaled=self._note_unscaling)
        self.answered: torch.Size | None = None  # the shape of the model's last output

    def begin(self) -> None:
        """Hear of the calls from now on."""
        SCHEDULES.add(self._note_schedule)
        STATES.add(self._note_state)
        CLIPPINGS.add(self._clipping)
        CHOICES.add(self._note_choice)
        ERRORS.add(self._note_error)

    def end(self) -> None:
        """Hear of no more."""
        SCHEDULES.remove(self._note_schedule)
        STATES.remove(self._note_state)
        CLIPPINGS.remove(self._clipping)
        CHOICES.remove(self._note_choice)
        ERRORS.remove(self._note_error)

    def _is_own(self, optimizer: Any) -> bool:
        return any(optimizer is own for own in self._optimizers)

    def _note_schedule(self, scheduler: Any, metric: float | None) -> None:
        record, optimizer = self._record, getattr(scheduler, "optimizer", None)
        if self._is_own(optimizer):
            if metric is not None:
                record.metrics.setdefault(scheduler, []).append((len(record.losses), metric))
            if isinstance(scheduler, LambdaLR) and (scheduler.last_epoch == 0 or scheduler in record.factors):
                record.factors.setdefault(scheduler, []).append(factor_of(scheduler))
        elif isinstance(optimizer, Optimizer):
            record.foreign.setdefault(scheduler, rates_of([optimizer]))

    def _note_state(self, optimizer: Any, groups: list[dict[str, Any]]) -> None:
        if self._is_own(optimizer):
            self._record.copies.note(groups)

    def _note_clipping(self, parameters: Sequence[Tensor], limit: float) -> None:
        following = self._record.following
        if following.awake and {id(one) for one in parameters} & {id(one) for one in following.parameters}:
            self._record.clips.note(limit, came_in=bool(following.incoming))

    def _note_unscaling(self, optimizer: Any, scaler: Any) -> None:
        if self._record.following.awake and self._is_own(optimizer):
            self._record.clips.note_unscaling(float(scaler.get_scale()))

    def _note_choice(self, name: str, tensor: Tensor, dim: int) -> None:
        if tensor.shape == self.answered and len(tensor) > 1 and dim % tensor.dim() > 0:
            self._record.chosen.note(name, tensor.shape[dim])

    def _note_error(self, one: Tensor, other: Tensor) -> None:
        if self._record.following.awake:
            self._record.predictions.compare(one, other)
