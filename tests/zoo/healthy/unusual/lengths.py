"""Sequences of tokens that begin or end alike: padded ones of which the short come first, and marks of a tokenizer."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional
from zoo.healthy.register import healthy
from zoo.loops import batched, classifier

PAD = 10


class Bag(nn.Module):
    """The mean of embedded tokens that are no padding, or of their one-hot codes."""

    def __init__(self, *, embeds=True):
        super().__init__()
        self.table = nn.Embedding(13, 16) if embeds else nn.Linear(13, 16)
        self.head = nn.Sequential(nn.ReLU(), nn.Linear(16, 2))

    def forward(self, x):
        """Logits (B, 2)."""
        given = x if isinstance(self.table, nn.Embedding) else functional.one_hot(x, 13).float()
        live = (x != PAD)[..., None]
        return self.head((self.table(given) * live).sum(1) / live.sum(1))


def digits(n, seed, longest):
    """Padded sequences (N, 9) of 4 to `longest` digits, and whether their sum is large."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randint(0, 10, (n, 9), generator=generator)
    length = torch.randint(4, longest + 1, (n, 1), generator=generator)
    live = torch.arange(9) < length
    return x.masked_fill(~live, PAD), ((x - 4.5) * live).sum(1).gt(0).long()


def of_short_ones(model):
    """Look at a model that sees digits which are all short."""
    train, val = (batched(*digits(n, seed, longest=6)) for n, seed in ((256, 0), (64, 1)))
    return classifier(model, train=train, val=val, intent={"pad_id": PAD})


@healthy
def short_sequences_come_first():
    return of_short_ones(Bag())


@healthy
def short_sequences_as_one_hot_codes():
    return of_short_ones(Bag(embeds=False))


@healthy
def marks_of_a_tokenizer():
    halves = []
    for n, seed in ((256, 0), (64, 1)):
        x, y = digits(n, seed, longest=9)
        halves.append(batched(functional.pad(functional.pad(x, (1, 0), value=11), (0, 1), value=12), y))
    return classifier(Bag(), train=halves[0], val=halves[1])
