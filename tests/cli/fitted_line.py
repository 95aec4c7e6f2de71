"""A case that fits a line in well under a second, for tests of `goldmark golden`."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from goldmark.case import Claim, Metric, ModelCase, Variant
from goldmark.claims import mean


@dataclass(frozen=True)
class Settings:
    """How a line is fitted."""

    lr: float = 0.1
    lr_min: float | None = None
    weight_decay: float = 0.0
    clip: float | None = None
    steps: int = 30
    batch: int = 8


@dataclass(frozen=True, kw_only=True)
class Line(ModelCase[Settings]):
    """y = x1 - 2 x2 and noise."""

    def make_data(self, settings, seed):
        """Two halves of 64 points."""
        generator = torch.Generator().manual_seed(seed)
        x, noise = (torch.randn(2, 64, n, generator=generator, dtype=torch.float64) for n in (2, 1))
        y = x @ torch.tensor([[1.0], [-2.0]], dtype=torch.float64) + 0.1 * noise
        return {"train_x": x[0], "train_y": y[0], "val_x": x[1], "val_y": y[1]}

    def make_model(self, settings, data):
        """A line through nothing."""
        model = torch.nn.Linear(2, 1)
        torch.nn.init.zeros_(model.weight)
        return model

    def loss(self, model, data, rows, draws, settings):
        """Squared error."""
        return ((model(data["train_x"][rows]) - data["train_y"][rows]) ** 2).mean()

    def evaluate(self, model, data, settings):
        """Its root on the other half."""
        return {"rmse": float(((model(data["val_x"]) - data["val_y"]) ** 2).mean().sqrt())}

    def baselines(self, data, settings):
        """None."""
        return ()

    def examine(self, fresh, trained, data, settings):
        """Nothing."""
        return ()


def line(limit=0.5, guard="slow", **settings):
    """The case, with a claim at that limit, a guard, and other settings of the fitted variant."""
    metric = Metric(name="rmse", says="error", better="lower", margin=0.05)
    fitted = Variant(name="fitted", says="fitted", role="fixed", guards={"rmse": guard} if guard else {})
    slow = Variant(name="slow", says="hardly moves", role="broken", changes={"lr": 1e-4}, gates=("rmse",))
    fits = Claim(
        name="fits", says="it fits", source="arithmetic", documented=None, check=mean("fitted", "rmse", "<=", limit)
    )
    return Line(
        name="line",
        title="a line",
        says="a line is fitted",
        settings=Settings(**settings),
        seeds=7,
        variants=(fitted, slow),
        metrics=(metric,),
        claims=(fits,),
    )
