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
