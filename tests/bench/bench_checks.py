"""What the checks cost: `preflight` in seconds, and a watched step beside the same step unwatched, on one core."""

from __future__ import annotations

import copy
import time
from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.nn import functional
from zoo.loops import batched, mlp

from goldmark import preflight, watch  # by name, so that no import is timed

N_STEPS = 256  # the first 8 and every 32nd are sampled: 15 of them


class LanguageModel(nn.Module):
    """A causal transformer of about a million parameters."""

    def __init__(self, vocabulary=1000, width=160):
        super().__init__()
        self.embedding, self.positions = nn.Embedding(vocabulary, width), nn.Embedding(64, width)
        layer = nn.TransformerEncoderLayer(width, 4, 2 * width, 0.1, batch_first=True)
        self.blocks = nn.TransformerEncoder(layer, 3, enable_nested_tensor=False)
        self.head = nn.Linear(width, vocabulary)

    def forward(self, x):
        """Logits (B, T, V)."""
        length = x.shape[1]
        mask = torch.full((length, length), float("-inf")).triu(1)
        return self.head(self.blocks(self.embedding(x) + self.positions(torch.arange(length)), mask=mask))


def network():
    """A multilayer perceptron."""
    data = batched(torch.randn(1024, 256), torch.randint(0, 10, (1024,)), 128)
    return mlp(256, 700, 700, 400, 10), data, functional.cross_entropy, {}


def transformer():
    """A causal language model."""
    text = torch.randint(0, 1000, (256, 33))

    def loss_fn(output, targets):
        return functional.cross_entropy(output.flatten(0, 1), targets.flatten())

    return LanguageModel(), batched(text[:, :-1], text[:, 1:]), loss_fn, {"causal": True}


def convolutional():
    """A convolutional network with BatchNorm."""
    widths, layers = (3, 64, 128, 256), []
    for before, after in pairwise(widths):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU(), nn.MaxPool2d(2)]
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(256 * 4, 512), nn.ReLU(), nn.Linear(512, 10))
    return model, batched(torch.randn(128, 3, 16, 16), torch.randint(0, 10, (128,))), functional.cross_entropy, {}


@pytest.mark.parametrize("make", [network, transformer, convolutional])
def test_preflight_and_watch(make):
    """Preflight takes less than a second; a run of 256 steps takes at most 5 % more when it is watched.

    A twin takes each step unwatched right after: what else the machine does is the same for both.
    """
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model, batches, loss_fn, intent = make()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    n_parameters = sum(parameter.numel() for parameter in model.parameters())
    started = time.process_time()
    preflight(model, optimizer, batches, batches[:2], loss_fn, **intent)
    preflight_s = time.process_time() - started

    twin = copy.deepcopy(model)
    own = torch.optim.AdamW(twin.parameters(), lr=1e-3)
    plain, sampled, between = [], [], []
    with watch(model, optimizer) as watcher:
        for number in range(N_STEPS):
            armed = bool(watcher._armed)  # noqa: SLF001 - which steps are sampled is nobody else's business
            batch = batches[number % len(batches)]
            (sampled if armed else between).append(step(model, optimizer, loss_fn, batch, watcher))
            plain.append(step(twin, own, loss_fn, batch))
    report(make.__name__, n_parameters, preflight_s, plain, sampled, between)


def step(model, optimizer, loss_fn, batch, watcher=None):
    """Take a step, and return the seconds of the processor that it took."""
    inputs, targets = batch
    began = time.process_time()
    output = model(inputs)
    loss = loss_fn(output, targets)
    optimizer.zero_grad()
    loss.backward()
    if watcher is not None:
        watcher.after_backward((inputs, targets), output, loss)
    optimizer.step()
    return time.process_time() - began


def report(name, n_parameters, preflight_s, plain, sampled, between):
    """Print the figures, the least of each kind as other work only adds to them, and hold the promised ones."""
    base, of_sampled, of_others = (min(times) for times in (plain, sampled, between))
    extra = (len(sampled) * (of_sampled - base) + len(between) * (of_others - base)) / (N_STEPS * base)
    print(
        f"{name}: {n_parameters} parameters, preflight {preflight_s:.2f} s, step {base * 1e3:.1f} ms, sampled "
        f"{of_sampled * 1e3:.1f} ms ({len(sampled)} of {N_STEPS}), others {of_others * 1e3:.1f} ms: {extra:+.1%}"
    )
    assert preflight_s < 1
    assert extra < 0.05
