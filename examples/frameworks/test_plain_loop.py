"""A plain PyTorch loop under a golden: a regression on columns of unlike units, and its twin that forgets to scale."""

import torch
from torch import nn

from goldmark import Metric, experiment


def houses(seed, n=192):
    """Area in square metres, rooms, and year, with a price in thousands."""
    draws = torch.Generator().manual_seed(seed)
    area, rooms, year = 100 + 30 * torch.randn(n, generator=draws), torch.rand(n, generator=draws), 2000.0
    year = year + 20 * torch.rand(n, generator=draws)
    price = 2 * area + 40 * rooms + (year - 2000) + 10 * torch.randn(n, generator=draws)
    return torch.stack([area, rooms, year], 1), price[:, None]


@experiment(
    seeds=12,
    metrics=[Metric("val_rmse", margin="10%", better="lower", guard="raw_inputs"), Metric("train_loss", margin=None)],
)
def prices(seed, *, scale=True, lr=0.02, epochs=12):
    """Prices of houses from a perceptron."""
    torch.manual_seed(seed)
    inputs, targets = houses(seed)
    if scale:
        inputs = (inputs - inputs[:128].mean(0)) / inputs[:128].std(0)
    mean, sd = targets[:128].mean(), targets[:128].std()
    model = nn.Sequential(nn.Linear(3, 16), nn.ReLU(), nn.Linear(16, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    for _ in range(epochs):
        for batch in torch.randperm(128).split(16):
            loss = nn.functional.mse_loss(model(inputs[batch]), (targets[batch] - mean) / sd)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            error = model(inputs[128:]) * sd + mean - targets[128:]
        yield {"val_rmse": error.square().mean().sqrt().item(), "train_loss": loss.item()}


raw = prices.variant("raw_inputs", scale=False)


def test_prices(golden):
    """Every seed's error is that of the golden, within 10 % in the mean."""
    golden.runs(prices)


def test_scaling_is_worth_it():
    """Ordinary tests read the same runs."""
    assert prices.mean("val_rmse") < 0.8 * raw.mean("val_rmse")
