"""Synthetic windows of market bars: noise, and in one short span a cue that tells where it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from goldmark.case import Data
from goldmark.training import draws

if TYPE_CHECKING:
    from goldmark.cases.expansion import ExpansionSettings

COUNTDOWN_LIMIT = 20  # bars


def generate(settings: ExpansionSettings, seed: int) -> Data:
    """Return the training and validation windows of one seed.

    Each half holds features (N, T, F), span (N, T) 0/1, countdown (N, T) in bars, pointers (N, 2) as shares of T:
    all float64; and kind (N,) int64. All features are standard normal noise; in the span, feature 0 is shifted by the
    cue. Nothing tells the kind: in the record, too, its loss stayed at the entropy of the kinds.
    """
    n = settings.n_train + settings.n_val

    def draw(site: str) -> Tensor:
        return draws.uniform(draws.key(seed, 0, f"expansion {site}"), (n,))

    longest, shortest = settings.span_max, settings.span_min
    length = shortest + (draw("length") * (longest - shortest + 1)).long()
    start = (draw("start") * (settings.bars - length + 1)).long()
    kind = (draw("kind") < settings.kind_share).long()
    shape = (n, settings.bars, settings.features)
    features = draws.normal(draws.key(seed, 0, "expansion noise"), shape)
    span = span_labels(start, length, settings.bars)
    features[..., 0] += settings.cue * span
    whole = {
        "features": features,
        "span": span,
        "countdown": countdown_bars(start, settings.bars),
        "pointers": torch.stack([start + length / 2, length], dim=1).double() / settings.bars,
        "kind": kind,
    }
    train = {f"train_{name}": tensor[: settings.n_train] for name, tensor in whole.items()}
    return train | {f"val_{name}": tensor[settings.n_train :] for name, tensor in whole.items()}


def span_labels(start: Tensor, length: Tensor, bars: int) -> Tensor:
    """Return (N, T) float64: 1 on the `length` bars from `start`, 0 elsewhere; both (N,), in bars."""
    since = torch.arange(bars) - start[:, None]
    return ((since >= 0) & (since < length[:, None])).double()


def countdown_bars(start: Tensor, bars: int) -> Tensor:
    """Return (N, T) float64: the bars until the span starts, negative after it, clipped to 20 either way."""
    return (start[:, None] - torch.arange(bars)).clamp(-COUNTDOWN_LIMIT, COUNTDOWN_LIMIT).double()
