"""What is minimised: squared error and cosine by weight, with targets fed to the decoder as often as a run forces them.

What tells one objective, or one way of forcing, from another is a tensor in the data: such runs train as one stack.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from goldmark.case import Data
from goldmark.cases.poetry.decoder import Feed
from goldmark.training.draws import Draws
from goldmark.training.schedule import steps_per_epoch

if TYPE_CHECKING:
    from goldmark.cases.poetry import PoetrySettings

Objective = Literal["sum", "mse", "cosine", "hybrid"]
Forcing = Literal["per step", "per batch", "leak"]

WEIGHTS = {  # of 1 - cosine, of the squared error; targets are divided by their norm to this power
    "sum": (1.0, 1.0, 0.0),
    "mse": (0.0, 1.0, 0.0),
    "cosine": (1.0, 0.0, 0.0),  # leaves the norm of an output free
    "hybrid": (0.9, 0.1, 1.0),
}
PHASES = ((7, 0.9), (15, 0.7), (23, 0.3))  # last epoch of a phase, the share of steps that are forced in it
LAST_SHARE = 0.1
SMALLEST = 1e-16  # product of squared norms: the cosine of a zero vector is 0


def cosine(a: Tensor, b: Tensor) -> Tensor:
    """Return the cosines of vectors along the last axis."""
    return nn.functional.cosine_similarity(a, b, dim=-1)


def loss(model: nn.Module, data: Data, rows: Tensor, draws: Draws, settings: PoetrySettings) -> Tensor:
    """Return the weighted sum of 1 - mean token cosine and mean squared error.

    Both follow from the inner products o.o, o.t and t.t of outputs and targets: a third of the passes over outputs.
    """
    tokens = data["train_tokens"][rows]
    outputs = model(tokens, draws, drawn_feed(data, tokens, draws))
    oo, ot, tt = ((a * b).sum(dim=-1) for a, b in ((outputs, outputs), (outputs, tokens), (tokens, tokens)))
    cosines = ot * (oo * tt).clamp_min(SMALLEST).rsqrt()
    scale = tt ** (-0.5 * data["norm_power"])  # of the targets
    squared_error = (oo - 2 * scale * ot + scale * scale * tt) / outputs.shape[-1]
    loss: Tensor = data["cosine_weight"] * (1 - cosines.mean()) + data["mse_weight"] * squared_error.mean()
    return loss


def drawn_feed(data: Data, tokens: Tensor, draws: Draws) -> Feed | None:
    """Draw which steps of a batch are forced, a number a step whether it is used or not; None in free running."""
    if "step_forcing" not in data:
        return None
    places = draws.uniform("forcing", tokens.shape[1])
    return Feed(places[data["drawn_at"]] < data["step_forcing"], tokens[:, data["fed_from"]])


def whole_feed(data: Data, tokens: Tensor) -> Feed:
    """Force every step with what training feeds; free running is fed the last target."""
    fed_from = data["fed_from"] if "fed_from" in data else _last_places(tokens.shape[1]).to(tokens.device)
    return Feed(torch.ones(tokens.shape[1], dtype=torch.bool, device=tokens.device), tokens[:, fed_from])


def weights(settings: PoetrySettings) -> dict[str, Tensor]:
    """Return the tensors that make the objective."""
    names = ("cosine_weight", "mse_weight", "norm_power")
    return {
        name: torch.tensor(value, dtype=torch.float64)
        for name, value in zip(names, WEIGHTS[settings.objective], strict=True)
    }


def forcing(settings: PoetrySettings) -> dict[str, Tensor]:
    """Return the tensors that make teacher forcing, none in free running.

    `step_forcing` (S,) is the share of steps forced. Step t looks at draw `drawn_at[t]`, its own, or the first of all
    where forcing is drawn once a batch. It is fed target `fed_from[t]`: the last one, or, where it leaks, the one that
    it is to write.
    """
    if settings.forcing is None:
        return {}
    places = torch.arange(settings.length)
    return {
        "step_forcing": _forced_shares(settings),
        "drawn_at": places * 0 if settings.forcing == "per batch" else places,
        "fed_from": places if settings.forcing == "leak" else _last_places(settings.length),
    }


def _last_places(length: int) -> Tensor:
    return torch.arange(-1, length - 1).clamp_min(0)  # the first step is fed the start token, whatever stands here


def _forced_shares(settings: PoetrySettings) -> Tensor:
    epochs = torch.arange(settings.steps) // steps_per_epoch(settings, settings.n_train) + 1
    shares = torch.full((settings.steps,), LAST_SHARE, dtype=torch.float64)
    for last, share in reversed(PHASES):
        shares = torch.where(epochs <= last, share, shares)
    return shares
