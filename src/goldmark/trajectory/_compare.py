"""Hold one run against another: the tolerance that nudged runs give, the first step and tensor past it, the verdict."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

from goldmark.case import UsageError
from goldmark.trajectory._nudge import EPS, OneUlp, Precision, leave
from goldmark.trajectory._steps import Recording, Step, Training, steps_of
from goldmark.trajectory._tolerance import Mark, Tolerances, say_nothing

_IN_MEMORY = 2**26  # bytes of a recorded run; what is longer lies on disk


@dataclass(frozen=True, kw_only=True, repr=False)
class TrajectoryVerdict:
    """Whether two runs are the same but for rounding; true only where they are.

    `ok` is None where that cannot be told. `step`, from 0, and `tensor` are the first that differ; of runs that are the
    same those that came closest to their tolerance, and of undecided ones the first whose tolerance says nothing.
    """

    ok: bool | None
    reason: str
    n_steps: int  # of `run`
    step: int | None = None
    tensor: str | None = None
    difference: float = math.nan  # the largest of an entry; infinite where forms or finiteness differ
    tolerance: float = math.nan
    not_told: tuple[str, ...] = ()  # tensors whose tolerance says nothing from some step on

    def __bool__(self) -> bool:
        return self.ok is True

    def __repr__(self) -> str:
        word = {True: "the same trajectory", False: "NOT the same trajectory", None: "undecided"}[self.ok]
        return f"{word}: {self.reason}"


def same_trajectory(
    run: Training, other: Training, *, repeats: int = 3, precision: Precision | None = None
) -> TrajectoryVerdict:
    """Return whether `other` trains as `run` does, but for rounding: the first step and tensor that differ.

    Both are functions `run(nudge)` that build everything anew, seed what they draw, call `nudge(model)` once where the
    first weights are there, and yield `{name: array}` a step: losses, gradients, parameters, of numpy, torch or jax, or
    plain numbers. `nudge` takes a torch module, an array, or dicts and lists of arrays. It changes tensors and numpy
    arrays in place; as others, those of jax, cannot be changed, it also returns the model.

    `run` is trained as it is, and `repeats` times with every weight moved up or down by one ulp at random. An entry of
    `other` may differ by 10 times what those runs have differed by in its tensor so far, at least by 16 ulps of the
    tensor's largest entry: sums that are taken in another order differ by some. Integers must be equal where they are
    in the nudged runs. `precision` names what `run` computes in where that is coarser than its weights ("bfloat16"
    under autocast, "tf32"), and makes an ulp that of it.

    That a tensor keeps a tolerance of more than 2 % of the way that it goes from its first step says nothing. Such
    tensors are named; undecided is a comparison with a step where they are most of those that move with the weights:
    a chaotic run, or one that does not repeat, which one more run tells apart. Raise `UsageError` where `run` does not
    call `nudge` exactly once, or yields what is no dict of numbers.
    """
    if repeats < 1:
        raise UsageError(f"repeats is {repeats}; give the number of nudged runs that make the tolerance, 1 or more")
    if precision is not None and precision not in EPS:
        raise UsageError(f"precision is '{precision}'; give None, for that of the weights, or one of {', '.join(EPS)}")
    with tempfile.SpooledTemporaryFile(_IN_MEMORY) as file:
        reference = Recording(file, steps_of(run, leave))
        tolerances = Tolerances(reference)
        for seed in range(repeats):
            nudge = OneUlp(seed, precision)
            tolerances.widen(steps_of(run, nudge))
            tolerances.eps = nudge.eps_of_one_call()
        if reference.n_steps and not tolerances.show_a_change:
            return TrajectoryVerdict(ok=None, reason=_NOTHING_MOVED, n_steps=reference.n_steps)
        verdict = _judged(reference, tolerances, steps_of(other, leave))
        if verdict.ok is None and tolerances.are_too_wide and not _repeats(reference, run):
            return replace(verdict, reason=f"{verdict.reason}; {_DOES_NOT_REPEAT}")
        return verdict


_NOTHING_MOVED = (
    "runs with nudged weights equal `run` to the bit, which gives no tolerance; call nudge on the weights that "
    "training starts from, after they are loaded, and use what it returns where arrays cannot be changed, as in jax"
)
_DOES_NOT_REPEAT = (
    "`run` without a nudge does not repeat itself either: seed what it draws, and build model, optimizer and data in it"
)


def _judged(reference: Recording, tolerances: Tolerances, other: Iterable[Step]) -> TrajectoryVerdict:
    """Compare step by step, up to the first that differs; what is undecided is said only where nothing differs."""
    closest: Mark | None = None
    not_told: dict[str, Mark] = {}  # the first mark of each
    undecided: Mark | None = None
    for number, (old, new) in enumerate(zip_longest(reference, other)):
        if old is None or new is None:
            return _of_other_length(reference, tolerances, number, shorter=new is None)
        marks = tolerances.marks(number, old, new)
        differing = [mark for mark in marks if mark.ratio > 1]
        if differing:
            return _failed(reference, differing)
        not_told = {mark.tensor: mark for mark in marks if mark.says_nothing} | not_told
        if undecided is None and say_nothing(marks):
            undecided = next(mark for mark in marks if mark.tells and mark.says_nothing)
        told = [mark for mark in marks if not mark.says_nothing]
        closest = max([*([closest] if closest else []), *told], key=lambda mark: mark.ratio, default=None)
    if undecided is not None:
        return _verdict(reference, undecided, ok=None, reason=_why_undecided(undecided), not_told=tuple(not_told))
    if closest is None:
        reason = "nothing was compared: no numbers were yielded"
        return TrajectoryVerdict(ok=None, reason=reason, n_steps=reference.n_steps)
    return _same(reference, closest, not_told)


def _repeats(reference: Recording, run: Training) -> bool:
    """Tell whether a run without a nudge stays so near to the first one that it could be held to it."""
    unchanged = Tolerances(reference)
    unchanged.widen(steps_of(run, leave))
    return not unchanged.are_too_wide


def _of_other_length(reference: Recording, tolerances: Tolerances, number: int, *, shorter: bool) -> TrajectoryVerdict:
    n_steps = reference.n_steps
    if len(tolerances.lengths) > 1:
        lengths = " to ".join(map(str, (min(tolerances.lengths), max(tolerances.lengths))))
        return TrajectoryVerdict(ok=None, reason=f"nudged runs take from {lengths} steps", n_steps=n_steps, step=number)
    what = f"`other` ends after {number} of {n_steps} steps" if shorter else f"`other` goes on after {n_steps} steps"
    return TrajectoryVerdict(ok=False, reason=what, n_steps=n_steps, step=number, difference=math.inf, tolerance=0.0)


def _failed(reference: Recording, differing: list[Mark]) -> TrajectoryVerdict:
    first = differing[0]
    what = first.why_apart or (
        f"differs by {first.difference:.3g}, {first.ratio:.3g} times the tolerance of {first.tolerance:.3g}"
    )
    more = f", as {_listed([mark.tensor for mark in differing[1:]])} too" if differing[1:] else ""
    before = "; the steps before hold" if first.step else ""
    where = f"step {first.step} (from 0) of {reference.n_steps}, '{first.tensor}'"
    return _verdict(reference, first, ok=False, reason=f"{where} {what}{more}{before}")


def _same(reference: Recording, closest: Mark, not_told: Mapping[str, Mark]) -> TrajectoryVerdict:
    share = f"at {closest.ratio:.2g} of its tolerance of {closest.tolerance:.3g}"
    held = f"{reference.n_steps} steps, at most '{closest.tensor}' at step {closest.step} (from 0) {share}"
    silent = f"; nothing is told of {_listed(list(not_told))}, which rounding moves as far" if not_told else ""
    return _verdict(reference, closest, ok=True, reason=f"{held}{silent}", not_told=tuple(not_told))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _why_undecided(mark: Mark) -> str:
    where = f"from step {mark.step} (from 0) on"
    if mark.all_nan:
        return f"{where} '{mark.tensor}' is NaN in both"
    if math.isinf(mark.tolerance):
        return f"{where} '{mark.tensor}' of nudged runs has another form, or is not finite where it is in `run`"
    return (
        f"{where} nudged runs go too far apart: '{mark.tensor}' may differ by {mark.tolerance:.3g}, and goes a way of "
        f"{mark.way:.3g} in all the run; compare fewer steps, or in float64"
    )


def _verdict(
    reference: Recording, mark: Mark, *, ok: bool | None, reason: str, not_told: tuple[str, ...] = ()
) -> TrajectoryVerdict:
    return TrajectoryVerdict(
        ok=ok,
        reason=reason,
        n_steps=reference.n_steps,
        step=mark.step,
        tensor=mark.tensor,
        difference=mark.difference,
        tolerance=mark.tolerance,
        not_told=not_told,
    )
