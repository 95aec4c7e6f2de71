"""Masks of attention: whether they leave out what pads, or all else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from goldmark.case import Finding


def left_out_of(name: str, args: Sequence[Any], keywords: Mapping[str, Any]) -> Tensor | None:
    """Return which keys (B, T) bool no query attends to, in a call of torch's attention; None where all are told.

    A `key_padding_mask` is True where a key is left out; an `attn_mask` (B, H or 1, T or 1, T) of
    `scaled_dot_product_attention` where it takes part. Both may be numbers to add, then -inf leaves out.
    """
    if name == "multi_head_attention_forward":
        mask = keywords.get("key_padding_mask")
        return _hidden(mask, inverted=False) if isinstance(mask, Tensor) and mask.dim() == 2 else None
    if name == "scaled_dot_product_attention":
        mask = keywords.get("attn_mask", args[3] if len(args) > 3 else None)
        fits = isinstance(mask, Tensor) and mask.dim() == 4
        return _hidden(mask, inverted=True).flatten(1, 2).all(dim=1) if fits else None
    return None


def _hidden(mask: Tensor, *, inverted: bool) -> Tensor:
    mask = mask.detach()
    if mask.is_floating_point():
        return mask == -torch.inf
    return ~mask.bool() if inverted else mask.bool()


def check_attention_to_padding(padding: Tensor, left_out: Sequence[Tensor]) -> Finding:
    """Find out whether attention leaves out exactly what is no padding.

    `padding` (B, T) bool tells which tokens pad, `left_out` the keys (B, T) bool that each attention leaves out. Layers
    of torch leave out where a `key_padding_mask` is True; other libraries, and `scaled_dot_product_attention`, attend.
    """
    told = [keys for keys in left_out if keys.shape == padding.shape]
    both = bool(padding.any()) and not bool(padding.all())
    n_inverted = sum(torch.equal(keys, ~padding) for keys in told) if both else 0
    return Finding(
        name="attention_to_padding",
        trouble=n_inverted > 0,
        numbers={"attentions": float(len(told)), "inverted": float(n_inverted)},
        threshold=0.0,
        relation="attention must leave out what pads: it leaves out all else, and attends to padding alone",
        advice="turn the mask around: a key_padding_mask is True where a token pads, the attn_mask of "
        "scaled_dot_product_attention where it takes part",
    )
