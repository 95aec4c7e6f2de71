"""Recurrent states that go on from batch to batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from goldmark.case import Finding
from goldmark.checks._structures import first_tensor


@dataclass(kw_only=True, eq=False)
class States:
    """The states that recurrent layers gave last, in steps that follow each other."""

    example: torch.Size | None = None  # shape of an example, where examples are known to be shuffled; else nothing is
    last: dict[nn.Module, Tensor] = field(default_factory=dict)
    begun: set[nn.Module] = field(default_factory=set)  # layers that have run since the last step
    carried: list[bool] = field(default_factory=list)  # whether a layer began a step with its last state

    def note(self, layer: nn.Module, inputs: Any, output: Any) -> None:
        """Compare the state that a layer is given first in a step with the one that it gave last."""
        if self.example is None or not isinstance(layer, nn.RNNBase):
            return
        given, last = first_tensor(inputs[1:]), self.last.get(layer)
        if last is not None and layer not in self.begun:
            same = given is not None and given.shape == last.shape and torch.equal(given, last)
            self.carried.append(same and bool(last.any()))
        self.begun.add(layer)
        state = first_tensor(output[1])
        if state is not None:
            self.last[layer] = state.detach()

    def note_batch(self, batch: Any) -> None:
        """Look no further where batches are no whole examples: a state may go on from a part of one to the next."""
        first = first_tensor(batch)
        if first is None or first.shape[1:] != self.example:
            self.example = None
            self.carried.clear()

    def end_step(self, *, followed: bool) -> None:
        """Forget what has run in a step, and its states where the next step is not looked at."""
        self.begun.clear()
        if not followed:
            self.last.clear()


def check_carried_state(carried: Sequence[bool], fewest: int = 4) -> Finding:
    """Find out whether recurrent layers begin steps with the state of the last batch, where examples are shuffled."""
    n_carried = sum(carried)
    return Finding(
        name="carried_state",
        trouble=n_carried >= fewest and 2 * n_carried > len(carried),
        numbers={"steps": float(len(carried)), "begun_with_the_last_state": float(n_carried)},
        threshold=len(carried) / 2,
        relation="a sequence must not begin with the state that another one has left",
        advice="reset the hidden state for every batch, or keep sequences in order: no shuffle, one row one stream",
    )
