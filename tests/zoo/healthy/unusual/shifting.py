"""Models that are given their labels: shifted inside the model, read as a whole, or taught further ahead as well."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional
from zoo.healthy.register import healthy
from zoo.loops import batched, look, tokens
from zoo.pairs_model import Translator, sequence_loss
from zoo.pairs_sequences import sessions, trained


@healthy
def a_decoder_that_shifts_its_labels():
    class Shifting(Translator):
        """A translator that puts a start token before the labels and leaves out the last, as T5 does."""

        def forward(self, source, labels):
            """Logits (B, T, V)."""
            return super().forward(source, functional.pad(labels[:, :-1], (1, 0)))

    def halves(n, seed):
        text = tokens(n, seed=seed)
        return [((a, b), b) for a, b in zip(text[:, :6].split(32), text[:, 6:12].split(32), strict=True)]

    model = Shifting()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    return look(model, optimizer, halves(128, 0), halves(64, 1), sequence_loss, spread=True, epochs=2)


@healthy
def an_autoencoder_of_texts_and_their_lengths():
    class Autoencoder(nn.Module):
        """A code of the last real state, from which all tokens are written."""

        def __init__(self):
            super().__init__()
            self.embedding, self.places, self.head = nn.Embedding(12, 16), nn.Embedding(12, 16), nn.Linear(16, 12)
            self.encoder, self.decoder = nn.GRU(16, 16, batch_first=True), nn.GRU(16, 16, batch_first=True)

        def forward(self, x, lengths):
            """Logits (B, T, V)."""
            states, _ = self.encoder(self.embedding(x))
            code = states[torch.arange(len(x)), lengths - 1]
            places = self.places.weight[None, : x.shape[1]].expand(len(x), -1, -1)
            return self.head(self.decoder(places.contiguous(), code[None].contiguous())[0])

    def loss_fn(output, targets):
        return functional.cross_entropy(output.transpose(1, 2), targets, ignore_index=0)

    halves = [[((x, lengths), x) for (x, lengths), _ in sessions(n, seed)] for n, seed in ((128, 0), (64, 1))]
    model = Autoencoder()
    return look(model, torch.optim.Adam(model.parameters(), lr=3e-3), *halves, loss_fn, spread=True, epochs=2)


@healthy
def two_tokens_ahead_by_a_second_head():
    class Ahead(nn.Module):
        """Logits of the next token and of the one after it."""

        def __init__(self):
            super().__init__()
            self.embedding, self.layer = nn.Embedding(12, 16), nn.GRU(16, 16, batch_first=True)
            self.heads = nn.ModuleList([nn.Linear(16, 12), nn.Linear(16, 12)])

        def forward(self, x):
            """Both (B, T, V)."""
            states, _ = self.layer(self.embedding(x))
            return [head(states) for head in self.heads]

    def loss_fn(outputs, labels):
        losses = [sequence_loss(one[:, : -1 - k], labels[:, 1 + k :]) for k, one in enumerate(outputs)]
        return losses[0] + 0.3 * losses[1]

    halves = [batched(text[:, :10], text[:, :10]) for text in (tokens(128), tokens(64, seed=1))]
    return trained(Ahead(), *halves, loss_fn)
