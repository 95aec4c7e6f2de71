"""Schedules of learning rates: where the living ones stand, beside the optimizers that they steer."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from types import FunctionType
from typing import Any

import torch
from torch.optim.lr_scheduler import LambdaLR, LinearLR, LRScheduler, ReduceLROnPlateau

from goldmark.case import Finding
from goldmark.checks._hearing import Hearing
from goldmark.checks._ownership import living, owned

_AHEAD = (*range(32), *(2**power for power in range(5, 21)))  # steps at which a schedule is asked
Optimizer = torch.optim.Optimizer
Note = Callable[[Any, "float | None"], None]  # takes a scheduler and the metric that it was given
NoteState = Callable[[Any, "list[dict[str, Any]]"], None]  # takes an optimizer, and groups of its state dict


@dataclass(frozen=True, kw_only=True)
class ScheduleState:
    """How far schedule and optimizer are where training goes on."""

    scheduler_steps: int
    optimizer_steps: int  # 0: not known
    continued: bool  # the optimizer was given what an earlier schedule had steered, after this one was made


def _heard(step: Callable[..., None], *, with_metric: bool) -> Callable[..., None]:
    @functools.wraps(step)
    def stepped(self: Any, *arguments: Any, **keywords: Any) -> None:
        metric = (arguments[0] if arguments else keywords.get("metrics")) if with_metric else None
        for note in tuple(SCHEDULES.listeners):
            note(self, None if metric is None else float(metric))
        step(self, *arguments, **keywords)

    return stepped


SCHEDULES = Hearing[Note](  # of steps of schedules; other classes call that of the first
    (LRScheduler, "step", functools.partial(_heard, with_metric=False)),
    (ReduceLROnPlateau, "step", functools.partial(_heard, with_metric=True)),
)


def _heard_state(state_dict: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(state_dict)
    def given(self: Optimizer, *arguments: Any, **keywords: Any) -> Any:
        state = state_dict(self, *arguments, **keywords)
        if isinstance(state, dict) and isinstance(state.get("param_groups"), list):
            for note in tuple(STATES.listeners):
                note(self, state["param_groups"])
        return state

    return given


STATES = Hearing[NoteState]((Optimizer, "state_dict", _heard_state))


@dataclass(kw_only=True, eq=False)
class Copies:
    """The groups in state dicts of an optimizer, which are copies: whether somebody writes rates into them."""

    n_written: int = 0  # of earlier ones
    groups: list[dict[str, Any]] = field(default_factory=list)  # of the last one
    rates: list[Any] = field(default_factory=list)  # as they were given

    def note(self, groups: list[dict[str, Any]]) -> None:
        """Look once more at the last copies, and keep those."""
        self.n_written = self.written()
        self.groups, self.rates = groups, [group.get("lr") for group in groups]

    def written(self) -> int:
        """Return into how many copies another rate was written."""
        pairs = zip(self.groups, self.rates, strict=False)  # who trims a copy saves it
        return self.n_written + any(bool(group.get("lr", rate) != rate) for group, rate in pairs)


def check_lost_rates(n_written: int, before: Sequence[float], now: Sequence[float], fewest: int = 3) -> Finding:
    """Find out whether rates are written into copies of an optimizer's groups, time and again, and its own stay.

    `n_written` counts the state dicts with another rate than they were given, `before` and `now` are the rates.
    """
    return Finding(
        name="lost_rates",
        trouble=n_written >= fewest and list(before) == list(now),
        numbers={"copies_written": float(n_written), "rate": float(now[0]) if now else 0.0},
        threshold=float(fewest),
        relation="a schedule must change the rates of the optimizer",
        advice="write into optimizer.param_groups: those in optimizer.state_dict() are copies",
    )


def schedulers_of(optimizers: Sequence[torch.optim.Optimizer]) -> list[Any]:
    """Return the living schedulers of some optimizers; those within a chain are left to the chain."""
    if not any(hasattr(optimizer.step, "_wrapped_by_lr_sched") for optimizer in optimizers):
        return []  # as every scheduler of torch wraps the step of its optimizer
    mine = [s for s in living(LRScheduler) if any(getattr(s, "optimizer", None) is one for one in optimizers)]
    inner = {id(part) for one in mine for part in getattr(one, "_schedulers", ())}
    return [scheduler for scheduler in mine if id(scheduler) not in inner]


def rates_of(optimizers: Sequence[torch.optim.Optimizer]) -> list[float]:
    """Return the rates of all groups of some optimizers, but for those that choose their own."""
    groups = [group for optimizer in optimizers for group in optimizer.param_groups]
    return [float(group["lr"]) for group in groups if group.get("lr") is not None]


def factor_of(scheduler: LambdaLR) -> float:
    """Return what the first function of a schedule has given last."""
    base = float(scheduler.base_lrs[0])
    return float(scheduler.get_last_lr()[0]) / base if base else 0.0


def factors_ahead(scheduler: LambdaLR) -> list[float]:
    """Return the highest factor of a schedule at numbers of steps up to a million; none where that cannot be asked."""
    functions = [one for one in scheduler.lr_lambdas if _can_be_asked(one)]
    try:
        return [max(float(one(step)) for one in functions) for step in _AHEAD] if functions else []
    except Exception:  # noqa: BLE001 - a table that ends, or whatever else a user's function does out there
        return []


def _can_be_asked(factor: Any) -> bool:
    """Tell whether a schedule's function stays what it is when called: an object may change, a partial does not."""
    return isinstance(getattr(factor, "func", factor), FunctionType)


