"""Healthy programs whose labels are no classes of the outputs: ids, groups, real and fake; and terms for a log."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional
from zoo.healthy.register import healthy
from zoo.loops import batched, classes, classifier, look, look_at_terms, mlp, numbers, regressor


class Directions(nn.Module):
    """Codes (B, 16) of length 1."""

    def __init__(self):
        super().__init__()
        self.code = mlp(8, 16, 16)

    def forward(self, x):
        """Codes."""
        return functional.normalize(self.code(x), dim=1)


@healthy
def critic_that_takes_real_and_fake_apart_by_a_mask():
    def loss_fn(score, is_real):
        return score[~is_real].mean() - score[is_real].mean() + score.square().mean()

    halves = []
    for n in (256, 64):
        generator = torch.Generator().manual_seed(n)
        is_real = torch.rand(n, generator=generator) < 0.5
        halves.append(batched(torch.randn(n, 8, generator=generator) + is_real[:, None], is_real))
    return regressor(mlp(8, 16, 1), train=halves[0], val=halves[1], loss_fn=loss_fn, lr=1e-3)


@healthy
def triplets_in_batches_of_four_people():
    def loss_fn(codes, people):
        far = torch.cdist(codes, codes)
        alike = people[:, None] == people
        farthest = far.masked_fill(~alike, 0.0).max(1).values
        nearest = far.masked_fill(alike, 1e9).min(1).values
        return (farthest - nearest + 0.2).relu().mean()

    people = torch.arange(32).repeat_interleave(8)
    places = torch.randn(64, 8, generator=torch.Generator().manual_seed(0)) * 1.5
    halves = [
        batched(places[one] + torch.randn(len(one), 8, generator=torch.Generator().manual_seed(n)), one + 100)
        for n, one in enumerate((people, people[:64] + 32))
    ]
    return classifier(Directions(), train=halves[0], val=halves[1], loss_fn=loss_fn, lr=1e-3)


@healthy
def contrast_of_pairs_that_share_an_id():
    def loss_fn(codes, ids):
        itself = torch.eye(len(ids), dtype=torch.bool)
        alike = (ids[:, None] == ids) & ~itself
        scores = (codes @ codes.T / 0.5).masked_fill(itself, -1e9).log_softmax(1)
        return -(scores * alike).sum() / alike.sum()

    halves = []
    for start, n in ((0, 256), (500, 64)):
        x, _ = classes(n // 2, seed=n)
        pairs = x.repeat_interleave(2, 0) + 0.1 * torch.randn(n, 8, generator=torch.Generator().manual_seed(n))
        halves.append(batched(pairs, start + torch.arange(n // 2).repeat_interleave(2)))
    return classifier(Directions(), train=halves[0], val=halves[1], loss_fn=loss_fn, lr=1e-3)


@healthy
def examples_told_apart_by_a_bank_of_codes():
    bank = functional.normalize(torch.randn(256, 16, generator=torch.Generator().manual_seed(0)), dim=1)

    def loss_fn(codes, ids):
        return functional.cross_entropy(codes @ bank.T / 0.5, ids)

    halves = [batched(classes(n, seed=n)[0], torch.arange(n)) for n in (256, 64)]
    return classifier(Directions(), train=halves[0], val=halves[1], loss_fn=loss_fn, lr=1e-3)


@healthy
def texts_that_belong_to_pictures_by_their_place():
    class Towers(nn.Module):
        """Similarities (B, B) of pictures (B, 8) and texts (B, 6), in columns of one table."""

        def __init__(self):
            super().__init__()
            self.pictures, self.texts = mlp(8, 16, 8), mlp(6, 16, 8)

        def forward(self, x):
            """Cosines over a temperature."""
            codes = (functional.normalize(tower, dim=1) for tower in (self.pictures(x[:, :8]), self.texts(x[:, 8:])))
            pictures, texts = codes
            return pictures @ texts.T / 0.2

    def loss_fn(likeness, places):
        return (functional.cross_entropy(likeness, places) + functional.cross_entropy(likeness.T, places)) / 2

    mixing = torch.randn(4, 14, generator=torch.Generator().manual_seed(7)) / 2
    halves = []
    for n in (256, 64):
        hidden, noise = torch.randn(n, 18, generator=torch.Generator().manual_seed(n)).split((4, 14), dim=1)
        halves.append(batched(hidden @ mixing + 0.1 * noise, torch.arange(n) % 32))
    return classifier(Towers(), train=halves[0], val=halves[1], loss_fn=loss_fn)


class Reversal(torch.autograd.Function):
    """The identity, whose gradient is turned around."""

    @staticmethod
    def forward(_context, x):
        """The same numbers."""
        return x.view_as(x)

    @staticmethod
    def backward(_context, gradient):
        """A tenth of the gradient, the other way."""
        return -0.1 * gradient


@healthy
def domains_that_are_confused_on_purpose():
    class Adversarial(nn.Module):
        """A trunk that helps one head and hinders the other."""

        def __init__(self):
            super().__init__()
            self.trunk, self.kind, self.domain = mlp(8, 16, 16), nn.Linear(16, 3), nn.Linear(16, 2)

        def forward(self, x):
            """Logits of classes (B, 3), and of domains (B, 2)."""
            h = self.trunk(x).relu()
            return self.kind(h), self.domain(Reversal.apply(h))

    model = Adversarial()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)

    def terms_of(output, targets):
        return {name: functional.cross_entropy(output[k], targets[:, k]) for k, name in enumerate(("kinds", "domains"))}

    halves = []
    for n in (256, 64):
        x, y = classes(n, seed=n)
        domains = torch.randint(0, 2, (n,), generator=torch.Generator().manual_seed(n))
        halves.append(batched(x + 0.5 * domains[:, None], torch.stack([y, domains], dim=1)))
    return look_at_terms(model, optimizer, *halves, terms_of, epochs=6)


@healthy
def one_term_computed_once_more_for_a_log():
    model = mlp(8, 16, 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)

    def penalty(output):
        return 0.1 * output.square().mean()

    def step(watcher, inputs, targets):
        output = model(inputs)
        error = functional.mse_loss(output, targets)
        loss = error + penalty(output)
        optimizer.zero_grad()
        loss.backward()
        with torch.no_grad():
            silent = penalty(model(inputs))
        terms = {"error": error, "again": penalty(model(inputs)), "silent": silent}
        terms.pop("again" if watcher.record.steps % 2 else "silent")
        watcher.after_backward((inputs, targets), output, loss, terms)
        optimizer.step()

    val = batched(*numbers(64, seed=1))
    return look(model, optimizer, batched(*numbers()), val, functional.mse_loss, step=step)


@healthy
def two_views_of_every_example():
    encoder = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 8))

    def loss_fn(codes, views):
        first, second = (functional.normalize(one, dim=1) for one in (codes, encoder(views)))
        return functional.cross_entropy(first @ second.T * 2, torch.arange(len(first)))

    x, _ = classes()
    views = [x + 0.1 * torch.randn_like(x) for _ in range(2)]
    return regressor(encoder, train=batched(*views), val=None, loss_fn=loss_fn)


@healthy
def four_labels_in_a_graph():
    linked = ((torch.rand(60, 60) < 0.1) | torch.eye(60, dtype=torch.bool)).float()
    passed_on = linked / linked.sum(1, keepdim=True)
    known = torch.tensor([0, 20, 40, 50])

    class Graph(nn.Module):
        """Two layers over neighbours in one graph."""

        def __init__(self):
            super().__init__()
            self.hidden, self.head = nn.Linear(8, 16), nn.Linear(16, 3)

        def forward(self, x):
            """Logits (N, 3)."""
            return passed_on @ self.head((passed_on @ self.hidden(x)).relu())

    def loss_fn(output, targets):
        return functional.cross_entropy(output[known], targets[known])

    return classifier(Graph(), train=[classes(60)], val=None, loss_fn=loss_fn, epochs=20)


@healthy
def classes_of_validation_that_only_their_attributes_describe():
    attributes = torch.randn(8, 6, generator=torch.Generator().manual_seed(0))
    shown = torch.randn(6, 10, generator=torch.Generator().manual_seed(1))

    class Described(nn.Module):
        """Scores of what an example shows against what describes each class, which is known beforehand."""

        def __init__(self):
            super().__init__()
            self.register_buffer("attributes", attributes)
            self.encode = mlp(10, 16, 6)

        def forward(self, x):
            """Logits (B, 8)."""
            return self.encode(x) @ self.attributes.T

    halves = []
    for n, known in ((256, range(6)), (64, (6, 7))):
        labels = torch.tensor(known)[torch.arange(n) % len(known)]
        noise = torch.randn(n, 10, generator=torch.Generator().manual_seed(n))
        halves.append(batched((attributes[labels] @ shown + noise) / 2, labels))
    return classifier(Described(), train=halves[0], val=halves[1])


class Scored(nn.Module):
    """By how much the first of two answers is better than the second."""

    def __init__(self):
        super().__init__()
        self.score = mlp(8, 16, 1)

    def forward(self, answers):
        """Logits (B,) that the first was preferred."""
        first, second = self.score(answers).squeeze(2).unbind(1)
        return first - second


@healthy
def answers_of_which_the_first_was_preferred():
    """All labels are 1, and no constant is an answer."""
    halves = []
    for n in (128, 128):
        answers = torch.randn(n, 2, 8, generator=torch.Generator().manual_seed(n + len(halves)))
        order = answers[..., 0].argsort(dim=1, descending=True)
        halves.append(batched(answers.gather(1, order[..., None].expand_as(answers)), torch.ones(n)))
    loss_fn = functional.binary_cross_entropy_with_logits
    return regressor(Scored(), train=halves[0], val=halves[1], loss_fn=loss_fn, lr=3e-2, epochs=12)


class Matched(nn.Module):
    """How well each of several words (B, K) goes with a word."""

    def __init__(self):
        super().__init__()
        self.word, self.other = nn.Embedding(40, 16), nn.Embedding(40, 16)

    def forward(self, words):
        """Logits (B, K)."""
        return torch.einsum("bd,bkd->bk", self.word(words[:, 0]), self.other(words[:, 1:]))


@healthy
def the_right_one_of_sixteen_comes_first():
    """As many as the codes have dimensions."""
    halves = []
    for n in (128, 64):
        words = torch.randint(0, 40, (n, 17), generator=torch.Generator().manual_seed(n))
        words[:, 1] = (words[:, 0] + n % 3) % 40
        halves.append(batched(words, torch.zeros(n, dtype=torch.long)))
    return classifier(Matched(), train=halves[0], val=halves[1], epochs=1)
