"""Targets at other places than usual: labels that the model shifts, or reads as a whole; what comes behind a prompt."""

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


def questions(n, seed, *, answer):
    """Batches of (tokens (B, 11), (the next tokens (B, 11), lengths (B,) of prompts)); `answer` ones follow, then 0."""
    text, lengths = (
        tokens(n, length=11, seed=seed),
        torch.randint(3, 8, (n,), generator=torch.Generator().manual_seed(1)),
    )
    text = text * (torch.arange(12) <= lengths[:, None] + answer)
    parts = zip(text.split(32), lengths.split(32), strict=True)
    return [(part[:, :-1], (part[:, 1:], length)) for part, length in parts]


def answered(answer):
    """Look at a language model that is taught what comes behind its prompts, and no padding."""

    def loss_fn(output, targets):
        following, lengths = targets
        prompt = torch.arange(11) < lengths[:, None]
        return functional.cross_entropy(output.transpose(1, 2), following.masked_fill(prompt, 0), ignore_index=0)

    model = nn.Sequential(nn.Embedding(12, 16), nn.Linear(16, 12))
    return trained(model, *(questions(n, seed, answer=answer) for n, seed in ((128, 0), (64, 1))), loss_fn)


@healthy
def answers_of_one_token_behind_prompts():
    return answered(1)


@healthy
def answers_behind_prompts():
    return answered(3)


@healthy
def steps_behind_a_warm_up_of_known_length():
    def batches(n, seed):
        generator = torch.Generator().manual_seed(seed)
        x, lengths = torch.randn(n, 8, 3, generator=generator), torch.randint(2, 7, (n,), generator=generator)
        parts = zip(x.split(32), x.cumsum(1).split(32), lengths.split(32), strict=True)
        return [(part, (sums, real)) for part, sums, real in parts]

    class Sums(nn.Module):
        """Running sums (B, 8, 3)."""

        def __init__(self):
            super().__init__()
            self.layer, self.head = nn.GRU(3, 16, batch_first=True), nn.Linear(16, 3)

        def forward(self, x):
            """Outputs (B, 8, 3)."""
            return self.head(self.layer(x)[0])

    def loss_fn(output, targets):
        sums, lengths = targets
        late = (torch.arange(8) >= lengths[:, None])[..., None].expand_as(sums)
        return functional.mse_loss(output[late], sums[late])

    return trained(Sums(), batches(128, 0), batches(64, 1), loss_fn)


class Following(nn.Module):
    """A language model of tokens (B, T) whose loss shifts."""

    def __init__(self):
        super().__init__()
        self.embed, self.layer, self.head = nn.Embedding(14, 24), nn.GRU(24, 24, batch_first=True), nn.Linear(24, 14)

    def forward(self, x):
        """Logits (B, T, V)."""
        return self.head(self.layer(self.embed(x))[0])


@healthy
def numbers_that_count_on_and_are_shifted_by_the_loss():
    """The class after a label's own is often the token that follows it."""

    def halves(n, seed):
        starts = torch.randint(0, 14, (n, 1), generator=torch.Generator().manual_seed(seed))
        text = (starts + torch.arange(8)) % 14
        return batched(text, text)

    def loss_fn(logits, labels):
        return functional.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())

    return trained(Following(), halves(128, 0), halves(64, 1), loss_fn, intent={"causal": True})
