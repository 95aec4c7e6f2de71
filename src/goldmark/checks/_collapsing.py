"""Objectives that are least where all embeddings are one vector, whatever the inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations

import torch
from torch import Tensor

from goldmark.case import Finding
from goldmark.checks._graph import kind

_STEP = 0.1  # of a perturbation, against the entries of the vector
_SLACK = 1e-5  # of the loss, which is rounding
_LARGE = 100.0  # times what the model gives
_NORMS = ("NativeBatchNorm", "CudnnBatchNorm", "MiopenBatchNorm")


def check_collapsing_objective(loss_of: Callable[[list[Tensor]], Tensor], outputs: Sequence[Tensor]) -> Finding:
    """Find out whether a loss of several outputs (N, L) is least where all of them are one vector, whichever it is.

    Nothing then keeps embeddings apart (Chen and He, "Exploring simple Siamese representation learning", 2021: without
    the stop-gradient all outputs collapse). Each output moved alone must raise the loss from there, and all of them
    moved alike must not lower it, as they do where examples push each other away.
    """
    given = [output.detach() for output in outputs]
    joined = torch.cat(given)
    vector = joined[joined.norm(dim=1).argmax()]
    points = [[one.expand_as(output).clone() for output in given] for one in (vector, vector.roll(1))]
    present, *least = [float(loss_of(one).detach().sum()) for one in (given, *points)]
    slack = _SLACK * max(abs(present), abs(least[0]))
    falls = present - least[0] > 10 * slack and abs(least[0] - least[1]) <= slack
    falls = falls and not _standardises(loss_of, given, vector, least[0])
    return Finding(
        name="collapsing_objective",
        trouble=falls and all(_is_least(loss_of, one, slack) for one in points),
        numbers={"loss": present, "loss_where_all_are_one": least[0]},
        threshold=0.0,
        relation="a loss must not be least where all embeddings are one and the same vector",
        advice="detach the side that is the target (z.detach() in SimSiam, no_grad around BYOL's target network), or "
        "add what keeps examples apart: negatives, or a term for variance",
    )


def _standardises(loss_of: Callable[[list[Tensor]], Tensor], given: list[Tensor], vector: Tensor, least: float) -> bool:
    """Tell whether a loss stays the same where all outputs are shifted and scaled: it takes mean and size out itself.

    Large outputs leave nothing to the small numbers that stand beside a variance.
    """
    before, after = (
        float(loss_of([factor * one + shift * vector for one in given]).detach().sum())
        for factor, shift in ((_LARGE, 0), (3 * _LARGE, 10 * _LARGE))
    )
    return abs(after - before) <= 0.1 * abs(before - least)


def _is_least(loss_of: Callable[[list[Tensor]], Tensor], point: list[Tensor], slack: float) -> bool:
    """Tell whether a loss is at rest at a point, and higher wherever one of its outputs is moved alone."""
    generator = torch.Generator().manual_seed(0)
    size = _STEP * point[0][0].square().mean().sqrt()
    moves = [torch.randn(point[0].shape, generator=generator).to(point[0]) * size for _ in range(2)]
    alone = [
        [one + move if k == place else one for k, one in enumerate(point)]
        for place in range(len(point))
        for move in moves
    ]
    together = [[one + move for one in point] for move in moves]
    least = float(loss_of(point).detach().sum())
    steepest = [_steepness(loss_of, one) for one in (point, alone[0])]
    return (
        steepest[0] <= 1e-2 * steepest[1]
        and all(float(loss_of(one).detach().sum()) > least + slack for one in alone)
        and all(float(loss_of(one).detach().sum()) >= least - slack for one in together)
    )


def _steepness(loss_of: Callable[[list[Tensor]], Tensor], point: list[Tensor]) -> float:
    leaves = [one.clone().requires_grad_() for one in point]
    gradients = torch.autograd.grad(loss_of(leaves).sum(), leaves, allow_unused=True)
    return max(float(one.abs().max()) for one in gradients if one is not None)


def are_centred(outputs: Sequence[Tensor]) -> bool:
    """Tell whether some of a model's outputs (N, L) have mean 0 over a batch, one by one or two together.

    What is normalised over the batch, or whitened, cannot become one vector, unless a bias that is trained follows.
    """
    free = [one for one in outputs if not _has_bias(one)]
    sets = [*((one,) for one in free), *combinations(free, 2)]
    slack = max(1e-4, *(torch.finfo(one.dtype).eps for one in outputs))
    joined = (torch.cat(part).detach().double() for part in sets)
    return any(bool((one.mean(0).abs() <= slack * one.std(0)).all()) for one in joined)


def _has_bias(output: Tensor) -> bool:
    """Tell whether an output is that of a BatchNorm with weights of its own."""
    node = output.grad_fn
    return node is not None and kind(node) in _NORMS and node.next_functions[-1][0] is not None
