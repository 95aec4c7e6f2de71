"""Padding: whether cells that hold nothing are counted in a loss or a score, and which token they hold."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from goldmark.case import Finding


def check_padding_idx(tokens: Tensor, padding_idx: int | None, pad_id: int) -> Finding:
    """Find out whether an embedding takes a token that is in use for padding: its row gets no gradient.

    `tokens` are what the embedding is given, of which `pad_id` pads.
    """
    held = 0 if padding_idx is None or padding_idx == pad_id else int((tokens == padding_idx).sum())
    return Finding(
        name="padding_idx",
        trouble=held > 0,
        numbers={"tokens": float(tokens.numel()), "taken_for_padding": float(held)},
        threshold=0.0,
        relation=f"the embedding of a token must be trained: padding_idx is {padding_idx}, but {pad_id} pads",
        advice=f"nn.Embedding(..., padding_idx={pad_id})",
    )


def check_padding_counted(
    score: Callable[[Tensor, Tensor], Tensor | float], values: Tensor, valid: Tensor, threshold: float = 1e-6
) -> Finding:
    """Find out whether a score of padded sequences changes with what padded cells hold, or with how many there are.

    `score` takes values (B, T, ...) and valid (B, T) bool. It is asked again with other values in the padded cells,
    and with as many padded steps more; both may change it by `threshold` of itself. A mean over all cells of a masked
    error passes the first question and fails the second: its loss is low wherever sequences are short.
    """
    known = float(score(values, valid))
    cells = valid.reshape(*valid.shape, *[1] * (values.dim() - valid.dim()))
    other = torch.where(cells, values, 1 + 2 * values.abs().max())
    longer = torch.cat([values, values[:, -1:].expand_as(values)], dim=1)
    changes = {
        "change_by_their_values": float(score(other, valid)) - known,
        "change_by_their_number": float(score(longer, torch.cat([valid, torch.zeros_like(valid)], dim=1))) - known,
    }
    return Finding(
        name="padding_counted",
        trouble=not all(abs(change) <= threshold * abs(known) for change in changes.values()),
        numbers={"score": known, **changes},
        threshold=threshold,
        advice="padded cells are counted: mask the errors, and divide their sum by the number of valid cells",
    )


def filled_from(targets: Tensor, lengths: Tensor) -> bool:
    """Tell whether targets (B, T, ...) hold one number behind lengths (B,) of 1 to T, and another one before.

    The first cell behind may hold the end of the sequence. Lengths of a beginning, behind which a text goes on, are
    none of that kind.
    """
    length = targets.shape[1] if targets.dim() > 1 else 0
    if lengths.dim() != 1 or lengths.is_floating_point() or lengths.dtype == torch.bool or len(lengths) != len(targets):
        return False
    if not length or not 1 <= int(lengths.min()) <= int(lengths.max()) <= length:
        return False
    filling = targets[behind(lengths + 1, length)]
    if len(filling) < 2 or not bool((filling == filling.flatten()[0]).all()):
        return False
    last = targets[torch.arange(len(lengths), device=lengths.device), lengths - 1].reshape(len(lengths), -1)
    return 2 * int((last != filling.flatten()[0]).any(dim=1).sum()) > len(lengths)


def behind(lengths: Tensor, length: int) -> Tensor:
    """Return which of `length` positions lie behind lengths (B,), as (B, T) bool."""
    return torch.arange(length, device=lengths.device) >= lengths[:, None]
