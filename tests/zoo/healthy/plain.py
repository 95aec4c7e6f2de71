"""Healthy programs of every day: networks, losses and schedules as most people write them."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset
from zoo.healthy.register import healthy
from zoo.loops import batched, classes, classifier, images, look, mlp, numbers, regressor
from zoo.pairs_model import Transformer, language, padded_text


@healthy
def multilayer_perceptron():
    loader = DataLoader(TensorDataset(*classes()), batch_size=32, shuffle=True)
    return classifier(mlp(8, 32, 32, 3), train=loader, epochs=4)


@healthy
def convolutions_with_batchnorm():
    model = nn.Sequential(
        *(nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        nn.Linear(8, 2),
    )
    val = batched(*images(32, seed=1))

    def end(epoch):
        model.eval()
        with torch.no_grad():
            sum(functional.cross_entropy(model(inputs), targets) for inputs, targets in val)

    return classifier(model, train=batched(*images(), 16), val=val, epochs=5, end=end)


@healthy
def causal_transformer():
    return language(Transformer(tie=False), intent={"causal": True})


@healthy
def causal_transformer_with_padding():
    def loss_fn(output, targets):
        return functional.cross_entropy(output.flatten(0, 1), targets.flatten(), ignore_index=0)

    model, val = Transformer(tie=False), batched(*padded_text(32, seed=1))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    return look(model, optimizer, batched(*padded_text()), val, loss_fn, intent={"causal": True, "pad_id": 0})


@healthy
def tied_language_model():
    return language(Transformer())


@healthy
def tied_language_model_undeclared():
    return language(Transformer(), intent={})


class Recurrent(nn.Module):
    """An LSTM over sequences (B, T, F)."""

    def __init__(self, *, batch_first=True):
        super().__init__()
        self.lstm, self.head = nn.LSTM(2, 16, batch_first=batch_first), nn.Linear(16, 1)
        self.batch_first = batch_first

    def forward(self, x):
        """Numbers (B, 1), or (T, B, 1) where time comes first."""
        states, _ = self.lstm(x)
        return self.head(states[:, -1] if self.batch_first else states)


@healthy
def lstm():
    x, val_x = (torch.randn(n, 6, 2, generator=torch.Generator().manual_seed(n)) for n in (256, 64))
    halves = [batched(half, half.sum((1, 2))[:, None] / 3) for half in (x, val_x)]
    model = Recurrent()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)

    def step(watch, inputs, targets):
        output = model(inputs)
        loss = functional.mse_loss(output, targets)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        watch.after_backward((inputs, targets), output, loss)
        optimizer.step()

    return look(model, optimizer, *halves, functional.mse_loss, step=step)


@healthy
def lstm_with_time_first():
    x, val_x = (torch.randn(n, 6, 16, 2, generator=torch.Generator().manual_seed(n)) for n in (8, 2))
    halves = [[(one, one.cumsum(0).sum(2, keepdim=True) / 3) for one in half] for half in (x, val_x)]
    return regressor(Recurrent(batch_first=False), train=halves[0], val=halves[1])


@healthy
def autoencoder():
    mixing = torch.randn(3, 24, generator=torch.Generator().manual_seed(0))
    halves = []
    for n in (256, 64):
        x = torch.randn(n, 3, generator=torch.Generator().manual_seed(n)) @ mixing
        halves.append(batched(x, x))
    return regressor(mlp(24, 16, 3, 16, 24), train=halves[0], val=halves[1])


@healthy
def linear_autoencoder():
    x, val_x = (torch.randn(n, 12, generator=torch.Generator().manual_seed(n)) for n in (256, 64))
    model = nn.Sequential(nn.Linear(12, 3), nn.Linear(3, 12))
    return regressor(model, train=batched(x, x), val=batched(val_x, val_x))


@healthy
def regression_with_much_dropout():
    model = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Dropout(0.7), nn.Linear(64, 1))
    return regressor(model, epochs=6)


@healthy
def linear_regression():
    return regressor(nn.Linear(8, 1))


@healthy
def label_smoothing():
    def loss_fn(output, targets):
        return functional.cross_entropy(output, targets, label_smoothing=0.1)

    return classifier(mlp(8, 16, 3), loss_fn=loss_fn)


@healthy
def binary_cross_entropy_of_sigmoids():
    halves = [batched(x, y.float()[:, None]) for x, y in (classes(n_classes=2), classes(64, n_classes=2, seed=1))]
    model = mlp(8, 16, 1, last=nn.Sigmoid())
    return regressor(model, train=halves[0], val=halves[1], loss_fn=functional.binary_cross_entropy)


@healthy
def likelihood_of_log_probabilities():
    return classifier(mlp(8, 16, 3, last=nn.LogSoftmax(dim=1)), loss_fn=functional.nll_loss)


@healthy
def cross_entropy_of_log_probabilities():
    return classifier(mlp(8, 16, 3, last=nn.LogSoftmax(dim=1)))


@healthy
def cosine_schedule_with_warmup():
    model = mlp(8, 16, 3)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    warmup = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, step / 8) * 0.99**step)

    def step(watch, inputs, targets):
        output = model(inputs)
        loss = functional.cross_entropy(output, targets)
        optimizer.zero_grad()
        loss.backward()
        watch.after_backward((inputs, targets), output, loss)
        optimizer.step()
        warmup.step()

    data = batched(*classes()), batched(*classes(64, seed=1))
    return look(model, optimizer, *data, functional.cross_entropy, step=step)


@healthy
def rare_classes():
    x, y = classes(512, n_classes=3)
    keep = (y == 0) | (torch.rand(512, generator=torch.Generator().manual_seed(1)) < 0.1)
    return classifier(mlp(8, 16, 3), train=batched(x[keep], y[keep]), epochs=10)


@healthy
def noisy_regression():
    halves = [batched(x, y) for x, y in (numbers(512, noise=3.0), numbers(64, seed=1, noise=3.0))]
    return regressor(mlp(8, 16, 1), train=halves[0], val=halves[1], epochs=8, lr=1e-3)
