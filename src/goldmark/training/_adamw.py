"""AdamW over stacked parameters: one update for many runs, each with a learning rate and a decay of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from goldmark.training._schedule import BETAS, EPS

_LINE = 16  # numbers of a cache line, in float32


@dataclass(frozen=True)
class Segment:
    """The parameters that share their learning rates, flat: values and moments (R, P), `lr` and `decay` (S, R, 1).

    `lr` is the rate of every step and `decay` 1 - lr * weight decay; `views` are the parameters (R, *shape), as leaves
    that share the memory of `values`.
    """

    views: Mapping[str, Tensor]
    values: Tensor
    mean: Tensor
    square: Tensor
    lr: Tensor
    decay: Tensor


def segment(parameters: Mapping[str, Tensor], lr: Tensor, weight_decay: Tensor) -> Segment:
    """Lay out stacked parameters (R, *shape) that share the rates `lr` (S, R); `weight_decay` (R,)."""
    values = flat(parameters.values())
    views = {name: view.detach().requires_grad_() for name, view in _views(values, parameters).items()}
    zeros = torch.zeros_like(values)
    decay = 1 - lr * weight_decay
    return Segment(views, values, zeros, zeros.clone(), lr.to(values)[..., None], decay.to(values)[..., None])


def moments(part: Segment) -> dict[str, Tensor]:
    """Return views (R, *shape) of both moments of each parameter, as `parameter.moment` in torch's words."""
    named = {"exp_avg": part.mean, "exp_avg_sq": part.square}
    return {
        f"{name}.{moment}": view
        for moment, values in named.items()
        for name, view in _views(values, part.views).items()
    }


def _views(values: Tensor, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return views of flat values (R, P) in the shapes of parameters (R, *shape), as `flat` laid them out."""
    places = torch.split(values, [_padded(tensor[0].numel()) for tensor in parameters.values()], dim=1)
    return {
        name: place[:, : tensor[0].numel()].view(tensor.shape)
        for (name, tensor), place in zip(parameters.items(), places, strict=True)
    }


def flat(tensors: Iterable[Tensor]) -> Tensor:
    """Return stacked tensors (R, *shape) side by side, (R, P), each padded with zeros to whole cache lines.

    So all runs lie alike in memory: the product of a matrix rounds otherwise where it starts at another alignment.
    """
    rows = [tensor.flatten(1) for tensor in tensors]
    return torch.cat([nn.functional.pad(row, (0, _padded(row.shape[1]) - row.shape[1])) for row in rows], dim=1)


def _padded(n: int) -> int:
    return -(-n // _LINE) * _LINE


def bias_corrections(steps: int) -> Tensor:
    """Return (S, 2) float64: what Adam's moments are to be multiplied by after each step."""
    taken = torch.arange(1, steps + 1, dtype=torch.float64)
    return torch.stack([1 / (1 - BETAS[0] ** taken), 1 / (1 - BETAS[1] ** taken)], dim=1)


def clipped(grads: Sequence[Tensor], limits: Tensor) -> list[Tensor]:
    """Return gradients (R, P) scaled so that the norm of each run's, over all of them, stays below its limit (R,).

    The result is new memory: gradients of a stack may be views of one tensor, which scaling in place would scale twice.
    """
    norms = torch.stack([grad.square().sum(dim=1) for grad in grads]).sum(dim=0).sqrt()
    factors = (limits / (norms + 1e-6)).clamp_max(1.0)[:, None]  # as in `torch.nn.utils.clip_grad_norm_`
    return [grad * factors for grad in grads]


def update(segments: Sequence[Segment], grads: Sequence[Tensor], step: Tensor, corrections: Tensor) -> None:
    """Take one step of AdamW in place (Loshchilov and Hutter, 2019); `step` is a counter (1,) on the device."""
    first, second = corrections.index_select(0, step)[0]
    for part, grad in zip(segments, grads, strict=True):
        lr, decay = part.lr.index_select(0, step)[0], part.decay.index_select(0, step)[0]
        part.mean.lerp_(grad, 1 - BETAS[0])
        part.square.mul_(BETAS[1]).addcmul_(grad, grad, value=1 - BETAS[1])
        direction = part.mean / (part.square * second).sqrt_().add_(EPS)
        part.values.mul_(decay).sub_(direction.mul_(lr * first))
