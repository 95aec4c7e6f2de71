"""A case: what is declared of a system under test, and how it behaves."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, Protocol, TypeVar

from goldmark.case._claim import Claim, Verdict
from goldmark.case._look import Half, Look
from goldmark.case._run import Baseline, Finding, MatrixScale, Runs, UsageError, find

if TYPE_CHECKING:
    from torch import Tensor, nn

    from goldmark.training.draws import Draws

Role = Literal["fixed", "broken", "option", "control"]
Better = Literal["higher", "lower", "neither"]
Scale = Literal["identity", "log"]
MeanTest = Literal["t", "permutation"]
Data = Mapping[str, "Tensor"]  # named tensors: `train_` and `val_` with examples on axis 0, `step_` with steps there

S = TypeVar("S", bound="Recipe")


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


def recipe_of(settings: Recipe) -> dict[str, Any]:
    """Return settings as runs and goldens store them: names and values, tuples as lists."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(settings).items()}


class Unsaid(Enum):
    """Stands for a margin that was not given: None is one that says "only shown"."""

    MARGIN = "margin"


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A number that is measured of a trained model, and the rule by which two sets of its values are compared.

    `margin` is the change that nobody would mind: a number on the metric's scale (in its unit, or in log), or a
    percentage such as "2%", on the log scale. None only shows the metric; where it is left out, a project's own default
    holds (ini option `golden_margin`), and in a case the metric is only shown. `test` is "permutation" where means say
    little because single seeds can fail outright (an F1 of 0); `dead_below` says from which value on a seed has failed,
    so that such seeds are counted too. `guard` holds the values of the bug that a golden must see, one per seed, or a
    function that returns them; `null` those after innocent changes, by the name of the change, which a margin must take
    in. Both are looked at where a golden is recorded. In a case the guard is a variant: `Variant.guards`.
    """

    name: str = field(kw_only=False)
    says: str = ""
    unit: str = "1"
    better: Better = "neither"
    scale: Scale = "identity"
    margin: float | str | Unsaid | None = Unsaid.MARGIN
    alpha: float | None = None  # false-alarm rate of all its tests together; None: the project's, or the variant's
    test: MeanTest = "t"
    dead_below: float | None = None
    guard: Any = None
    null: Mapping[str, Any] | None = None

    @property
    def own_margin(self) -> float | str | None:
        """The margin that it states itself; None where it is only shown, or says nothing."""
        return None if isinstance(self.margin, Unsaid) else self.margin


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One way of training a case: a name, a sentence, a role, and what it changes against another variant."""

    name: str
    says: str
    role: Role
    of: str | None = None  # the variant it departs from; None: the settings' defaults
    changes: Mapping[str, Any] = field(default_factory=dict)  # settings changed against `of`, as few as it can
    seen_by: str = "none"  # the metric that tells it from its healthy twin, "contract" or "none"
    seeds: int | None = None  # it trains with seeds 0 ... seeds - 1; None: the case's count
    guards: Mapping[str, str] = field(default_factory=dict)  # metric -> the variant whose bug the golden must see
    gates: tuple[str, ...] = ()  # further metrics of its golden that fail beyond their margins; the others are shown
    alpha: float = 1e-3  # false-alarm rate of each metric that gates and states none itself

    @property
    def gating(self) -> tuple[str, ...]:
        """The metrics on which its golden gates: those with a guard, and those named in `gates`."""
        return tuple(dict.fromkeys((*self.guards, *self.gates)))


