"""How the gradients of a few parameters are followed, from where they come in to the step that is taken with them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from goldmark.case import Finding
from goldmark.checks._ownership import owned
from goldmark.checks._steps import check_lost_micro_batches, check_stale_gradients
from goldmark.checks._updates import spread

_MOST_PROBES = 4  # parameters whose gradients are followed
_PROBE_SIZES = (8, 8_192)  # entries: a gradient with a hook is copied where it would have been handed over
_MOST_FOLLOWED = 64  # gradients of a parameter between two steps


@dataclass(kw_only=True, eq=False)
class Following:
    """The gradients of a few parameters in sampled steps."""

    parameters: list[nn.Parameter] = field(default_factory=list)
    awake: bool = False  # in a sampled step
    others: int = 0  # steps of other optimizers since the own last one
    incoming: dict[nn.Parameter, list[tuple[int, Tensor]]] = field(default_factory=dict)  # other steps before, gradient
    stale: list[Finding] = field(default_factory=list)  # of backward passes after the first step
    doubled: list[bool] = field(default_factory=list)  # by backward pass: whether its gradient is added to itself
    lost: list[Finding] = field(default_factory=list)  # of accumulated steps
    repeated: list[bool] = field(default_factory=list)  # by step: whether it has the gradients of the last one
    _arriving: dict[nn.Parameter, Tensor] = field(default_factory=dict)  # that may be added to `.grad` next
    _gone: list[tuple[int, int]] = field(default_factory=list)  # gradients missing at a step, of how many
    _stepped: dict[nn.Parameter, Tensor] = field(default_factory=dict)  # gradients as the last step had them

    def begin(self, model: nn.Module, optimizers: Sequence[torch.optim.Optimizer]) -> list[Any]:
        """Choose the parameters and return the handles of their hooks."""
        self.parameters = _chosen(model, owned(optimizers))
        return [
            *(_hook(parameter, partial(self._arrives, parameter)) for parameter in self.parameters),
            *(_accumulate_hook(parameter, self._arrived) for parameter in self.parameters),
        ]

    def _arrives(self, parameter: nn.Parameter, gradient: Tensor) -> None:
        """Keep a gradient that was computed; `torch.autograd.grad` computes some that are never accumulated."""
        if self.awake and not gradient.is_sparse:
            self._arriving[parameter] = gradient.detach().clone()

    def _arrived(self, parameter: Tensor) -> None:
        """Note that a gradient has been added to `.grad`."""
        gradient = self._arriving.pop(parameter, None)  # type: ignore[call-overload]
        if gradient is not None:
            self.incoming.setdefault(parameter, []).append((self.others, gradient))  # type: ignore[arg-type]

    def note_backward(self, steps: int, *, again: bool) -> None:
        """Compare `.grad` with what has come in, after so many own steps; `again`: of a root that has passed before."""
        self.doubled.append(again and self._adds_up_twice())
        for parameter, recent in self._recent().items():
            if steps > 0 and recent and parameter.grad is not None and not parameter.grad.is_sparse:
                self.stale.append(check_stale_gradients(recent[-_MOST_FOLLOWED:], parameter.grad.detach()))

    def _adds_up_twice(self) -> bool:
        """Tell whether the last two gradients are the same, and `.grad` holds both."""
        added = []
        for parameter, recent in self._recent().items():
            if len(recent) < 2 or parameter.grad is None or not bool(recent[-1].any()):
                continue
            same = torch.equal(recent[-1], recent[-2])
            added.append(same and torch.allclose(parameter.grad, sum(recent, torch.zeros_like(recent[0])), rtol=1e-4))
        return bool(added) and all(added)

    def _recent(self) -> dict[nn.Parameter, list[Tensor]]:
        """Return the gradients that have come in since the last step of any optimizer."""
        every = self.incoming.items()
        return {parameter: [one for others, one in came if others == self.others] for parameter, came in every}

    def note_step(self) -> None:
        """Note whether gradients that had come in are gone where a step is about to be taken."""
        had = [parameter for parameter, gradients in self.incoming.items() if any(bool(g.any()) for _, g in gradients)]
        missing = [parameter for parameter in had if parameter.grad is None or not bool(parameter.grad.any())]
        self._gone.append((len(missing), len(had)))

    def note_last_step(self, n_passes: int) -> None:
        """Note whether the last optimizer is about to take a step with the gradients of the step before.

        If several passes are declared to make a step, and as many have been made, `.grad` must hold all `n_passes`.
        """
        now = {p: p.grad.detach() for p in self.parameters if p.grad is not None and bool(p.grad.any())}
        same = now.keys() == self._stepped.keys() and all(torch.equal(now[p], self._stepped[p]) for p in now)
        self.repeated.append(bool(now) and same and not self.incoming)
        self._stepped = {parameter: gradient.clone() for parameter, gradient in now.items()}
        for parameter, recent in self._recent().items():
            whole = len(recent) == len(self.incoming[parameter]) == n_passes > 1
            if whole and parameter.grad is not None:
                self.lost.append(check_lost_micro_batches(recent, parameter.grad.detach()))

    def end_step(self) -> None:
        """Start anew after a step."""
        self.others = 0
        self.incoming.clear()

    def fall_asleep(self) -> None:
        """Follow nothing until the next sampled step."""
        self.awake = False
        self._arriving.clear()

    def zeroed(self) -> tuple[int, int]:
        """Return in how many sampled steps all gradients were gone, of those in which some had come in."""
        counted = [(missing, had) for missing, had in self._gone if had]
        return sum(missing == had for missing, had in counted), len(counted)


def _chosen(model: nn.Module, mine: Collection[int]) -> list[nn.Parameter]:
    """Return a few of the dense parameters that are owned, of sizes that cost little to follow."""
    low, high = _PROBE_SIZES
    sparse = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding | nn.EmbeddingBag)}
    shaped = [p for p in model.parameters() if p.requires_grad and not is_lazy(p)]
    dense = [p for p in shaped if id(p) in mine and id(p) not in sparse]
    fit = [parameter for parameter in dense if low <= parameter.numel() <= high]
    return spread(fit or sorted(dense, key=torch.numel)[:1], _MOST_PROBES)


def _hook(parameter: Any, note: Callable[[Tensor], None]) -> Any:
    """Call `note` with every gradient that comes in for a parameter, before it is added to `.grad`."""
    return parameter.register_hook(note)


def _accumulate_hook(parameter: Any, note: Callable[[Tensor], None]) -> Any:
    """Call `note` after every gradient that was added to `.grad`."""
    return parameter.register_post_accumulate_grad_hook(note)
