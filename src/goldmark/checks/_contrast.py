"""Contrasts of examples with each other: an example that stands among its own negatives."""

from __future__ import annotations

import torch
from torch import Tensor

from goldmark.case import Finding
from goldmark.checks._graph import Node, kind, nodes, shape_of

_FEWEST, _MOST = 8, 64  # rows: of fewer any matrix may look symmetric by chance, and of many these stand for all
_ROUNDING = 1e-2  # of the largest distance; in 16 bits a product of z and z.T is not quite symmetric


def check_self_among_negatives(loss: Tensor) -> Finding:
    """Find out whether a cross-entropy over similarities of examples (N, N) keeps those of each one with itself.

    Pairs of examples name each other as targets, and the similarities are symmetric, none of a pair above the mean of
    its own two: then no pair can have more than half of the probability, and the loss stays above log 2 (of NT-Xent,
    Chen et al., "A simple framework for contrastive learning", 2020, the sum over k leaves i itself out).
    `loss` has its graph still: no backward pass has freed what it holds.
    """
    crosses = [node for node in nodes(loss.grad_fn, past_layers=False) if kind(node) == "NllLoss" and _is_square(node)]
    given = [(node._saved_self.detach(), node._saved_target) for node in crosses]  # noqa: SLF001
    kept = [logs for logs, targets in given if _names_pairs(logs, targets) and _keeps_itself(logs)]
    share = float(kept[0].diagonal().exp().mean()) if kept else 0.0
    return Finding(
        name="self_among_negatives",
        trouble=bool(kept),
        numbers={"probability_of_itself": share},
        threshold=0.0,
        relation="an example must be contrasted with others, not with itself",
        advice="mask the diagonal before the softmax: "
        "sim.masked_fill(torch.eye(len(sim), dtype=torch.bool, device=sim.device), -torch.inf)",
    )


def _is_square(node: Node) -> bool:
    """Tell by its shape alone whether an operation is given a matrix (N, N): a checkpoint refuses a second reading."""
    operand, place = node.next_functions[0]
    shape = None if operand is None else shape_of(operand, place)
    return shape is not None and len(shape) == 2 and shape[0] == shape[1] >= _FEWEST


def _names_pairs(logs: Tensor, targets: Tensor) -> bool:
    """Tell whether targets (N,) of a square matrix (N, N) are other rows, of which each has the first as its target."""
    n = len(logs)
    if bool(((targets < 0) | (targets >= n)).any()):
        return False
    own = torch.arange(n, device=targets.device)
    return torch.equal(targets[targets], own) and not bool((targets == own).any())


def _keeps_itself(logs: Tensor) -> bool:
    """Tell whether a matrix (N, N) is symmetric but for a number added to each row, and no row is nearer than itself.

    A softmax adds such numbers; a mask makes the diagonal far smaller than the rest, or infinite.
    """
    part = logs[:_MOST, :_MOST].double()
    if not bool(part.isfinite().all()):
        return False
    skew, own = part - part.T, part.diagonal()
    rows = skew.mean(dim=1)
    distances = own[:, None] + own - part - part.T  # |a - b|^2 where entries are products a b; rows' numbers drop out
    largest = float(distances.max())
    uneven = float((skew - rows[:, None] + rows).abs().max())
    return largest > 0 and uneven <= _ROUNDING * largest and float(distances.min()) >= -_ROUNDING * largest
