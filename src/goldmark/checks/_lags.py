"""How far a target lies after what the output has seen that it teaches, asked of the loss and of the model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from goldmark.case import Finding
from goldmark.checks._losses import LossFunction
from goldmark.checks._pulls import gradients, pull
from goldmark.checks._structures import tensors_of

_FEWEST, _MOST = 2, 3  # positions that are asked


def check_shifted_twice(lags: Sequence[int]) -> Finding:
    """Find out whether targets lie two positions or more after the last one that their output has seen.

    `lags` are the `taught_lags` of a model that is given its labels. Where lags differ, the loss does more than to
    predict what is next, and passes.
    """
    lag = lags[0] if len(lags) >= _FEWEST and len(set(lags)) == 1 else 1
    return Finding(
        name="shifted_twice",
        trouble=lag > 1,
        numbers={"lag": float(lag), "targets_tried": float(len(lags))},
        threshold=1.0,
        relation="an output must be taught the token after the last one that it has seen",
        advice="shift once: in the data, in the model or in the loss",
    )


def taught_lags(
    forward: Callable[[Tensor], Any], loss_fn: LossFunction, tokens: Tensor, targets: Tensor, offset: int = 0
) -> list[int]:
    """Return how far some targets (B, T) lie after the last token (B, T) that the output has seen that they pull on.

    It is 1 where an output is taught the next token, 0 where it has seen its target as the last one, and negative
    where earlier outputs have seen it, too: the model does not read in order. A target is the token `offset` positions
    on. Of outputs (B, S, V), (B, V, S) or (B S, V) the loss tells which positions a target pulls on; those that pull
    on none, or on several, are left out, and so are tokens that no output depends on. One lag that is no trouble ends
    the search.
    """
    output = forward(tokens)
    before, lags = gradients(loss_fn, output, targets), []
    columns = torch.linspace(1, targets.shape[1] - 2, _MOST).long().unique().tolist()  # type: ignore[no-untyped-call]
    for column in columns if targets.shape[1] > _MOST else []:
        others = targets[:, column][targets[:, column] != targets[0, column]]
        if not len(others):
            continue
        changed, fed = targets.clone(), tokens.clone()
        changed[0, column] = fed[0, column + offset] = others[0]
        after = gradients(loss_fn, output, changed)
        for old, new, out, other in zip(before, after, tensors_of(output), tensors_of(forward(fed)), strict=True):
            moved = (out - other).abs() > 1e-5 * (float(out.abs().max()) + 1e-12)
            first = [_of_first(one, len(tokens)) for one in (old, new, moved)]
            lag = _lag(pull(first[0], first[1]) > 0, first[2])
            lags += [] if lag is None else [lag]
        if lags and (lags[-1] == 1 or lags[-1] < 0):
            break
    return lags


def _of_first(tensor: Tensor, n_examples: int) -> Tensor:
    """Return the part of the first example, of which all rows may lie one after another."""
    joined = tensor.dim() == 2 and len(tensor) > n_examples and len(tensor) % n_examples == 0
    return tensor[: len(tensor) // n_examples] if joined else tensor[0]


def _lag(pulled: Tensor, moved: Tensor) -> int | None:
    """Return how many positions after the one that is pulled on the first one moved; both are (S, V) or (V, S)."""
    if pulled.dim() != 2 or not bool(pulled.any()) or not bool(moved.any()):
        return None
    along = [pulled.any(dim=1 - dim).nonzero().flatten() for dim in (0, 1)]
    alone = [dim for dim in (0, 1) if len(along[dim]) == 1]
    if len(alone) != 1:
        return None
    first = int(moved.any(dim=1 - alone[0]).nonzero()[0])
    return first - int(along[alone[0]])
