"""The words of the project as frozen dataclasses: a case, its variants, metrics and claims, and a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from torch import Tensor, nn

    from goldmark.training.draws import Draws

Role = Literal["fixed", "broken", "option", "control"]
Better = Literal["higher", "lower", "neither"]
Scale = Literal["identity", "log"]
MatrixScale = Literal["smoke", "fast", "full"]
Data = Mapping[str, "Tensor"]  # named tensors: `train_` and `val_` with examples on axis 0, `step_` with steps there
Settings = Any  # the case's own frozen dataclass; it carries at least the fields of `Recipe`


class UsageError(ValueError):
    """Wrong use or bad input: one clear line for a person, exit status 2 on the command line."""


class Recipe(Protocol):
    """The fields of a settings class that the training engine reads."""

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


@dataclass(frozen=True)
class Metric:
    """A number that `Case.evaluate` returns, and how two values of it are compared.

    `margin` is the change that nobody would mind: a number on the metric's scale (in its unit, or in log), or a
    percentage such as "2%", which needs seeds that agree to a third of their mean. `dead_seeds` says that single
    seeds can fail outright (an F1 of 0), so that means are compared by permutation instead of by t.
    """

    name: str
    says: str
    unit: str = "1"
    better: Better = "neither"
    scale: Scale = "identity"
    margin: float | str = 0.0
    dead_seeds: bool = False


@dataclass(frozen=True)
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
    alpha: float = 1e-3  # false-alarm rate of each guarded metric of its golden


@dataclass(frozen=True)
class Baseline:
    """What a trivial predictor scores on the same data."""

    name: str
    says: str
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Finding:
    """What a check saw: its numbers, the threshold, whether that means trouble, and then what to do."""

    name: str
    trouble: bool
    numbers: Mapping[str, float]
    threshold: float
    advice: str


@dataclass(frozen=True)
class Run:
    """One training of one variant with one seed."""

    case: str
    scale: MatrixScale
    variant: str
    seed: int
    metrics: Mapping[str, float]  # of the trained model
    history: tuple[Mapping[str, float], ...]  # a row an epoch: epoch, train_loss; first, middle and last: all metrics
    learning_rates: tuple[tuple[float, ...], ...]  # used in each epoch's last step, one a parameter group
    baselines: tuple[Baseline, ...]
    findings: tuple[Finding, ...]
    exact: Mapping[str, Any]  # parameter count, shapes, recipe: equal or not
    close: Mapping[str, Any]  # numbers that follow from arithmetic, in float64
    stream: str  # hash of batch order, draw keys, parameter names and shapes; never of floats
    fingerprint: Mapping[str, str]
    sources: Mapping[str, str]  # path -> sha256 of the code that can change the numbers
    data: str  # "generated", or the sha256 of the user's file
    seconds: float


@dataclass(frozen=True)
class Failure:
    """A run that came to nothing: it diverged, its code raised, or its process died."""

    case: str
    variant: str
    seed: int
    error: str


Runs = Mapping[str, Sequence[Run]]  # variant name -> its runs, by seed


@dataclass(frozen=True)
class Verdict:
    """Whether a claim holds, the value found, the limit it was held to, and how many seeds stand behind it.

    `ok` is None where a claim was not judged, because its runs have fewer seeds than it needs.
    """

    ok: bool | None
    value: float
    limit: float
    n_seeds: int


@dataclass(frozen=True)
class Claim:
    """A statement that must hold for the runs of the named variants."""

    name: str
    says: str
    source: str  # record and section, or "project"
    variants: tuple[str, ...]
    check: Callable[[Runs], Verdict]
    documented: float | None = None
    any_data: bool = False  # also holds on a user's data
    fewest_seeds: int = 1  # with fewer it is not judged


def _no_scores(model: nn.Module, data: Data, settings: Settings) -> dict[str, float]:
    return {}


def _no_metrics(history: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {}


def _nothing_close(data: Data, settings: Settings) -> dict[str, Any]:
    return {}


@dataclass(frozen=True)
class Case:
    """One system under test: how a seed becomes data, a model, a loss and metrics, and what must hold for its runs."""

    name: str
    title: str
    says: str  # what happened, in one sentence
    settings: Settings  # the fixed recipe at fast scale
    seeds: int
    variants: tuple[Variant, ...]
    metrics: tuple[Metric, ...]
    claims: tuple[Claim, ...]
    make_data: Callable[[Settings, int], Data]  # settings, seed -> named tensors, floats in float64
    make_model: Callable[[Settings, Data], nn.Module]  # weights from torch's global CPU generator, seeded by the engine
    loss: Callable[[nn.Module, Data, Tensor, Draws, Settings], Tensor]  # model, data, rows of the batch -> scalar
    evaluate: Callable[[nn.Module, Data, Settings], dict[str, float]]  # at the first, middle and last epoch
    baselines: Callable[[Data, Settings], tuple[Baseline, ...]]
    examine: Callable[[nn.Module, nn.Module, Data, Settings], tuple[Finding, ...]]  # fresh, trained -> findings
    evaluate_trained: Callable[[nn.Module, Data, Settings], dict[str, float]] = _no_scores  # slow metrics, once
    finish: Callable[[Sequence[Mapping[str, float]]], dict[str, float]] = _no_metrics  # metrics of the history
    close: Callable[[Data, Settings], dict[str, Any]] = _nothing_close  # arithmetic on the data, float64
    learning_rate: Callable[[Settings, str], float] | None = None  # settings, parameter name -> peak learning rate
    rate_factor: Callable[[Settings, int], float] | None = None  # settings, step -> share of the peak; None: cosine
    stackable: frozenset[str] = frozenset()  # settings that reach the loss through tensors of data or model alone
    fixtures: Mapping[str, str] = field(
        default_factory=dict
    )  # name of a frozen file -> the variant whose data it holds
    from_file: Callable[[Case, Path], Case] | None = None  # the case on a user's file; None: it takes no file
    data_source: str = "generated"  # or the sha256 of the user's file that `make_data` reads
    documented: Mapping[str, Mapping[str, float]] = field(default_factory=dict)  # variant -> metric -> the record's
    scale: MatrixScale = "fast"
    stacks_on_cpu: bool = False  # whether a stack trains faster than one model after another there (`nox -s bench`)


def find_variant(case: Case, name: str) -> Variant:
    """Return the variant of that name; raise `UsageError` with the known names otherwise."""
    for variant in case.variants:
        if variant.name == name:
            return variant
    raise UsageError(f"case '{case.name}' has no variant '{name}'; it has: {', '.join(v.name for v in case.variants)}")


def settings_of(case: Case, name: str) -> Settings:
    """Return the settings of a variant: the case's defaults, changed along the chain of variants it departs from."""
    variant = find_variant(case, name)
    start = case.settings if variant.of is None else settings_of(case, variant.of)
    return replace(start, **variant.changes)


def recipe_of(settings: Settings) -> dict[str, Any]:
    """Return settings as runs and goldens store them: names and values, tuples as lists."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(settings).items()}


def seeds_of(case: Case, name: str) -> range:
    """Return the seeds that a variant trains with: 0 ... count - 1, its own count or the case's."""
    return range(find_variant(case, name).seeds or case.seeds)


def find_metric(case: Case, name: str) -> Metric:
    """Return the metric of that name; raise `UsageError` with the known names otherwise."""
    for metric in case.metrics:
        if metric.name == name:
            return metric
    raise UsageError(f"case '{case.name}' has no metric '{name}'; it has: {', '.join(m.name for m in case.metrics)}")