@dataclass(frozen=True, kw_only=True)
class Case(ABC, Generic[S]):
    """One system under test: how a seed becomes data, a model, a loss and metrics, and what must hold for its runs.

    A case is a subclass, whose methods say how it behaves, and its instance, whose fields say what is declared.
    """

    threads: ClassVar[int] = 1  # of a run on the CPU; another number sums in another order

    name: str
    title: str
    says: str  # what happened, in one sentence
    settings: S  # the fixed recipe at this scale
    seeds: int
    variants: tuple[Variant, ...]
    metrics: tuple[Metric, ...]
    claims: tuple[Claim, ...]
    stackable: frozenset[str] = frozenset()  # settings that reach the loss through tensors of data or model alone
    stacks_on_cpu: bool = False  # whether a stack trains faster than one model after another there (`nox -s bench`)
    fixtures: Mapping[str, str] = field(default_factory=dict)  # frozen file -> the variant whose data it holds
    reads: str = ""  # what a user's file must hold for `on_file`; empty: the case takes none
    companions: Mapping[str, str] = field(default_factory=dict)  # further files that `on_file` takes -> what they hold
    data_source: str = "generated"  # or the sha256 of the user's file that `make_data` reads
    documented: Mapping[str, Mapping[str, float]] = field(default_factory=dict)  # variant -> metric -> the record's
    scale: MatrixScale = "fast"
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
    def make_data(self, settings: S, seed: int) -> Data:
        """Return the data of a seed: floats in float64, `train_*` and `val_*` (N, ...), `step_*` (steps, ...)."""

    def has_stated_sizes(self, settings: S, seed: int) -> bool:
        """Return whether a seed's data and model have the sizes that the settings state, so that seeds can stack.

        On a user's file whole groups are held out, and halves differ in size: there it is no, unless the case knows.
        """
        return self.data_source == "generated"

    @abstractmethod
    def make_model(self, settings: S, data: Data) -> nn.Module:
        """Return a fresh model; its weights come from torch's global CPU generator, which the engine seeds."""

    @abstractmethod
    def loss(self, model: nn.Module, data: Data, rows: Tensor, draws: Draws, settings: S) -> Tensor:
        """Return the scalar loss of a batch: `rows` (B,) of the training half, with the random draws of its step."""

    @abstractmethod
    def evaluate(self, model: nn.Module, data: Data, settings: S) -> dict[str, float]:
        """Return the metrics of a model on the validation half; asked for in the first, middle and last epoch."""

    @abstractmethod
    def baselines(self, data: Data, settings: S) -> tuple[Baseline, ...]:
        """Return what trivial predictors score on the data, in float64."""

    @abstractmethod
    def examine(self, fresh: nn.Module, trained: nn.Module, data: Data, settings: S) -> tuple[Finding, ...]:
        """Return what the checks see of a model before and after its training."""

    def evaluate_trained(self, model: nn.Module, data: Data, settings: S) -> dict[str, float]:
        """Return the metrics that are slow to take, of the trained model alone."""
        return {}

    def finish(self, history: Sequence[Mapping[str, float]]) -> dict[str, float]:
        """Return the metrics of a whole history, a row an epoch."""
        return {}

    def close(self, data: Data, settings: S) -> dict[str, Any]:
        """Return numbers that follow from the data by arithmetic, in float64."""
        return {}

    def learning_rate(self, settings: S, parameter: str) -> float:
        """Return the peak learning rate of a parameter, by its name."""
        return settings.lr

    def rate_factor(self, settings: S, step: int) -> float:
        """Return the learning rate of a step over its peak."""
        return cosine_factor(settings, step)

    def look(self, model: nn.Module, data: Data, half: Half, rows: slice, settings: S) -> Look | None:
        """Return what the logs tell of a model on some rows of a half, nothing dropped; None: its loss alone.

        It is asked for without gradients, and on a few rows with them, where they tell what each term pulls at.
        """
        return None

    def shares_parameter(self, name: str) -> bool:
        """Return whether all terms of the loss share a parameter: on those their gradients are compared."""
        return True

    def sigmas(self, model: nn.Module, settings: S) -> dict[str, float]:
        """Return the sigma of each term that counts by 1 / (2 sigma^2); empty without uncertainty weights."""
        return {}

    def inputs(self, data: Data, rows: Tensor, draws: Draws, settings: S) -> dict[str, Tensor]:
        """Return what a step shows the model of some training rows, augmented as drawn, feature by feature."""
        return {}

    def evaluations(self, model: nn.Module, data: Data, settings: S) -> dict[str, dict[str, float | str]]:
        """Return the record's evaluations of a trained model: section -> named numbers or words, beside baselines.

        Asked for by `goldmark run --evaluate` alone; the model is in evaluation and nothing is differentiated.
        """
        return {}

    def on_file(self, path: Path, companions: Mapping[str, Path] = {}) -> Case[S]:
        """Return the case on a user's file and the companions given with it, by the names in `self.companions`.

        Raises `UsageError` where a file is not fit for it.
        """
        raise UsageError(f"case '{self.name}' reads no file; leave --data out")

    def with_preset(self, name: str) -> Case[S]:
        """Return the case as one model of a named size; raise `UsageError` where there is no such preset."""
        raise UsageError(f"case '{self.name}' has no presets; leave --preset out")

    def variant(self, name: str) -> Variant:
        """Return the variant of that name; raise `UsageError` with the known names otherwise."""
        return find({variant.name: variant for variant in self.variants}, name, f"case '{self.name}' has no variant")

    def metric(self, name: str) -> Metric:
        """Return the metric of that name; raise `UsageError` with the known names otherwise."""
        return find({metric.name: metric for metric in self.metrics}, name, f"case '{self.name}' has no metric")

    def claim(self, name: str) -> Claim:
        """Return the claim of that name; raise `UsageError` with the known names otherwise."""
        return find({claim.name: claim for claim in self.claims}, name, f"case '{self.name}' has no claim")

    def settings_of(self, variant: str) -> S:
        """Return the settings of a variant: the defaults, changed along the chain of variants it departs from."""
        chosen = self.variant(variant)
        start = self.settings if chosen.of is None else self.settings_of(chosen.of)
        return replace(start, **chosen.changes)

    def seeds_of(self, variant: str) -> range:
        """Return the seeds that a variant trains with: 0 ... count - 1, its own count or the case's."""
        return range(self.variant(variant).seeds or self.seeds)

    def judge(self, runs: Runs) -> list[tuple[Claim, Verdict]]:
        """Return every claim with its verdict on the runs; on a user's data only those that hold on any data."""
        any_data = self.data_source != "generated"
        return [(claim, claim.verdict(runs)) for claim in self.claims if claim.any_data or not any_data]
