"""A case that the engine trains: how a seed becomes data, a model and a loss, and what is measured of the model."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

from goldmark.case._case import Case
from goldmark.case._look import Half, Look
from goldmark.case._run import Baseline, Finding, UsageError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from goldmark.training.draws import Draws

Data = Mapping[str, "Tensor"]  # named tensors: `train_` and `val_` with examples on axis 0, `step_` with steps there

R = TypeVar("R", bound="Recipe")


class Recipe(Protocol):
    """The fields of a settings class, a frozen dataclass, that the training engine reads."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def lr(self) -> float:
        """Peak learning rate."""

    @property
    def lr_min(self) -> float | None:
        """End of the cosine schedule; None keeps the learning rate constant."""

    @property
    def weight_decay(self) -> float:
        """Decoupled weight decay, as in AdamW."""

    @property
    def clip(self) -> float | None:
        """Largest gradient norm; None does not clip."""

    @property
    def steps(self) -> int:
        """Optimiser steps."""

    @property
    def batch(self) -> int:
        """Examples a step, capped at the size of the training half."""


def cosine_factor(recipe: Recipe, step: int) -> float:
    """Return the learning rate of a step over its peak: a cosine from 1 to lr_min / lr, or 1 without lr_min.

    Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR 2017, equation 5.
    """
    if recipe.lr_min is None:
        return 1.0
    low = recipe.lr_min / recipe.lr
    return low + (1 - low) * (1 + math.cos(math.pi * step / recipe.steps)) / 2


@dataclass(frozen=True, kw_only=True)
class ModelCase(Case[R]):
    """A case that is a subclass, whose methods say how it behaves, and its instance, whose fields are declarations."""

    threads: ClassVar[int] = 1  # of a run on the CPU; another number sums in another order

    stackable: frozenset[str] = frozenset()  # settings that reach the loss through tensors of data or model alone
    stacks_on_cpu: bool = False  # whether a stack trains faster than one model after another there (`nox -s bench`)
    fixtures: Mapping[str, str] = field(default_factory=dict)  # frozen file -> the variant whose data it holds
    reads: str = ""  # what a user's file must hold for `on_file`; empty: the case takes none
    companions: Mapping[str, str] = field(default_factory=dict)  # further files that `on_file` takes -> what they hold
    best_by: str | None = None  # metric of `evaluate` that chooses the best checkpoint; None: no best one is kept

    def __post_init__(self) -> None:
        """Raise `UsageError` where the best checkpoint is to be chosen by what cannot be compared."""
        sided = [metric.name for metric in self.metrics if metric.better != "neither"]
        if self.best_by is not None and self.best_by not in sided:
            raise UsageError(
                f"case '{self.name}': best_by is '{self.best_by}'; it is one of the metrics that have a better side: "
                f"{', '.join(sided) or 'none, so give one better='}"
            )

    @abstractmethod
    def make_data(self, settings: R, seed: int) -> Data:
        """Return the data of a seed: floats in float64, `train_*` and `val_*` (N, ...), `step_*` (steps, ...)."""

    def has_stated_sizes(self, settings: R, seed: int) -> bool:
        """Return whether a seed's data and model have the sizes that the settings state, so that seeds can stack.

        On a user's file whole groups are held out, and halves differ in size: there it is no, unless the case knows.
        """
        return self.data_source == "generated"

    @abstractmethod
    def make_model(self, settings: R, data: Data) -> nn.Module:
        """Return a fresh model; its weights come from torch's global CPU generator, which the engine seeds."""

    @abstractmethod
    def loss(self, model: nn.Module, data: Data, rows: Tensor, draws: Draws, settings: R) -> Tensor:
        """Return the scalar loss of a batch: `rows` (B,) of the training half, with the random draws of its step."""

    @abstractmethod
    def evaluate(self, model: nn.Module, data: Data, settings: R) -> dict[str, float]:
        """Return the metrics of a model on the validation half; asked for in the first, middle and last epoch."""

    @abstractmethod
    def baselines(self, data: Data, settings: R) -> tuple[Baseline, ...]:
        """Return what trivial predictors score on the data, in float64."""

    @abstractmethod
    def examine(self, fresh: nn.Module, trained: nn.Module, data: Data, settings: R) -> tuple[Finding, ...]:
        """Return what the checks see of a model before and after its training."""

    def generate(self, model: nn.Module, data: Data, settings: R) -> Data:
        """Return tensors that a trained model makes step by step: a stack makes those of all its models at once.

        `evaluate_trained` finds them in its data.
        """
        return {}

    def evaluate_trained(self, model: nn.Module, data: Data, settings: R) -> dict[str, float]:
        """Return the metrics that are slow to take, of the trained model alone."""
        return {}

    def close(self, data: Data, settings: R) -> dict[str, Any]:
        """Return numbers that follow from the data by arithmetic, in float64."""
        return {}

    def learning_rate(self, settings: R, parameter: str) -> float:
        """Return the peak learning rate of a parameter, by its name."""
        return settings.lr

    def rate_factor(self, settings: R, step: int) -> float:
        """Return the learning rate of a step over its peak."""
        return cosine_factor(settings, step)

    def look(self, model: nn.Module, data: Data, half: Half, rows: slice, settings: R) -> Look | None:
        """Return what the logs tell of a model on some rows of a half, nothing dropped; None: its loss alone.

        It is asked for without gradients, and on a few rows with them, where they tell what each term pulls at.
        """
        return None

    def shares_parameter(self, name: str) -> bool:
        """Return whether all terms of the loss share a parameter: on those their gradients are compared."""
        return True

    def sigmas(self, model: nn.Module, settings: R) -> dict[str, float]:
        """Return the sigma of each term that counts by 1 / (2 sigma^2); empty without uncertainty weights."""
        return {}

    def inputs(self, data: Data, rows: Tensor, draws: Draws, settings: R) -> dict[str, Tensor]:
        """Return what a step shows the model of some training rows, augmented as drawn, feature by feature."""
        return {}

    def evaluations(self, model: nn.Module, data: Data, settings: R) -> dict[str, dict[str, float | str]]:
        """Return the record's evaluations of a trained model: section -> named numbers or words, beside baselines.

        Asked for by `goldmark run --evaluate` alone; the model is in evaluation and nothing is differentiated.
        """
        return {}

    def on_file(self, path: Path, companions: Mapping[str, Path] = {}) -> ModelCase[R]:
        """Return the case on a user's file and the companions given with it, by the names in `self.companions`.

        Raises `UsageError` where a file is not fit for it.
        """
        raise UsageError(f"case '{self.name}' reads no file; leave --data out")

    def with_preset(self, name: str) -> ModelCase[R]:
        """Return the case as one model of a named size; raise `UsageError` where there is no such preset."""
        raise UsageError(f"case '{self.name}' has no presets; leave --preset out")
