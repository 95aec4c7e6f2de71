"""The updates of a few matrices: how large they are, and whether they are rounded away or their state overwritten."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard, TypeVar

import torch
from torch import Tensor, nn

from goldmark.case import Finding

T = TypeVar("T")
_FEW_BITS = (torch.bfloat16, torch.float16)
_MOST_MATRICES = 4  # whose updates are measured
_PART = 65_536  # entries of each of them


@dataclass(frozen=True, kw_only=True)
class Rounding:
    """What became of a step's updates of parameters in few bits."""

    rate: float  # of the optimizer
    unmoved: float  # share of the entries with a gradient that are the same to the bit


def matrices_of(model: nn.Module) -> list[tuple[Tensor, Tensor]]:
    """Return a few matrices that train, each with its first entries as they are now."""
    matrices = [p for p in model.parameters() if p.dim() > 1 and p.requires_grad]
    return [(p, _part(p).clone()) for p in spread(matrices, _MOST_MATRICES)]


def spread(items: Sequence[T], most: int) -> list[T]:
    """Return at most so many items, the first and the last among them."""
    if len(items) <= most:
        return list(items)
    places = torch.linspace(0, len(items) - 1, most).round().long().tolist()
    return [items[place] for place in places]


def _part(parameter: Tensor) -> Tensor:
    """Return the first entries of a parameter, which stand for all of them."""
    return parameter.detach().flatten()[:_PART]


def ratio_of(before: Sequence[tuple[Tensor, Tensor]]) -> float:
    """Return the median length of updates over that of the weights; `before` is what `matrices_of` returned."""
    changes = [float((_part(p) - old).norm() / (old.norm() + 1e-12)) for p, old in before]
    return float(torch.tensor(changes).median())


def check_rounded_updates(steps: Sequence[Rounding], threshold: float = 0.5, fewest: int = 8) -> Finding:
    """Find out whether most updates of parameters in 16 bits are rounded away: no bit changes, though a gradient came.

    bfloat16 has 8 bits: an update below 1/512 of its weight is lost. Judged are steps at half of the highest rate or
    more, of which there must be `fewest`: a warm-up starts from nothing, and a schedule may end there.
    """
    highest = max((step.rate for step in steps), default=0.0)
    judged = [step.unmoved for step in steps if step.rate > 0 and step.rate >= highest / 2]
    lost = sum(share > threshold for share in judged)
    return Finding(
        name="rounded_updates",
        trouble=len(judged) >= fewest and 4 * lost >= 3 * len(judged),
        numbers={"steps_lost": float(lost), "steps": float(len(judged)), "unmoved": max(judged, default=0.0)},
        threshold=threshold,
        relation="a weight that gets a gradient must move: in 16 bits a small update rounds to nothing",
        advice="keep parameters in float32, under autocast to bfloat16, or raise the learning rate",
    )


def rounding_of(optimizer: torch.optim.Optimizer, before: Sequence[tuple[Tensor, Tensor]]) -> Rounding | None:
    """Return what one of torch's own optimizers did to parameters in few bits; None where it has none.

    `before` are parameters and their first entries before the step. Other optimizers may round at random, or carry on
    what was rounded off.
    """
    few = [(p, p.grad.detach(), old) for p, old in before if p.dtype in _FEW_BITS and p.grad is not None]
    if not few or not type(optimizer).__module__.startswith("torch.optim"):
        return None
    rates = {id(p): float(group["lr"]) for group in optimizer.param_groups for p in group["params"]}
    pushed = same = 0
    for parameter, gradient, old in few:
        if rates.get(id(parameter), 0.0) > 0 and not gradient.is_sparse:
            pushes = gradient.flatten()[: len(old)] != 0
            pushed += int(pushes.sum())
            same += int((pushes & (parameter.detach().flatten()[: len(old)] == old)).sum())
    return Rounding(rate=max(rates.values()), unmoved=same / pushed) if pushed else None


def check_overwritten_state(n_overwritten: int, n_steps: int) -> Finding:
    """Find out whether an optimizer's state is `.grad` itself, so that a new gradient has come in its place.

    That is seen before a step; what a state keeps of a gradient that has been set to None since is its own.
    """
    return Finding(
        name="overwritten_state",
        trouble=n_overwritten >= 2 and 2 * n_overwritten >= n_steps,
        numbers={"steps_overwritten": float(n_overwritten), "steps": float(n_steps)},
        threshold=0.0,
        relation="what an optimizer keeps must not share its memory with a parameter's .grad",
        advice="keep a copy: state['momentum'] = p.grad.clone()",
    )


def shares_gradient(optimizer: torch.optim.Optimizer) -> bool:
    """Tell whether a tensor that an optimizer keeps for a parameter is its `.grad`, by its memory."""
    for parameter, own in optimizer.state.items():
        gradient = parameter.grad if isinstance(parameter, Tensor) else None
        if not _is_plain(gradient) or not gradient.numel() or not isinstance(own, dict):
            continue
        kept = [one for one in own.values() if _is_plain(one) and one.shape == gradient.shape]
        if any(one.data_ptr() == gradient.data_ptr() for one in kept):
            return True
    return False


def _is_plain(value: Any) -> TypeGuard[Tensor]:
    """Tell whether a value is a tensor with one place in memory: not sparse, nor of a class of several tensors."""
    return type(value) in (Tensor, nn.Parameter) and value.layout == torch.strided
