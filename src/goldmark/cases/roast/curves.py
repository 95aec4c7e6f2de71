"""Synthetic roast profiles: the shape of a real bean-temperature curve, its variation tied to the bean."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from goldmark.case import Data
from goldmark.training import draws

if TYPE_CHECKING:
    from goldmark.cases.roast import RoastSettings

RANGE_F = (100.0, 500.0)  # what the documented fix maps to [0, 1]
_SPANS = (3, 2, 2, 3)  # what lies between the first and the last category of each kind, in the units of the curve
_FLAVORS_OF_A_BEAN = 2.4  # on average


def generate(settings: RoastSettings, seed: int) -> Data:
    """Return the training and validation halves of one seed's profiles; see `halves` for names and shapes.

    The curve is A - (A - T0) exp(-k t) + (charge - T0) exp(-t / tau): beans of T0 warm towards A while the probe
    falls from the charge temperature. Origin moves k, process T0, roast level A, variety tau; flavors move nothing.
    """
    n = settings.n_train + settings.n_val

    def draw(site: str, *shape: int) -> Tensor:
        return draws.uniform(draws.key(seed, 0, f"roast {site}"), (n, *shape))

    categories = (draw("categories", 4) * torch.tensor(settings.vocabulary)).long()
    shares = [span / (size - 1) for span, size in zip(_SPANS, settings.vocabulary, strict=True)]
    origin, process, level, variety = (categories * torch.tensor(shares)).unbind(dim=1)
    finish_f = 395 + 10 * level + 3 * (draw("finish") - 0.5)
    altitude_m = 1200 + 300 * origin + 200 * draw("altitude")
    density = 0.68 + 0.03 * variety + 0.02 * draw("density")
    rate = 0.00295 + 0.00018 * origin + 0.0001 * (draw("rate") - 0.5)
    bean_f = 62 + 10 * process + 6 * (draw("bean") - 0.5)
    charge_f = 420 + 16 * (draw("charge") - 0.5)
    tau_s = 18 + 2.5 * variety + 2 * (draw("tau") - 0.5)
    lag_s = 21 * draw("lag")
    time_s = lag_s[:, None] + settings.grid_s * torch.arange(settings.length, dtype=torch.float64)
    top_f = finish_f + 45
    bean = top_f[:, None] - (top_f - bean_f)[:, None] * torch.exp(-rate[:, None] * time_s)
    probe = (charge_f - bean_f)[:, None] * torch.exp(-time_s / tau_s[:, None])
    noise = 0.6 * draws.normal(draws.key(seed, 0, "roast noise"), (n, settings.length))
    temp_f = ((bean + probe + noise) * 10).round() / 10
    steps = settings.shortest + (draw("steps") * (settings.length - settings.shortest + 1)).long()
    flavors = (draw("flavors", settings.n_flavors) < _FLAVORS_OF_A_BEAN / settings.n_flavors).double()
    continuous = torch.stack([finish_f / 425, altitude_m / 2500, density / 0.80], dim=1)
    in_train = torch.arange(n) < settings.n_train
    data = halves(padded(temp_f, steps), steps, categories, flavors, continuous, in_train)
    return data | scales(data, settings) | {"vocabulary": torch.tensor(settings.vocabulary)}


def padded(temp_f: Tensor, steps: Tensor) -> Tensor:
    """Return curves (N, T) with everything after each profile's last step set to its last temperature."""
    places = torch.minimum(torch.arange(temp_f.shape[1])[None], steps[:, None] - 1)
    return temp_f.gather(1, places)


def halves(
    temp_f: Tensor, steps: Tensor, categories: Tensor, flavors: Tensor, continuous: Tensor, in_train: Tensor
) -> dict[str, Tensor]:
    """Split profiles into `train_` and `val_` tensors, and add the training half's mean and sd of valid temperatures.

    Each half holds temp_f (N, T) float64 in degrees Fahrenheit, valid (N, T) bool, categories (N, 4) int64,
    flavors (N, F) and continuous (N, C) float64.
    """
    valid = torch.arange(temp_f.shape[1])[None] < steps[:, None]
    whole = {
        "temp_f": temp_f,
        "valid": valid,
        "categories": categories,
        "flavors": flavors,
        "continuous": continuous,
    }
    data = {f"train_{name}": tensor[in_train] for name, tensor in whole.items()}
    data |= {f"val_{name}": tensor[~in_train] for name, tensor in whole.items()}
    train_cells = temp_f[in_train][valid[in_train]]
    return data | {"temp_mean_f": train_cells.mean(), "temp_sd_f": train_cells.std()}


def scales(data: Data, settings: RoastSettings) -> dict[str, Tensor]:
    """Return what the temperatures of inputs and targets are shifted and divided by, float64 scalars.

    `raw` leaves them in degrees Fahrenheit, `range` maps [100, 500] F to [0, 1], `zscore` makes the mean of the
    training half 0 and its sd 1.
    """
    low, high = RANGE_F
    known = {
        "raw": (torch.zeros((), dtype=torch.float64), torch.ones((), dtype=torch.float64)),
        "range": (torch.tensor(low, dtype=torch.float64), torch.tensor(high - low, dtype=torch.float64)),
        "zscore": (data["temp_mean_f"], data["temp_sd_f"]),
    }
    chosen = {"input": known[settings.input_scale], "target": known[settings.target_scale]}
    parts = {side: zip(("offset", "unit"), its, strict=True) for side, its in chosen.items()}
    return {f"{side}_{part}": tensor for side, its in parts.items() for part, tensor in its}
