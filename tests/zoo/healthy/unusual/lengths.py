"""Sequences of tokens that begin or end alike: padded ones of which the short come first, and marks of a tokenizer."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence
from zoo.healthy.register import healthy
from zoo.loops import batched, classifier, look, mlp
from zoo.pairs_sequences import Packed, collated

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


class Tagger(nn.Module):
    """A layer that reads both ways, of embedded words with their padding."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(12, 16, padding_idx=0)
        self.layer, self.head = nn.LSTM(16, 16, batch_first=True, bidirectional=True), nn.Linear(32, 4)

    def forward(self, x):
        """Logits (B, T, 4)."""
        return self.head(self.layer(self.embedding(x))[0])


def tagged(n, seed, *, width=12, longest=12, lowest=0, pad=0):
    """Sentences (N, width) of 5 to `longest` words, and a tag for each from `lowest` on, that the last word changes."""
    generator = torch.Generator().manual_seed(seed)
    words = torch.randint(1, 12, (n, width), generator=generator)
    live = torch.arange(width) < torch.randint(5, longest + 1, (n, 1), generator=generator)
    tags = (words + words.roll(1, dims=1)) % 3 + lowest
    return words.masked_fill(~live, 0), tags.masked_fill(~live, pad)


def of_tags(ignored, **how):
    """Look at a tagger whose loss leaves padding out."""

    def loss_fn(output, targets):
        return functional.cross_entropy(output.flatten(0, 1), targets.flatten(), ignore_index=ignored)

    train, val = (batched(*tagged(n, seed, pad=ignored, **how)) for n, seed in ((256, 0), (64, 1)))
    return classifier(Tagger(), train=train, val=val, loss_fn=loss_fn, intent={"pad_id": 0})


@healthy
def tags_at_one_width_read_both_ways():
    return of_tags(0, lowest=1, width=64, longest=7)


@healthy
def a_tag_of_the_number_that_pads_words():
    return of_tags(-1)


@healthy
def an_argument_that_generation_leaves_out():
    class Translator(nn.Module):
        """An encoder, and a decoder that is given the last word, or its own."""

        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(13, 16)
            self.encoder, self.decoder = nn.GRU(16, 32, batch_first=True), nn.GRUCell(16, 32)
            self.head = nn.Linear(32, 13)

        def forward(self, x, words=None):
            """Logits (B, 4, 13)."""
            state = self.encoder(self.embedding(x))[1][0]
            logits, word = [], torch.full((len(x),), 12)
            for place in range(4):
                state = self.decoder(self.embedding(word if words is None else words[:, place]), state)
                logits.append(self.head(state))
                word = logits[-1].argmax(1)
            return torch.stack(logits, 1)

    def pairs_of(n, seed):
        x = torch.randint(1, 12, (n, 4), generator=torch.Generator().manual_seed(seed))
        y = x.flip(1)
        given = functional.pad(y[:, :-1], (1, 0), value=12)
        return [((x[k : k + 32], given[k : k + 32]), y[k : k + 32]) for k in range(0, n, 32)]

    def loss_fn(output, targets):
        return functional.cross_entropy(output.flatten(0, 1), targets.flatten())

    model = Translator()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    return look(model, optimizer, pairs_of(256, 0), pairs_of(64, 1), loss_fn, spread=True)


@healthy
def as_many_words_as_classes():
    class Causal(nn.Module):
        """Logits (B, 5, T), of sentences of which some have five words."""

        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(12, 16, padding_idx=0)
            self.layer, self.head = nn.GRU(16, 16, batch_first=True), nn.Linear(16, 5)

        def forward(self, x):
            """Logits (B, 5, T)."""
            return self.head(self.layer(self.embedding(x))[0]).transpose(1, 2)

    loss_fn = nn.CrossEntropyLoss(ignore_index=-1)
    train, val = (batched(*tagged(n, seed, pad=-1)) for n, seed in ((256, 0), (64, 1)))
    return classifier(Causal(), train=train, val=val, loss_fn=loss_fn, intent={"pad_id": 0, "causal": True})


@healthy
def episodes_of_fewer_examples_than_queries():
    class Prototypical(nn.Module):
        """Distances of queries (Q, 8) to the means of a few examples (5, K, 8) of each class (Snell et al. 2017)."""

        def __init__(self):
            super().__init__()
            self.embed = mlp(8, 32, 8)

        def forward(self, support, queries):
            """Logits (Q, 5)."""
            return -torch.cdist(self.embed(queries), self.embed(support).mean(1)).square()

    def episode(seed):
        """Three examples and five queries of each of five new classes."""
        generator = torch.Generator().manual_seed(seed)
        x = torch.randn(5, 1, 8, generator=generator) + 0.4 * torch.randn(5, 8, 8, generator=generator)
        return (x[:, :3], x[:, 3:].reshape(25, 8)), torch.arange(5).repeat_interleave(5)

    train, val = ([episode(seed) for seed in seeds] for seeds in (range(10), range(10, 15)))
    return classifier(Prototypical(), train=train, val=val, lr=2e-3, intent={"n_classes": 5}, spread=True)


@healthy
def sorted_texts_whose_outputs_are_put_back_in_order():
    def collate_fn(examples):
        order = sorted(range(len(examples)), key=lambda place: -len(examples[place][0]))
        whole = [examples[place][0] for place in order]
        places = [order.index(place) for place in range(len(order))]
        inputs = (pad_sequence(whole, batch_first=True), [len(text) for text in whole], places)
        return inputs, torch.tensor([label for _, label in examples])

    return collated(collate_fn, Packed())


@healthy
def places_in_a_batch_that_tell_which_halves_belong_together():
    class Halves(nn.Module):
        """Likeness (B, B) of the halves of each text with those of all, by the tokens that they hold."""

        def __init__(self):
            super().__init__()
            self.table = nn.Embedding(12, 16, padding_idx=0)

        def forward(self, x, lengths):
            """Products of sums over tokens at even and at odd places."""
            return self.table(x[:, ::2]).sum(1) @ self.table(x[:, 1::2]).sum(1).T / 16

    def collate_fn(examples):
        whole = [text for text, _ in examples]
        lengths = torch.tensor([len(text) for text in whole])
        return (pad_sequence(whole, batch_first=True), lengths), torch.arange(len(whole))

    return collated(collate_fn, Halves())
