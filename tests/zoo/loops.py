"""What all programs of the zoo share: synthetic data, a plain loop under both checks, and the list of pairs."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

import goldmark

PAIRS = []  # every Pair, in the order of the files


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two programs that differ in one bug, and the findings of which one at least must name it."""

    name: str
    expected: tuple[str, ...]
    program: Callable[[bool], list[str]]


def pair(*expected):
    """Register a program, called with True for the buggy twin, which returns the names of its findings."""

    def register(program):
        PAIRS.append(Pair(name=program.__name__, expected=expected, program=program))
        return program

    return register


def classes(n=256, n_features=8, n_classes=3, seed=0):
    """Examples of Gaussian classes: inputs (N, F), labels (N,)."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(n_classes, n_features, generator=torch.Generator().manual_seed(99)) * 1.5
    labels = torch.randint(0, n_classes, (n,), generator=generator)
    return centres[labels] + torch.randn(n, n_features, generator=generator), labels


def numbers(n=256, n_features=8, seed=0, noise=0.1):
    """Examples of a smooth function: inputs (N, F), targets (N, 1) of mean 0 and sd about 1."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, n_features, generator=generator)
    y = torch.sin(x[:, :1] * 1.5) + 0.5 * x[:, 1:2] + 0.3 * x[:, 2:3] * x[:, 3:4]
    return x, y + noise * torch.randn(n, 1, generator=generator)


