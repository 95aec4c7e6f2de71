"""Pairs whose targets teach outputs of another place: shifted once too often, behind the end, or across a diagonal."""

from __future__ import annotations

import torch
from torch import nn
from zoo.loops import batched, look, pair, tokens
from zoo.pairs_model import Transformer, sequence_loss
from zoo.pairs_sequences import trained


class Captioner(nn.Module):
    """Logits of patches (B, 4, 6) and of the tokens (B, T) behind them, each of which sees those before it."""

    def __init__(self):
        super().__init__()
        self.patches, self.words, self.head = nn.Linear(6, 16), nn.Embedding(12, 16), nn.Linear(16, 12)
        self.layer = nn.GRU(16, 16, batch_first=True)

    def forward(self, patches, words):
        """Logits (B, 4 + T, 12)."""
        return self.head(self.layer(torch.cat([self.patches(patches), self.words(words)], dim=1))[0])


def captioned(n, seed):
    """Batches of ((patches (B, 4, 6), tokens (B, 8)), the same tokens); the first token is among the patches."""
    text = tokens(n, length=7, seed=seed)
    patches = torch.randn(n, 4, 6, generator=torch.Generator().manual_seed(seed))
    patches[:, 0, 0] = text[:, 0] / 3
    parts = zip(patches.split(32), text.split(32), strict=True)
    return [((part, words), words) for part, words in parts]


@pair("shifted_twice")
def labels_shifted_before_a_loss_that_shifts_them(bug):
    def next_token_loss(logits, labels):
        return sequence_loss(logits[:, :-1], labels[:, 1:])

    def loss_fn(output, labels):
        words = output[:, 4:]
        return next_token_loss(words[:, :-1], labels[:, 1:]) if bug else next_token_loss(words, labels)

    model = Captioner()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    return look(model, optimizer, captioned(128, 0), captioned(64, 1), loss_fn, spread=True, epochs=2)


@pair("shifted_twice")
def shifted_in_the_data_and_in_the_loss_of_an_undeclared_model(bug):
    def loss_fn(output, targets):
        return sequence_loss(output[:, :-1], targets[:, 1:]) if bug else sequence_loss(output, targets)

    halves = [batched(text[:, :10], text[:, 1:11]) for text in (tokens(128), tokens(64, seed=1))]
    return trained(Transformer(), *halves, loss_fn, intent={"tied": [("embedding.weight", "head.weight")]})
