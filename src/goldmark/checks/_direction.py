"""Bidirectional recurrent layers: which of their outputs a loss reads, and what each direction has seen there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from torch import Tensor, nn

from goldmark.case import Finding
from goldmark.checks._structures import tensors_of

_MOST_CALLS = 64  # of a layer: one that is read in another way settles the matter


def check_direction_of_one_step(gradient: Tensor) -> Finding:
    """Find out whether of both directions (..., T, 2 H) one end alone is read, where one of them has seen one step.

    `gradient` is that of the loss on the outputs of a bidirectional layer.
    """
    n_steps = gradient.shape[-2]
    halves = gradient.abs().reshape(-1, n_steps, 2, gradient.shape[-1] // 2).sum(dim=(0, 3)) != 0
    read = halves.any(dim=1)
    ends = [end for end in (0, n_steps - 1) if bool(halves[end].all())]
    return Finding(
        name="direction_of_one_step",
        trouble=n_steps > 1 and int(read.sum()) == 1 and bool(ends),
        numbers={"steps": float(n_steps), "steps_read": float(read.sum())},
        threshold=1.0,
        relation="both directions must have seen the sequence where they are read: at its end the backward one has "
        "seen the last step alone, and at its start the forward one the first",
        advice="torch.cat([h_n[-2], h_n[-1]], dim=1) in place of output[:, -1], or a mean or maximum over all steps",
    )


@dataclass(kw_only=True, eq=False)
class Read:
    """What gradients have arrived at what one call of a layer gave."""

    outputs: Tensor | None = None  # (T, 2), sums of absolute gradients of each direction
    told_more: bool = False  # the layer was given a state, or its last states are read

    def add(self, time: int, gradient: Tensor) -> None:
        """Add a gradient on outputs whose dimension `time` is that of steps."""
        by_step = gradient.detach().movedim(time, 0).abs()
        summed = by_step.reshape(len(by_step), -1, 2, by_step.shape[-1] // 2).sum(dim=(1, 3))
        self.outputs = summed if self.outputs is None else self.outputs + summed

    def add_state(self, gradient: Tensor) -> None:
        """Note a gradient on last states."""
        self.told_more = self.told_more or bool(gradient.any())


@dataclass(kw_only=True, eq=False)
class Reads:
    """The calls of bidirectional layers, and what is read of them."""

    calls: dict[nn.Module, list[Read]] = field(default_factory=dict)

    def note(self, layer: nn.Module, inputs: Any, keywords: Mapping[str, Any], output: Any) -> None:
        """Take note of a call, as a forward hook with keywords does; packed sequences end in unlike steps."""
        outputs: Any = output[0]
        if not isinstance(layer, nn.RNNBase) or not layer.bidirectional or not isinstance(outputs, Tensor):
            return
        if outputs.requires_grad and len(self.calls.get(layer, ())) < _MOST_CALLS:
            read = Read(told_more=any(bool(one.any()) for one in tensors_of([*inputs[1:], keywords.get("hx")])))
            self.calls.setdefault(layer, []).append(read)
            _hook(outputs, partial(read.add, 1 if layer.batch_first and outputs.dim() == 3 else 0))
            for state in tensors_of(output[1]):
                _hook(state, read.add_state)

    def findings(self) -> Iterator[Finding]:
        """Yield a finding for each layer whose calls are all read in that way."""
        for reads in self.calls.values():
            judged = [check_direction_of_one_step(read.outputs) for read in reads if read.outputs is not None]
            if judged and all(one.trouble for one in judged) and not any(read.told_more for read in reads):
                yield judged[-1]


def together(several: list[Reads]) -> Reads:
    """Return what several passes have read, as one."""
    calls: dict[nn.Module, list[Read]] = {}
    for reads in several:
        for layer, own in reads.calls.items():
            calls.setdefault(layer, []).extend(own)
    return Reads(calls=calls)


def _hook(tensor: Any, note: Callable[[Tensor], None]) -> None:
    """Call `note` with every gradient that arrives at a tensor."""
    tensor.register_hook(note)
