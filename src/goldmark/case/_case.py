"""A case: what is declared of a system under test, however its runs are made."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, is_dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from goldmark.case._claim import Claim, Verdict
from goldmark.case._run import MatrixScale, Runs, UsageError, find

if TYPE_CHECKING:
    from goldmark.case._curve import Curve

Role = Literal["fixed", "broken", "option", "control"]
Better = Literal["higher", "lower", "neither"]
Scale = Literal["identity", "log"]
MeanTest = Literal["t", "permutation"]
LOOKS = (5, 10, 20)  # seeds after which a sequential check looks at its metrics

S = TypeVar("S")


def recipe_of(settings: Any) -> dict[str, Any]:
    """Return settings, a dataclass or a mapping, as runs and goldens store them: tuples are lists."""
    named = asdict(settings) if is_dataclass(settings) and not isinstance(settings, type) else dict(settings)
    return {name: list(value) if isinstance(value, tuple) else value for name, value in named.items()}


class Unsaid(Enum):
    """Stands for a margin that was not given: None is one that says "only shown"."""

    MARGIN = "margin"


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A number that is measured of a trained model, and the rule by which two sets of its values are compared.

    `margin` is the change that nobody would mind: a number on the metric's scale (in its unit, or in log), or a
    percentage such as "2%", on the log scale. None only shows the metric; where it is left out, a project's own default
    holds (ini option `golden_margin`), and in a `ModelCase` the metric is only shown. `test` is "permutation" where
    means say little because single seeds can fail outright (an F1 of 0); `dead_below` says from which value on a seed
    has failed, so that such seeds are counted too. `guard` holds the values of the bug that a golden must see, one per
    seed, or a function that returns them; in an experiment it is the name of a variant, and in a `ModelCase` the
    variant has it: `Variant.guards`. `null` holds values after innocent changes, by the name of the change, which a
    margin must take in. Both are looked at where a golden is recorded.
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
    curve: Curve | None = None  # it is a number of another metric's curve; see `steps_to` and `area_under`

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
    case: Case[Any] | None = field(default=None, compare=False, repr=False)  # there where a case was asked for it

    @property
    def gating(self) -> tuple[str, ...]:
        """The metrics on which its golden gates: those with a guard, and those named in `gates`."""
        return tuple(dict.fromkeys((*self.guards, *self.gates)))


@dataclass(frozen=True, kw_only=True)
class Case(ABC, Generic[S]):
    """One system under test: its variants and seeds, the metrics of its runs, and what must hold for them.

    How a variant and a seed become a run is said by its kinds: a `ModelCase` is trained by the engine, an experiment by
    a function of its user.
    """

    name: str
    title: str
    says: str  # what happened, in one sentence
    settings: S  # the fixed recipe at this scale: a frozen dataclass, or a mapping
    seeds: int
    variants: tuple[Variant, ...]
    metrics: tuple[Metric, ...]
    claims: tuple[Claim, ...]
    data_source: str = "generated"  # or the sha256 of the user's file that it was put on
    documented: Mapping[str, Mapping[str, float]] = field(default_factory=dict)  # variant -> metric -> the record's
    scale: MatrixScale = "fast"
    sequential: bool = False  # a check trains few seeds first, and more only where they do not decide

    @property
    def place(self) -> str:
        """The file whose function makes its runs, in full, or "" where the engine trains them."""
        return ""

    def finish(self, history: Sequence[Mapping[str, float]]) -> dict[str, float]:
        """Return the metrics of a whole history, a row an epoch."""
        return {}

    def variant(self, name: str, /) -> Variant:
        """Return the variant of that name; raise `UsageError` with the known names otherwise."""
        known = {variant.name: variant for variant in self.variants}
        return replace(find(known, name, f"case '{self.name}' has no variant"), case=self)

    def metric(self, name: str) -> Metric:
        """Return the metric of that name; raise `UsageError` with the known names otherwise."""
        return find({metric.name: metric for metric in self.metrics}, name, f"case '{self.name}' has no metric")

    def claim(self, name: str) -> Claim:
        """Return the claim of that name; raise `UsageError` with the known names otherwise."""
        return find({claim.name: claim for claim in self.claims}, name, f"case '{self.name}' has no claim")

    def need_variants(self) -> None:
        """Raise `UsageError` where a claim or a guard names a variant that there is not; all are declared by now."""
        naming = [(repr(claim), name) for claim in self.claims for name in claim.variants]
        guards = [guard for variant in self.variants for guard in variant.guards.items()]
        naming += [(f"the guard of '{metric}'", name) for metric, name in guards]
        for what, name in naming:
            try:
                self.variant(name)
            except UsageError as error:
                raise UsageError(f"{what} names a variant that is not declared: {error}") from None

    def settings_of(self, variant: str) -> S:
        """Return the settings of a variant: the defaults, changed along the chain of variants it departs from."""
        chosen = self.variant(variant)
        start = self.settings if chosen.of is None else self.settings_of(chosen.of)
        return _changed(start, chosen.changes)

    def seeds_of(self, variant: str) -> range:
        """Return the seeds that a variant trains with: 0 ... count - 1, its own count or the case's."""
        return range(self.variant(variant).seeds or self.seeds)

    def judge(self, runs: Runs) -> list[tuple[Claim, Verdict]]:
        """Return every claim with its verdict on the runs; on a user's data only those that hold on any data."""
        any_data = self.data_source != "generated"
        return [(claim, claim.verdict(runs)) for claim in self.claims if claim.any_data or not any_data]


def _changed(settings: S, changes: Mapping[str, Any]) -> S:
    """Return settings with some of them changed: a mapping may get new ones, a dataclass not."""
    if isinstance(settings, Mapping):
        return {**settings, **changes}  # type: ignore[return-value]
    return replace(settings, **changes)  # type: ignore[type-var]
