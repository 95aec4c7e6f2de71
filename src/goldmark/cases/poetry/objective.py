"""What is minimised: squared error and cosine by weight, with teacher forcing in as many steps as a run asks for.

What tells one objective, or one way of forcing, from another is a tensor in the data: such runs train as one stack.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from goldmark.case import Data, Half, Look
from goldmark.cases.poetry.decoder import TeacherForcing
from goldmark.training._schedule import steps_per_epoch
from goldmark.training.draws import Draws

if TYPE_CHECKING:
    from goldmark.cases.poetry import PoetrySettings

Objective = Literal["sum", "mse", "cosine", "hybrid"]
Forcing = Literal["per step", "per batch", "leak"]

WEIGHTS = {  # of 1 - cosine, of the squared error; targets are divided by their norm to this power
    "sum": (1.0, 1.0, 0.0),
    "mse": (0.0, 1.0, 0.0),
    "cosine": (1.0, 0.0, 0.0),  # leaves the norm of an output free
    "hybrid": (0.9, 0.1, 1.0),  # the record's "enhanced cosine"
}
PHASES = ((7, 0.9), (15, 0.7), (23, 0.3))  # the record's curriculum: last epoch of a phase, its share of forced steps
LAST_SHARE = 0.1
SMALLEST = 1e-16  # product of squared norms: the cosine of a zero vector is 0


def cosine(a: Tensor, b: Tensor) -> Tensor:
    """Return the cosines of vectors along the last axis."""
    return nn.functional.cosine_similarity(a, b, dim=-1)


def loss(model: nn.Module, data: Data, rows: Tensor, draws: Draws) -> Tensor:
    """Return the weighted sum of 1 - mean token cosine and mean squared error of a batch."""
    tokens, valid = _tokens(data, "train", rows)
    terms = _terms(model(tokens, draws, draw_forcing(data, tokens, draws), valid), tokens, data, valid)
    loss: Tensor = data["cosine_weight"] * terms["cosine"] + data["mse_weight"] * terms["mse"]
    return loss


def look(model: nn.Module, data: Data, half: Half, rows: slice) -> Look:
    """Return both terms of windows in free running, those with a weight as they count."""
    tokens, valid = _tokens(data, half, rows)
    terms = _terms(model(tokens, valid=valid), tokens, data, valid)
    weighted = {name: data[f"{name}_weight"] * term for name, term in terms.items() if data[f"{name}_weight"] > 0}
    return Look(loss=torch.stack(list(weighted.values())).sum(), terms=terms, weighted=weighted)


def _tokens(data: Data, half: Half, rows: Tensor | slice) -> tuple[Tensor, Tensor | None]:
    """Return tokens (B, T, D) of a half, and which of them are valid (B, T), where some are padding."""
    valid = data.get(f"{half}_valid")
    return data[f"{half}_tokens"][rows], None if valid is None else valid[rows]


def _terms(outputs: Tensor, tokens: Tensor, data: Data, valid: Tensor | None) -> dict[str, Tensor]:
    """Return 1 - mean token cosine and mean squared error of outputs for tokens, both (B, T, D).

    Both follow from the inner products o.o, o.t and t.t of outputs and targets, |o - t|^2 = o.o - 2 o.t + t.t: a third
    of the passes over outputs. Padding does not count.
    """
    oo, ot, tt = ((a * b).sum(dim=-1) for a, b in ((outputs, outputs), (outputs, tokens), (tokens, tokens)))
    cosines = ot * (oo * tt).clamp_min(SMALLEST).rsqrt()
    scale = tt ** (-0.5 * data["norm_power"])  # of the targets
    squared_error = (oo - 2 * scale * ot + scale * scale * tt) / outputs.shape[-1]
    mean_cosine, mean_square = (_mean(each, valid) for each in (cosines, squared_error))
    return {"cosine": 1 - mean_cosine, "mse": mean_square}


def _mean(each: Tensor, valid: Tensor | None) -> Tensor:
    """Return the mean over tokens (B, T), over the valid ones where some are padding."""
    return each.mean() if valid is None else (each * valid).sum() / valid.sum()


def draw_forcing(data: Data, tokens: Tensor, draws: Draws) -> TeacherForcing | None:
    """Return which steps of a batch are forced, from a draw a step whether it is used or not; None in free running."""
    if "step_forcing" not in data:
        return None
    places = draws.uniform("forcing", tokens.shape[1])
    return TeacherForcing(places[data["drawn_at"]] < data["step_forcing"], tokens[:, data["fed_from"]])


def full_forcing(data: Data, tokens: Tensor) -> TeacherForcing:
    """Return the forcing of every step, with the inputs of training; a model of free running gets the last target."""
    fed_from = data["fed_from"] if "fed_from" in data else _last_places(tokens.shape[1]).to(tokens.device)
    return TeacherForcing(torch.ones(tokens.shape[1], dtype=torch.bool, device=tokens.device), tokens[:, fed_from])


def objective_tensors(settings: PoetrySettings) -> dict[str, Tensor]:
    """Return the tensors that make the objective."""
    names = ("cosine_weight", "mse_weight", "norm_power")
    return {
        name: torch.tensor(value, dtype=torch.float64)
        for name, value in zip(names, WEIGHTS[settings.objective], strict=True)
    }


def forcing_tensors(settings: PoetrySettings) -> dict[str, Tensor]:
    """Return the tensors that make teacher forcing, none in free running.

    `step_forcing` (S,) is the share of steps forced. Step t looks at draw `drawn_at[t]`, its own, or the first of all
    where forcing is drawn once a batch. Its input is target `fed_from[t]`: the last one, or, where it leaks, the one
    that it is to write.
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
    return torch.arange(-1, length - 1).clamp_min(0)  # the first input is the start token, whatever stands here


def _forced_shares(settings: PoetrySettings) -> Tensor:
    epochs = torch.arange(settings.steps) // steps_per_epoch(settings, settings.n_train) + 1
    shares = torch.full((settings.steps,), LAST_SHARE, dtype=torch.float64)
    for last, share in reversed(PHASES):
        shares = torch.where(epochs <= last, share, shares)
    return shares
