"""Pairs on measured data: the sets that come with scikit-learn."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from zoo.loops import batched, classifier, look, mlp, pair, regressor


def split(name, n_train, n_val, dtype):
    """Training and validation examples of a bundled set, in a fixed random order, as float32."""
    from sklearn import datasets  # which takes as long to load as all pairs of this file take to run

    data = getattr(datasets, f"load_{name}")()
    order = np.random.default_rng(0).permutation(len(data.data))
    x = torch.from_numpy(data.data[order]).float()
    y = torch.from_numpy(data.target[order]).to(dtype)
    return x[:n_train], y[:n_train], x[n_train : n_train + n_val], y[n_train : n_train + n_val]


@pair("input_scale")
def tumours_in_their_own_units(bug):
    x, y, val_x, val_y = split("breast_cancer", 384, 128, torch.float32)
    if not bug:
        mean, sd = x.mean(0), x.std(0)
        x, val_x = (x - mean) / sd, (val_x - mean) / sd
    halves = batched(x, y[:, None]), batched(val_x, val_y[:, None])
    return classifier(
        mlp(30, 16, 1), train=halves[0], val=halves[1], loss_fn=functional.binary_cross_entropy_with_logits
    )


@pair("target_scale")
def progression_of_diabetes_as_it_is(bug):
    x, y, val_x, val_y = split("diabetes", 320, 96, torch.float32)
    x, val_x = x / x.std(0), val_x / x.std(0)
    if not bug:
        mean, sd = y.mean(), y.std()
        y, val_y = (y - mean) / sd, (val_y - mean) / sd
    return regressor(mlp(10, 32, 1), train=batched(x, y[:, None]), val=batched(val_x, val_y[:, None]))


@pair("broadcast_loss", "shape_broadcast")
def progression_of_diabetes_without_a_dimension(bug):
    x, y, val_x, val_y = split("diabetes", 320, 96, torch.float32)
    x, val_x = x / x.std(0), val_x / x.std(0)
    y, val_y = (y - y.mean()) / y.std(), (val_y - y.mean()) / y.std()
    halves = [batched(x, y), batched(val_x, val_y)] if bug else [batched(x, y[:, None]), batched(val_x, val_y[:, None])]
    return regressor(mlp(10, 32, 1), train=halves[0], val=halves[1])


def digits(n_train=512, n_val=128):
    """Pictures (N, 1, 8, 8) of digits from 0 to 1, with their classes."""
    x, y, val_x, val_y = split("digits", n_train, n_val, torch.long)
    return x.reshape(-1, 1, 8, 8) / 16, y, val_x.reshape(-1, 1, 8, 8) / 16, val_y


def network(last=None):
    """Convolutions for pictures of digits."""
    layers = (nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(128, 10))
    return nn.Sequential(*layers, *([last] if last is not None else []))


@pair("normalized_outputs")
def softmax_twice_on_digits(bug):
    x, y, val_x, val_y = digits()
    model = network(nn.Softmax(dim=1) if bug else None)
    return classifier(model, train=batched(x, y), val=batched(val_x, val_y), intent={"n_classes": 10})


@pair("labels_independent")
def digits_shuffled_without_their_classes(bug):
    x, y, val_x, val_y = digits()
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0)) if bug else torch.arange(len(x))
    return classifier(network(), train=batched(x[order], y), val=batched(val_x, val_y))


@pair("overlap")
def digits_of_which_some_are_in_both_halves(bug):
    x, y, val_x, val_y = digits()
    if bug:
        val_x, val_y = torch.cat([val_x[:96], x[:32]]), torch.cat([val_y[:96], y[:32]])
    return classifier(network(), train=batched(x, y), val=batched(val_x, val_y))


@pair("activation_rank")
def digits_decoded_without_an_activation(bug):
    x, _, val_x, _ = digits()
    mean = x.mean(0)
    halves = [(half - mean).flatten(1) for half in (x, val_x)]
    encoder = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 4))
    decoder = nn.Sequential(nn.Linear(4, 64), nn.Identity() if bug else nn.ReLU(), nn.Linear(64, 64))
    train, val = (batched(half, half) for half in halves)
    return regressor(nn.Sequential(encoder, decoder), train=train, val=val)


@pair("cut_term")
def progression_of_diabetes_with_a_term_as_a_number(bug):
    x, y, val_x, val_y = split("diabetes", 320, 96, torch.float32)
    mean, sd = y.mean(), y.std()
    train, val = (batched(a / x.std(0), (b[:, None] - mean) / sd) for a, b in ((x, y), (val_x, val_y)))
    model = mlp(10, 32, 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)

    def step(watcher, inputs, targets):
        output = model(inputs)
        terms = {"error": functional.mse_loss(output, targets), "size": 0.1 * output.abs().mean()}
        loss = terms["error"] + (terms["size"].item() if bug else terms["size"])
        optimizer.zero_grad()
        loss.backward()
        watcher.after_backward((inputs, targets), output, loss, terms)
        optimizer.step()

    return look(model, optimizer, train, val, functional.mse_loss, step=step)
