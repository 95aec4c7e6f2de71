"""Which rows a step trains on and with which learning rate: integers and closed forms, no model."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from goldmark.case import Data, ModelCase, Recipe
from goldmark.training import draws

BETAS, EPS = (0.9, 0.999), 1e-8  # of AdamW: torch's defaults, as in the reference


@dataclass(frozen=True)
class Batch:
    """One optimiser step: its number and epoch from 0, the rows of the training half, and whether it ends the epoch."""

    step: int
    epoch: int
    rows: Tensor
    ends_epoch: bool


def batches(recipe: Recipe, n_train: int, seed: int) -> Iterator[Batch]:
    """Yield the batches of a run: a fresh order of the rows each epoch, a last incomplete batch left out."""
    size, per_epoch = min(recipe.batch, n_train), steps_per_epoch(recipe, n_train)
    for step in range(recipe.steps):
        epoch, place = divmod(step, per_epoch)
        if place == 0:
            order = draws.permutation(draws.key(seed, epoch, "order"), n_train)
        ends_epoch = place == per_epoch - 1 or step == recipe.steps - 1
        yield Batch(step, epoch, order[place * size : (place + 1) * size], ends_epoch)


def steps_per_epoch(recipe: Recipe, n_train: int) -> int:
    """Return the number of whole batches in the training half."""
    return n_train // min(recipe.batch, n_train)


def n_epochs(recipe: Recipe, n_train: int) -> int:
    """Return the number of epochs that the steps of a recipe make, the last one perhaps short."""
    return math.ceil(recipe.steps / steps_per_epoch(recipe, n_train))


def evaluated_epochs(recipe: Recipe, n_train: int) -> set[int]:
    """Return the epochs, from 0, after which a run is evaluated: the first, the middle and the last."""
    last = n_epochs(recipe, n_train) - 1
    return {0, last // 2, last}


def train_size(data: Data) -> int:
    """Return the number of training examples: the length of the first `train_` tensor."""
    return next(len(tensor) for name, tensor in data.items() if name.startswith("train_"))


def rates_at(case: ModelCase[Any], settings: Recipe, model: nn.Module, step: int) -> tuple[float, ...]:
    """Return the learning rates of a step, one for each peak rate among the parameters, in their order."""
    peaks = dict.fromkeys(case.learning_rate(settings, name) for name, _ in model.named_parameters())
    return tuple(peak * case.rate_factor(settings, step) for peak in peaks)