def images(n=128, size=8, seed=0):
    """Pictures of a bright bar, upright or lying: inputs (N, 1, S, S), labels (N,)."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 2, (n,), generator=generator)
    x = torch.randn(n, 1, size, size, generator=generator) * 0.5
    places = torch.randint(0, size, (n,), generator=generator)
    for row in range(n):
        if labels[row]:
            x[row, 0, places[row]] += 2
        else:
            x[row, 0, :, places[row]] += 2
    return x, labels


def tokens(n=128, length=12, vocabulary=12, seed=0):
    """Sequences (N, T + 1) in which a token follows from the last one, mostly; token 0 is left for padding."""
    generator = torch.Generator().manual_seed(seed)
    sequence = [torch.randint(1, vocabulary, (n,), generator=generator)]
    for _ in range(length):
        noise = torch.randint(1, vocabulary, (n,), generator=generator)
        keep = torch.rand(n, generator=generator) < 0.9
        sequence.append(torch.where(keep, (sequence[-1] * 3) % (vocabulary - 1) + 1, noise))
    return torch.stack(sequence, dim=1)


def batched(x, y, size=32):
    """Batches of a list, in order."""
    return [(x[start : start + size], y[start : start + size]) for start in range(0, len(x), size)]


def mlp(*widths, activation=nn.ReLU, last=None):
    """Linear layers with an activation between them."""
    layers = []
    for before, after in pairwise(widths[:-1]):
        layers += [nn.Linear(before, after), activation()]
    layers.append(nn.Linear(widths[-2], widths[-1]))
    return nn.Sequential(*layers, *([last] if last is not None else []))


class Backbone(nn.Module):
    """A frozen backbone whose BatchNorm stays in eval mode, or forgets to, and a head that is trained."""

    def __init__(self, *, stays_in_eval=True):
        super().__init__()
        self.stays_in_eval = stays_in_eval
        self.backbone = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU()).requires_grad_(False)
        self.head = nn.Linear(16, 3)

    def train(self, mode=True):  # noqa: FBT002
        """Set the mode of all, or of all but the backbone."""
        super().train(mode)
        if self.stays_in_eval:
            self.backbone.eval()
        return self

    def forward(self, x):
        """Logits (B, 3)."""
        return self.head(self.backbone(x))


class Variational(nn.Module):
    """An autoencoder with a code of random numbers: reconstruction (B, F), mean and log-variance (B, 2)."""

    def __init__(self, n_features=8):
        super().__init__()
        width = max(16, n_features)
        self.encode, self.decode = mlp(n_features, width, 4), mlp(2, width, n_features)

    def forward(self, x):
        """Draw a code and decode it."""
        mean, log_variance = self.encode(x).chunk(2, dim=1)
        return self.decode(mean + torch.randn_like(mean) * (log_variance / 2).exp()), mean, log_variance


def follow(slow, fast, share=0.05):
    """Move the weights of one network by a share towards those of another."""
    with torch.no_grad():
        for own, other in zip(slow.parameters(), fast.parameters(), strict=True):
            own.lerp_(other, share)


def plain_step(
    watcher, model, optimizer, inputs, targets, loss_fn=functional.cross_entropy, *, set_to_none=True, spread=False
):
    """Take a step as it should be, of which the watch is told; a model of several inputs gets them spread."""
    output = model(*inputs) if spread else model(inputs)
    loss = loss_fn(output, targets)
    optimizer.zero_grad(set_to_none=set_to_none)
    loss.backward()
    watcher.after_backward(batch=(inputs, targets), output=output, loss=loss)
    optimizer.step()


def look_at_terms(model, optimizer, train, val, terms_of, **how):
    """Look at steps on the sum of what `terms_of(output, targets)` gives by name, of which the watch is told."""

    def step(watcher, inputs, targets):
        output = model(inputs)
        terms = terms_of(output, targets)
        loss = sum(terms.values())
        optimizer.zero_grad()
        loss.backward()
        watcher.after_backward((inputs, targets), output, loss, terms)
        optimizer.step()

    def loss_fn(output, targets):
        return sum(terms_of(output, targets).values())

    return look(model, optimizer, train, val, loss_fn, step=step, **how)


def watch_alone(model, batches, terms_of, *, epochs=4):
    """Train by Adam without a preflight on the sum of `terms_of(output, targets)`; return the names of findings."""
    rest = itertools.cycle(batches)

    def step_of():
        inputs, targets = next(rest)
        output = model(inputs)
        terms = terms_of(output, targets)
        return (inputs, targets), output, sum(terms.values()), terms

    return watch_steps(model, step_of, lr=1e-2, n_steps=epochs * len(batches))


def watch_steps(model, step_of, *, lr, n_steps=40):
    """Train by Adam on what `step_of()` gives: a batch, an output, the loss and terms, or None in their place."""
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    with goldmark.watch(model, optimizer) as watcher:
        for _ in range(n_steps):
            batch, output, loss, terms = step_of()
            optimizer.zero_grad()
            loss.backward()
            watcher.after_backward(batch, output, loss, terms)
            optimizer.step()
    return list(watcher.findings.names)


def look(
    model, optimizer, train, val, loss_fn, *, epochs=3, step=None, end=None, intent=None, watch=None, spread=False
):
    """Train under both checks and return the names of all findings, those of preflight first.

    `step(watch, inputs, targets)` is one step, `end(epoch)` what comes after an epoch; `spread` gives
    the inputs to the model one by one.
    """
    early = goldmark.preflight(model, optimizer, train, val, loss_fn, **(intent or {}))

    def plain(watcher, inputs, targets):
        plain_step(watcher, model, optimizer, inputs, targets, loss_fn, spread=spread)

    with goldmark.watch(model, optimizer, **(watch or {})) as watcher:
        for epoch in range(epochs):
            model.train()
            for inputs, targets in train:
                (step or plain)(watcher, inputs, targets)
            if end is not None:
                end(epoch)
            watcher.end_epoch()
    return [*early.names, *watcher.findings.names]


def classifier(model, *, train=None, val=None, lr=1e-2, loss_fn=functional.cross_entropy, **how):
    """Look at a classifier of the Gaussian classes, trained by Adam."""
    train = batched(*classes()) if train is None else train
    val = batched(*classes(64, seed=1)) if val is None else val
    return look(model, torch.optim.Adam(model.parameters(), lr=lr), train, val, loss_fn, **how)


def regressor(model, *, train=None, val=None, lr=1e-2, loss_fn=functional.mse_loss, **how):
    """Look at a regression on the smooth function, trained by Adam."""
    train = batched(*numbers()) if train is None else train
    val = batched(*numbers(64, seed=1)) if val is None else val
    return look(model, torch.optim.Adam(model.parameters(), lr=lr), train, val, loss_fn, **how)