def steps_of(optimizer: torch.optim.Optimizer) -> int:
    """Return how many steps an optimizer has taken, by its state; 0 where that does not tell."""
    counts = [int(own["step"]) for own in optimizer.state.values() if isinstance(own, dict) and "step" in own]
    return max(counts, default=0)


def rises_for(scheduler: Any, n_steps: int) -> bool:
    """Tell whether a schedule that has taken steps will raise its rate in `n_steps` more, and stay below its base.

    A LambdaLR and a LinearLR know; of several in a row or a chain, the first is asked.
    """
    first = getattr(scheduler, "_schedulers", (scheduler,))[0]
    done = int(first.last_epoch)
    if isinstance(first, LinearLR):
        return done > 0 and first.start_factor < first.end_factor and first.total_iters >= done + n_steps
    factor = first.lr_lambdas[0] if isinstance(first, LambdaLR) else None
    if factor is None or done == 0 or not _can_be_asked(factor):
        return False
    factors = [float(factor(step)) for step in range(done, done + n_steps + 1)]
    return factors[-1] < 1 and all(before < after for before, after in pairwise(factors))


def schedule_state(optimizers: Sequence[Optimizer]) -> ScheduleState | None:
    """Return how far schedule and optimizer are; None without a schedule, or where no earlier one was loaded."""
    if not any(_is_loaded(group) for one in optimizers for group in one.param_groups):
        return None
    schedulers = [one for one in schedulers_of(optimizers) if hasattr(one, "last_epoch")]
    if not schedulers:
        return None
    return ScheduleState(
        scheduler_steps=max(int(scheduler.last_epoch) for scheduler in schedulers),
        optimizer_steps=max(steps_of(optimizer) for optimizer in optimizers),
        continued=any(_is_continued(scheduler) for scheduler in schedulers),
    )


def _is_loaded(group: dict[str, Any]) -> bool:
    """Tell whether a group came with the state dict of an optimizer under a schedule; there, parameters are last."""
    return "initial_lr" in group and next(reversed(group)) == "params"


def _is_continued(scheduler: Any) -> bool:
    """Tell whether an optimizer was given state and groups of an earlier schedule after this schedule was made.

    A schedule takes its rates from the groups as objects, and equal numbers from elsewhere are others.
    """
    optimizer = scheduler.optimizer
    bases = getattr(scheduler, "base_lrs", ())
    groups = [(group, base) for group, base in zip(optimizer.param_groups, bases, strict=False) if _is_loaded(group)]
    return bool(optimizer.state) and bool(groups) and all(group["initial_lr"] is not base for group, base in groups)


def check_scheduled_optimizer(
    optimizers: Sequence[Optimizer], before: Sequence[float], foreign: Mapping[Any, Sequence[float]], stepped: Any
) -> Finding:
    """Find out whether a schedule steers an optimizer that takes no step, in place of the one that owns its parameters.

    `optimizers` are those that train, at the learning rates `before` when training began; `foreign` are schedules of
    other optimizers that were stepped since, with the rates from then; `stepped` are all other optimizers that took
    a step. Rates that are copied from such a schedule change, and pass.
    """
    rates = rates_of(optimizers)
    fixed = rates == [float(rate) for rate in before]
    idle = [
        scheduler
        for scheduler, start in foreign.items()
        if scheduler.optimizer not in stepped
        and rates_of([scheduler.optimizer]) != list(start)
        and is_twin(scheduler.optimizer, optimizers)
    ]
    return Finding(
        name="scheduled_optimizer",
        trouble=fixed and bool(idle),
        numbers={"schedules_of_idle_optimizers": float(len(idle))},
        threshold=0.0,
        relation="a schedule must steer the optimizer that takes the steps",
        advice="build the scheduler from the optimizer that is stepped, after that is replaced or loaded",
    )


def check_idle_optimizer(
    optimizers: Sequence[Optimizer], n_steps: Sequence[int], n_backward: int, stepped: Collection[Any], fewest: int = 16
) -> Finding:
    """Find out whether an optimizer takes no step in `fewest` backward passes, while others step.

    `n_steps` are the steps of each of `optimizers`; `stepped` are all other optimizers that took a step, of which
    those count that own nothing else than what is owned here.
    """
    twins = [one for one in stepped if is_twin(one, optimizers)]
    idle = sum(count == 0 for count in n_steps)
    return Finding(
        name="idle_optimizer",
        trouble=n_backward >= fewest and (0 < idle < len(n_steps) or (idle > 0 and bool(twins))),
        numbers={"idle": float(idle), "backward_passes": float(n_backward), "others": float(len(twins))},
        threshold=0.0,
        relation="every optimizer that is watched must take steps",
        advice="step each, and build it once, before the first epoch: a new one in every epoch forgets its averages",
    )


def is_twin(optimizer: Optimizer, optimizers: Sequence[Optimizer]) -> bool:
    """Tell whether all that an optimizer owns is owned by others, in groups of their own: it wraps none of them."""
    others = owned(optimizers)
    shared = {id(group) for one in optimizers for group in one.param_groups}
    mine = owned([optimizer])
    apart = all(id(group) not in shared for group in optimizer.param_groups)
    return bool(mine) and apart and all(key in others for key in mine)
